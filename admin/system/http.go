package system

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
)

// Operations puts the use cases of nobody in particular into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/me", ID: "me", Tag: "system", Summary: "Who the caller is, as Gatehouse sees him"},
		func(ctx context.Context, actor *gatehouse.Principal, _ *adminhttp.None) (*adminhttp.Out[Me], error) {
			return adminhttp.Answer(s.Me(ctx, actor))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/me", ID: "get-me-of-realm", Tag: "system", Summary: "Who the caller is, for credentials of a realm other than main"},
		func(ctx context.Context, actor *gatehouse.Principal, _ *adminhttp.RealmPath) (*adminhttp.Out[Me], error) {
			return adminhttp.Answer(s.Me(ctx, actor))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/backup", ID: "backup", Tag: "system", Asks: true, Conflicts: true,
		Summary: "Copy the database, while it runs, to where the server keeps backups"},
		func(ctx context.Context, actor *gatehouse.Principal, _ *adminhttp.None) (*adminhttp.Out[Backup], error) {
			return adminhttp.Answer(s.Backup(ctx, actor))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/config/reload", ID: "reload-config", Tag: "system", Asks: true, Refusable: true,
		Summary: "Make the server that answers read its configuration anew; all of it, or nothing where it has mistakes"},
		func(ctx context.Context, actor *gatehouse.Principal, _ *adminhttp.None) (*adminhttp.Out[Reload], error) {
			return adminhttp.Answer(s.Reload(ctx, actor))
		})
}
