package logout

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	// TryFor is how long a client is tried to be told, from the end of the session.
	TryFor = 24 * time.Hour
	// MaxClients is how many clients are told of one session: more than a person goes through in a day.
	MaxClients = 100
)

// Record is a client that is to be told of the end of a session.
type Record struct {
	Realm, Session, Client, User string

	Tries  int64
	EndsAt time.Time // when it is given up
}

// Store is where they wait.
type Store interface {
	// DueLogouts returns up to limit records that are due, the longest first; of a client that did not take any, the one that was tried
	// most, by which the others wait, too.
	DueLogouts(ctx context.Context, now time.Time, limit int) ([]Record, error)
}

// Settling is the transaction that notes what came of a try.
type Settling interface {
	// EndLogout removes a record. It is Conflict unless the record is there with as many tries: somebody else was before.
	EndLogout(ctx context.Context, r Record) error
	// DelayLogout counts a try, after which the record is due at next, and no other of the client before. Conflict is as above.
	DelayLogout(ctx context.Context, r Record, next time.Time) error
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// Config of a [Sender]. Every field is required.
type Config struct {
	Store  Store
	Run    gatehouse.Runner[Settling]
	Client func(ctx context.Context, realm, id string) (client.Client, error)
	// Signer gives a key of the realm for alg.
	Signer func(ctx context.Context, realm string, alg token.Algorithm) (*token.Key, error)
	Issuer func(realm string) string
	// Post sends a form to an address of c, under the rules of package egress, within seconds, and returns the status.
	Post   func(ctx context.Context, c client.Client, address string, form url.Values) (status int, err error)
	Logger *slog.Logger
	Now    func() time.Time
}

// Sender tells clients. One process does at a time; see package lease.
type Sender struct{ c Config }

// New makes a sender.
func New(c Config) *Sender { return &Sender{c} }
