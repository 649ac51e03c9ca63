package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
)

// unsaid is how long ago somebody counts as having proved who it is, when the provider does not say
// (auth_time): too long for what takes a fresh sign-in.
const unsaid = time.Hour

// account finds the account that is linked with who the claims are of, or makes one where the
// provider's setting says so.
func (s *Service) account(ctx context.Context, realm gatehouse.Realm, p gatehouse.Provider, c *said) (who *gatehouse.Principal, err error) {
	if err := s.learn(ctx, realm.Name, p, c); err != nil {
		return nil, err
	}
	now := s.c.Now()
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		l, err := tx.ProviderLink(ctx, realm.Name, p.ID, p.Issuer, c.Subject)
		if errors.Is(err, gatehouse.NotFound) {
			if !p.CreateAccounts {
				return errNoAccount
			}
			known, _ := p.Known()
			l, err = s.create(ctx, tx, known, Link{Realm: realm.Name, Provider: p.ID, Issuer: p.Issuer, Subject: c.Subject, CreatedAt: now}, c)
		}
		if err != nil {
			return err
		}
		if !l.EndedAt.IsZero() {
			return errNoAccount
		}
		u, err := tx.User(ctx, l.Realm, l.UserID)
		if err != nil {
			return err
		}
		roles, groups := given(p, c)
		if l, err = s.give(ctx, tx, u, l, roles, groups); err != nil {
			return err
		}
		l.UsedAt = now
		if err := tx.UseProviderLink(ctx, l); err != nil {
			return err
		}
		who = s.principal(p, l, c)
		who.Name = u.Username
		return tx.AppendEvents(ctx, event(ctx, l, u.Username, now, audit.KindProviderUse))
	})
	return who, err
}

// learn has the provider say what gives roles and, for who has no account, what one is made of. It is no part of the
// transaction: nothing waits there for a provider.
func (s *Service) learn(ctx context.Context, realm string, p gatehouse.Provider, c *said) error {
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.ProviderLink(ctx, realm, p.ID, p.Issuer, c.Subject)
		return err
	})
	var needs []string
	switch known, _ := p.Known(); {
	case errors.Is(err, gatehouse.NotFound) && !p.CreateAccounts:
		return errNoAccount
	case errors.Is(err, gatehouse.NotFound):
		if needs = []string{claimUsername, claimName}; !known.NoEmail {
			needs = append(needs, claimEmail, claimEmailVerified)
		}
	case err != nil:
		return err
	}
	for _, g := range p.Grants {
		needs = append(needs, g.Claim)
	}
	return c.complete(ctx, needs...)
}

// create makes an account for who has none, and links it. It has no password, and no roles and groups but those that claims give.
func (s *Service) create(ctx context.Context, tx Tx, known gatehouse.Preset, l Link, c *said) (Link, error) {
	u := identity.User{ID: gatehouse.NewID("usr", l.CreatedAt), Realm: l.Realm, Kind: gatehouse.KindUser, Version: 1, CreatedAt: l.CreatedAt, UpdatedAt: l.CreatedAt}
	u.DisplayName = shown(c, claimName)
	u.Email = verifiedEmail(known, c)
	err := error(gatehouse.ErrNotFound)
	for _, name := range names(l, c, u.Email) {
		if u.Username, u.UsernameKey, err = identity.NormalizeUsername(name); err != nil || u.UsernameKey == "me" {
			continue
		}
		if err = identity.ValidateUser(&u); err != nil {
			continue
		}
		if err = tx.InsertUser(ctx, u); !errors.Is(err, gatehouse.Conflict) {
			break // made, or the store fails
		}
	}
	if err != nil {
		return l, err
	}
	l.UserID = u.ID
	if err := tx.InsertProviderLink(ctx, l); errors.Is(err, gatehouse.Conflict) {
		return l, ErrRefused.With(errors.New("the account was made by another sign-in at this moment"))
	} else if err != nil {
		return l, err
	}
	made := event(ctx, l, u.Username, l.CreatedAt, audit.KindUserCreate)
	made.Detail["username"] = u.Username
	return l, tx.AppendEvents(ctx, made, event(ctx, l, u.Username, l.CreatedAt, audit.KindProviderLink))
}

// names are usernames for a new account, the best first. The last is free.
func names(l Link, c *said, email string) []string {
	preferred := c.text(claimUsername)
	return []string{preferred, email, l.Provider + "-" + strings.ToLower(rand.Text()[:12])}
}

// verifiedEmail is the address that the provider vouches for; "" is none. Some write the flag as a text
// (Apple, Microsoft).
func verifiedEmail(known gatehouse.Preset, c *said) string {
	if flag := string(c.claims[claimEmailVerified]); known.NoEmail || flag != "true" && flag != `"true"` {
		return ""
	}
	email := c.text(claimEmail)
	u := identity.User{Kind: gatehouse.KindUser, Username: "x", UsernameKey: "x", Email: email}
	if identity.ValidateUser(&u) != nil {
		return ""
	}
	return email
}

// shown is a claim that people read, as an account can have it.
func shown(c *said, name string) string {
	value := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, c.text(name))
	r := []rune(strings.TrimSpace(value))
	return string(r[:min(len(r), identity.MaxDisplayName)])
}

// event is what happened to an account by its link.
func event(ctx context.Context, l Link, username string, now time.Time, kind string) gatehouse.Event {
	return gatehouse.Event{Time: now, Realm: l.Realm, Kind: kind, Outcome: gatehouse.OutcomeSuccess,
		Actor:     gatehouse.Actor{Kind: gatehouse.KindUser, ID: l.UserID, Name: username, Scheme: gatehouse.SchemeProvider},
		Target:    gatehouse.Target{Type: "user", ID: l.UserID},
		RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx), Detail: map[string]string{"provider": l.Provider}}
}
