package provider

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

// Link joins an account of a realm with one at a provider.
type Link struct {
	Realm    string
	Provider string // its ID in the realm
	Issuer   string // who the provider was when the link was made
	Subject  string // "sub" there
	UserID   string
	// CreatedAt is when the link was made; one from before a panic of the realm is dead.
	CreatedAt time.Time
	UsedAt    time.Time
	EndedAt   time.Time // by a panic of the user: it opens nothing, and nobody is made another account; zero: never
	// Roles and Groups are those that the account has by this link, and would not have without it.
	Roles, Groups []string
}

// LinkStore keeps links.
type LinkStore interface {
	// ProviderLink finds a link by all but its user; NotFound. It holds it against others.
	ProviderLink(ctx context.Context, realm, provider, issuer, subject string) (Link, error)
	// InsertProviderLink is gatehouse.Conflict when the subject is linked already.
	InsertProviderLink(ctx context.Context, l Link) error
	// ProviderLinks are those of a user, by age; of one who has none, none. It holds them against others.
	ProviderLinks(ctx context.Context, realm, userID string) ([]Link, error)
	DeleteProviderLink(ctx context.Context, l Link) error
	// UseProviderLink stores UsedAt, Roles and Groups.
	UseProviderLink(ctx context.Context, l Link) error
}

// Users are the accounts of the realm.
type Users interface {
	// User holds the user: what else changes how that person signs in waits.
	User(ctx context.Context, realm, id string) (identity.User, error)
	// InsertUser is gatehouse.Conflict when the username is taken; the transaction goes on.
	InsertUser(ctx context.Context, u identity.User) error
	UpdateUser(ctx context.Context, u identity.User) error
}

// OtherWays are ways into an account beside links and passwords.
type OtherWays interface {
	HasPasskey(ctx context.Context, realm, userID string) (bool, error)
}

// Log is what transactions do beside.
type Log interface {
	PutOnce(ctx context.Context, v once.Record) error
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// Tx is the transaction of this package, in its parts.
type Tx struct {
	LinkStore
	Users
	Log
	OtherWays
	mail.Outgoing
}

// Notices tells people what changed of their links; *mail.Queue has it.
type Notices interface {
	Put(ctx context.Context, tx mail.Outgoing, m mail.Message) (id string, err error)
}

// Config is what a [Service] needs. Every field without a remark is required.
type Config struct {
	Run gatehouse.Runner[Tx]
	// Secret reads the sealed client secret for a provider of a realm; NotFound where none was set.
	Secret func(ctx context.Context, realm, provider string) (sealed []byte, err error)
	// Box seals state and client secrets; the same on all nodes.
	Box *seal.Box
	// Redirect is the address to which a provider of a realm sends browsers back.
	Redirect func(realm, provider string) string
	// Record takes the events of refused attempts; it must not block for long.
	Record func(*gatehouse.Event)
	Mail   Notices
	// Fresh reports whether somebody has signed in a moment ago, with a second factor where the account
	// has one (session.Fresh).
	Fresh  func(who *gatehouse.Principal, secondFactor bool, now time.Time) bool
	Logger *slog.Logger // nil discards
	Now    func() time.Time
}

// Service signs people in by providers. It is safe for concurrent use.
type Service struct {
	c Config

	mu      sync.Mutex
	remotes map[string]*remote // by realm and ID of the provider
}

// New checks c.
func New(c Config) (*Service, error) {
	if c.Run == nil || c.Secret == nil || c.Box == nil || c.Redirect == nil || c.Record == nil || c.Mail == nil || c.Fresh == nil || c.Now == nil {
		return nil, errors.New("provider: runner, secrets, box, address, recorder, mail, freshness and clock are required")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{c: c, remotes: map[string]*remote{}}, nil
}

var (
	// ErrRefused is the answer to whatever comes back from a provider that is not right.
	ErrRefused = gatehouse.E(gatehouse.Unauthenticated, "provider_refused", "What came back from the provider was not accepted.")
	// errCancelled is the answer when somebody, or the provider, did not want to go on.
	errCancelled = gatehouse.E(gatehouse.Unauthenticated, "provider_cancelled", "The sign-in at the provider was not completed.")
	// errNoAccount: who signed in there has no account here, and gets none.
	errNoAccount = gatehouse.E(gatehouse.Unauthenticated, "provider_account_unknown", "No account here belongs to the account at the provider.")
	// ErrNone is the answer for a provider that the realm does not have.
	ErrNone        = gatehouse.E(gatehouse.NotFound, "provider_not_found", "There is no such provider to sign in with.")
	errUnavailable = gatehouse.E(gatehouse.BadGateway, "provider_unavailable", "The provider cannot be used for signing in at the moment.")
)

// find returns a provider of realm.
func find(realm gatehouse.Realm, id string) (gatehouse.Provider, error) {
	p, ok := realm.Settings.Provider(id)
	if !ok {
		return p, ErrNone
	}
	return p, nil
}

// Close ends what runs in the background.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.remotes {
		r.close()
	}
	clear(s.remotes)
}
