package users

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
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
)

const (
	// RegisterLinkFor is how long a link counts by which whoever reads an address makes an account.
	RegisterLinkFor = time.Hour
	// registerEvery is how often one mailbox gets such a message: anybody can have it sent to anybody.
	registerEvery = 15 * time.Minute
)

var (
	errRegisterLink   = gatehouse.E(gatehouse.Denied, "registration_link_invalid", "This link was used before, is over, or there is an account with its address.")
	errRegisterClosed = gatehouse.E(gatehouse.Denied, "registration_closed", "In this realm nobody makes an account so.")
	errRegisterDomain = gatehouse.E(gatehouse.Unprocessable, "registration_domain", "In this realm nobody makes an account with an address at this domain.")
)

// AddressFinder finds whom an address belongs to.
type AddressFinder interface {
	// UserByAddress returns a user whose e-mail address is one of two spellings, or whose folded username is
	// usernameKey: gatehouse.NotFound where there is none.
	UserByAddress(ctx context.Context, realm, ascii, letters, usernameKey string) (identity.User, error)
}

// newcomer is an address that an account is made by, and is named by.
type newcomer struct {
	Address string `json:"address"` // its domain in ASCII
}

// newcomerOf reads an address. An account cannot be named by each that mail reaches: such a one is refused, whoever has it.
func newcomerOf(address string) (n newcomer, err error) {
	if n.Address, err = mail.Address(address); err != nil {
		return n, errAddressForm
	}
	name, key, err := identity.NormalizeUsername(n.Address)
	if err != nil || identity.ValidateUser(&identity.User{Kind: gatehouse.KindUser, Username: name, UsernameKey: key, Email: n.Address}) != nil {
		return n, errAddressForm
	}
	return n, nil
}

// admitted is nil where the realm lets n make an account.
func (n newcomer) admitted(s gatehouse.RealmSettings) error {
	switch domain := strings.ToLower(n.Address[strings.LastIndexByte(n.Address, '@')+1:]); {
	case !s.Open():
		return errRegisterClosed
	case !s.OpenTo(domain):
		return errRegisterDomain
	}
	return nil
}

// holder is who has the address already.
func (n newcomer) holder(ctx context.Context, tx AddressFinder, realm string) (identity.User, error) {
	_, key, err := identity.NormalizeUsername(n.Address)
	if err != nil {
		return identity.User{}, err
	}
	ascii, letters := mail.Spellings(n.Address)
	return tx.UserByAddress(ctx, realm, ascii, letters, key)
}

// claim is the key by which one account is made by an address.
func (n newcomer) claim(realm string) []byte {
	ascii, _ := mail.Spellings(n.Address)
	return credential.HashKey(realm + " " + ascii)
}

func registerPlace(realm string, key []byte) seal.Place {
	return seal.Place{Purpose: "registration link", Realm: realm, ID: base64.RawURLEncoding.EncodeToString(key)}
}

