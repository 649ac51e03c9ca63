// Package keys holds the use cases about API keys: making, narrowing, rotating and ending them, taking over those of
// another system, and reporting a leaked one.
package keys

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel *kernel.Kernel
	Keys   Reader
	Run    gatehouse.Runner[Tx]
	Owners Owners
	Mail   Notices
	// Clients ends secrets that leaked: who finds one need not know what it is.
	Clients Leaks
	Prefix  string // of the keys that are made
}

// Leaks ends the secrets of clients.
type Leaks interface {
	// EndLeaked ends the secret that text is; found tells whether it is one.
	EndLeaked(ctx context.Context, text gatehouse.Secret) (found bool, err error)
}

// Reader reads API keys.
type Reader interface {
	Key(ctx context.Context, id string) (credential.Key, error)
	Keys(ctx context.Context, realm, ownerID, after string, limit int) ([]credential.Key, error)
	KeyUsage(ctx context.Context, keyID, fromDay string) ([]credential.KeyUsage, error)
}

// Owners knows the people and services that keys belong to.
type Owners interface {
	// Resolve turns "me", an id or a username into an id to authorize on; what is
	// nobody's stays as it is.
	Resolve(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) string
	Find(ctx context.Context, realm, idOrName string) (identity.User, error)
}

// Notices tells people of keys that were made; *mail.Queue has it.
type Notices interface {
	On() bool
	Put(ctx context.Context, tx mail.Outgoing, m mail.Message) (id string, err error)
}

// Tx is the transaction of the API key use cases, in its parts.
type Tx struct {
	kernel.Appender
	kernel.RealmReader
	Stored
	mail.Outgoing
}

// Stored reads and changes keys and reads who owns them.
type Stored interface {
	User(ctx context.Context, realm, id string) (identity.User, error)
	Key(ctx context.Context, id string) (credential.Key, error)
	ImportedKeys(ctx context.Context, hash []byte) ([]credential.Key, error)
	InsertKey(ctx context.Context, k credential.Key) error
	UpdateKey(ctx context.Context, k credential.Key) error
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}
