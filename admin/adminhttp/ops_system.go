package adminhttp

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
)

// Inputs that many operations share.
type (
	RealmPath struct {
		Realm string `path:"realm" maxLength:"63" doc:"Realm name"`
	}
	Paging struct {
		After string `query:"after" maxLength:"256" doc:"Cursor: next of the page before"`
		Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Entries per page"`
	}
)

func (a *api) system() {
	s := a.c.Service
	handle(a, operation{method: http.MethodPost, path: "/bootstrap", id: "bootstrap", tag: "system", public: true, status: http.StatusCreated, conflicts: true,
		summary: "Make the first administrator with the one-time secret of the first start"},
		func(ctx context.Context, _ *gatehouse.Principal, in *struct{ Body admin.NewBootstrap }) (*out[admin.Bootstrapped], error) {
			return answer(s.Bootstrap(ctx, in.Body))
		})
	handle(a, operation{method: http.MethodGet, path: "/me", id: "me", tag: "system", summary: "Who the caller is, as Gatehouse sees him"},
		func(ctx context.Context, actor *gatehouse.Principal, _ *none) (*out[admin.Me], error) {
			return answer(s.Me(ctx, actor))
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/me", id: "get-me-of-realm", tag: "system", summary: "Who the caller is, for credentials of a realm other than main"},
		func(ctx context.Context, actor *gatehouse.Principal, _ *RealmPath) (*out[admin.Me], error) {
			return answer(s.Me(ctx, actor))
		})
	handle(a, operation{method: http.MethodPost, path: "/backup", id: "backup", tag: "system", conflicts: true,
		summary: "Copy the database, while it runs, to where the server keeps backups"},
		func(ctx context.Context, actor *gatehouse.Principal, _ *none) (*out[admin.Backup], error) {
			return answer(s.Backup(ctx, actor))
		})
}

func (a *api) realms() {
	s := a.c.Service
	handle(a, operation{method: http.MethodGet, path: "/realms", id: "list-realms", tag: "realms", summary: "The realms that the caller may read"},
		func(ctx context.Context, actor *gatehouse.Principal, _ *none) (*out[admin.List[admin.Realm]], error) {
			items, err := s.Realms(ctx, actor)
			return answer(admin.List[admin.Realm]{Items: items}, err)
		})
	handle(a, operation{method: http.MethodPost, path: "/realms", id: "create-realm", tag: "realms", status: http.StatusCreated, conflicts: true,
		summary: "Make a realm, with its first signing key"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct{ Body admin.NewRealm }) (*out[admin.Realm], error) {
			return answer(s.CreateRealm(ctx, actor, in.Body))
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}", id: "get-realm", tag: "realms", summary: "One realm"},
		func(ctx context.Context, actor *gatehouse.Principal, in *RealmPath) (*out[admin.Realm], error) {
			return answer(s.Realm(ctx, actor, in.Realm))
		})
	handle(a, operation{method: http.MethodPatch, path: "/realms/{realm}", id: "update-realm", tag: "realms", conflicts: true,
		summary: "Change the members that are present (RFC 7396); null sets the default", maxBody: maxBody},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Body admin.RealmPatch
		}) (*out[admin.Realm], error) {
			return answer(s.UpdateRealm(ctx, actor, in.Realm, in.Body))
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/file", id: "export-realm", tag: "realms",
		summary: "The realm as a file, without secrets"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			WithoutUsers bool `query:"without_users" doc:"Leave the users out"`
		}) (*out[admin.RealmExport], error) {
			return answer(s.ExportRealm(ctx, actor, in.Realm, in.WithoutUsers))
		})
	type fileInput struct {
		RealmPath
		Body admin.FileInput
	}
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/file/plan", id: "plan-realm", tag: "realms", conflicts: true,
		summary: "What a file would change; nothing is changed", maxBody: maxFileBody},
		func(ctx context.Context, actor *gatehouse.Principal, in *fileInput) (*out[admin.RealmPlan], error) {
			return answer(s.PlanRealm(ctx, actor, in.Realm, in.Body))
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/file/apply", id: "apply-realm", tag: "realms", conflicts: true,
		summary: "Make the realm as a file says, all of it or nothing", maxBody: maxFileBody},
		func(ctx context.Context, actor *gatehouse.Principal, in *fileInput) (*out[admin.RealmPlan], error) {
			return answer(s.ApplyRealm(ctx, actor, in.Realm, in.Body))
		})
}
