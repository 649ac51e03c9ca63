package provider

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/token"
)

// secretPlace binds a client secret to the issuer and the client that it was set for: under other
// settings it does not open, and so is sent to nobody else.
func secretPlace(realm string, p gatehouse.Provider) seal.Place {
	return seal.Place{Purpose: "client secret at a provider", Realm: realm, ID: p.ID + "\x00" + p.Issuer + "\x00" + p.ClientID}
}

// signedFor is how long a client secret counts that is signed for one request.
const signedFor = 5 * time.Minute

// CheckSecret reports whether secret can be the client secret for p: where that is signed, it is the key to sign with.
func CheckSecret(p gatehouse.Provider, secret gatehouse.Secret) bool {
	known, ok := p.Known()
	if ok && known.SignedSecret {
		_, err := token.ParsePKCS8(p.KeyID, token.ES256, []byte(secret.Reveal()))
		ok = err == nil
	}
	return ok && secret != ""
}

// shownSecret is the client secret that the token endpoint of p is shown: the one that was set, or a JWT signed with it
// for this request, which nobody has to renew (Apple, "Creating a client secret").
func (s *Service) shownSecret(ctx context.Context, realm string, p gatehouse.Provider) (gatehouse.Secret, error) {
	secret, err := s.secret(ctx, realm, p)
	if known, _ := p.Known(); err != nil || !known.SignedSecret {
		return secret, err
	}
	key, err := token.ParsePKCS8(p.KeyID, token.ES256, []byte(secret.Reveal()))
	if err != nil {
		return "", errUnavailable.With(errors.New("the client secret is no key to sign with; set it again"))
	}
	now := s.c.Now()
	claims, err := json.Marshal(struct {
		Issuer    string `json:"iss"`
		IssuedAt  int64  `json:"iat"`
		ExpiresAt int64  `json:"exp"`
		Audience  string `json:"aud"`
		Subject   string `json:"sub"`
	}{p.TeamID, now.Unix(), now.Add(signedFor).Unix(), p.Issuer, p.ClientID})
	if err != nil {
		return "", err
	}
	text, err := key.Sign("", claims)
	return gatehouse.Secret(text), err
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
