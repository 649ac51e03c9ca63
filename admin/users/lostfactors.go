package users

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// FactorsLinkFor is how long a link counts by which lost second factors are replaced (SP 800-63B-4 §4.2.2 allows a code that is
// sent by e-mail a day).
const FactorsLinkFor = time.Hour

var (
	errFactorsLink   = gatehouse.E(gatehouse.Denied, "factors_link_invalid", "This link was used before, is over, or was made before the account changed.")
	errFactorsOwn    = gatehouse.E(gatehouse.Denied, "factors_reset_own", "Nobody has the own second factors replaced this way: another administrator does it.")
	errFactorsNone   = gatehouse.E(gatehouse.Conflict, "factors_none", "This account has no second factor and no passkey that could be lost.")
	errFactorsNoWord = gatehouse.E(gatehouse.Conflict, "factors_need_password", "This account has no password, by which its owner would be proved: start a reset of the password first.")
)

// StartFactorsReset has a person who has lost every second factor replace them, at an administrator's word: a link goes to the
// address of the account, or is answered where nobody can be written to, as by [Service.StartReset]. It lets nobody in. Whoever opens
// it is asked for the password, and what there is counts until something new is in its place. Errors: factors_reset_own,
// factors_none, factors_need_password, no_email.
func (s *Service) StartFactorsReset(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) (out ResetStarted, err error) {
	u, err := s.touch(ctx, actor, policy.AdminWrite, realm, idOrName)
	switch {
	case err != nil:
		return out, err
	case actor.Realm == realm && actor.ID == u.ID:
		// A stolen session or key of an administrator must not get rid of the factor that it lacks.
		return out, s.k.Refused(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, u.ID, errFactorsOwn)
	case u.Kind != gatehouse.KindUser:
		return out, errFactorsNone
	}
	text := rand.Text() // 130 bits
	record := once.Record{Kind: once.KindFactorsLink, Key: credential.HashKey(text)}
	link := gatehouse.Secret(s.c.Links.NewFactor(realm) + "?code=" + text)
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		if err := losable(ctx, tx, u); err != nil {
			return err
		}
		record.ExpiresAt = now.Add(FactorsLinkFor)
		out = ResetStarted{ExpiresAt: record.ExpiresAt}
		e := s.k.Event(ctx, actor, realm, audit.KindUserFactorsLink, "user", u.ID)
		if u.Email == "" || !s.c.Mail.On() {
			out.Link, e.Reason = link, "shown"
		} else {
			id, err := s.c.Mail.Put(ctx, tx, mail.Message{Kind: mail.KindFactorsLink, Realm: realm, To: u.Email,
				Data: mail.Data{Account: u.Username, By: actor.Name, At: now, Ends: record.ExpiresAt, Link: link.Reveal()}})
			if err != nil {
				return err
			}
			if id == "" {
				return errNoAddress
			}
			out.Sent = true
		}
		if record.Sealed, err = s.sealLink(reset{User: u.ID, Email: u.Email, PasswordAt: u.PasswordAt}, factorsLinkPlace(realm, record.Key)); err != nil {
			return err
		}
		if err := tx.PutOnce(ctx, record); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
	if err != nil {
		return ResetStarted{}, err
	}
	return out, nil
}

// losable refuses accounts that have nothing to lose, or no password beside it.
func losable(ctx context.Context, tx Tx, u identity.User) error {
	list, err := tx.Factors(ctx, u.Realm, u.ID)
	if err != nil {
		return err
	}
	keys, err := tx.Passkeys(ctx, u.Realm, u.ID)
	switch {
	case err != nil:
		return err
	case len(factor.Apps(list))+len(keys) == 0:
		return errFactorsNone
	case u.PasswordHash == "" && u.DirectoryID == "":
		return errFactorsNoWord
	}
	return nil
}

func (s *Service) sealLink(value any, place seal.Place) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return s.c.Links.Box.Seal(plain, place)
}

func factorsLinkPlace(realm string, key []byte) seal.Place {
	return seal.Place{Purpose: "factors link", Realm: realm, ID: base64.RawURLEncoding.EncodeToString(key)}
}

// FactorsLinkOf tells whose factors the text of a link replaces, and uses nothing up. Errors: factors_link_invalid.
func (s *Service) FactorsLinkOf(ctx context.Context, realm string, text gatehouse.Secret) (username string, err error) {
	u, _, err := s.factorsLinkOf(ctx, realm, text)
	return u.Username, err
}