// AskRegistration sends a link to an address by which whoever reads it makes an account. Where there is one already the
// message says that in its place. Whoever asks is nobody, and learns neither: the errors are about the form of the address and
// about the realm, what is done and stored is the same, and the caller answers at a time that tells nothing either. No mailbox
// gets more than one message in [registerEvery], and all of them together half of what the realm may send.
// Errors: registration_closed, registration_domain, email_invalid, mail_off.
func (s *Service) AskRegistration(ctx context.Context, realm, address string) error {
	n, err := newcomerOf(address)
	if err != nil {
		return err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err == nil {
		err = n.admitted(rl.Settings)
	}
	if err != nil {
		return err
	}
	if !s.c.Mail.On() {
		return mail.ErrOff
	}
	text := rand.Text() // 130 bits
	record := once.Record{Kind: once.KindRegistration, Key: credential.HashKey(text)}
	plain, err := json.Marshal(n)
	if err == nil {
		record.Sealed, err = s.c.Links.Box.Seal(plain, registerPlace(realm, record.Key))
	}
	if err != nil {
		return err
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		now := s.k.Now()
		record.ExpiresAt = now.Add(RegisterLinkFor)
		m := mail.Message{Kind: mail.KindRegister, Realm: realm, To: n.Address, Every: registerEvery, Stranger: true,
			Data: mail.Data{At: now, Ends: record.ExpiresAt, Link: s.c.Links.Register(realm) + "?code=" + text}}
		e := s.k.Event(ctx, nil, realm, audit.KindUserRegisterLink, "realm", realm)
		u, err := n.holder(ctx, tx, realm)
		switch {
		case err == nil:
			m.Kind, m.Data.Account, m.Data.Link = mail.KindRegistered, u.Username, s.c.Links.SignIn(realm)
			e.Target, e.Reason = gatehouse.Target{Type: "user", ID: u.ID}, "registered"
		case !errors.Is(err, gatehouse.NotFound):
			return err
		}
		id, err := s.c.Mail.Put(ctx, tx, m)
		if err != nil || id == "" {
			return err
		}
		// Also where nobody gets the link: a database that does more for an address of nobody takes longer for it.
		if err := tx.PutOnce(ctx, record); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
}

// newcomerBy reads the address that a link's text is for, and uses nothing up.
func (s *Service) newcomerBy(ctx context.Context, realm string, text gatehouse.Secret) (n newcomer, key []byte, err error) {
	if text == "" || len(text) > maxResetText {
		return n, nil, errRegisterLink
	}
	key = credential.HashKey(text.Reveal())
	r, err := s.c.Links.Find(ctx, once.KindRegistration, key)
	switch {
	case errors.Is(err, gatehouse.NotFound), err == nil && !s.k.Now().Before(r.ExpiresAt):
		return n, nil, errRegisterLink
	case err != nil:
		return n, nil, err
	}
	plain, err := s.c.Links.Box.Open(r.Sealed, registerPlace(realm, key))
	if err != nil { // of another realm, or under another master key
		return n, nil, errRegisterLink
	}
	return n, key, json.Unmarshal(plain, &n)
}

// registerByAddress makes the account of whoever came by a link, named by the address, and uses the link up. The account has no
// roles. Errors: registration_link_invalid, registration_closed, registration_domain, those of a password.
func (s *Service) registerByAddress(ctx context.Context, realm string, text, password gatehouse.Secret) error {
	n, key, err := s.newcomerBy(ctx, realm, text)
	if err != nil {
		return err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err != nil {
		return err
	}
	u, err := newUser(realm, NewUser{Username: n.Address, Email: n.Address, EmailVerified: true}, s.k.Now())
	if err != nil {
		return err
	}
	if u.PasswordHash, err = s.c.Passwords.NewPasswordHash(ctx, rl, u, password); err != nil {
		return err
	}
	u.PasswordAt = u.CreatedAt
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		now := s.k.Now()
		if _, err := tx.TakeOnce(ctx, once.KindRegistration, key, now); err != nil {
			return kernel.OrMissing(err, errRegisterLink)
		}
		// Of two links to one address, on any nodes, one makes an account. The claim is needed until the other
		// transaction sees that account, and is kept a little longer than it says.
		if err := tx.PutOnce(ctx, once.Record{Kind: once.KindRegistered, Key: n.claim(realm), ExpiresAt: now}); err != nil {
			return kernel.ConflictAs(err, errRegisterLink)
		}
		if _, err := n.holder(ctx, tx, realm); !errors.Is(err, gatehouse.NotFound) {
			if err == nil {
				err = errRegisterLink
			}
			return err
		}
		rl, err := tx.Realm(ctx, realm)
		if err == nil { // it may have been closed since the link was sent
			err = n.admitted(rl.Settings)
		}
		if err != nil {
			return err
		}
		if err := tx.InsertUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, errRegisterLink)
		}
		return tx.AppendEvents(ctx, s.madeBy(ctx, u, "registration", ""))
	})
}
