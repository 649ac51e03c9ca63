// Package realms holds the use cases about realms and their settings.
package realms

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel  *kernel.Kernel
	Realms  Reader
	Roles   RoleReader
	Run     gatehouse.Runner[Tx]
	Signing Signing
}

// Reader lists realms; one by one they are read through the kernel.
type Reader interface {
	Realms(ctx context.Context) ([]gatehouse.Realm, error)
}

// RoleReader lists the roles of a realm beside the built-in ones.
type RoleReader interface {
	Roles(ctx context.Context, realm string) ([]policy.Role, error)
}

// Tx is the transaction of the realm use cases.
type Tx interface {
	kernel.Appender
	kernel.RealmReader
	// HoldRealm reads a realm that is going to be changed: another HoldRealm of it waits.
	HoldRealm(ctx context.Context, name string) (gatehouse.Realm, error)
	InsertRealm(ctx context.Context, r gatehouse.Realm) error
	UpdateRealm(ctx context.Context, r gatehouse.Realm) error
	PutCutoff(ctx context.Context, c revocation.Cutoff) error
}

// Signing makes the first signing key of a realm where it has none.
type Signing interface {
	EnsureRealm(ctx context.Context, realm string) error
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}

// Prepare makes the realm main if it is not there, and its first signing key.
// The server calls it at every start, before it listens.
func (s *Service) Prepare(ctx context.Context) error {
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.Realm(ctx, gatehouse.MainRealm)
		if !errors.Is(err, gatehouse.NotFound) {
			return err
		}
		now := s.k.Now()
		r := gatehouse.Realm{Name: gatehouse.MainRealm, Title: "Main", CreatedAt: now, UpdatedAt: now, Settings: gatehouse.NewRealmSettings()}
		if err := tx.InsertRealm(ctx, r); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.k.Event(ctx, nil, r.Name, audit.KindRealmCreate, "realm", r.Name))
	})
	if err != nil && !errors.Is(err, gatehouse.Conflict) { // another node was first
		return err
	}
	return s.c.Signing.EnsureRealm(ctx, gatehouse.MainRealm)
}
