// Package factors holds the use cases about second factors: a person's own authenticator apps and recovery codes. Who
// administers sees which there are and removes them; secrets and codes are for their owner alone.
package factors

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel    *kernel.Kernel
	Factors   factor.Reader
	Run       gatehouse.Runner[Tx]
	Users     Users
	Passwords Passwords
	Codes     Codes
	Mail      Notices
	Vault     factor.Vault
}

// Users knows whose factors they are.
type Users interface {
	Resolve(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) string
	Find(ctx context.Context, realm, idOrName string) (identity.User, error)
}

// Passwords verifies a person's current password, with the login throttle.
type Passwords interface {
	CheckPassword(ctx context.Context, u identity.User, password gatehouse.Secret) error
}

// Codes uses up a code of a second factor (factor.Service).
type Codes interface {
	Prove(ctx context.Context, realm string, who gatehouse.Subject, code gatehouse.Secret) (factor.Factor, error)
}

// Notices tells people what changed of their factors; *mail.Queue has it.
type Notices interface {
	Put(ctx context.Context, tx mail.Outgoing, m mail.Message) (id string, err error)
}

// UserWriter reads and changes the user whose factors change. The read holds the user: what
// changes the same user's factors waits.
type UserWriter interface {
	User(ctx context.Context, realm, id string) (identity.User, error)
	UpdateUser(ctx context.Context, u identity.User) error
}

// Writer reads and changes factors.
type Writer interface {
	factor.Reader
	InsertFactor(ctx context.Context, f factor.Factor) error
	UpdateFactor(ctx context.Context, f factor.Factor) error
	DeleteFactor(ctx context.Context, realm, userID, id string) error
}

// Tx is the transaction of the use cases, in its parts.
type Tx struct {
	kernel.Appender
	UserWriter
	Writer
	passkey.Reader
	mail.Outgoing
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}