func (s *Service) factorsLinkOf(ctx context.Context, realm string, text gatehouse.Secret) (u identity.User, key []byte, err error) {
	key, plain, err := s.found(ctx, once.KindFactorsLink, text, func(key []byte) seal.Place { return factorsLinkPlace(realm, key) })
	if err != nil {
		return u, nil, err
	}
	var d reset
	if err := json.Unmarshal(plain, &d); err != nil {
		return u, nil, err
	}
	u, err = s.linked(ctx, realm, d)
	return u, key, err
}

// found reads what was put under the hash of a text, and uses nothing up.
func (s *Service) found(ctx context.Context, kind once.Kind, text gatehouse.Secret, place func(key []byte) seal.Place) (key, plain []byte, err error) {
	if text == "" || len(text) > maxResetText {
		return nil, nil, errFactorsLink
	}
	key = credential.HashKey(text.Reveal())
	r, err := s.c.Links.Find(ctx, kind, key)
	switch {
	case errors.Is(err, gatehouse.NotFound), err == nil && !s.k.Now().Before(r.ExpiresAt):
		return nil, nil, errFactorsLink
	case err != nil:
		return nil, nil, err
	}
	if plain, err = s.c.Links.Box.Open(r.Sealed, place(key)); err != nil {
		return nil, nil, errFactorsLink // of another realm or browser
	}
	return key, plain, nil
}

// linked is the account that a link was made for, while it is as it was.
func (s *Service) linked(ctx context.Context, realm string, d reset) (identity.User, error) {
	u, err := s.c.Users.User(ctx, realm, d.User)
	switch {
	case errors.Is(err, gatehouse.NotFound), err == nil && !d.fits(u):
		return identity.User{}, errFactorsLink
	case err != nil:
		return identity.User{}, err
	}
	return u, nil
}

// replacing is the form of what is sealed for who came by a link and proved the password: the link, and the new app that
// may come in the place of what was lost. It is stored nowhere else before it counts.
type replacing struct {
	Account reset         `json:"account"`
	Link    []byte        `json:"link"` // its key
	App     factor.Factor `json:"app"`
	Secret  []byte        `json:"secret"` // what App shares
}

// replacingPlace binds a record to its realm, and to the browser in which the password was right.
func replacingPlace(realm string, key, browser []byte) seal.Place {
	return seal.Place{Purpose: "replacing factors", Realm: realm,
		ID: base64.RawURLEncoding.EncodeToString(key) + " " + base64.RawURLEncoding.EncodeToString(credential.HashKey(string(browser)))}
}

// ProveFactorsLink proves whoever came by a link, whose text it is, by the password, with the login throttle, and returns what that
// browser has to bring when it replaces the factors. It uses the link not up, and lets nobody in. browser is what ties forms to it.
// Errors: factors_link_invalid; those of [Passwords.CheckPassword].
func (s *Service) ProveFactorsLink(ctx context.Context, realm string, text, password gatehouse.Secret, browser []byte) (gatehouse.Secret, error) {
	u, link, err := s.factorsLinkOf(ctx, realm, text)
	if err != nil {
		return "", err
	}
	if err := s.c.Passwords.CheckPassword(ctx, u, password); err != nil {
		return "", err
	}
	now := s.k.Now()
	app, secret, err := s.c.Vault.NewApp(realm, u.ID, "", now)
	if err != nil {
		return "", err
	}
	next := rand.Text() // 130 bits
	record := once.Record{Kind: once.KindReplacing, Key: credential.HashKey(next), ExpiresAt: now.Add(factor.EnrolFor)}
	d := replacing{Account: reset{User: u.ID, Email: u.Email, PasswordAt: u.PasswordAt}, Link: link, App: app, Secret: secret}
	if record.Sealed, err = s.sealLink(d, replacingPlace(realm, record.Key, browser)); err != nil {
		return "", err
	}
	return gatehouse.Secret(next), s.c.Run(ctx, func(ctx context.Context, tx Tx) error { return tx.PutOnce(ctx, record) })
}

