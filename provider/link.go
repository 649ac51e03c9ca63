package provider

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
)

// MaxLinks is how many accounts elsewhere a person can have linked.
const MaxLinks = 20

var (
	errLinked = gatehouse.E(gatehouse.Conflict, "provider_linked", "That account at the provider belongs to another account here.")
	errMany   = gatehouse.E(gatehouse.Conflict, "provider_link_limit", "There are as many links as a person can have; remove one first.")
	errLast   = gatehouse.E(gatehouse.Conflict, "provider_link_last", "Without this link there would be no way into the account.")
	errNoLink = gatehouse.E(gatehouse.NotFound, "provider_link_not_found", "The account has no such link.")
)

// ID names a link among those of an account. It tells nothing of whom it joins.
func (l Link) ID() string {
	sum := sha256.Sum256([]byte(l.Provider + "\x00" + l.Issuer + "\x00" + l.Subject))
	return encode(sum[:12])
}

// OpensBy reports whether l lets somebody in by a provider of these settings.
func (l Link) OpensBy(s gatehouse.RealmSettings) bool {
	p, ok := s.Provider(l.Provider)
	return ok && p.Issuer == l.Issuer && l.EndedAt.IsZero()
}

// Links lists the accounts elsewhere that a user has linked, by age.
func (s *Service) Links(ctx context.Context, realm, userID string) (list []Link, err error) {
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		list, err = tx.ProviderLinks(ctx, realm, userID)
		return err
	})
	return list, err
}

// BeginLink returns the address at a provider to which who goes to link the account that it has there.
// The provider is told to ask who it is, also when it knows the browser: somebody else may have left
// an account of his signed in there. Who has come back counts in the same session alone.
//
// Errors: provider_not_found, provider_unavailable, sign_in_again.
func (s *Service) BeginLink(ctx context.Context, realm gatehouse.Realm, id string, who *gatehouse.Principal, browser []byte) (address string, err error) {
	p, err := find(realm, id)
	if err != nil {
		return "", err
	}
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		_, err := s.owner(ctx, tx, who)
		return err
	})
	if err != nil {
		return "", err
	}
	f := s.newFlight(p, "")
	f.User, f.Session = who.ID, who.SessionID
	return s.begin(ctx, realm, p, f, browser, true)
}

// owner is the account of who, which has signed in a moment ago. It holds it against others.
func (s *Service) owner(ctx context.Context, tx Tx, who *gatehouse.Principal) (identity.User, error) {
	if !who.Authenticated() || who.Kind != gatehouse.KindUser || who.SessionID == "" || who.Foreign {
		return identity.User{}, gatehouse.ErrSignInAgain
	}
	u, err := tx.User(ctx, who.Realm, who.ID)
	if err == nil && !s.c.Fresh(who, u.SecondFactor, s.c.Now()) {
		err = gatehouse.ErrSignInAgain
	}
	return u, err
}

// join links who came back with claims of a provider with the account that began so. That it signed in
// a moment ago was seen then; state is good for minutes.
func (s *Service) join(ctx context.Context, p gatehouse.Provider, f flight, who *gatehouse.Principal, c *said) error {
	now := s.c.Now()
	if !c.AuthTime.IsZero() && c.AuthTime.Before(f.began().Add(-leeway)) {
		return ErrRefused.With(errors.New("the provider has asked nobody who it is"))
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		u, err := tx.User(ctx, who.Realm, who.ID)
		if err != nil {
			return err
		}
		all, err := tx.ProviderLinks(ctx, who.Realm, who.ID)
		if err != nil {
			return err
		}
		var had Link
		l, err := tx.ProviderLink(ctx, who.Realm, p.ID, p.Issuer, c.Subject)
		switch {
		case err == nil && l.UserID != who.ID:
			return errLinked
		case err == nil: // its own; one that has ended counts again
			err, had = tx.DeleteProviderLink(ctx, l), l
		case errors.Is(err, gatehouse.NotFound):
			if err = nil; len(all) >= MaxLinks {
				err = errMany
			}
		}
		if err != nil {
			return err
		}
		l = Link{Realm: who.Realm, Provider: p.ID, Issuer: p.Issuer, Subject: c.Subject, UserID: who.ID, CreatedAt: now, Roles: had.Roles, Groups: had.Groups}
		if err := tx.InsertProviderLink(ctx, l); errors.Is(err, gatehouse.Conflict) {
			return errLinked // at this moment
		} else if err != nil {
			return err
		}
		return s.told(ctx, tx, u, l, p.Name(), who, mail.KindProviderLinked, audit.KindProviderLink)
	})
}

