// Package realmfile holds the use cases about a realm as a file: exporting it, planning what a file would change, and
// applying it. It stands above the subjects of administration and makes every change by their use cases, so that a file
// can do no more than its bearer, and forgets no event.
package realmfile

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/realms"
	"github.com/gatehouse-auth/gatehouse/admin/rules"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel *kernel.Kernel
	Stored Stored
	Run    gatehouse.Runner[Tx]
	// The subjects that a file is made of, as they are outside of a file's transaction.
	Realms realms.Config
	Users  users.Config
	Rules  rules.Config
}

// Stored is what is read outside of transactions, in its parts.
type Stored struct {
	Realms   kernel.RealmReader
	Users    users.Reader
	Holders  users.Holders
	Keys     KeyReader
	Rules    rules.Reader
	Entities rules.EntityReader
}

// KeyReader lists the API keys of somebody whom a file removes.
type KeyReader interface {
	Keys(ctx context.Context, realm, ownerID, after string, limit int) ([]credential.Key, error)
}

// Tx is the transaction in which a realm's file is applied, as the use cases of each
// kind see it.
type Tx struct {
	Realms realms.Tx
	Users  users.Tx
	Rules  rules.Tx
}

// New returns the use cases.
func New(c Config) *Service {
	return &Service{k: c.Kernel, c: c, realms: realms.New(c.Realms), users: users.New(c.Users), rules: rules.New(c.Rules)}
}

// Service is the use cases. It holds no state of its own.
type Service struct {
	k      *kernel.Kernel
	c      Config
	realms *realms.Service
	users  *users.Service
	rules  *rules.Service
}

// within is the service whose use cases read and write in tx, judge the rules of the
// realm all at once, and ask rights what the caller may.
func (s *Service) within(tx Tx, batch *authz.Batch, rights *fileRights) *Service {
	k := *s.k
	k.Realms, k.Decide = tx.Realms, rights.decide
	c := s.c
	c.Kernel, c.Realms.Kernel, c.Users.Kernel, c.Rules.Kernel = &k, &k, &k, &k
	c.Stored.Users = tx.Users
	c.Realms.Roles, c.Realms.Run = tx.Rules, inside(tx.Realms)
	c.Users.Users, c.Users.Run = tx.Users, inside(tx.Users)
	c.Rules.Rules, c.Rules.Run, c.Rules.Prepare = tx.Rules, inside(tx.Rules), batch.Prepare
	return New(c)
}

// inside runs in a transaction that has begun.
func inside[T any](tx T) gatehouse.Runner[T] {
	return func(ctx context.Context, fn func(context.Context, T) error) error { return fn(ctx, tx) }
}
