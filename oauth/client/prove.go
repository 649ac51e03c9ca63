package client

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/once"
)

// ErrInvalid refuses a client that did not prove who it is (RFC 6749 §5.2). It is the same whether the
// client is unknown, disabled, or showed a wrong secret.
var ErrInvalid = gatehouse.E(gatehouse.Unauthenticated, "invalid_client", "The client is not known here, or did not prove who it is.")

// errMethod tells a client that proved itself in another way than its registration says. Only who has
// the secret is told.
var errMethod = gatehouse.E(gatehouse.Unauthenticated, "client_auth_method", "The secret is right, and sent in another way than the client's registration says (token_endpoint_auth_method).")

// errUsed is for the record alone: from outside it looks as ErrInvalid.
var errUsed = gatehouse.E(gatehouse.Unauthenticated, "assertion_used", "The assertion was used before.")

// Proof is what one request shows of the client that sent it.
type Proof struct {
	// Method is AuthBasic, AuthPost, AuthPrivateKey or AuthNone. With the last, it is up to the client's registration whether
	// its certificate proves it.
	Method       string
	ID           string
	Secret       gatehouse.Secret // with the first two
	Assertion    gatehouse.Secret // with AuthPrivateKey
	Certificates []*x509.Certificate
}

// Reader finds clients and their realms. An unknown one is [gatehouse.NotFound].
type Reader interface {
	Client(ctx context.Context, realm, id string) (Client, error)
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
}

// Authenticator checks who a client is.
type Authenticator struct {
	Clients Reader
	// Assertions verify those of clients with keys; nil refuses them.
	Assertions *Assertions
	// Certificates verify those of clients that prove themselves by TLS; nil refuses them.
	Certificates *Certificates
	// Missed counts that somebody did not prove to be the client that he named, as if there were none, and returns
	// what he gets for it: err, or that there were too many. Nil: nobody counts.
	Missed func(ctx context.Context, err error) error
	// Record takes the events of refused attempts; it must not block for long.
	Record func(e *gatehouse.Event)
	Now    func() time.Time
}

// Why a client was refused, for the record alone.
const (
	reasonForm     = "secret_malformed" // mistyped, or made elsewhere
	reasonUnknown  = "client_unknown"
	reasonSecret   = "secret_wrong" // or its time was over
	reasonDisabled = "client_disabled"
	reasonNothing  = "proof_missing" // it said who it is, and must prove it
)

// NewSecret makes the secret of a client; the text is shown once.
func NewSecret(now time.Time) (gatehouse.Secret, Secret) {
	text, _, hash := credential.MintKey(credential.PrefixClient, gatehouse.EnvironmentLive)
	return text, Secret{Hash: hash, SetAt: now}
}

// Authenticate returns the client that p proves, as a principal that speaks for the client itself, and its
// registration. Errors: ErrInvalid, errMethod, and of kind Unavailable where nobody knows.
func (a Authenticator) Authenticate(ctx context.Context, realm string, p Proof) (Client, *gatehouse.Principal, error) {
	if p.Method == AuthNone {
		return a.named(ctx, realm, p)
	}
	if p.Method != AuthPrivateKey {
		parsed, err := credential.ParseKey(p.Secret.Reveal())
		if err != nil || parsed.Prefix != credential.PrefixClient { // a typing error or a fake dies without a look-up
			return a.refuse(ctx, realm, Client{}, reasonForm, ErrInvalid)
		}
	}
	c, err := a.Clients.Client(ctx, realm, p.ID)
	if errors.Is(err, gatehouse.NotFound) {
		return a.refuse(ctx, realm, Client{}, reasonUnknown, ErrInvalid)
	}
	if err != nil {
		return Client{}, nil, err
	}
	now := a.Now()
	var since time.Time
	var used once.Record
	if p.Method == AuthPrivateKey {
		since = c.Secret.SetAt
		if used, err = a.Assertions.verify(c, p.Assertion.Reveal()); err != nil {
			return a.refuseAssertion(ctx, realm, c, err)
		}
	} else {
		s, ok := c.proves(credential.HashKey(p.Secret.Reveal()), now)
		if !ok {
			return a.missed(ctx, realm, c, reasonSecret)
		}
		since = s.SetAt
	}
	switch {
	case c.Disabled:
		return a.refuse(ctx, realm, c, reasonDisabled, ErrInvalid)
	case c.Metadata.AuthMethod != p.Method:
		return a.refuse(ctx, realm, c, errMethod.Code, errMethod)
	}
	if p.Method == AuthPrivateKey { // last: who has not the key uses nothing up
		if err := a.Assertions.use(ctx, used); err != nil {
			return a.refuseAssertion(ctx, realm, c, err)
		}
	}
	return c, c.principal(since, now), nil
}

