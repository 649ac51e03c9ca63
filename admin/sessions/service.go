// Package sessions holds the use cases about the browser sessions of people: looking at them and ending them.
package sessions

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel   *kernel.Kernel
	Sessions Reader
	Life     Life
	Users    Users
	// Revoked tells whether a cut-off has ended a session (revocation.View.Revoked).
	Revoked func(ref revocation.Ref) (revoked bool, reason string)
}

// Reader lists the sessions of a user, ended ones too.
type Reader interface {
	Sessions(ctx context.Context, realm, user, after string, limit int) ([]gatehouse.Session, error)
}

// Life ends sessions, and records it; *session.Service has it.
type Life interface {
	End(ctx context.Context, realm, user, id, reason string) error
	EndAll(ctx context.Context, realm, user, except, reason string) (n int, err error)
	Disown(ctx context.Context, realm, user, id string) error
}

// Users knows whose sessions they are.
type Users interface {
	// Resolve turns "me", an id or a username into an id to authorize on; what is
	// nobody's stays as it is.
	Resolve(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) string
	Find(ctx context.Context, realm, idOrName string) (identity.User, error)
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}
