package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

const (
	// DefaultMaxBytes bounds a token unless the verifier says less or more.
	DefaultMaxBytes = 16 << 10
	// MaxLeeway is the most clock difference a verifier may forgive.
	MaxLeeway = 60 * time.Second

	maxMaxBytes = 64 << 10
)

// VerifierConfig fixes what one kind of token must be. There is no field that
// turns a check off.
type VerifierConfig struct {
	Issuer     string      // compared exactly; required
	Audience   []string    // the token must name one of these; required
	Algorithms []Algorithm // allow-list; required
	// Types are the accepted typ values, compared as media types; required.
	// "" accepts tokens without typ, for issuers that set none.
	Types []string
	Keys  KeySource // required
	// Leeway forgives clock difference, at most [MaxLeeway].
	Leeway time.Duration
	// MaxBytes bounds the compact text; 0 means [DefaultMaxBytes], at most 64 KiB.
	MaxBytes int
	// RequireClaims must be there besides exp, sub, iss, aud and iat, which always
	// must: without iat no cut-off could tell whether it meets the token. "status"
	// requires the form described at [Claims].
	RequireClaims []string
	Now           func() time.Time // nil: time.Now
}

// Verifier verifies one kind of token. It is safe for concurrent use.
type Verifier struct {
	opener
	issuer   string
	audience []string
	leeway   time.Duration
	require  []string
	now      func() time.Time
	// once: the token counts once, so that no cut-off is asked about it and iat may be missing.
	once bool
	// ofNobody: sub may be missing, since the token speaks of nobody but its issuer.
	ofNobody bool
	// hint: the token says whom somebody means, and lets nobody in; its end does not matter.
	hint bool
}

// NewVerifier refuses a configuration that leaves anything open.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	switch {
	case cfg.Issuer == "":
		return nil, errors.New("token verifier: no issuer")
	case len(cfg.Audience) == 0 || slices.Contains(cfg.Audience, ""):
		return nil, errors.New("token verifier: no audience, or an empty one")
	case len(cfg.Algorithms) == 0:
		return nil, errors.New("token verifier: no algorithms")
	case len(cfg.Types) == 0:
		return nil, errors.New("token verifier: no types")
	case cfg.Keys == nil:
		return nil, errors.New("token verifier: no keys")
	case cfg.Leeway < 0 || cfg.Leeway > MaxLeeway:
		return nil, errors.New("token verifier: leeway must be between 0 and 60 seconds")
	case cfg.MaxBytes < 0 || cfg.MaxBytes > maxMaxBytes:
		return nil, errors.New("token verifier: size bound must be at most 64 KiB")
	case slices.Contains(cfg.RequireClaims, ""):
		return nil, errors.New("token verifier: empty name of a required claim")
	}
	allowed, ok := setOf(cfg.Algorithms)
	if !ok {
		return nil, errors.New("token verifier: unknown algorithm")
	}
	v := &Verifier{
		opener:   opener{allowed: allowed, keys: cfg.Keys, maxBytes: cfg.MaxBytes},
		issuer:   cfg.Issuer,
		audience: slices.Clone(cfg.Audience),
		leeway:   cfg.Leeway,
		require:  slices.Clone(cfg.RequireClaims),
		now:      cfg.Now,
	}
	for _, t := range cfg.Types {
		v.types = append(v.types, mediaType(t))
	}
	if v.maxBytes == 0 {
		v.maxBytes = DefaultMaxBytes
	}
	if v.now == nil {
		v.now = time.Now
	}
	return v, nil
}

// Verify checks everything about a compact token and returns its claims. Errors
// are *gatehouse.Error: of kind Unauthenticated with a code that begins with
// "token_", or of kind Unavailable when the key source could not be asked, so
// that nothing was found out about the token.
func (v *Verifier) Verify(compact string) (*Claims, error) {
	payload, key, err := v.open(compact)
	if err != nil {
		return nil, err
	}
	c, err := parseClaims(payload)
	if err != nil {
		return nil, err
	}
	if err := v.check(c); err != nil {
		return nil, err
	}
	c.KeyID, c.Algorithm = key.KID, key.Algorithm
	return c, nil
}

func (v *Verifier) check(c *Claims) error {
	for _, claim := range [...]struct {
		name    string
		present bool
	}{{"iss", c.Issuer != ""}, {"sub", v.ofNobody || c.Subject != ""}, {"aud", len(c.Audience) > 0},
		{"exp", !c.ExpiresAt.IsZero()}, {"iat", v.once || !c.IssuedAt.IsZero()}} {
		if !claim.present {
			return errClaimMissing.With(errors.New(claim.name))
		}
	}
	if c.Issuer != v.issuer {
		return ErrWrongIssuer.With(fmt.Errorf("the token says %.200q; accepted here: %s", c.Issuer, v.issuer))
	}
	if !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(v.audience, a) }) {
		return ErrWrongAudience.With(fmt.Errorf("the token says %.200q; accepted here: %s", strings.Join(c.Audience, ", "), strings.Join(v.audience, ", ")))
	}
	now := v.now()
	if !v.hint && !now.Before(c.ExpiresAt.Add(v.leeway)) {
		return ErrExpired.With(errors.New("exp is " + c.ExpiresAt.UTC().Format(time.RFC3339)))
	}
	horizon := now.Add(v.leeway)
	if c.NotBefore.After(horizon) {
		return errNotYetValid.With(errors.New("nbf is " + c.NotBefore.UTC().Format(time.RFC3339)))
	}
	if c.IssuedAt.After(horizon) {
		return errNotYetValid.With(errors.New("iat is " + c.IssuedAt.UTC().Format(time.RFC3339)))
	}
	for _, name := range v.require {
		if !v.has(c, name) {
			return errClaimMissing.With(errors.New(name))
		}
	}
	return nil
}

