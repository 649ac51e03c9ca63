// Package providers holds the use cases about the providers by whose accounts people sign in that are no settings of a
// realm: their client secrets, what a provider has to be told, and whose accounts there open an account here. The rest stands in the realm's settings.
package providers

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/provider"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel    *kernel.Kernel
	Providers Life
	Users     Users
	Run       gatehouse.Runner[Tx]
}

// Users knows whose links they are.
type Users interface {
	Resolve(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) string
	Find(ctx context.Context, realm, idOrName string) (identity.User, error)
}

// Life knows what is not in the settings; *provider.Service does.
type Life interface {
	SealSecret(realm string, p gatehouse.Provider, secret gatehouse.Secret) ([]byte, error)
	HasSecret(ctx context.Context, realm string, p gatehouse.Provider) (bool, error)
	Redirect(realm, provider string) string
	Links(ctx context.Context, realm, userID string) ([]provider.Link, error)
	Remove(ctx context.Context, realm gatehouse.Realm, by *gatehouse.Principal, userID, id string) error
}

// Tx is the transaction of the use cases.
type Tx interface {
	kernel.Appender
	kernel.RealmReader
	PutProviderSecret(ctx context.Context, realm, provider string, sealed []byte, now time.Time) error
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}

// ProviderStatus is a provider of a realm, and what is not in its settings.
type ProviderStatus struct {
	ID             string `json:"id"`
	Preset         string `json:"preset,omitempty" doc:"What was known of it beforehand"`
	Title          string `json:"title" doc:"What people know it by"`
	Issuer         string `json:"issuer"`
	ClientID       string `json:"client_id"`
	CreateAccounts bool   `json:"create_accounts"`
	HasSecret      bool   `json:"has_secret" doc:"A client secret was set for this issuer and client; without it nobody can sign in there"`
	RedirectURI    string `json:"redirect_uri" doc:"What the provider has to be told: where it sends browsers back to"`
}

// NewSecret is the client secret for a provider.
type NewSecret struct {
	Secret gatehouse.Secret `json:"secret" doc:"As the provider gave it; it is shown to nobody again"`
}

// maxSecret bounds a client secret, in bytes.
const maxSecret = 4096

// List lists the providers of a realm.
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal, realm string) ([]ProviderStatus, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminRealm, realm, realm); err != nil {
		return nil, err
	}
	r, err := s.k.Realm(ctx, realm)
	if err != nil {
		return nil, err
	}
	out := make([]ProviderStatus, len(r.Settings.Providers))
	for i, p := range r.Settings.Providers {
		p = p.Filled()
		has, err := s.c.Providers.HasSecret(ctx, realm, p)
		if err != nil {
			return nil, err
		}
		out[i] = ProviderStatus{ID: p.ID, Preset: p.Preset, Title: p.Name(), Issuer: p.Issuer, ClientID: p.ClientID, CreateAccounts: p.CreateAccounts, HasSecret: has,
			RedirectURI: s.c.Providers.Redirect(realm, p.ID)}
	}
	return out, nil
}

// SetSecret sets the client secret for a provider, for the issuer and the client that its settings name
// now; under others it counts no more. Errors: provider_not_found, input_invalid.
func (s *Service) SetSecret(ctx context.Context, actor *gatehouse.Principal, realm, id string, in NewSecret) error {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminRealm, realm, realm); err != nil {
		return err
	}
	f := kernel.Faults{}
	if in.Secret == "" || len(in.Secret) > maxSecret {
		f.Add("secret", "must have 1 to %d bytes", maxSecret)
	}
	if err := f.Err(); err != nil {
		return err
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		r, err := kernel.ReadRealm(ctx, tx, realm)
		if err != nil {
			return err
		}
		p, ok := r.Settings.Provider(id)
		if !ok {
			return provider.ErrNone
		}
		if !provider.CheckSecret(p, in.Secret) {
			f.Add("secret", "must be the private key, in PEM, that the client secret is signed with (ES256)")
			return f.Err()
		}
		sealed, err := s.c.Providers.SealSecret(realm, p, in.Secret)
		if err != nil {
			return err
		}
		e := s.k.Event(ctx, actor, realm, audit.KindProviderSecret, "provider", id)
		if err := tx.PutProviderSecret(ctx, realm, id, sealed, e.Time); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
}
