// Package clients holds the use cases about registered clients: making, changing, rotating and removing them.
package clients

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel  *kernel.Kernel
	Clients Reader
	Issuer  func(realm string) string
	Signing Signing
	// Lenient asks no more of clients that register themselves than OpenID Connect does: no PKCE, and their assertions may name the token
	// endpoint. The zero value asks it.
	Lenient bool
	Run     gatehouse.Runner[Tx]
}

// Signing has a realm publish a key that signs ID tokens by alg; *keyring.Ring does.
type Signing interface {
	SignerOf(ctx context.Context, realm string, alg token.Algorithm) (*token.Key, error)
}

// Reader reads clients.
type Reader interface {
	Client(ctx context.Context, realm, id string) (client.Client, error)
	Clients(ctx context.Context, realm, after string, limit int) ([]client.Client, error)
	// ClientBySecret finds the client, of whichever realm, that has or had a secret with this hash.
	ClientBySecret(ctx context.Context, hash []byte) (client.Client, error)
	InitialTokens(ctx context.Context, realm, after string, limit int) ([]client.InitialToken, error)
}

// Tx is the transaction of the use cases, in its parts.
type Tx struct {
	kernel.Appender
	Stored
	Cutoffs
	Registrations
}

// Registrations are what clients register themselves by.
type Registrations interface {
	InsertInitialToken(ctx context.Context, t client.InitialToken) error
	// UseInitialToken takes one use of a token; [gatehouse.NotFound] where none counts.
	UseInitialToken(ctx context.Context, realm string, hash []byte, now time.Time) (client.InitialToken, error)
	DeleteInitialToken(ctx context.Context, realm, id string) error
	UnverifiedClients(ctx context.Context, realm string) (int64, error)
}

// Stored reads and changes clients.
type Stored interface {
	Client(ctx context.Context, realm, id string) (client.Client, error)
	InsertClient(ctx context.Context, c client.Client) error
	UpdateClient(ctx context.Context, c client.Client) error
	DeleteClient(ctx context.Context, realm, id string) error
}

// Cutoffs ends what was issued to a client.
type Cutoffs interface {
	// HoldRealm reads the realm; what is issued in it comes before or after this transaction as a whole.
	HoldRealm(ctx context.Context, name string) (gatehouse.Realm, error)
	PutCutoff(ctx context.Context, c revocation.Cutoff) error
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}
