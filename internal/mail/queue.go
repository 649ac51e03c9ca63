package mail

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

const (
	// tryFor is how long a message is tried: who comes back after a weekend does not want
	// Friday's notices, and some of what a message says is no longer so.
	tryFor = 24 * time.Hour
	// listed is how long a message stays in the list, from its making. It is longer than
	// the earliest reminder comes before what it reminds of: see [Reminders].
	listed = 14 * 24 * time.Hour
	// window is what the bounds on messages are for.
	window = time.Hour
)

// ErrOff refuses what cannot be without mail.
var ErrOff = gatehouse.E(gatehouse.Unprocessable, "mail_off", "This server sends no mail: mail.server is not set.")

// Settings say whether mail is sent, and how. The zero value sends none.
type Settings struct {
	// SMTP is the server, and Outbox a directory that takes its place. Both empty: no mail.
	SMTP   SMTP
	Outbox string

	From     mail.Address
	Language string // one of languages
	Bounds
}

// Bounds are how many messages are queued.
type Bounds struct {
	PerAddress int `json:"per_address,omitempty" minimum:"1" maximum:"1000" default:"20" reload:"live" doc:"Messages in an hour to one address; more are not queued."`
	PerRealm   int `json:"per_realm,omitempty" minimum:"1" maximum:"10000" default:"2000" reload:"live" doc:"Messages in an hour to everybody in one realm."`
}

// on reports whether mail is sent.
func (s Settings) on() bool { return s.SMTP.Host != "" || s.Outbox != "" }

// Config of a [Queue]. Every field is required.
type Config struct {
	Box *seal.Box
	// Key is what addresses are hashed with for the bounds: 32 random bytes, the same on
	// all nodes and over restarts.
	Key      []byte
	Settings func() Settings // those in force
	Logger   *slog.Logger
	Now      func() time.Time
}

// Queue takes messages. Safe for concurrent use.
type Queue struct {
	c       Config
	limited atomic.Int64
}

// NewQueue makes a queue.
func NewQueue(c Config) *Queue { return &Queue{c: c} }

// On reports whether mail is sent; if not, nothing is queued.
func (q *Queue) On() bool { return q.c.Settings().on() }

// Limited is how many messages this process did not queue because the address or the realm
// had as many as it may get.
func (q *Queue) Limited() int64 { return q.limited.Load() }

// sealed is what a message is until it is sent.
type sealed struct {
	Language string `json:"language"`
	Data     Data   `json:"data"`
}

// Put queues a message in the transaction of the change that it tells of, and returns its
// id; "" when nobody is to be written to, when there is one of this Once already, when mail
// is off, or beyond the bounds. None of these is an error: a notice must not keep anybody
// from what it is a notice of.
func (q *Queue) Put(ctx context.Context, tx Outgoing, m Message) (id string, err error) {
	set := q.c.Settings()
	if m.To == "" || !set.on() {
		return "", nil
	}
	to, err := Address(m.To)
	if err != nil {
		q.c.Logger.Warn("a message has no address that can be written to", "kind", m.Kind, "realm", m.Realm)
		return "", nil
	}
	now := q.c.Now()
	r := Record{ID: gatehouse.NewID("mail", now), Realm: m.Realm, Kind: m.Kind, Once: m.Once, Recipient: q.hash(to), State: Waiting,
		CreatedAt: now, DueAt: now, EndsAt: now.Add(tryFor), ExpiresAt: now.Add(listed)}
	switch {
	case m.Every > 0: // by the mailbox, however its address is spelled
		r.Once = fmt.Sprintf("%s %s %x %d", m.Kind, m.Realm, r.Recipient, now.UnixNano()/int64(m.Every))
	case r.Once == "":
		r.Once = r.ID
	}
	address, all, err := tx.CountMails(ctx, r.Recipient, m.Realm, now.Add(-window), max(set.PerAddress, set.PerRealm))
	if err != nil {
		return "", err
	}
	most := set.PerRealm
	if m.Stranger {
		most = (most + 1) / 2
	}
	if address >= set.PerAddress || all >= most {
		q.limited.Add(1)
		return "", nil
	}
	body, err := json.Marshal(sealed{Language: languageOf(ctx, m.Kind, set.Language), Data: m.Data})
	if err != nil {
		return "", err
	}
	if r.Sealed, err = q.c.Box.Seal(body, place("mail", r)); err != nil {
		return "", err
	}
	if r.SealedTo, err = q.c.Box.Seal([]byte(to), place("mail-address", r)); err != nil {
		return "", err
	}
	err = tx.InsertMail(ctx, r)
	if errors.Is(err, gatehouse.Conflict) {
		return "", nil
	}
	return r.ID, err
}

// To opens whom a message is to.
func (q *Queue) To(r Record) (string, error) {
	to, err := q.c.Box.Open(r.SealedTo, place("mail-address", r))
	return string(to), err
}

func place(purpose string, r Record) seal.Place {
	return seal.Place{Purpose: purpose, Realm: r.Realm, ID: r.ID}
}

func (q *Queue) hash(to string) []byte {
	h := hmac.New(sha256.New, q.c.Key)
	h.Write([]byte(folded(to)))
	return h.Sum(nil)
}
