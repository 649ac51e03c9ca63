package passkey

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
)

// MaxPasskeys is how many a person can have. MaxName bounds the name of one, in characters.
const (
	MaxPasskeys = 20
	MaxName     = 64
)

// FreshFor is how long after a sign-in passkeys can be added and removed.
const FreshFor = 10 * time.Minute

// Passkey is a passkey or security key of a person.
type Passkey struct {
	Realm, UserID, ID string // ID is "psk_…"
	Name              string // as its owner calls it
	webauthn.Credential
	Transports []string
	CreatedAt  time.Time
	UsedAt     time.Time
}

// Reader reads passkeys; in a transaction it holds them against others.
type Reader interface {
	// Passkeys are those of a user, by id; of one who has none, none.
	Passkeys(ctx context.Context, realm, userID string) ([]Passkey, error)
}

// Writer changes the passkeys of a user.
type Writer interface {
	Reader
	// InsertPasskey is gatehouse.Conflict when the credential is somebody's already.
	InsertPasskey(ctx context.Context, p Passkey) error
	RenamePasskey(ctx context.Context, realm, userID, id, name string) error
	DeletePasskey(ctx context.Context, realm, userID, id string) error
}

// Owner reads whose passkeys they are, and what the realm demands of them.
type Owner interface {
	// User holds the user: what else changes how that person signs in waits.
	User(ctx context.Context, realm, id string) (identity.User, error)
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
}

// Uses is what a sign-in writes and reads.
type Uses interface {
	// PasskeyOf finds a passkey by the id of its credential, in whatever realm.
	PasskeyOf(ctx context.Context, credentialID []byte) (Passkey, error)
	// UsePasskey stores the counter, never a smaller one, BackedUp and UsedAt.
	UsePasskey(ctx context.Context, p Passkey) error
}

// onceWriter notes that something was used.
type onceWriter interface {
	PutOnce(ctx context.Context, v once.Record) error
}

// Log is what every transaction does beside.
type Log interface {
	onceWriter
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// Tx is the transaction of this package, in its parts.
type Tx struct {
	Writer
	Owner
	Uses
	Log
	mail.Outgoing
}

// Notices tells people what changed of their passkeys; *mail.Queue has it.
type Notices interface {
	Put(ctx context.Context, tx mail.Outgoing, m mail.Message) (id string, err error)
}

// Config configures a [Service]. Every field without a remark is required.
type Config struct {
	Run gatehouse.Runner[Tx]
	// Key makes challenges and user handles: KeySize random bytes, the same on all nodes and
	// for as long as there are passkeys.
	Key []byte
	// Site is where the pages of a realm are; with an empty ID it has no passkeys: browsers know
	// none for addresses that are numbers, or without TLS. Nil: no realm has any.
	Site func(realm string) webauthn.RelyingParty
	// Record takes the events of refused attempts; it must not block for long.
	Record func(*gatehouse.Event)
	Mail   Notices
	Now    func() time.Time
}

// KeySize is the length of [Config].Key in bytes.
const KeySize = 32

// Service knows people's passkeys. It is safe for concurrent use.
type Service struct{ c Config }

// New returns a Service, or an error when something is missing.
func New(c Config) (*Service, error) {
	if c.Run == nil || len(c.Key) != KeySize || c.Record == nil || c.Mail == nil || c.Now == nil {
		return nil, errors.New("passkey: runner, key, recorder, mail and clock are required")
	}
	if c.Site == nil {
		c.Site = func(string) webauthn.RelyingParty { return webauthn.RelyingParty{} }
	}
	return &Service{c}, nil
}

// On reports whether browsers can use passkeys on the pages of a realm.
func (s *Service) On(realm string) bool { return s.c.Site(realm).ID != "" }

var (
	// ErrRefused is the answer to whatever a passkey or browser says that is not right.
	ErrRefused = gatehouse.E(gatehouse.Unauthenticated, "passkey_refused", "The answer of the passkey was not accepted.")
	errUnknown = gatehouse.E(gatehouse.Unauthenticated, "passkey_unknown", "No account has this passkey; it may have been removed.")
	errRealm   = gatehouse.E(gatehouse.Unauthenticated, "passkey_of_another_realm", "This passkey is for another realm on this host.")
	errExists  = gatehouse.E(gatehouse.Conflict, "passkey_exists", "This passkey was added before.")
	errMany    = gatehouse.E(gatehouse.Conflict, "passkey_limit", "There are as many passkeys as a person can have; remove one first.")
	errLast    = gatehouse.E(gatehouse.Conflict, "passkey_last", "Without this passkey there would be no way into the account.")
	errNeeded  = gatehouse.E(gatehouse.Conflict, "passkey_needed", "The realm demands a second factor of this account, and this passkey is the only one: add another passkey or an app first.")
	errNone    = gatehouse.E(gatehouse.NotFound, "passkey_not_found", "There is no such passkey.")
	errName    = gatehouse.E(gatehouse.Invalid, "passkey_name_invalid", "A name of a passkey has 1 to 64 printable characters.")
)
