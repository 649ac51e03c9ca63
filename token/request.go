package token

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// TypeRequest is the typ of request objects (RFC 9101 §10.8).
const TypeRequest = "oauth-authz-req+jwt"

// maxRequestLife is how far exp may be behind nbf, and so nbf behind now (FAPI 2.0 Message Signing §5.3.1).
const maxRequestLife = time.Hour

// RequestConfig fixes what a request object must be (RFC 9101 §4, §6): an authorization request that a client signed. All fields
// without a remark are required.
type RequestConfig struct {
	Client     string // its client_id, which is iss and client_id
	Audience   string // one text of aud: the issuer
	Algorithms []Algorithm
	Keys       KeySource
	Leeway     time.Duration // may be 0
	Begins     bool          // nbf must be there (FAPI 2.0 Message Signing §5.3.1)
	// Backchannel: it asks a person without a browser (CIBA Core §7.1.1). It says when it was made and which one it is, and need not
	// repeat iss as client_id, by which it is none for a browser.
	Backchannel bool
	Now         func() time.Time // nil: time.Now
}

// RequestVerifier verifies the request objects of one client. It is safe for concurrent use.
type RequestVerifier struct {
	v      *Verifier
	client string
	asks   bool // see RequestConfig.Backchannel
}

// NewRequestVerifier refuses a configuration that leaves anything open.
func NewRequestVerifier(c RequestConfig) (*RequestVerifier, error) {
	require, types := []string{"client_id"}, []string{TypeRequest, ""}
	if c.Backchannel {
		require, types = []string{"jti"}, append(types, TypeJWT)
	}
	if c.Begins {
		require = append(require, "nbf")
	}
	v, err := NewVerifier(VerifierConfig{Issuer: c.Client, Audience: []string{c.Audience}, Algorithms: c.Algorithms, Types: types, Keys: c.Keys,
		Leeway: c.Leeway, RequireClaims: require, Now: c.Now})
	if err != nil {
		return nil, err
	}
	v.once, v.ofNobody = true, true
	return &RequestVerifier{v: v, client: c.Client, asks: c.Backchannel}, nil
}

// Verify checks everything about a request object, and returns its claims as they were signed. Errors are those of [Verifier.Verify].
func (r *RequestVerifier) Verify(compact string) (jsontext.Value, error) {
	c, err := r.v.Verify(compact)
	if err != nil {
		return nil, err
	}
	begins := c.NotBefore
	if begins.IsZero() {
		begins = r.v.now().Add(r.v.leeway)
	}
	switch {
	case r.asks && c.IssuedAt.IsZero():
		return nil, errClaimMissing.With(errors.New("iat"))
	case c.ClientID != r.client && !(r.asks && c.ClientID == ""):
		return nil, errWrongSubject.With(errors.New("client_id is another one than iss"))
	case c.Subject == r.client: // it would be an assertion by which the client proves who it is (RFC 9101 §10.8)
		return nil, errWrongSubject.With(errors.New("sub is the client"))
	case c.ExpiresAt.After(begins.Add(maxRequestLife)):
		return nil, errTooLong.With(errors.New("exp is more than an hour after nbf, or after now"))
	}
	return c.Raw, nil
}
