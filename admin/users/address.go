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
	"github.com/gatehouse-auth/gatehouse/session"
)

const (
	// AddressLinkFor is how long a link counts by which an address is verified (SP 800-63B-4 §4.2.2:
	// a day where a code is sent by e-mail).
	AddressLinkFor = 24 * time.Hour
	// addressEvery is how often one account gets such a link at its owner's word, who may have
	// it sent to anybody.
	addressEvery = time.Minute
)

var (
	errAddressLink = gatehouse.E(gatehouse.Denied, "address_link_invalid", "This link was used before, is over, was made before the account changed, or is another account's than the one that is signed in.")
	errStale       = gatehouse.E(gatehouse.Denied, "address_needs_sign_in", "This takes a sign-in a moment ago, with everything that the account asks for.")
	errTheirs      = gatehouse.E(gatehouse.Unprocessable, "email_in_directory", "The address of this account is the one that the organization's directory has, and is changed there.")
	errAddressForm = gatehouse.E(gatehouse.Unprocessable, "email_invalid", "This is no e-mail address that can be written to.")
)

// addressLink is the form of what is sealed under the hash of a link's text: whose address it
// verifies. One that takes the place of another one was asked for by somebody with the password
// of then; another password since ends it.
type addressLink struct {
	User       string    `json:"user"`
	Address    string    `json:"address"`
	Was        string    `json:"was"`
	PasswordAt time.Time `json:"password_at"`
}

func (d addressLink) fits(u identity.User) bool {
	if u.Kind != gatehouse.KindUser || u.Disabled || u.ID != d.User || d.Address == "" {
		return false
	}
	return d.Address == u.Email || d.changes(u) && d.Address == u.NewEmail && d.Was == u.Email && d.PasswordAt.Equal(u.PasswordAt)
}

// changes reports whether the account gets another address by d.
func (d addressLink) changes(u identity.User) bool { return d.Address != u.Email }

func addressPlace(realm string, key []byte) seal.Place {
	return seal.Place{Purpose: "address link", Realm: realm, ID: base64.RawURLEncoding.EncodeToString(key)}
}

// SendAddressLink sends a link to the address of an account, by which its owner verifies it.
// Errors: mail_off, no_email.
func (s *Service) SendAddressLink(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) error {
	id := s.Resolve(ctx, actor, realm, idOrName)
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, id, id); err != nil {
		return err
	}
	u, err := findUser(ctx, s.c.Users, realm, id)
	switch {
	case err != nil:
		return err
	case !s.c.Mail.On():
		return mail.ErrOff
	case u.Kind != gatehouse.KindUser:
		return errNoAddress
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		return s.sendAddressLink(ctx, tx, actor, u, u.Email, now)
	})
}

// AskAddress has the account of who is signed in get another address, which counts when it is
// verified. The one of before hears of it now: who has somebody's session must not be able to
// take the account away in silence. Errors: address_needs_sign_in, email_invalid, email_in_directory, mail_off, no_email.
func (s *Service) AskAddress(ctx context.Context, who *gatehouse.Principal, address string) error {
	if !kernel.IsSelf(who, who.Realm, who.ID) || who.Kind != gatehouse.KindUser || kernel.SelfMay(who, policy.AdminWrite) != nil {
		return errStale
	}
	u, err := findUser(ctx, s.c.Users, who.Realm, who.ID)
	switch {
	case err != nil:
		return err
	case u.DirectoryID != "":
		return errTheirs
	case !session.Fresh(who, u.SecondFactor, s.k.Now()):
		return errStale
	case !s.c.Mail.On():
		return mail.ErrOff
	}
	if _, err := mail.Address(address); err != nil {
		return errAddressForm
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		u.NewEmail, u.UpdatedAt = address, now
		if address == u.Email {
			u.NewEmail = ""
		}
		if identity.ValidateUser(&u) != nil {
			return errAddressForm
		}
		if err := tx.UpdateUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		if u.NewEmail != "" {
			if err := s.tell(ctx, tx, who, u, mail.KindAddressAsked, now); err != nil {
				return err
			}
		}
		return s.sendAddressLink(ctx, tx, who, u, address, now)
	})
}

