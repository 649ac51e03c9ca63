package clients

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// maxDynamic bounds how many clients of a realm there are that registered themselves.
const maxDynamic = 10_000

// Errors of clients that register themselves (RFC 7591 §3.2.2).
var (
	errClosed   = gatehouse.E(gatehouse.Denied, "client_registration_closed", "Clients do not register themselves in this realm; its administrators register them.")
	errFull     = gatehouse.E(gatehouse.Unavailable, "client_registration_full", "Too many clients have registered themselves in this realm; those that nobody uses are removed after a while.")
	errToken    = gatehouse.E(gatehouse.Unauthenticated, "registration_token_invalid", "The token is not known here, has ended, or was used as often as it may be.")
	errMetadata = gatehouse.E(gatehouse.Invalid, "invalid_client_metadata", "Some of what the client says of itself cannot be registered; fields names it.")
	errRedirect = gatehouse.E(gatehouse.Invalid, "invalid_redirect_uri", "An address in redirect_uris cannot be registered; fields says why.")
)

// asRegistration gives faults of metadata the codes of RFC 7591.
func asRegistration(err error) error {
	var e *gatehouse.Error
	if !errors.As(err, &e) || e.Code != kernel.ErrInput.Code {
		return err
	}
	out := *errMetadata
	if e.Fields["redirect_uris"] != "" && len(e.Fields) == 1 {
		out = *errRedirect
	}
	out.Fields = e.Fields
	return &out
}

// Register registers a client that asks for itself, by an initial access token where the realm wants one or it shows one.
func (s *Service) Register(ctx context.Context, realm string, initial gatehouse.Secret, m client.Metadata) (out client.Registered, err error) {
	now := s.k.Now()
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		r, err := tx.HoldRealm(ctx, realm)
		switch {
		case err != nil || r.Disabled:
			return kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
		case !r.Settings.RegistersClients():
			return errClosed
		}
		var by client.InitialToken
		if r.Settings.ClientRegistration != gatehouse.ClientRegistrationOpen || initial != "" {
			hash, ok := client.RegistrationTokenHash(initial)
			if !ok {
				return errToken
			}
			if by, err = tx.UseInitialToken(ctx, realm, hash, now); err != nil {
				return kernel.OrMissing(err, errToken)
			}
		}
		switch n, err := tx.UnverifiedClients(ctx, realm); {
		case err != nil:
			return err
		case n >= maxDynamic:
			return errFull
		}
		if m, err = s.narrowed(r, m); err != nil {
			return err
		}
		c := client.Client{Realm: realm, ID: gatehouse.NewID("cli", now), Metadata: m, Secret: client.NoSecret(now), CreatedAt: now, UpdatedAt: now, Version: 1}
		out.Secret = newSecret(&c, now)
		out.Token, c.Registration = client.NewRegistrationToken()
		if err := s.fits(ctx, tx, c); err != nil {
			return asRegistration(err)
		}
		if err := tx.InsertClient(ctx, c); err != nil {
			return err
		}
		e := s.event(ctx, nil, c, audit.KindClientRegister)
		if by.ID != "" {
			e.Detail["initial_token"] = by.ID
		}
		out.Client = c
		return tx.AppendEvents(ctx, e)
	})
	if err == nil {
		_ = s.publishKey(ctx, out.Client) // where that fails, its first ID token tries again; its secret must not be lost by it
	}
	return out, err
}

// newSecret makes c a secret where it proves itself by one.
func newSecret(c *client.Client, now time.Time) (text gatehouse.Secret) {
	if c.Metadata.HasSecret() {
		text, c.Secret = client.NewSecret(now)
	}
	return text
}

// narrowed checks what a client says of itself, by the same rules as what an administrator says of one, and more.
func (s *Service) narrowed(r gatehouse.Realm, m client.Metadata) (client.Metadata, error) {
	if u, err := url.Parse(firstOf(m.RedirectURIs)); m.Name == "" && err == nil {
		if m.Name = u.Hostname(); m.Name == "" {
			m.Name = u.Scheme
		}
	}
	f := kernel.Faults{}
	m = m.Narrow(r.Settings, func(member, text string) { f.Add(member, "%s", text) })
	if s.c.Lenient {
		m.RequirePKCE, m.LegacyAudience = new(bool), m.Signs()
	}
	check(f, m)
	return m.Tidy(), asRegistration(f.Err())
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// Registration reads what a client registered, by its token.
func (s *Service) Registration(ctx context.Context, realm, id string, token gatehouse.Secret) (client.Client, error) {
	c, err := s.c.Clients.Client(ctx, realm, id)
	if err == nil && !c.Manages(token) {
		err = errToken
	}
	if err != nil {
		return client.Client{}, kernel.OrMissing(err, errToken)
	}
	return c, nil
}

// Reregister puts other metadata in the place of those that a client registered (RFC 7592 §2.2). It has another token from then on.
func (s *Service) Reregister(ctx context.Context, realm, id string, token gatehouse.Secret, m client.Metadata) (out client.Registered, err error) {
	_, err = s.change(ctx, nil, realm, id, nil, audit.KindClientUpdate, func(tx Tx, c *client.Client, now time.Time) (bool, error) {
		if !c.Manages(token) {
			return false, errToken
		}
		r, err := tx.HoldRealm(ctx, realm)
		if err == nil && !r.Settings.RegistersClients() {
			err = errClosed
		}
		if err != nil {
			return false, err
		}
		before := c.Metadata
		if c.Metadata, err = s.narrowed(r, m); err != nil {
			return false, err
		}
		ends := settle(c, before, now) || lost(before, c.Metadata)
		if c.Metadata.HasSecret() && len(c.Secret.Hash) == 0 {
			out.Secret = newSecret(c, now)
		}
		out.Token, c.Registration = client.NewRegistrationToken()
		out.Client = *c
		return ends, nil
	})
	return out, asRegistration(kernel.OrMissing(err, errToken))
}

// Deregister removes a client that says so itself (RFC 7592 §2.3).
func (s *Service) Deregister(ctx context.Context, realm, id string, token gatehouse.Secret) error {
	err := s.remove(ctx, nil, realm, id, audit.KindClientDelete, func(c client.Client) error {
		if !c.Manages(token) {
			return errToken
		}
		return nil
	})
	if gatehouse.CodeOf(err) == errUnknown.Code {
		return errToken
	}
	return err
}
