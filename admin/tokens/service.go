// Package tokens holds the use cases about what was issued: looking at tokens, the grants from which they come, and the
// cut-offs that end them.
package tokens

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel *kernel.Kernel
	Grants Reader
	Run    gatehouse.Runner[Tx]
	Users  Users
	// End ends a grant with all its tokens, and records it (grant.Service.End).
	End func(ctx context.Context, realm, id, reason string) (ended bool, err error)
	// EndKey ends an API key as its own use case does.
	EndKey func(ctx context.Context, actor *gatehouse.Principal, realm, id string) error
	// Verify checks a credential as a request would, without the request.
	Verify func(ctx context.Context, realm string, token gatehouse.Secret) (*gatehouse.Principal, error)
}

// Reader lists grants: of a realm, or of one subject.
type Reader interface {
	Grants(ctx context.Context, realm, subject, after string, limit int) ([]gatehouse.Grant, error)
}

// Users knows whose grants they are.
type Users interface {
	// Resolve turns "me", an id or a username into an id to authorize on; what is
	// nobody's stays as it is.
	Resolve(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) string
	Find(ctx context.Context, realm, idOrName string) (identity.User, error)
}

// Tx is the transaction of the cut-off use cases.
type Tx interface {
	kernel.Appender
	// HoldRealm reads the realm; logins and renewals in it come before or after this
	// transaction as a whole.
	HoldRealm(ctx context.Context, name string) (gatehouse.Realm, error)
	PutCutoff(ctx context.Context, c revocation.Cutoff) error
	// DisableClient disables the client with that id, if one is registered and may have tokens; done tells whether.
	DisableClient(ctx context.Context, realm, id string, now time.Time) (done bool, err error)
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}