// sendAddressLink makes a link and queues the message that has it; where none is queued there is
// no link, and the transaction ends. Errors: no_email.
func (s *Service) sendAddressLink(ctx context.Context, tx Tx, actor *gatehouse.Principal, u identity.User, to string, now time.Time) error {
	text := rand.Text() // 130 bits
	record := once.Record{Kind: once.KindAddress, Key: credential.HashKey(text), ExpiresAt: now.Add(AddressLinkFor)}
	m := mail.Message{Kind: mail.KindAddressLink, Realm: u.Realm, To: to,
		Data: mail.Data{Account: u.Username, At: now, Ends: record.ExpiresAt, Link: s.c.Links.Verify(u.Realm) + "?code=" + text}}
	if kernel.IsSelf(actor, u.Realm, u.ID) {
		m.Once = "address " + u.ID + " " + strconv.FormatInt(now.UnixNano()/int64(addressEvery), 10)
	}
	id, err := s.c.Mail.Put(ctx, tx, m)
	if err != nil {
		return err
	}
	if id == "" {
		return errNoAddress
	}
	plain, err := json.Marshal(addressLink{User: u.ID, Address: to, Was: u.Email, PasswordAt: u.PasswordAt})
	if err != nil {
		return err
	}
	if record.Sealed, err = s.c.Links.Box.Seal(plain, addressPlace(u.Realm, record.Key)); err != nil {
		return err
	}
	if err := tx.PutOnce(ctx, record); err != nil {
		return err
	}
	return tx.AppendEvents(ctx, s.k.Event(ctx, actor, u.Realm, audit.KindUserEmailLink, "user", u.ID))
}

// AddressOf tells whose address the text of a link verifies, and uses nothing up. signIn is set
// where the account gets another address by it: then who confirms it must be signed in with the
// account, so that the owner of a mistyped address has nothing of it. Errors: address_link_invalid.
func (s *Service) AddressOf(ctx context.Context, who *gatehouse.Principal, realm string, text gatehouse.Secret) (username, address string, signIn bool, err error) {
	u, d, _, err := s.addressOf(ctx, realm, text)
	if err != nil {
		return "", "", false, err
	}
	if d.changes(u) && who != nil && !kernel.IsSelf(who, realm, u.ID) {
		return "", "", false, errAddressLink
	}
	return u.Username, d.Address, d.changes(u) && who == nil, nil
}

func (s *Service) addressOf(ctx context.Context, realm string, text gatehouse.Secret) (u identity.User, d addressLink, key []byte, err error) {
	if text == "" || len(text) > maxResetText {
		return u, d, nil, errAddressLink
	}
	key = credential.HashKey(text.Reveal())
	r, err := s.c.Links.Find(ctx, once.KindAddress, key)
	switch {
	case errors.Is(err, gatehouse.NotFound), err == nil && !s.k.Now().Before(r.ExpiresAt):
		return u, d, nil, errAddressLink
	case err != nil:
		return u, d, nil, err
	}
	if d, err = s.openAddress(realm, r); err != nil {
		return u, d, nil, err
	}
	u, err = s.c.Users.User(ctx, realm, d.User)
	if errors.Is(err, gatehouse.NotFound) || err == nil && !d.fits(u) {
		err = errAddressLink
	}
	return u, d, key, err
}

// openAddress reads what a link is for; one of another realm is none.
func (s *Service) openAddress(realm string, r once.Record) (d addressLink, err error) {
	plain, err := s.c.Links.Box.Open(r.Sealed, addressPlace(realm, r.Key))
	if err != nil {
		return d, errAddressLink
	}
	return d, json.Unmarshal(plain, &d)
}

// VerifyAddress verifies the address that a link was sent to, and uses the link up. who is signed
// in where it comes from, nil for nobody. Where the account gets another address by it, that one
// and the one of before hear of it. Errors: address_link_invalid.
func (s *Service) VerifyAddress(ctx context.Context, who *gatehouse.Principal, realm string, text gatehouse.Secret) error {
	u, _, key, err := s.addressOf(ctx, realm, text)
	if err != nil {
		return err
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		r, err := tx.TakeOnce(ctx, once.KindAddress, key, s.k.Now())
		if errors.Is(err, gatehouse.NotFound) {
			return errAddressLink
		}
		if err != nil {
			return err
		}
		d, err := s.openAddress(realm, r)
		if err != nil {
			return err
		}
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		changes := d.changes(u)
		if !d.fits(u) || changes && !kernel.IsSelf(who, realm, u.ID) {
			return errAddressLink
		}
		was := u.Email
		if changes {
			u.Email, u.NewEmail = d.Address, ""
		}
		u.VerifiedEmail, u.UpdatedAt = d.Address, now
		if err := tx.UpdateUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		person := &gatehouse.Principal{Realm: realm, Kind: u.Kind, ID: u.ID, Name: u.Username}
		if err := s.tellAddress(ctx, tx, person, u, was, now); err != nil {
			return err
		}
		e := s.k.Event(ctx, person, realm, audit.KindUserEmail, "user", u.ID)
		if changes {
			e.Reason = "changed"
		}
		return tx.AppendEvents(ctx, e)
	})
}

// tellAddress queues the notices that an account has another address than it had, to both
// (ASVS 6.3.7).
func (s *Service) tellAddress(ctx context.Context, tx Tx, actor *gatehouse.Principal, u identity.User, was string, at time.Time) error {
	if u.Email == was {
		return nil
	}
	before := u
	before.Email = was
	for _, to := range []identity.User{before, u} {
		if err := s.tell(ctx, tx, actor, to, mail.KindAddressChanged, at); err != nil {
			return err
		}
	}
	return nil
}
