package clients

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// ClientPath names one client.
type ClientPath struct {
	adminhttp.RealmPath
	Client string `path:"client" maxLength:"200" doc:"client_id; that of a client that a document describes without https://, its slashes as %2F"`
}

func (p ClientPath) id() string { return client.FromPath(p.Client) }

// Operations puts the use cases about clients into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	const all, one = "/realms/{realm}/clients", "/realms/{realm}/clients/{client}"
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: all, ID: "list-clients", Tag: "clients", Summary: "Clients that may ask for tokens"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			adminhttp.Paging
		}) (*adminhttp.Out[kernel.Page[Client]], error) {
			return adminhttp.Answer(s.List(ctx, actor, in.Realm, in.After, in.Limit))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: all, ID: "create-client", Tag: "clients", Status: http.StatusCreated, Conflicts: true,
		Summary: "Register a client; its secret is in this answer only"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body NewClient
		}) (*adminhttp.Out[CreatedClient], error) {
			return adminhttp.Answer(s.Create(ctx, actor, in.Realm, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: one, ID: "get-client", Tag: "clients", Summary: "One client, without its secret"},
		func(ctx context.Context, actor *gatehouse.Principal, in *ClientPath) (*adminhttp.Out[Client], error) {
			return adminhttp.Answer(s.Get(ctx, actor, in.Realm, in.id()))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPatch, Path: one, ID: "update-client", Tag: "clients", Conflicts: true,
		Summary: "Change, disable or enable a client; what it has by what it may no longer ends at once"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			ClientPath
			Body ClientPatch
		}) (*adminhttp.Out[Client], error) {
			return adminhttp.Answer(s.Update(ctx, actor, in.Realm, in.id(), in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: one + "/rotate", ID: "rotate-client-secret", Tag: "clients", Status: http.StatusCreated, Conflicts: true,
		Summary: "Give a client another secret; the old one works as well for the overlap"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			ClientPath
			Body *SecretRotation
		}) (*adminhttp.Out[CreatedClient], error) {
			return adminhttp.Answer(s.Rotate(ctx, actor, in.Realm, in.id(), adminhttp.Given(in.Body)))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: one + "/snippets/{kind}", ID: "get-client-snippet", Tag: "clients",
		Summary: "How a program is set up for a client: a snippet with its own values, and no secret"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			ClientPath
			Kind string `path:"kind" maxLength:"32" doc:"curl, go, node, python, nginx or oauth2-proxy"`
		}) (*adminhttp.Out[Snippet], error) {
			return adminhttp.Answer(s.Snippet(ctx, actor, in.Realm, in.Client, in.Kind))
		})
	s.tokenOperations(a)
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: one, ID: "delete-client", Tag: "clients", Conflicts: true,
		Summary: "Remove a client; what was issued to it ends at once"},
		func(ctx context.Context, actor *gatehouse.Principal, in *ClientPath) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.Delete(ctx, actor, in.Realm, in.id())
		})
}

// tokenOperations are those about tokens by which clients register themselves.
func (s *Service) tokenOperations(a *adminhttp.API) {
	const tokens = "/realms/{realm}/client-registration-tokens"
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: tokens, ID: "list-registration-tokens", Tag: "clients", Summary: "Tokens by which clients register themselves"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			adminhttp.Paging
		}) (*adminhttp.Out[kernel.Page[InitialToken]], error) {
			return adminhttp.Answer(s.ListTokens(ctx, actor, in.Realm, in.After, in.Limit))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: tokens, ID: "create-registration-token", Tag: "clients", Status: http.StatusCreated, Conflicts: true,
		Summary: "Make a token by which clients register themselves; it is in this answer only"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body NewInitialToken
		}) (*adminhttp.Out[CreatedInitialToken], error) {
			return adminhttp.Answer(s.CreateToken(ctx, actor, in.Realm, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: tokens + "/{token}", ID: "delete-registration-token", Tag: "clients", Conflicts: true,
		Summary: "Remove such a token; what registered by it stays"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Token string `path:"token" maxLength:"64" doc:"Its id"`
		}) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.DeleteToken(ctx, actor, in.Realm, in.Token)
		})
}
