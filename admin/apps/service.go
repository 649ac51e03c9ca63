// Package apps holds the use cases about connected apps: the clients that a person lets have something.
package apps

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel *kernel.Kernel
	Apps   Reader
	Users  Users
	Run    gatehouse.Runner[Tx]
	// Revoked tells whether a cut-off has ended a grant (revocation.View.Revoked).
	Revoked func(ref revocation.Ref) (revoked bool, reason string)
}

// Reader reads what people let clients have, and what came of it.
type Reader interface {
	Client(ctx context.Context, realm, id string) (client.Client, error)
	Consents(ctx context.Context, realm, user string) ([]grant.Consent, error)
	// HeldGrants are the grants of a user that clients have, and that have not ended by now.
	HeldGrants(ctx context.Context, realm, user string, now time.Time) ([]grant.Held, error)
}

// Users knows whose apps they are.
type Users interface {
	// Resolve turns "me", an id or a username into an id to authorize on; what is
	// nobody's stays as it is.
	Resolve(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) string
	Find(ctx context.Context, realm, idOrName string) (identity.User, error)
}

// Tx is the transaction that takes something back.
type Tx interface {
	kernel.Appender
	// DeleteConsent removes what a user lets a client have. Who gives something by it comes before or after this transaction.
	DeleteConsent(ctx context.Context, realm, user, client string) (there bool, err error)
	// EndGrantsOfClient ends every open grant that a client has of a user, and sets their status bits.
	EndGrantsOfClient(ctx context.Context, realm, user, client string, when time.Time, reason string) (n int, err error)
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}
