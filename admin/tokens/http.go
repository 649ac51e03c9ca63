package tokens

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// tokenInput is a token in a body, never in a path or query.
type tokenInput struct {
	adminhttp.RealmPath
	Body TokenText
}

// Operations puts the use cases about what was issued into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/tokens/inspect", ID: "inspect-token", Tag: "tokens", Asks: true,
		Summary: "Decode a token; nothing is verified"},
		func(ctx context.Context, actor *gatehouse.Principal, in *tokenInput) (*adminhttp.Out[TokenInspection], error) {
			return adminhttp.Answer(s.InspectToken(ctx, actor, in.Realm, in.Body.Token))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/tokens/verify", ID: "verify-token", Tag: "tokens", Asks: true,
		Summary: "Check a token or key as a request with it would be"},
		func(ctx context.Context, actor *gatehouse.Principal, in *tokenInput) (*adminhttp.Out[TokenVerification], error) {
			return adminhttp.Answer(s.VerifyToken(ctx, actor, in.Realm, in.Body.Token))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/tokens/revoke", ID: "revoke-token", Tag: "tokens", Conflicts: true,
		Summary: "End the grant that a token came from, or an API key"},
		func(ctx context.Context, actor *gatehouse.Principal, in *tokenInput) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.RevokeToken(ctx, actor, in.Realm, in.Body.Token)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/revocations", ID: "revoke", Tag: "tokens", Status: http.StatusCreated, Conflicts: true,
		Summary: "Set a cut-off: nothing issued until then is valid any more"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body NewRevocation
		}) (*adminhttp.Out[Revocation], error) {
			return adminhttp.Answer(s.Revoke(ctx, actor, in.Realm, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/clients/{client}/panic", ID: "panic-client", Tag: "tokens", Conflicts: true,
		Summary: "End every login and token that was issued to a client until now, but the caller's own client only when that is said"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Client string `path:"client" maxLength:"200" doc:"client_id; that of a client that a document describes without https://, its slashes as %2F"`
			Body   *kernel.PanicOrder
		}) (*adminhttp.Out[Revocation], error) {
			return adminhttp.Answer(s.PanicClient(ctx, actor, in.Realm, client.FromPath(in.Client), adminhttp.Given(in.Body)))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/grants", ID: "list-grants", Tag: "tokens", Summary: "Logins of a realm"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			adminhttp.Paging
		}) (*adminhttp.Out[kernel.Page[Grant]], error) {
			return adminhttp.Answer(s.Grants(ctx, actor, in.Realm, "", in.After, in.Limit))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/users/{user}/grants", ID: "list-user-grants", Tag: "users", Summary: "The logins of a user"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			adminhttp.Paging
		}) (*adminhttp.Out[kernel.Page[Grant]], error) {
			return adminhttp.Answer(s.Grants(ctx, actor, in.Realm, in.User, in.After, in.Limit))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/grants/{grant}/end", ID: "end-grant", Tag: "tokens", Conflicts: true,
		Summary: "End one login with all its tokens"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Grant string `path:"grant" maxLength:"64" doc:"Grant id"`
		}) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.EndGrant(ctx, actor, in.Realm, in.Grant)
		})
}
