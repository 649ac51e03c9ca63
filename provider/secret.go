package provider

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

// secretPlace binds a client secret to the issuer and the client that it was set for: under other
// settings it does not open, and so is sent to nobody else.
func secretPlace(realm string, p gatehouse.Provider) seal.Place {
	return seal.Place{Purpose: "client secret at a provider", Realm: realm, ID: p.ID + "\x00" + p.Issuer + "\x00" + p.ClientID}
}

// SealSecret seals the client secret for a provider of a realm, as it is stored.
func (s *Service) SealSecret(realm string, p gatehouse.Provider, secret gatehouse.Secret) ([]byte, error) {
	return s.c.Box.Seal([]byte(secret.Reveal()), secretPlace(realm, p))
}

// HasSecret reports whether the client secret was set for a provider as it is set up now.
func (s *Service) HasSecret(ctx context.Context, realm string, p gatehouse.Provider) (bool, error) {
	_, err := s.secret(ctx, realm, p)
	if errors.Is(err, gatehouse.BadGateway) {
		return false, nil
	}
	return err == nil, err
}

func (s *Service) secret(ctx context.Context, realm string, p gatehouse.Provider) (gatehouse.Secret, error) {
	sealed, err := s.c.Secret(ctx, realm, p.ID)
	if errors.Is(err, gatehouse.NotFound) {
		return "", errUnavailable.With(errors.New("no client secret was set"))
	} else if err != nil {
		return "", err
	}
	plain, err := s.c.Box.Open(sealed, secretPlace(realm, p))
	if err != nil {
		return "", errUnavailable.With(errors.New("the client secret was set for another issuer or client; set it again"))
	}
	return gatehouse.Secret(plain), nil
}

// Redirect is the address to which a provider sends browsers back, which it has to be told.
func (s *Service) Redirect(realm, provider string) string { return s.c.Redirect(realm, provider) }
