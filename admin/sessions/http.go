package sessions

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

// Operations puts the use cases about browser sessions into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/users/{user}/sessions", ID: "list-sessions", Tag: "users",
		Summary: "The browser sessions of a user"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			adminhttp.Paging
		}) (*adminhttp.Out[kernel.Page[Session]], error) {
			return adminhttp.Answer(s.List(ctx, actor, in.Realm, in.User, in.After, in.Limit))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: "/realms/{realm}/users/{user}/sessions/{session}", ID: "end-session", Tag: "users", Conflicts: true,
		Summary: "End one browser session"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			Session string `path:"session" maxLength:"64" doc:"Session id"`
		}) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.End(ctx, actor, in.Realm, in.User, in.Session)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: "/realms/{realm}/users/{user}/sessions", ID: "end-sessions", Tag: "users", Status: http.StatusOK, Conflicts: true,
		Summary: "End every browser session of a user, or all but one"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			Except string `query:"except" maxLength:"64" doc:"Id of the session that stays"`
		}) (*adminhttp.Out[Ended], error) {
			return adminhttp.Answer(s.EndAll(ctx, actor, in.Realm, in.User, in.Except))
		})
}