// refuseAssertion is refuse for an assertion with which something is wrong; where nobody knows, nothing is recorded.
func (a Authenticator) refuseAssertion(ctx context.Context, realm string, c Client, err error) (Client, *gatehouse.Principal, error) {
	if gatehouse.KindOf(err) != gatehouse.Unauthenticated {
		return Client{}, nil, err
	}
	return a.missed(ctx, realm, c, gatehouse.CodeOf(err))
}

// missed is refuse for somebody who is not the client that he named.
func (a Authenticator) missed(ctx context.Context, realm string, c Client, reason string) (Client, *gatehouse.Principal, error) {
	_, _, err := a.refuse(ctx, realm, c, reason, ErrInvalid)
	if a.Missed != nil {
		err = a.Missed(ctx, err)
	}
	return Client{}, nil, err
}

// refuse records that somebody was not let through as c, which is zero where there is no such client, and
// returns err. An id that nobody has is not kept: it may be a secret in the wrong place.
func (a Authenticator) refuse(ctx context.Context, realm string, c Client, reason string, err *gatehouse.Error) (Client, *gatehouse.Principal, error) {
	if _, missing := a.Clients.Realm(ctx, realm); missing != nil { // which has no record
		return Client{}, nil, err
	}
	e := &gatehouse.Event{Time: a.Now(), Realm: realm, Kind: audit.KindClientFailure, Outcome: gatehouse.OutcomeFailure, Reason: reason,
		RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx)}
	if c.ID != "" {
		e.Target = gatehouse.Target{Type: "client", ID: c.ID}
	}
	a.Record(e)
	return Client{}, nil, err
}

// proves returns the secret of c that has hash, if one has that counts at now. Both are compared
// whichever it is.
func (c Client) proves(hash []byte, now time.Time) (found Secret, ok bool) {
	for _, s := range []Secret{c.Secret, c.Former} {
		counts := len(s.Hash) > 0 && c.Metadata.HasSecret() && (s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt))
		if subtle.ConstantTimeCompare(s.Hash, hash) == 1 && counts {
			found, ok = s, true
		}
	}
	return found, ok
}

// Proves reports whether hash is that of a secret of c that counts at now.
func (c Client) Proves(hash []byte, now time.Time) bool {
	_, ok := c.proves(hash, now)
	return ok
}

// End ends the secret of c that has hash at now; another one that there is goes on.
func (c *Client) End(hash []byte, now time.Time) {
	for _, s := range []*Secret{&c.Secret, &c.Former} {
		if subtle.ConstantTimeCompare(s.Hash, hash) == 1 && (s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt)) {
			s.ExpiresAt = now
		}
	}
}

// Has reports whether a secret, or keys or names of certificates, that were set then count at now: what a client proved a moment ago may
// have been ended since by another node. One that is public is so since then.
func (c Client) Has(setAt, now time.Time) bool {
	if !c.Metadata.HasSecret() {
		return c.Secret.SetAt.UnixMicro() == setAt.UnixMicro()
	}
	for _, s := range []Secret{c.Secret, c.Former} {
		if len(s.Hash) > 0 && s.SetAt.UnixMicro() == setAt.UnixMicro() && (s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt)) {
			return true
		}
	}
	return false
}
