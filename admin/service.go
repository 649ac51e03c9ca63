package admin

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Config is what a [Service] needs. Every field without a remark is required.
type Config struct {
	Store Store
	// One runner for each subject, all of the same store.
	Realms     gatehouse.Runner[RealmTx]
	Users      gatehouse.Runner[UserTx]
	Keys       gatehouse.Runner[KeyTx]
	Policies   gatehouse.Runner[PolicyTx]
	Revoke     gatehouse.Runner[RevokeTx]
	Bootstraps gatehouse.Runner[BootstrapTx]

	// Decide is the decision point for administration itself
	// (authz.Decider.DecideAdmin): may p do action on the resource with this type
	// and id, of this realm? It checks the scope too.
	Decide func(ctx context.Context, p *gatehouse.Principal, action, resourceType, realm, id string) gatehouse.Decision
	// Audit reads the log, AuditKey gives the public half of its checkpoint key.
	Audit    audit.Reader
	AuditKey func(realm string) (audit.Key, error)
	// AuditHead is the newest checkpoint that the server signed, as it is kept apart
	// from the store. Nil: nothing is kept.
	AuditHead func(realm string) []byte
	// Roles are those that p's directory entry and credential give at this
	// moment, inherited ones included.
	Roles func(ctx context.Context, p *gatehouse.Principal) ([]string, error)
	// Explain answers what somebody may do, and why, with documents that are not
	// stored yet (authz.Decider.Explain).
	Explain func(ctx context.Context, r gatehouse.AccessRequest, documents ...policy.Document) (policy.Explanation, error)
	// Prepare tries a change of a realm's rules before it is stored
	// (authz.Decider.Prepare).
	Prepare func(realm string, c authz.Candidate) (*authz.Prepared, error)

	Passwords Passwords
	Signing   SigningKeys
	Grants    Grants
	Verify    Verifier

	// Backup writes a copy of the database and returns its name and size. Nil:
	// the store has no backup of its own (code backup_unsupported).
	Backup func(ctx context.Context) (name string, size int64, err error)
	// Record takes the events of refused attempts; it must not block for long.
	Record func(e *gatehouse.Event)
	// Counting returns the counts of refusals that are not recorded yet and that a
	// request which began at that time may be part of; nil when nothing is counted.
	Counting func(realm string, began time.Time) []gatehouse.Event

	KeyPrefix string           // of API keys; "" is credential.PrefixKey
	Logger    *slog.Logger     // nil discards
	Now       func() time.Time // nil is time.Now
}

// Passwords is what administration needs of the house's password rules.
type Passwords interface {
	// NewPasswordHash checks a new password against the realm's rules and hashes
	// it; the error names the rules that it breaks.
	NewPasswordHash(ctx context.Context, realm gatehouse.Realm, u identity.User, password gatehouse.Secret) (string, error)
	// CheckPassword verifies u's current password, with the login throttle.
	CheckPassword(ctx context.Context, u identity.User, password gatehouse.Secret) error
}

// SigningKeys is the key ring's side of administration; *keyring.Ring has it. It
// writes the audit events itself.
type SigningKeys interface {
	EnsureRealm(ctx context.Context, realm string) error
	List(ctx context.Context, realm string) ([]keyring.Info, error)
	Rotate(ctx context.Context, cmd keyring.Command) (kid string, err error)
	Retire(ctx context.Context, cmd keyring.Command) error
	Remove(ctx context.Context, cmd keyring.Command) error
}

// Grants is the view of open logins.
type Grants interface {
	List(ctx context.Context, realm, subject, after string, limit int) ([]Grant, error)
	End(ctx context.Context, realm, id, reason string) (ended bool, err error)
}

// Verifier checks a credential as a request would, without the request.
type Verifier interface {
	VerifyToken(ctx context.Context, realm string, token gatehouse.Secret) (*gatehouse.Principal, error)
}

// Store is what is read outside of transactions.
type Store interface {
	RealmReader
	UserReader
	KeyReader
	PolicyReader
	EntityReader
}

// RealmReader reads realms.
type RealmReader interface {
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
	Realms(ctx context.Context) ([]gatehouse.Realm, error)
}

// UserReader reads users.
type UserReader interface {
	User(ctx context.Context, realm, id string) (identity.User, error)
	UserByKey(ctx context.Context, realm, usernameKey string) (identity.User, error)
	Users(ctx context.Context, realm, after string, limit int) ([]identity.User, error)
}

// KeyReader reads API keys.
type KeyReader interface {
	Key(ctx context.Context, id string) (credential.Key, error)
	Keys(ctx context.Context, realm, ownerID, after string, limit int) ([]credential.Key, error)
	KeyUsage(ctx context.Context, keyID, fromDay string) ([]credential.KeyUsage, error)
}

// PolicyReader reads what decides.
type PolicyReader interface {
	Roles(ctx context.Context, realm string) ([]policy.Role, error)
	Role(ctx context.Context, realm, name string) (policy.Role, error)
	Policies(ctx context.Context, realm string) ([]policy.Document, error)
	Policy(ctx context.Context, realm, id string) (policy.Document, error)
	Schema(ctx context.Context, realm string) (policy.Schema, error)
}

// EntityReader reads pushed entities.
type EntityReader interface {
	Entity(ctx context.Context, realm, typ, id string) (policy.EntityRecord, error)
	Entities(ctx context.Context, realm, typ, after string, limit int) ([]policy.EntityRecord, error)
}

// New checks c and returns the service.
func New(c Config) (*Service, error) {
	for _, missing := range []struct {
		name string
		nil  bool
	}{
		{"Store", c.Store == nil}, {"Realms", c.Realms == nil}, {"Users", c.Users == nil}, {"Keys", c.Keys == nil},
		{"Policies", c.Policies == nil}, {"Revoke", c.Revoke == nil}, {"Bootstraps", c.Bootstraps == nil},
		{"Decide", c.Decide == nil}, {"Roles", c.Roles == nil}, {"Explain", c.Explain == nil},
		{"Passwords", c.Passwords == nil}, {"Signing", c.Signing == nil},
		{"Grants", c.Grants == nil}, {"Verify", c.Verify == nil}, {"Audit", c.Audit == nil}, {"AuditKey", c.AuditKey == nil}, {"Record", c.Record == nil},
	} {
		if missing.nil { // a part that is not there must stop the start, not a check
			return nil, errors.New("admin: " + missing.name + " is required")
		}
	}
	if c.KeyPrefix == "" {
		c.KeyPrefix = credential.PrefixKey
	}
	if !credential.ValidKeyPrefix(c.KeyPrefix) {
		return nil, errors.New("admin: KeyPrefix is not valid")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{c: c}, nil
}

// Service is the use cases. It holds no state of its own.
type Service struct{ c Config }