// Replacing tells who may replace the own factors with text in this browser, and what a new app must know. Errors:
// factors_link_invalid.
func (s *Service) Replacing(ctx context.Context, realm string, text gatehouse.Secret, browser []byte) (who *gatehouse.Principal, app factor.Shown, err error) {
	u, _, d, err := s.replacingOf(ctx, realm, text, browser)
	if err != nil {
		return nil, app, err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err != nil {
		return nil, app, err
	}
	app, err = factor.Show(rl, u.Username, d.Secret)
	return person(u), app, err
}

func (s *Service) replacingOf(ctx context.Context, realm string, text gatehouse.Secret, browser []byte) (u identity.User, key []byte, d replacing, err error) {
	key, plain, err := s.found(ctx, once.KindReplacing, text, func(key []byte) seal.Place { return replacingPlace(realm, key, browser) })
	if err == nil {
		err = json.Unmarshal(plain, &d)
	}
	if err == nil {
		u, err = s.linked(ctx, realm, d.Account)
	}
	return u, key, d, err
}

// person is the owner of an account, who does something to it without being signed in.
func person(u identity.User) *gatehouse.Principal {
	return &gatehouse.Principal{Realm: u.Realm, Kind: u.Kind, ID: u.ID, Name: u.Username}
}

// ReplaceByApp replaces the factors of who may do so by the new app, which shows a right code, and returns its recovery codes, shown
// this once. Errors: factors_link_invalid; input_invalid for a wrong code, after which another one can be tried.
func (s *Service) ReplaceByApp(ctx context.Context, realm string, text gatehouse.Secret, browser []byte, code gatehouse.Secret) ([]gatehouse.Secret, error) {
	_, _, d, err := s.replacingOf(ctx, realm, text, browser)
	if err != nil {
		return nil, err
	}
	app, right, err := s.c.Vault.MatchApp(d.App, code.Reveal(), s.k.Now())
	if err != nil {
		return nil, err
	}
	if !right {
		return nil, kernel.Faults{"code": "is not what the app shows now; is the clock of the device right?"}.Err()
	}
	var texts []gatehouse.Secret
	err = s.replace(ctx, realm, text, browser, func(ctx context.Context, tx Tx, u *identity.User, now time.Time) (gatehouse.Event, error) {
		u.SecondFactor = true
		app.ConfirmedAt, app.UsedAt = now, time.Time{}
		var codes factor.Factor
		codes, texts = factor.NewCodes(realm, u.ID, now)
		e := s.k.Event(ctx, person(*u), realm, audit.KindFactorAdd, "user", u.ID)
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["factor"], e.Detail["kind"] = app.ID, string(app.Kind)
		return e, errors.Join(tx.InsertFactor(ctx, app), tx.InsertFactor(ctx, codes))
	})
	if err != nil {
		return nil, err
	}
	return texts, nil
}

// ReplaceByPasskey replaces the factors of who may do so by the passkey that made returns for that person. Errors:
// factors_link_invalid, those of a new passkey.
func (s *Service) ReplaceByPasskey(ctx context.Context, realm string, text gatehouse.Secret, browser []byte,
	made func(ctx context.Context, who *gatehouse.Principal) (*passkey.First, error)) error {
	u, _, _, err := s.replacingOf(ctx, realm, text, browser)
	if err != nil {
		return err
	}
	p, err := made(ctx, person(u))
	if err != nil {
		return err
	}
	return s.replace(ctx, realm, text, browser, func(ctx context.Context, tx Tx, _ *identity.User, _ time.Time) (gatehouse.Event, error) {
		return p.Store(ctx, tx)
	})
}

// replace puts what add adds in the place of all second factors and passkeys of an account, all or nothing: there is no moment at
// which the password alone would do. The link is used up, every login ends, browsers are strangers again, and nobody is let in by
// it: the new factor is asked for at the next sign-in, beside the password.
func (s *Service) replace(ctx context.Context, realm string, text gatehouse.Secret, browser []byte,
	add func(ctx context.Context, tx Tx, u *identity.User, now time.Time) (gatehouse.Event, error)) error {
	u, key, d, err := s.replacingOf(ctx, realm, text, browser)
	if err != nil {
		return err
	}
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		now := s.k.Now()
		if _, err := tx.TakeOnce(ctx, once.KindReplacing, key, now); err != nil {
			return err
		}
		if _, err := tx.TakeOnce(ctx, once.KindFactorsLink, d.Link, now); err != nil {
			return err // somebody else came by the same link, and was quicker
		}
		if _, err := s.unchanged(ctx, tx, &u); err != nil {
			return err
		}
		if !d.Account.fits(u) {
			return errFactorsLink
		}
		who := person(u)
		if err := s.endFactors(ctx, tx, who, u); err != nil {
			return err
		}
		if _, err := s.endPasskeys(ctx, tx, who, u); err != nil {
			return err
		}
		u.SecondFactor, u.DevicesSince, u.UpdatedAt = false, now, now
		added, err := add(ctx, tx, &u, now)
		if err != nil {
			return err
		}
		if err := tx.UpdateUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		if _, _, err := s.endLogins(ctx, tx, who, u, now); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, who, u, mail.KindFactorsReplaced, now); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, added, s.k.Event(ctx, who, realm, audit.KindUserFactors, "user", u.ID))
	})
	if errors.Is(err, gatehouse.NotFound) {
		return errFactorsLink
	}
	return err
}
