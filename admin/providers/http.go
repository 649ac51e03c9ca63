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
}
