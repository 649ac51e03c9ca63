package apps

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
)

// Operations puts the use cases about connected apps into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/users/{user}/apps", ID: "list-apps", Tag: "users",
		Summary: "The clients that a user lets have something (connected apps)"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.UserPath) (*adminhttp.Out[Page], error) {
			return adminhttp.Answer(s.List(ctx, actor, in.Realm, in.User))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: "/realms/{realm}/users/{user}/apps/{client}", ID: "revoke-app", Tag: "users", Status: http.StatusOK, Conflicts: true,
		Summary: "Take back all that a user lets a client have, and end every login of it"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			Client string `path:"client" maxLength:"200" doc:"Client id"`
		}) (*adminhttp.Out[Revoked], error) {
			return adminhttp.Answer(s.Revoke(ctx, actor, in.Realm, in.User, in.Client))
		})
}
