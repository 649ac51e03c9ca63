package keys

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

// KeyPath names one API key.
type KeyPath struct {
	adminhttp.RealmPath
	Key string `path:"key" maxLength:"64" doc:"Key id"`
}

// Operations puts the use cases about API keys into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/keys", ID: "list-keys", Tag: "keys", Summary: "API keys; everybody may list his own with owner=me"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			adminhttp.Paging
			Owner string `query:"owner" maxLength:"256" doc:"Id, username or me; absent: of everybody"`
		}) (*adminhttp.Out[kernel.Page[Key]], error) {
			return adminhttp.Answer(s.List(ctx, actor, in.Realm, in.Owner, in.After, in.Limit))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/keys", ID: "create-key", Tag: "keys", Status: http.StatusCreated, Conflicts: true,
		Summary: "Make an API key; its text is in this answer only"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body NewKey
		}) (*adminhttp.Out[CreatedKey], error) {
			return adminhttp.Answer(s.Create(ctx, actor, in.Realm, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/keys/import", ID: "import-key", Tag: "keys", Status: http.StatusCreated, Conflicts: true,
		Summary: "Take over a key that another system made, by its hash"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body ImportedKey
		}) (*adminhttp.Out[Key], error) {
			return adminhttp.Answer(s.Import(ctx, actor, in.Realm, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/keys/{key}", ID: "get-key", Tag: "keys", Summary: "One API key, without its secret"},
		func(ctx context.Context, actor *gatehouse.Principal, in *KeyPath) (*adminhttp.Out[Key], error) {
			return adminhttp.Answer(s.Get(ctx, actor, in.Realm, in.Key))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPatch, Path: "/realms/{realm}/keys/{key}", ID: "update-key", Tag: "keys", Conflicts: true,
		Summary: "Rename or narrow an API key"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			KeyPath
			Body KeyPatch
		}) (*adminhttp.Out[Key], error) {
			return adminhttp.Answer(s.Update(ctx, actor, in.Realm, in.Key, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/keys/{key}/rotate", ID: "rotate-key", Tag: "keys", Status: http.StatusCreated, Conflicts: true,
		Summary: "Replace an API key; the old one goes on working for the overlap"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			KeyPath
			Body *KeyRotation
		}) (*adminhttp.Out[CreatedKey], error) {
			return adminhttp.Answer(s.Rotate(ctx, actor, in.Realm, in.Key, adminhttp.Given(in.Body)))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/keys/{key}/revoke", ID: "revoke-key", Tag: "keys", Conflicts: true,
		Summary: "End an API key at once"},
		func(ctx context.Context, actor *gatehouse.Principal, in *KeyPath) (*adminhttp.Out[Key], error) {
			return adminhttp.Answer(s.Revoke(ctx, actor, in.Realm, in.Key))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/keys/{key}/panic", ID: "panic-key", Tag: "keys", Conflicts: true,
		Summary: "End an API key at once, but the caller's own only when that is said"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			KeyPath
			Body *kernel.PanicOrder
		}) (*adminhttp.Out[Key], error) {
			return adminhttp.Answer(s.Panic(ctx, actor, in.Realm, in.Key, adminhttp.Given(in.Body)))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/keys/{key}/usage", ID: "key-usage", Tag: "keys", Summary: "Uses per day"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			KeyPath
			Days int `query:"days" minimum:"1" maximum:"400" default:"31" doc:"How many days back"`
		}) (*adminhttp.Out[kernel.List[KeyUsage]], error) {
			items, err := s.Usage(ctx, actor, in.Realm, in.Key, in.Days)
			return adminhttp.Answer(kernel.List[KeyUsage]{Items: items}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/keys/leaked", ID: "report-leaked-key", Tag: "keys", Public: true, Conflicts: true,
		Summary: "End an API key, or the secret of a client, that was found where it should not be; holding it is the proof"},
		func(ctx context.Context, _ *gatehouse.Principal, in *struct{ Body LeakedKey }) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.ReportLeaked(ctx, in.Body.Key)
		})
}
