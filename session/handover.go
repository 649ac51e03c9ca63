package session

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

// A person signs in at one host, and a browser shows a cookie to the host that gave it and no
// other. So a session is handed over to a host of the gateway by a ticket in a URL. Whoever
// sees that URL can do nothing with it: the ticket counts once, within [credential.TicketLife],
// in the browser that came from that host, and for it. And whoever makes somebody open such a
// URL of his own does not sign him in as himself (login CSRF), for the same reason.

// HandOverTx is the transaction in which a session is handed over.
type HandOverTx interface {
	PutOnce(ctx context.Context, r once.Record) error
	// TakeOnce removes a ticket that has not ended: only one caller gets it, the others
	// gatehouse.NotFound.
	TakeOnce(ctx context.Context, kind once.Kind, key []byte, now time.Time) (once.Record, error)
	// LiveSessions is as in [Tx]. Nobody ends what it returned before the transaction does.
	LiveSessions(ctx context.Context, realm, user string, now, used time.Time) ([]gatehouse.Session, error)
	// PutSessionHost gives the host of s a secret of the session, in place of the one that
	// it had.
	PutSessionHost(ctx context.Context, s gatehouse.Session) error
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// HandOverConfig is what a [HandOver] needs. All is required.
type HandOverConfig struct {
	Run gatehouse.Runner[HandOverTx]
	// Find reads a ticket without using it: invented ones must not cost a write.
	Find func(ctx context.Context, kind once.Kind, key []byte) (once.Record, error)
	// Idle is how long a session of the realm may be unused.
	Idle func(ctx context.Context, realm string) (time.Duration, error)
	Box  *seal.Box
	Now  func() time.Time
}

// HandOver hands sessions over to hosts of the gateway.
type HandOver struct{ c HandOverConfig }

// NewHandOver checks c.
func NewHandOver(c HandOverConfig) (*HandOver, error) {
	if c.Run == nil || c.Find == nil || c.Idle == nil || c.Box == nil || c.Now == nil {
		return nil, errors.New("session: a hand-over needs every part of its configuration")
	}
	return &HandOver{c}, nil
}

// Way is where a browser goes back to.
type Way struct {
	To string `json:"to"` // the address that it came for
	// Origin of To, "https://app.example", and Host, its name without a port.
	Origin string `json:"o"`
	Host   string `json:"h"`
	// Browser is what the host of To knows it by: a hash of a cookie that it has there.
	Browser string `json:"b"`
}

// onItsWay is what a ticket stands for.
type onItsWay struct {
	Way
	Realm   string `json:"r"`
	User    string `json:"u"`
	Session string `json:"s"`
}

// ErrHandOver is the answer to a ticket that does not count, whatever the reason.
var ErrHandOver = gatehouse.E(gatehouse.Denied, "handover_refused", "This way back from signing in is over, or it is another browser's. Open the page that you wanted once more.")

func handOverPlace(hash []byte) seal.Place {
	return seal.Place{Purpose: "hand-over", ID: hex.EncodeToString(hash)}
}

// Begin gives a ticket with which the browser that w names gets the session of p.
func (h *HandOver) Begin(ctx context.Context, p *gatehouse.Principal, w Way) (gatehouse.Secret, error) {
	if !p.Authenticated() || p.Foreign || p.Scheme != gatehouse.SchemeSession || p.SessionID == "" || w.Browser == "" || w.Host == "" {
		return "", credential.ErrInvalidCredentials
	}
	plain, err := json.Marshal(onItsWay{w, p.Realm, p.ID, p.SessionID})
	if err != nil {
		return "", err
	}
	text, _, hash := credential.MintTicket()
	sealed, err := h.c.Box.Seal(plain, handOverPlace(hash))
	if err != nil {
		return "", err
	}
	ends := h.c.Now().Add(credential.TicketLife)
	return text, h.c.Run(ctx, func(ctx context.Context, tx HandOverTx) error {
		return tx.PutOnce(ctx, once.Record{Kind: once.KindHandOver, Key: hash, Sealed: sealed, ExpiresAt: ends})
	})
}

// Arrive uses a ticket up that came to origin, in a browser that browser says it is, for a session
// of realm. It returns the secret for the cookie of that host, the address that was asked for, and
// the session. No ticket is used up by the wrong browser.
//
// Errors are [ErrHandOver], and those of the store.
func (h *HandOver) Arrive(ctx context.Context, ticket gatehouse.Secret, realm, origin, browser string) (text gatehouse.Secret, to string, opened gatehouse.Session, err error) {
	k, err := credential.ParseKey(ticket.Reveal())
	if err != nil || !k.IsTicket() {
		return "", "", opened, ErrHandOver.With(errors.New("the ticket is not in the form of one"))
	}
	key, now := credential.HashKey(ticket.Reveal()), h.c.Now()
	found, err := h.c.Find(ctx, once.KindHandOver, key)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return "", "", opened, ErrHandOver.With(errUsed)
	case err != nil:
		return "", "", opened, err
	}
	w, err := h.open(found, key)
	switch {
	case err != nil:
		return "", "", opened, err
	case !now.Before(found.ExpiresAt):
		return "", "", opened, ErrHandOver.With(errors.New("the ticket has expired"))
	case subtle.ConstantTimeCompare([]byte(w.Browser), []byte(browser)) != 1:
		return "", "", opened, ErrHandOver.With(errors.New("the ticket was given to another browser"))
	case w.Realm != realm, w.Origin != origin:
		return "", "", opened, ErrHandOver.With(errors.New("the ticket is for another realm or host"))
	}
	idle, err := h.c.Idle(ctx, realm)
	if err != nil {
		return "", "", opened, err
	}
	err = h.c.Run(ctx, func(ctx context.Context, tx HandOverTx) error {
		if _, err := tx.TakeOnce(ctx, once.KindHandOver, key, now); errors.Is(err, gatehouse.NotFound) {
			return ErrHandOver.With(errUsed)
		} else if err != nil {
			return err
		}
		live, err := tx.LiveSessions(ctx, w.Realm, w.User, now, now.Add(-idle))
		if err != nil {
			return err
		}
		i := slices.IndexFunc(live, func(l gatehouse.Session) bool { return l.ID == w.Session })
		if i < 0 {
			return ErrHandOver.With(errors.New("the session has ended meanwhile"))
		}
		opened = live[i]
		text, opened.SecretID, opened.SecretHash = credential.MintSession()
		opened.Host = w.Host
		if err := tx.PutSessionHost(ctx, opened); err != nil {
			return err
		}
		e := event(ctx, opened, now, audit.KindSessionHandOver, "")
		e.Detail["host"] = w.Host
		return tx.AppendEvents(ctx, e)
	})
	if err != nil {
		return "", "", gatehouse.Session{}, err
	}
	return text, w.To, opened, nil
}

var errUsed = errors.New("the ticket is none, or was used")

func (h *HandOver) open(r once.Record, key []byte) (w onItsWay, err error) {
	plain, err := h.c.Box.Open(r.Sealed, handOverPlace(key))
	if err == nil {
		err = json.Unmarshal(plain, &w)
	}
	return w, err
}
