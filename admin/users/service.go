// Package users holds the use cases about people and services: accounts, passwords, the roles that they hold, the first
// administrator, and the recovery of a lost one.
//
// What it needs of another subject it declares itself ([KeyWriter], [Logins]): whoever is deleted loses keys and logins.
package users

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel     *kernel.Kernel
	Users      Reader
	Holders    Holders
	Run        gatehouse.Runner[Tx]
	Bootstraps gatehouse.Runner[BootstrapTx]
	Passwords  Passwords
	Mail       Notices
	Links      Links
	Vault      factor.Vault // seals what a new app shares
	KeyPrefix  string       // of the first administrator's API key
	// BootstrapKey is what the one-time secrets of first starts are made with: 32 random
	// bytes or more, the same on all nodes and over restarts.
	BootstrapKey []byte
}

// Notices tells people what happened to their account; *mail.Queue has it.
type Notices interface {
	// On reports whether mail is sent at all.
	On() bool
	Put(ctx context.Context, tx mail.Outgoing, m mail.Message) (id string, err error)
}

// Reader reads users.
type Reader interface {
	User(ctx context.Context, realm, id string) (identity.User, error)
	UserByKey(ctx context.Context, realm, usernameKey string) (identity.User, error)
	Users(ctx context.Context, realm, after string, limit int) ([]identity.User, error)
}

// Writer changes users.
type Writer interface {
	InsertUser(ctx context.Context, u identity.User) error
	UpdateUser(ctx context.Context, u identity.User) error
	DeleteUser(ctx context.Context, realm, id string) error
}

// RoleReader reads the roles that there are, and who holds them.
type RoleReader interface {
	Roles(ctx context.Context, realm string) ([]policy.Role, error)
	Holders
}

// Holders finds who holds a role.
type Holders interface {
	RoleHolders(ctx context.Context, realm, role string, enabled bool, limit int) ([]string, error)
}

// Logins ends what was issued to a user.
type Logins interface {
	kernel.RealmReader
	PutCutoff(ctx context.Context, c revocation.Cutoff) error
	EndGrantsOf(ctx context.Context, realm, subject string, when time.Time, reason string) ([]gatehouse.Grant, error)
	EndSessions(ctx context.Context, realm, user, except string, when time.Time, reason string) ([]gatehouse.Session, error)
}

// KeyWriter reads and changes the API keys of a user.
type KeyWriter interface {
	Keys(ctx context.Context, realm, ownerID, after string, limit int) ([]credential.Key, error)
	InsertKey(ctx context.Context, k credential.Key) error
	UpdateKey(ctx context.Context, k credential.Key) error
}

// FactorWriter takes the second factors of a user away, and adds one in the place of lost ones.
type FactorWriter interface {
	factor.Reader
	InsertFactor(ctx context.Context, f factor.Factor) error
	DeleteFactor(ctx context.Context, realm, userID, id string) error
}

// WaysIn ends what lets a user in beside the password, and adds a passkey in the place of lost ones.
type WaysIn interface {
	passkey.Reader
	InsertPasskey(ctx context.Context, p passkey.Passkey) error
	DeletePasskey(ctx context.Context, realm, userID, id string) error
	// EndProviderLinks has the links of a user with accounts elsewhere open nothing any more. They stay:
	// who is known by one must not be made another account.
	EndProviderLinks(ctx context.Context, realm, userID string, when time.Time) (ended int, err error)
}

// Tx is the transaction of the user use cases, in its parts. Changes that end logins
// put their cut-off in it; those that end keys write the keys in it.
type Tx struct {
	kernel.Appender
	Reader
	AddressFinder
	Writer
	RoleReader
	Logins
	KeyWriter
	FactorWriter
	WaysIn
	OnceWriter
	mail.Outgoing
}

// BootstrapTx is the transaction that makes the first administrator, in its parts.
type BootstrapTx struct {
	kernel.Appender
	Holders
	SecretWriter
	FirstWriter
}

// SecretWriter keeps the one-time secret of the first start.
type SecretWriter interface {
	Setting(ctx context.Context, name string) (string, error)
	InsertSetting(ctx context.Context, name, value string) error
	SwapSetting(ctx context.Context, name, old, value string) (swapped bool, err error)
	TakeSetting(ctx context.Context, name, value string) (taken bool, err error)
}

// FirstWriter stores the first administrator, his key, and his passkey.
type FirstWriter interface {
	InsertUser(ctx context.Context, u identity.User) error
	InsertKey(ctx context.Context, k credential.Key) error
	passkey.FirstWriter
}

// Passwords is what administration needs of the house's password rules.
type Passwords interface {
	// NewPasswordHash checks a new password against the realm's rules and hashes
	// it; the error names the rules that it breaks.
	NewPasswordHash(ctx context.Context, realm gatehouse.Realm, u identity.User, password gatehouse.Secret) (string, error)
	// CheckPassword verifies u's current password, with the login throttle.
	CheckPassword(ctx context.Context, u identity.User, password gatehouse.Secret) error
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}
