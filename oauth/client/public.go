package client

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// NoSecret is what a client has in place of a secret that is public, or proves itself by something of its own, since a time.
func NoSecret(since time.Time) Secret { return Secret{SetAt: since} }

// named finds a client that says who it is, and proves it by its certificate or not at all. One that is registered with another way
// to prove it has to: its client_id is known to everybody.
func (a Authenticator) named(ctx context.Context, realm string, p Proof) (Client, *gatehouse.Principal, error) {
	c, err := a.Clients.Client(ctx, realm, p.ID)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return a.refuse(ctx, realm, Client{}, reasonUnknown, ErrInvalid)
	case err != nil:
		return Client{}, nil, err
	case c.Metadata.ByTLS():
		if err := a.certified(ctx, c, p); err != nil {
			return a.refuseAssertion(ctx, realm, c, err)
		}
	case !c.Metadata.Public():
		return a.refuse(ctx, realm, c, reasonNothing, ErrInvalid)
	}
	if c.Disabled {
		return a.refuse(ctx, realm, c, reasonDisabled, ErrInvalid)
	}
	return c, c.principal(c.Secret.SetAt, a.Now()), nil
}

// certified checks the certificate of c (RFC 8705 §2).
func (a Authenticator) certified(ctx context.Context, c Client, p Proof) error {
	realm, err := a.Clients.Realm(ctx, c.Realm)
	if err != nil {
		return err
	}
	return a.Certificates.verify(c, realm.Settings.CertificateAuthorities, p.Certificates, a.Now())
}

// principal is c as it proved itself at now, by what it has since a time.
func (c Client) principal(since, now time.Time) *gatehouse.Principal {
	return &gatehouse.Principal{Realm: c.Realm, Kind: gatehouse.KindClient, ID: c.ID, Name: c.Metadata.Name, ClientID: c.ID,
		CredentialID: c.ID, IssuedAt: since, AuthTime: now}
}
