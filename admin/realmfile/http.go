package realmfile

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
)

// Operations puts the use cases about realms as files into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/file", ID: "export-realm", Tag: "realms",
		Summary: "The realm as a file, without secrets"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			WithoutUsers bool `query:"without_users" doc:"Leave the users out"`
		}) (*adminhttp.Out[RealmExport], error) {
			return adminhttp.Answer(s.Export(ctx, actor, in.Realm, in.WithoutUsers))
		})
	type fileInput struct {
		adminhttp.RealmPath
		Body FileInput
	}
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/file/plan", ID: "plan-realm", Tag: "realms", Asks: true, Conflicts: true,
		Summary: "What a file would change; nothing is changed", MaxBody: MaxRealmFile + adminhttp.SmallBody},
		func(ctx context.Context, actor *gatehouse.Principal, in *fileInput) (*adminhttp.Out[RealmPlan], error) {
			return adminhttp.Answer(s.Plan(ctx, actor, in.Realm, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/file/apply", ID: "apply-realm", Tag: "realms", Conflicts: true,
		Summary: "Make the realm as a file says, all of it or nothing", MaxBody: MaxRealmFile + adminhttp.SmallBody},
		func(ctx context.Context, actor *gatehouse.Principal, in *fileInput) (*adminhttp.Out[RealmPlan], error) {
			return adminhttp.Answer(s.Apply(ctx, actor, in.Realm, in.Body))
		})
}
