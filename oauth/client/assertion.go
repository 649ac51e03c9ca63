package client

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/token"
)

// AssertionType is the client_assertion_type of assertions that clients sign (RFC 7523 §2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// typeAssertion marks an assertion whose aud is the issuer alone (RFC 10070).
const typeAssertion = "client-authentication+jwt"

const (
	// maxAssertionLife is how far ahead an assertion may end. Libraries take a minute.
	maxAssertionLife = 5 * time.Minute
	// assertionLeeway forgives clocks that differ: FAPI 2.0 §5.3.2.1 wants 10 seconds accepted and more than 60 refused.
	assertionLeeway = 30 * time.Second
	maxVerifiers    = 4096
)

// kindAssertion is for assertions that were used: the key is the hash of whose, and of its jti.
const kindAssertion once.Kind = "client assertion"

// OnceTx is the transaction in which an assertion is used up.
type OnceTx interface {
	// PutOnce puts a key, which of all that put it on any node one can; to the others it is Conflict.
	PutOnce(ctx context.Context, r once.Record) error
}

// AssertionsConfig is what [Assertions] need. Every field is required.
type AssertionsConfig struct {
	// Issuer gives the issuer identifier of a realm, for whom assertions must be.
	Issuer func(realm string) string
	// TokenEndpoint is the address of the token endpoint of a realm, which assertions of some clients may name ([Metadata.LegacyAudience]).
	TokenEndpoint func(realm string) string
	// Fetched gives the key source of a client with a jwks_uri. It must be the same one at each call for the same
	// address, which bounds how often that is asked, and must reach no address that the registration does not allow.
	Fetched func(c Client) (Keys, error)
	Run     gatehouse.Runner[OnceTx]
	Now     func() time.Time
}

// Keys are those of a client.
type Keys interface {
	token.KeySource
	token.KeyHolder
}

// Assertions verify what clients sign: to prove who they are (RFC 7523 §2.2), and what they ask for (RFC 9101). It is safe for
// concurrent use.
type Assertions struct {
	c         AssertionsConfig
	verifiers *cache.Cache[verifierOf, *token.AssertionVerifier]
	requests  *cache.Cache[verifierOf, *token.RequestVerifier]
}

// verifierOf names a client as it is registered now.
type verifierOf struct {
	realm, id string
	version   int64
	asks      bool // people, by CIBA: of requests
}

// NewAssertions checks c.
func NewAssertions(c AssertionsConfig) (*Assertions, error) {
	if c.Issuer == nil || c.TokenEndpoint == nil || c.Fetched == nil || c.Run == nil || c.Now == nil {
		return nil, errors.New("oauth/client: Issuer, TokenEndpoint, Fetched, Run and Now of assertions are required")
	}
	return &Assertions{c: c, verifiers: cache.New[verifierOf, *token.AssertionVerifier](maxVerifiers),
		requests: cache.New[verifierOf, *token.RequestVerifier](maxVerifiers)}, nil
}

// verify checks an assertion of c, all but whether it was used before. The error is of kind Unavailable where the
// keys of c could not be had.
func (a *Assertions) verify(c Client, assertion string) (used once.Record, err error) {
	if a == nil || !c.Metadata.Signs() {
		return used, errMethod
	}
	v, err := a.of(c)
	if err != nil {
		return used, err
	}
	claims, err := v.Verify(assertion)
	if err != nil {
		return used, err
	}
	return once.Record{Kind: kindAssertion, Key: usedKey(c.Realm, c.ID, claims.ID), ExpiresAt: v.End(claims)}, nil
}

// use notes that an assertion was used, which of all requests that show it one can do: in a transaction of its
// own, so that it stays used whatever becomes of the request.
func (a *Assertions) use(ctx context.Context, used once.Record) error {
	err := a.c.Run(ctx, func(ctx context.Context, tx OnceTx) error { return tx.PutOnce(ctx, used) })
	if errors.Is(err, gatehouse.Conflict) {
		return errUsed
	}
	return err
}

// of returns the verifier of c, by the registration that c is.
func (a *Assertions) of(c Client) (*token.AssertionVerifier, error) {
	name := verifierOf{realm: c.Realm, id: c.ID, version: c.Version}
	if v, ok := a.verifiers.Get(name); ok {
		return v, nil
	}
	keys, err := a.keys(c)
	if err != nil {
		return nil, err
	}
	cfg := token.AssertionConfig{Subject: c.ID, Audience: a.c.Issuer(c.Realm), Algorithms: c.Metadata.Algorithms(),
		Types: []string{typeAssertion, token.TypeJWT, ""}, Keys: keys, Leeway: assertionLeeway, MaxLife: maxAssertionLife, Now: a.c.Now}
	if c.Metadata.LegacyAudience && !c.Metadata.FAPI2() {
		cfg.Endpoint = a.c.TokenEndpoint(c.Realm)
	}
	v, err := token.NewAssertionVerifier(cfg)
	if err == nil {
		a.verifiers.Set(name, v)
	}
	return v, err
}

func (a *Assertions) keys(c Client) (Keys, error) {
	if c.Metadata.JWKSURI != "" {
		return a.c.Fetched(c)
	}
	return c.Metadata.keySet()
}

// usedKey is the hash of a jti and of whose it is: parts of which no two triples give the same.
func usedKey(parts ...string) []byte {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}
