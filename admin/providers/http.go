package providers

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

// Operations puts the use cases about providers into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	const all = "/realms/{realm}/providers"
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: all, ID: "list-providers", Tag: "realms",
		Summary: "OpenID providers by whose accounts people sign in, and what each has to be told"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.RealmPath) (*adminhttp.Out[kernel.List[ProviderStatus]], error) {
			items, err := s.List(ctx, actor, in.Realm)
			return adminhttp.Answer(kernel.List[ProviderStatus]{Items: items}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPut, Path: all + "/{provider}/secret", ID: "set-provider-secret", Tag: "realms", Conflicts: true,
		Summary: "Set the client secret for a provider, for the issuer and client that the realm's settings name now"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Provider string `path:"provider" maxLength:"32" doc:"Provider id"`
			Body     NewSecret
		}) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.SetSecret(ctx, actor, in.Realm, in.Provider, in.Body)
		})
	const links = "/realms/{realm}/users/{user}/links"
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: links, ID: "list-provider-links", Tag: "factors",
		Summary: "Accounts at providers that open the account of a user; everybody may list his own"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.UserPath) (*adminhttp.Out[kernel.List[Link]], error) {
			items, err := s.Links(ctx, actor, in.Realm, in.User)
			return adminhttp.Answer(kernel.List[Link]{Items: items}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: links + "/{link}", ID: "remove-provider-link", Tag: "factors", Conflicts: true,
		Summary: "Remove the link of an account at a provider with somebody's account; what the link gave goes with it"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			Link string `path:"link" maxLength:"64" doc:"Link id"`
		}) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.RemoveLink(ctx, actor, in.Realm, in.User, in.Link)
		})
}
