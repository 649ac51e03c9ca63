package token

import (
	"errors"
	"fmt"
	"time"
)

// AssertionConfig fixes what an assertion must be (RFC 7521 §5.2, RFC 7523 §3): a token by which somebody
// proves once who he is, who signed it himself. All fields without a remark are required.
type AssertionConfig struct {
	// Subject is iss and sub: who asserts speaks of himself.
	Subject string
	// Audience is the one text that aud must be (RFC 10070). An assertion that names another server beside
	// this one, or an address in place of its issuer, may have been made for somebody who passes it on.
	Audience string
	// Endpoint is another text that aud may be, in place of Audience and never beside it (OpenID Connect Core §9); "": none.
	Endpoint   string
	Algorithms []Algorithm
	Types      []string // as in [VerifierConfig]
	Keys       KeySource
	Leeway     time.Duration // may be 0
	// MaxLife is how far exp may be ahead: for so long is it remembered that the assertion was used.
	MaxLife time.Duration
	Now     func() time.Time // nil: time.Now
}

// AssertionVerifier verifies the assertions of one party. It is safe for concurrent use.
type AssertionVerifier struct {
	v       *Verifier
	subject string
	life    time.Duration
}

// NewAssertionVerifier refuses a configuration that leaves anything open.
func NewAssertionVerifier(c AssertionConfig) (*AssertionVerifier, error) {
	if c.Subject == "" || c.MaxLife <= 0 {
		return nil, errors.New("assertion verifier: Subject and MaxLife are required")
	}
	audience := []string{c.Audience}
	if c.Endpoint != "" {
		audience = append(audience, c.Endpoint)
	}
	v, err := NewVerifier(VerifierConfig{Issuer: c.Subject, Audience: audience, Algorithms: c.Algorithms, Types: c.Types, Keys: c.Keys,
		Leeway: c.Leeway, RequireClaims: []string{"jti"}, Now: c.Now})
	if err != nil {
		return nil, err
	}
	v.once = true
	return &AssertionVerifier{v: v, subject: c.Subject, life: c.MaxLife + c.Leeway}, nil
}

// Verify checks everything about an assertion but whether its jti was used before, which the caller must:
// until End. Errors are those of [Verifier.Verify].
func (a *AssertionVerifier) Verify(compact string) (*Claims, error) {
	c, err := a.v.Verify(compact)
	if err != nil {
		return nil, err
	}
	if c.Subject != a.subject {
		return nil, errWrongSubject.With(fmt.Errorf("the token says %.200q; accepted here: %s", c.Subject, a.subject))
	}
	// Not the list of one, either: FAPI 2.0 §5.3.2.1 has it so, and one rule for all is harder to get round.
	if c.Lookup("aud").Kind() != '"' {
		return nil, ErrWrongAudience.With(errors.New("aud must be a string, the issuer alone, and no list"))
	}
	if c.ExpiresAt.After(a.v.now().Add(a.life)) {
		return nil, errTooLong.With(errors.New("exp is " + c.ExpiresAt.UTC().Format(time.RFC3339)))
	}
	return c, nil
}

// End is from when on Verify refuses c by its age, so that nobody needs to remember its jti any longer.
func (a *AssertionVerifier) End(c *Claims) time.Time { return c.ExpiresAt.Add(a.v.leeway) }
