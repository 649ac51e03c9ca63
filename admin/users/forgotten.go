package users

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/policy"
)

const (
	// ResetLinkFor is how long a link counts by which a new password is set
	// (SP 800-63B-4 §4.2: no longer than a day by e-mail; an hour is enough for a letter).
	ResetLinkFor = time.Hour
	// resetEvery is how often one account gets a link that somebody else may have asked for:
	// whoever asks in a loop fills nobody's mailbox.
	resetEvery = 15 * time.Minute
	// exchangeFor is how long the page waits for the password that somebody chooses in the place of an initial one.
	exchangeFor = 15 * time.Minute
	// maxResetText bounds the text of a link, in bytes; each has 26.
	maxResetText = 64
)

var (
	errResetLink = gatehouse.E(gatehouse.Denied, "reset_link_invalid", "This link was used before, is over, or was made before the account changed.")
	errNoAddress = gatehouse.E(gatehouse.Unprocessable, "no_email", "There is no e-mail address of this account that a link could be sent to, or it gets too many messages.")
)

// Links are what a link by which a new password is set is made of.
type Links struct {
	// Find reads what can be used once without using it.
	Find func(ctx context.Context, kind once.Kind, key []byte) (once.Record, error)
	Box  *seal.Box
	// NewPassword, NewFactor, Verify and Register are the addresses of the pages that take a new password, that replace lost
	// factors, that verify an address, and that make an account, of a realm, and SignIn is where somebody signs in. The text of the link is put behind it: from configuration alone, so that
	// no caller names the host.
	NewPassword, NewFactor, Verify, Register, SignIn func(realm string) string
}

// OnceWriter keeps what can be used once, and uses it.
type OnceWriter interface {
	PutOnce(ctx context.Context, r once.Record) error
	// OnceOf lists what has not ended, without the keys.
	OnceOf(ctx context.Context, kind once.Kind, now time.Time, limit int) ([]once.Record, error)
	// TakeOnce removes what has not ended: one caller gets it, the others gatehouse.NotFound.
	TakeOnce(ctx context.Context, kind once.Kind, key []byte, now time.Time) (once.Record, error)
}

// reset is the form of what is sealed under the hash of a link's text. A link is for the
// account as it was: another password or another address since then ends it.
type reset struct {
	User       string    `json:"user"`
	Email      string    `json:"email"`
	PasswordAt time.Time `json:"password_at"`
}

func (d reset) fits(u identity.User) bool {
	return u.Kind == gatehouse.KindUser && !u.Disabled && u.ID == d.User && u.Email == d.Email && u.PasswordAt.Equal(d.PasswordAt)
}

func resetPlace(realm string, key []byte) seal.Place {
	return seal.Place{Purpose: "reset link", Realm: realm, ID: base64.RawURLEncoding.EncodeToString(key)}
}

// AskReset sends the person of a username a link to set a new password by. Whoever asks is
// nobody: he learns nothing, not even whether there is such an account, so that no error
// tells of it, and the caller answers at a time that tells nothing either. No account gets
// more than one link in [resetEvery].
func (s *Service) AskReset(ctx context.Context, realm, username string) error {
	_, key, err := identity.NormalizeUsername(username)
	if err != nil {
		return nil
	}
	u, err := s.c.Users.UserByKey(ctx, realm, key)
	switch {
	case errors.Is(err, gatehouse.NotFound), err == nil && (u.Kind != gatehouse.KindUser || u.Disabled || u.PasswordHash == "" || u.DirectoryID != ""):
		return nil
	case err != nil:
		return err
	}
	_, err = s.sendLink(ctx, nil, u, ResetOrder{})
	return err
}

