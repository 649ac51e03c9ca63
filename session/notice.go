package session

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
)

// A notice tells a person of a sign-in that may be somebody else's, and asks whether it was: the account is known to no browser that
// it was opened in, or it was opened after many wrong passwords. It goes out in the transaction of the sign-in, so that nobody has
// the one without the other.

// ReasonDisowned is why a session ended of which its person said that somebody else opened it.
const ReasonDisowned = "disowned"

// Why a sign-in is odd, as its event says it.
const (
	oddBrowser = "new_browser"
	oddGuessed = "guessed"
)

// guessedEvery is how often somebody in a known browser is told that the account is guessed at: an attack may last for days, and its
// person signs in meanwhile.
const guessedEvery = 24 * time.Hour

// Notices tells people of sign-ins; *mail.Queue has it.
type Notices interface {
	Put(ctx context.Context, tx mail.Outgoing, m mail.Message) (id string, err error)
}

// odd is why u is to be told of a sign-in, "" where there is nothing to tell. The first browser of an account is no other one.
func odd(u *identity.User, o identity.Odd) string {
	switch {
	case o.Unknown && u.SignedIn:
		return oddBrowser
	case o.Guessed:
		return oddGuessed
	}
	return ""
}

// tell writes to u about a session. It tells where and with what a person is, so only an address does that the person was shown
// to read.
func (s *Service) tell(ctx context.Context, tx Tx, u *identity.User, opened gatehouse.Session, from Browser, why string) error {
	if !u.EmailVerified() {
		return nil
	}
	m := mail.Message{Kind: mail.KindNewBrowser, Realm: u.Realm, To: u.Email, Data: mail.Data{Account: u.Username, At: opened.CreatedAt,
		Browser: from.Name, Place: opened.Address, Link: s.c.Notice(u.Realm) + opened.ID}}
	if why == oddGuessed {
		m.Kind, m.Every = mail.KindGuessedSignIn, guessedEvery
	}
	_, err := s.c.Mail.Put(ctx, tx, m)
	return err
}

// Disown notes that a person says of a session of the account that somebody else opened it: it ends, and all browsers and networks
// in which the account was used until now are unknown, on all nodes. A session that is over, or that nobody has, changes nothing
// of that.
func (s *Service) Disown(ctx context.Context, realm, user, id string) error {
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		_, u, err := tx.Party(ctx, realm, user)
		if err != nil {
			return err
		}
		if u == nil {
			return gatehouse.ErrNotFound
		}
		now := s.c.Now()
		e := event(ctx, gatehouse.Session{Realm: realm, UserID: user, ID: id}, now, audit.KindSessionDisown, "")
		if _, err := end(ctx, tx, realm, user, id, now, ReasonDisowned); errors.Is(err, gatehouse.NotFound) {
			e.Target = gatehouse.Target{Type: "user", ID: user} // whatever somebody sent, the record names what there was
		} else if err != nil {
			return err
		}
		u.DevicesSince, u.UpdatedAt = now, now
		if err := tx.UpdateUser(ctx, *u); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
}
