package realms

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

// Operations puts the use cases about realms into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms", ID: "list-realms", Tag: "realms", Summary: "The realms that the caller may read"},
		func(ctx context.Context, actor *gatehouse.Principal, _ *adminhttp.None) (*adminhttp.Out[kernel.List[Realm]], error) {
			items, err := s.List(ctx, actor)
			return adminhttp.Answer(kernel.List[Realm]{Items: items}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms", ID: "create-realm", Tag: "realms", Status: http.StatusCreated, Conflicts: true,
		Summary: "Make a realm, with its first signing key"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct{ Body NewRealm }) (*adminhttp.Out[Realm], error) {
			return adminhttp.Answer(s.Create(ctx, actor, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}", ID: "get-realm", Tag: "realms", Summary: "One realm"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.RealmPath) (*adminhttp.Out[Realm], error) {
			return adminhttp.Answer(s.Get(ctx, actor, in.Realm))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPatch, Path: "/realms/{realm}", ID: "update-realm", Tag: "realms", Conflicts: true,
		Summary: "Change the members that are present (RFC 7396); null sets the default", MaxBody: adminhttp.MaxBody},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body RealmPatch
		}) (*adminhttp.Out[Realm], error) {
			return adminhttp.Answer(s.Update(ctx, actor, in.Realm, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/panic", ID: "panic-realm", Tag: "realms", Conflicts: true,
		Summary: "End everything of a realm, and disable it: logins, tokens, keys, passwords; what was ended stays so when it is enabled again"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body *kernel.PanicOrder
		}) (*adminhttp.Out[Realm], error) {
			return adminhttp.Answer(s.Panic(ctx, actor, in.Realm, adminhttp.Given(in.Body)))
		})
}
