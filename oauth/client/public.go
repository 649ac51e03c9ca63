package client

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// NoSecret is what a client has in place of a secret that is public, or has keys of its own, since a time.
func NoSecret(since time.Time) Secret { return Secret{SetAt: since} }

// public finds a client that says who it is and proves nothing. One that is registered with a way to prove it has to: its
// client_id is known to everybody.
func (a Authenticator) public(ctx context.Context, realm, id string) (Client, *gatehouse.Principal, error) {
	c, err := a.Clients.Client(ctx, realm, id)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return a.refuse(ctx, realm, Client{}, reasonUnknown, ErrInvalid)
	case err != nil:
		return Client{}, nil, err
	case !c.Metadata.Public():
		return a.refuse(ctx, realm, c, reasonNothing, ErrInvalid)
	case c.Disabled:
		return a.refuse(ctx, realm, c, reasonDisabled, ErrInvalid)
	}
	return c, c.principal(c.Secret.SetAt, a.Now()), nil
}

// principal is c as it proved itself at now, by what it has since a time.
func (c Client) principal(since, now time.Time) *gatehouse.Principal {
	return &gatehouse.Principal{Realm: c.Realm, Kind: gatehouse.KindClient, ID: c.ID, Name: c.Metadata.Name, ClientID: c.ID,
		CredentialID: c.ID, IssuedAt: since, AuthTime: now}
}
