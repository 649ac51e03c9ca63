package signing

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

type kidPath struct {
	adminhttp.RealmPath
	KID string `path:"kid" maxLength:"128" doc:"Key id"`
}

// Operations puts the use cases about signing keys into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/signing-keys", ID: "list-signing-keys", Tag: "signing keys", Summary: "Signing keys, without private halves"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.RealmPath) (*adminhttp.Out[kernel.List[SigningKey]], error) {
			items, err := s.List(ctx, actor, in.Realm)
			return adminhttp.Answer(kernel.List[SigningKey]{Items: items}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/signing-keys/rotate", ID: "rotate-signing-key", Tag: "signing keys", Status: http.StatusCreated, Conflicts: true,
		Summary: "Publish a new key, which takes over once verifiers know it"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body *SigningKeyRotation
		}) (*adminhttp.Out[SigningKeyRotated], error) {
			kid, err := s.Rotate(ctx, actor, in.Realm, adminhttp.Given(in.Body).Now)
			return adminhttp.Answer(SigningKeyRotated{KID: kid}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/signing-keys/{kid}/retire", ID: "retire-signing-key", Tag: "signing keys", Conflicts: true,
		Summary: "Sign no more with a key; its tokens live until they expire"},
		func(ctx context.Context, actor *gatehouse.Principal, in *kidPath) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.Retire(ctx, actor, in.Realm, in.KID)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: "/realms/{realm}/signing-keys/{kid}", ID: "remove-signing-key", Tag: "signing keys", Conflicts: true,
		Summary: "Remove a key; every token that it signed is refused at once"},
		func(ctx context.Context, actor *gatehouse.Principal, in *kidPath) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.Remove(ctx, actor, in.Realm, in.KID)
		})
}