// StartReset has a person set a new password, at an administrator's word: a link is sent to the
// address of the account. Where nobody can be written to (no mail is sent, or the account has no
// address) the link is answered, this once, for the administrator to hand over. He learns no
// password. The one of now counts until another one is set, unless it is to end.
// Errors: no_email, service_has_no_password, password_in_directory.
func (s *Service) StartReset(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string, in ResetOrder) (ResetStarted, error) {
	u, err := s.touch(ctx, actor, policy.AdminWrite, realm, idOrName)
	if err == nil {
		err = kept(u)
	}
	if err != nil {
		return ResetStarted{}, err
	}
	out, err := s.sendLink(ctx, actor, u, in)
	if err == nil && !out.Sent && out.Link == "" {
		err = errNoAddress
	}
	return out, err
}

// sendLink makes a link and queues the message that has it. Where none is queued there is no link, but
// for an administrator, who is shown it where nobody can be written to.
func (s *Service) sendLink(ctx context.Context, actor *gatehouse.Principal, u identity.User, in ResetOrder) (out ResetStarted, err error) {
	text := rand.Text() // 130 bits (SP 800-63B-4 §4.2.2 asks for 112 where nobody counts tries)
	record := once.Record{Kind: once.KindReset, Key: credential.HashKey(text)}
	link := gatehouse.Secret(s.c.Links.NewPassword(u.Realm) + "?code=" + text)
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		record.ExpiresAt = now.Add(ResetLinkFor)
		out = ResetStarted{ExpiresAt: record.ExpiresAt}
		e := s.k.Event(ctx, actor, u.Realm, audit.KindUserResetLink, "user", u.ID)
		if actor.Authenticated() && (u.Email == "" || !s.c.Mail.On()) {
			out.Link, e.Reason = link, "shown"
		} else {
			m := mail.Message{Kind: mail.KindResetLink, Realm: u.Realm, To: u.Email,
				Data: mail.Data{Account: u.Username, At: now, Ends: record.ExpiresAt, Link: link.Reveal()}}
			switch {
			case !actor.Authenticated():
				m.Once = "reset " + u.ID + " " + strconv.FormatInt(now.UnixNano()/int64(resetEvery), 10)
			case in.End:
				m.Kind, m.Data.By = mail.KindPasswordReset, actor.Name
			default:
				m.Kind, m.Data.By = mail.KindResetSent, actor.Name
			}
			id, err := s.c.Mail.Put(ctx, tx, m)
			if err != nil || id == "" {
				return err
			}
			out.Sent = true
		}
		if in.End {
			if err := s.endPassword(ctx, tx, actor, &u, now); err != nil {
				return err
			}
		}
		return s.putReset(ctx, tx, u, record, e)
	})
	if err != nil {
		return ResetStarted{}, err
	}
	return out, nil
}

// putReset stores a link for the account as it is now, with its event.
func (s *Service) putReset(ctx context.Context, tx Tx, u identity.User, record once.Record, e gatehouse.Event) (err error) {
	if record.Sealed, err = s.sealLink(reset{User: u.ID, Email: u.Email, PasswordAt: u.PasswordAt}, resetPlace(u.Realm, record.Key)); err != nil {
		return err
	}
	if err := tx.PutOnce(ctx, record); err != nil {
		return err
	}
	return tx.AppendEvents(ctx, e)
}

// ExchangeInitial answers the text of a link for whoever has just proved an account by the password that somebody else has
// made for the person ([identity.User.Initial]): with it another one is chosen, which is all that such a password is good for.
// Errors: reset_link_invalid when it is none, any more.
func (s *Service) ExchangeInitial(ctx context.Context, u identity.User) (gatehouse.Secret, error) {
	text, proved := rand.Text(), u.PasswordAt
	record := once.Record{Kind: once.KindReset, Key: credential.HashKey(text)}
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		if !u.Initial() || u.PasswordAt.UnixMicro() != proved.UnixMicro() || !now.Before(u.InitialUntil()) {
			return errResetLink
		}
		record.ExpiresAt = now.Add(exchangeFor)
		e := s.k.Event(ctx, person(u), u.Realm, audit.KindUserResetLink, "user", u.ID)
		e.Reason = "initial_password"
		return s.putReset(ctx, tx, u, record, e)
	})
	if err != nil {
		return "", err
	}
	return gatehouse.Secret(text), nil
}