// Unlink removes a link of who. The last way in stays.
//
// Errors: sign_in_again, provider_link_not_found, provider_link_last.
func (s *Service) Unlink(ctx context.Context, realm gatehouse.Realm, who *gatehouse.Principal, id string) error {
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		u, err := s.owner(ctx, tx, who)
		if err != nil {
			return err
		}
		all, err := tx.ProviderLinks(ctx, who.Realm, who.ID)
		if err != nil {
			return err
		}
		passkey, err := tx.HasPasskey(ctx, who.Realm, who.ID)
		if err != nil {
			return err
		}
		other := u.PasswordHash != "" || u.DirectoryID != "" || passkey
		var l Link
		for _, has := range all {
			if has.ID() == id {
				l = has
			} else if has.OpensBy(realm.Settings) {
				other = true
			}
		}
		switch {
		case l.UserID == "":
			return errNoLink
		case !other && l.OpensBy(realm.Settings): // what opens nothing is missed by nobody
			return errLast
		}
		return s.remove(ctx, tx, realm, u, l, who)
	})
}

// Remove removes a link of a user, by who may change the account, which is for the caller to see. It may be the last way in:
// who has none any more is sent a link to set a password, or linked anew.
//
// Errors: provider_link_not_found.
func (s *Service) Remove(ctx context.Context, realm gatehouse.Realm, by *gatehouse.Principal, userID, id string) error {
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		u, err := tx.User(ctx, realm.Name, userID)
		if err != nil {
			return err
		}
		all, err := tx.ProviderLinks(ctx, realm.Name, userID)
		if err != nil {
			return err
		}
		for _, l := range all {
			if l.ID() == id {
				return s.remove(ctx, tx, realm, u, l, by)
			}
		}
		return errNoLink
	})
}

func (s *Service) remove(ctx context.Context, tx Tx, realm gatehouse.Realm, u identity.User, l Link, by *gatehouse.Principal) error {
	if _, err := s.give(ctx, tx, u, l, nil, nil); err != nil { // what it gave goes with it
		return err
	}
	if err := tx.DeleteProviderLink(ctx, l); err != nil {
		return err
	}
	p, _ := realm.Settings.Provider(l.Provider)
	return s.told(ctx, tx, u, l, cmp.Or(p.Name(), l.Provider), by, mail.KindProviderUnlinked, audit.KindProviderUnlink)
}

// told has the record and the owner of an account know of a change to a link, and who made it.
func (s *Service) told(ctx context.Context, tx Tx, u identity.User, l Link, name string, who *gatehouse.Principal, notice mail.Kind, kind string) error {
	now, by := s.c.Now(), u.Username
	if who.ID != u.ID {
		by = who.Name
	}
	_, err := s.c.Mail.Put(ctx, tx, mail.Message{Kind: notice, Realm: u.Realm, To: u.Email,
		Data: mail.Data{Account: u.Username, By: by, Factor: name, At: now}})
	if err != nil {
		return err
	}
	e := event(ctx, l, u.Username, now, kind)
	e.Detail["name"] = name
	e.Actor = gatehouse.Actor{Kind: who.Kind, ID: who.ID, Name: by, Credential: who.CredentialID, Scheme: who.Scheme}
	return tx.AppendEvents(ctx, e)
}

// own is an error when f was begun to link an account and it is not who began that, in that session, who has come back.
func (f flight) own(who *gatehouse.Principal) error {
	if f.User != "" && (!who.Authenticated() || who.ID != f.User || who.SessionID != f.Session) {
		return errors.New("another session has come back than the one that would link an account")
	}
	return nil
}
