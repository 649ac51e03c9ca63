// Package rules holds the use cases about what decides: roles, policies, the schema, pushed entities, and questions to
// the decision point.
package rules

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel   *kernel.Kernel
	Rules    Reader
	Entities EntityReader
	Run      gatehouse.Runner[Tx]
	Users    Users
	// Prepare tries a change of a realm's rules before it is stored
	// (authz.Decider.Prepare).
	Prepare func(realm string, c authz.Candidate) (*authz.Prepared, error)
	// Explain answers what somebody may do, and why, with documents that are not
	// stored yet (authz.Decider.Explain).
	Explain func(ctx context.Context, r gatehouse.AccessRequest, documents ...policy.Document) (policy.Explanation, error)
}

// Reader reads what decides.
type Reader interface {
	Roles(ctx context.Context, realm string) ([]policy.Role, error)
	Role(ctx context.Context, realm, name string) (policy.Role, error)
	Policies(ctx context.Context, realm string) ([]policy.Document, error)
	Policy(ctx context.Context, realm, id string) (policy.Document, error)
	Schema(ctx context.Context, realm string) (policy.Schema, error)
}

// Writer changes what decides.
type Writer interface {
	PutRole(ctx context.Context, r policy.Role) error
	DeleteRole(ctx context.Context, realm, name string) error
	PutPolicy(ctx context.Context, d policy.Document) error
	DeletePolicy(ctx context.Context, realm, id string) error
	PutSchema(ctx context.Context, s policy.Schema) error
}

// EntityReader reads pushed entities.
type EntityReader interface {
	Entity(ctx context.Context, realm, typ, id string) (policy.EntityRecord, error)
	Entities(ctx context.Context, realm, typ, after string, limit int) ([]policy.EntityRecord, error)
}

// EntityWriter changes pushed entities.
type EntityWriter interface {
	Entity(ctx context.Context, realm, typ, id string) (policy.EntityRecord, error)
	PutEntity(ctx context.Context, e policy.EntityRecord) error
	DeleteEntity(ctx context.Context, realm, typ, id string) error
}

// Holders finds who holds a role.
type Holders interface {
	RoleHolders(ctx context.Context, realm, role string, enabled bool, limit int) ([]string, error)
}

// RealmHolder has changes of one realm come one after the other, on whatever node.
type RealmHolder interface {
	// HoldRealm reads a realm that is going to be changed: another HoldRealm of it waits.
	HoldRealm(ctx context.Context, name string) (gatehouse.Realm, error)
}

// Tx is the transaction of the role, policy, schema and entity use cases, in its parts.
type Tx struct {
	kernel.Appender
	RealmHolder
	Reader
	Writer
	EntityWriter
	Holders
}

// Users knows whom a question is about.
type Users interface {
	Find(ctx context.Context, realm, idOrName string) (identity.User, error)
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}