// endPassword takes the password of an account away, and ends every login.
func (s *Service) endPassword(ctx context.Context, tx Tx, actor *gatehouse.Principal, u *identity.User, now time.Time) error {
	u.PasswordHash, u.PasswordAt, u.UpdatedAt = "", now, now
	if err := tx.UpdateUser(ctx, *u); err != nil {
		return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
	}
	if _, _, err := s.endLogins(ctx, tx, actor, *u, now); err != nil {
		return err
	}
	e := s.k.Event(ctx, actor, u.Realm, audit.KindUserPassword, "user", u.ID)
	e.Reason = "ended"
	if err := tx.AppendEvents(ctx, e); err != nil {
		return err
	}
	_, err := s.unchanged(ctx, tx, u) // its times as they are stored, which a link is compared with
	return err
}

// ResetOf tells whose password the text of a link sets, and uses nothing up: programs that
// look at links before people do must not end them. Errors: reset_link_invalid.
func (s *Service) ResetOf(ctx context.Context, realm string, text gatehouse.Secret) (username string, err error) {
	u, _, err := s.resetOf(ctx, realm, text)
	return u.Username, err
}

func (s *Service) resetOf(ctx context.Context, realm string, text gatehouse.Secret) (u identity.User, key []byte, err error) {
	if text == "" || len(text) > maxResetText {
		return u, nil, errResetLink
	}
	key = credential.HashKey(text.Reveal())
	r, err := s.c.Links.Find(ctx, once.KindReset, key)
	switch {
	case errors.Is(err, gatehouse.NotFound), err == nil && !s.k.Now().Before(r.ExpiresAt):
		return u, nil, errResetLink
	case err != nil:
		return u, nil, err
	}
	d, err := s.openReset(realm, r)
	if err != nil {
		return u, nil, err
	}
	u, err = s.c.Users.User(ctx, realm, d.User)
	switch {
	case errors.Is(err, gatehouse.NotFound), err == nil && !d.fits(u):
		return identity.User{}, nil, errResetLink
	case err != nil:
		return identity.User{}, nil, err
	}
	return u, key, nil
}

// openReset reads what a link is for; one of another realm is none.
func (s *Service) openReset(realm string, r once.Record) (d reset, err error) {
	plain, err := s.c.Links.Box.Open(r.Sealed, resetPlace(realm, r.Key))
	if err != nil {
		return d, errResetLink
	}
	return d, json.Unmarshal(plain, &d)
}

// Reset sets the password that the person of a link has chosen, and uses the link up. Every
// login of the account ends in the same transaction, and none is opened: whoever reads
// somebody's mail has no second factor by that. A password that breaks the rules leaves the
// link as it was. Errors: reset_link_invalid, those of a new password.
func (s *Service) Reset(ctx context.Context, realm string, text, password gatehouse.Secret) error {
	u, key, err := s.resetOf(ctx, realm, text)
	if err != nil {
		return err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err != nil {
		return err
	}
	hash, err := s.c.Passwords.NewPasswordHash(ctx, rl, u, password)
	if err != nil {
		return err
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		r, err := tx.TakeOnce(ctx, once.KindReset, key, s.k.Now())
		if errors.Is(err, gatehouse.NotFound) {
			return errResetLink
		}
		if err != nil {
			return err
		}
		d, err := s.openReset(realm, r)
		if err != nil {
			return err
		}
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		if !d.fits(u) {
			return errResetLink
		}
		u.PasswordHash, u.PasswordAt, u.UpdatedAt = hash, now, now
		if err := tx.UpdateUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		person := &gatehouse.Principal{Realm: realm, Kind: u.Kind, ID: u.ID, Name: u.Username}
		if _, _, err := s.endLogins(ctx, tx, person, u, now); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, person, u, mail.KindPasswordChanged, now); err != nil {
			return err
		}
		e := s.k.Event(ctx, person, realm, audit.KindUserPassword, "user", u.ID)
		e.Reason = "reset_link"
		return tx.AppendEvents(ctx, e)
	})
}
