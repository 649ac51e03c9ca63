package passkeys

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

// Operations puts the use cases about passkeys into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	const all = "/realms/{realm}/users/{user}/passkeys"
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: all, ID: "list-passkeys", Tag: "factors",
		Summary: "Passkeys of a user; everybody may list his own"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.UserPath) (*adminhttp.Out[kernel.List[Passkey]], error) {
			items, err := s.List(ctx, actor, in.Realm, in.User)
			return adminhttp.Answer(kernel.List[Passkey]{Items: items}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: all + "/{passkey}", ID: "remove-passkey", Tag: "factors", Conflicts: true,
		Summary: "Remove a passkey of somebody who has lost it"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			Passkey string `path:"passkey" maxLength:"64" doc:"Passkey id"`
		}) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.Remove(ctx, actor, in.Realm, in.User, in.Passkey)
		})
}