// has answers for the usual claims from the fields and looks for others.
func (v *Verifier) has(c *Claims, name string) bool {
	switch name {
	case "iss", "sub", "aud", "exp", "iat":
		return true
	case "jti":
		return c.ID != ""
	case "nbf":
		return !c.NotBefore.IsZero()
	case "client_id":
		return c.ClientID != ""
	case "scope":
		return c.Scope != ""
	case "auth_time":
		return !c.AuthTime.IsZero()
	case "acr":
		return c.ACR != ""
	case "amr":
		return len(c.AMR) > 0
	case "sid":
		return c.SessionID != ""
	case "grant_id":
		return c.GrantID != ""
	case "status":
		return c.HasStatus
	}
	raw := c.Lookup(name)
	return len(raw) > 0 && raw.Kind() != 'n'
}

// opener checks structure, header, key and signature, and knows nothing of
// claims. It is the one place where signatures are checked: Verifier and
// VerifyVector both go through open.
type opener struct {
	allowed  algorithmSet
	types    []string // nil accepts any; only VerifyVector leaves it nil
	keys     KeySource
	maxBytes int
	headers  headerCache
}

func (o *opener) open(compact string) ([]byte, *Key, error) {
	if len(compact) > o.maxBytes {
		return nil, nil, ErrTooLarge
	}
	head, rest, ok := strings.Cut(compact, ".")
	if !ok {
		return nil, nil, errMalformed
	}
	body, tail, ok := strings.Cut(rest, ".")
	if !ok || tail == "" || hasLineBreak(compact) { // a third dot is refused as not base64url
		return nil, nil, errMalformed
	}
	h, cached := o.headers.get(head)
	if !cached {
		raw, ok := decodeSegment(head)
		if !ok {
			return nil, nil, errMalformed
		}
		var err error
		if h, err = parseHeader(raw); err != nil {
			return nil, nil, err
		}
	}
	if !o.allowed.has(h.alg) {
		return nil, nil, errAlgorithm.With(fmt.Errorf("alg is %s; accepted here: %s", h.alg, o.allowed))
	}
	if o.types != nil && !slices.Contains(o.types, h.typ) {
		return nil, nil, errType.With(fmt.Errorf("typ is %.60q; accepted here: %q", h.typ, o.types))
	}
	payload, err := b64.DecodeString(body)
	if err != nil {
		return nil, nil, errMalformed
	}
	var room [512]byte // enough for RSA with 4096 bits; longer ones allocate
	sig, err := b64.AppendDecode(room[:0], []byte(tail))
	if err != nil {
		return nil, nil, errMalformed
	}
	key, err := o.keys.Key(h.kid, h.alg)
	if errors.Is(err, gatehouse.Unavailable) {
		return nil, nil, err // no fault of the token: an issuer out of reach must not log everybody out
	}
	if err != nil || key == nil {
		return nil, nil, ErrKeyUnknown.With(keyFault(h.kid, err))
	}
	// The key decides the algorithm; a header that asks for another one is an
	// attempt to have, say, a public key used as an HMAC secret.
	if !key.Algorithm.is(h.alg) {
		return nil, nil, errAlgorithm.With(errors.New("the key is for another algorithm"))
	}
	if !key.verify([]byte(compact[:len(head)+1+len(body)]), sig) {
		return nil, nil, badSignature(h.kid)
	}
	if !cached {
		o.headers.put(head, h)
	}
	return payload, key, nil
}

// keyFault names the key that a token asks for, with what the source said of it.
func keyFault(kid string, err error) error {
	var e *gatehouse.Error
	if errors.As(err, &e) && e.Cause != nil {
		return fmt.Errorf("kid is %.100q; %s", kid, e.Cause.Error())
	}
	return fmt.Errorf("kid is %.100q", kid)
}

func badSignature(kid string) error {
	if kid == "" {
		return errSignature
	}
	return errSignature.With(fmt.Errorf("it is not by the key %.100q", kid))
}

// headerCache remembers parsed headers by their exact text. Only headers under a
// good signature enter, so nobody but our signers decides what it holds; it is
// emptied when full. All rules of parseHeader depend on the text alone, and what
// does not (allow-list, types, keys) is checked each time.
type headerCache struct {
	entries atomic.Pointer[map[string]header]
	mu      sync.Mutex
}

const maxCachedHeaders = 32

func (c *headerCache) get(text string) (header, bool) {
	m := c.entries.Load()
	if m == nil {
		return header{}, false
	}
	h, ok := (*m)[text]
	return h, ok
}

func (c *headerCache) put(text string, h header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := make(map[string]header, maxCachedHeaders)
	if old := c.entries.Load(); old != nil && len(*old) < maxCachedHeaders {
		for k, v := range *old {
			next[k] = v
		}
	}
	next[strings.Clone(text)] = h // a slice of the token would keep all of it alive
	c.entries.Store(&next)
}
