package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TypeAssertion is the typ of the assertion that upstreams get. No verifier of
// access tokens accepts it, so an upstream cannot use it to call anything as the
// caller.
const TypeAssertion = "gatehouse-assertion+jwt"

const (
	// assertionLife is how long an assertion is valid.
	assertionLife = 45 * time.Second
	// assertionReuse is how long one is used again for requests that would say
	// exactly the same. At the end of it, at least assertionLife minus
	// assertionReuse is left for the upstream to read it.
	assertionReuse = 15 * time.Second
	// maxAssertions bounds one generation of the cache.
	maxAssertions = 2048
)

// Keys gives the realm's signing key; keyring.Ring is one.
type Keys interface {
	Signer(realm string) (*token.Key, error)
}

// Roles tells the roles that a principal holds now, inherited ones too;
// *authz.Decider does.
type Roles interface {
	Roles(ctx context.Context, p *gatehouse.Principal) ([]string, error)
}

// AsserterConfig sets an Asserter. Keys and Issuer are required.
type AsserterConfig struct {
	Keys   Keys
	Issuer func(realm string) string // issuer URL of a realm
	// Roles, when nil, asserts the roles of the principal as it came, which for
	// subjects of our own directory are none.
	Roles Roles
	Now   func() time.Time
}

// Asserter signs assertions. An assertion says who calls and which upstream may
// believe it; it is bound neither to method nor path, so that one signature
// serves all requests of a caller within some seconds, whichever of its tokens
// they came with. Its claims are iss, aud, sub, iat, exp, jti, realm, kind, scheme
// and, where known, name, roles, scope, client_id, act, acr, auth_time and, for an API
// key, credential: the key's id. Which token it was is in the audit log, under the
// request's id.
type Asserter struct {
	cfg AsserterConfig

	mu        sync.Mutex
	turned    time.Time
	cur, prev map[claimsSum]signed
}

// claimsSum is the SHA-256 of the claims without times. It stands for them, which
// would be half of what the cache holds.
type claimsSum [sha256.Size]byte

type signed struct {
	text string
	at   time.Time
	key  *token.Key
}

// NewAsserter checks cfg.
func NewAsserter(cfg AsserterConfig) (*Asserter, error) {
	if cfg.Keys == nil || cfg.Issuer == nil {
		return nil, errors.New("gateway: assertions need keys and an issuer")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Asserter{cfg: cfg, cur: map[claimsSum]signed{}}, nil
}

// vouch returns the roles that p holds now, and an assertion about it. Roles that
// cannot be told are an error and not an empty list: the upstream may have a rule
// against a role.
func (a *Asserter) vouch(ctx context.Context, p *gatehouse.Principal, audience string) (roles []string, text string, err error) {
	roles = p.Roles
	if a.cfg.Roles != nil {
		if roles, err = a.cfg.Roles.Roles(ctx, p); err != nil {
			return nil, "", err
		}
	}
	text, err = a.assert(p, roles, audience)
	return roles, text, err
}

// Assert returns an assertion about p, with the roles in it, for the audience.
func (a *Asserter) Assert(p *gatehouse.Principal, audience string) (string, error) {
	if !p.Authenticated() {
		return "", errors.New("gateway: nobody to assert")
	}
	return a.assert(p, p.Roles, audience)
}

func (a *Asserter) assert(p *gatehouse.Principal, roles []string, audience string) (string, error) {
	if !p.Authenticated() {
		return "", errors.New("gateway: nobody to assert")
	}
	key, err := a.cfg.Keys.Signer(p.Realm)
	if err != nil {
		return "", err
	}
	// The claims themselves are the cache's key: whatever differs between two
	// callers is in them, so no caller can get another's assertion.
	var buf [768]byte
	claims, err := appendClaims(buf[:0], p, roles, a.cfg.Issuer(p.Realm), audience)
	if err != nil {
		return "", err
	}
	now, sum := a.cfg.Now(), claimsSum(sha256.Sum256(claims))
	if s, ok := a.lookup(sum, now); ok && s.key == key {
		return s.text, nil
	}
	text, err := key.Sign(TypeAssertion, appendTimes(claims, now))
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	a.cur[sum] = signed{text, now, key}
	a.mu.Unlock()
	return text, nil
}

// lookup finds an assertion young enough. Generations turn with time and size,
// which bounds the cache without a clock of its own.
func (a *Asserter) lookup(sum claimsSum, now time.Time) (signed, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.turned) >= assertionReuse || len(a.cur) >= maxAssertions {
		a.prev, a.cur, a.turned = a.cur, map[claimsSum]signed{}, now
	}
	s, ok := a.cur[sum]
	if !ok {
		s, ok = a.prev[sum]
	}
	age := now.Sub(s.at)
	return s, ok && age >= 0 && age < assertionReuse
}

// appendClaims writes the claims up to where the times follow.
func appendClaims(b []byte, p *gatehouse.Principal, roles []string, issuer, audience string) ([]byte, error) {
	if issuer == "" || audience == "" {
		return nil, errors.New("gateway: an assertion needs an issuer and an audience")
	}
	credential := ""
	if kind, _ := authn.KindOf(p.Scheme); kind.Record == authn.RecordKey {
		credential = p.CredentialID
	}
	for _, m := range [...]struct{ name, value string }{{`{"iss":`, issuer}, {`,"aud":`, audience}, {`,"sub":`, p.ID},
		{`,"realm":`, p.Realm}, {`,"kind":`, string(p.Kind)}, {`,"scheme":`, string(p.Scheme)}, {`,"name":`, p.Name},
		{`,"client_id":`, p.ClientID}, {`,"credential":`, credential}, {`,"acr":`, p.ACR}, {`,"scope":`, p.ScopeString()}} {
		if m.value == "" {
			continue
		}
		var err error
		if b, err = jsontext.AppendQuote(append(b, m.name...), m.value); err != nil {
			return nil, err
		}
	}
	lead := `,"roles":[`
	for _, r := range roles {
		if r == "" {
			continue
		}
		var err error
		if b, err = jsontext.AppendQuote(append(b, lead...), r); err != nil {
			return nil, err
		}
		lead = ","
	}
	if lead == "," {
		b = append(b, ']')
	}
	for _, actor := range p.Act.Subjects() { // RFC 8693 §4.1
		var err error
		if b, err = jsontext.AppendQuote(append(b, `,"act":{"sub":`...), actor); err != nil {
			return nil, err
		}
	}
	for range p.Act.Subjects() {
		b = append(b, '}')
	}
	if p.Details != "" { // RFC 9396 §9.1: as they are in the token
		b = append(append(b, `,"authorization_details":`...), p.Details...)
	}
	if !p.AuthTime.IsZero() {
		b = append(b, `,"auth_time":`...)
		b = strconv.AppendInt(b, p.AuthTime.Unix(), 10)
	}
	return b, nil
}

func appendTimes(claims []byte, now time.Time) []byte {
	b := append([]byte(nil), claims...)
	b = append(b, `,"iat":`...)
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = append(b, `,"exp":`...)
	b = strconv.AppendInt(b, now.Add(assertionLife).Unix(), 10)
	b = append(b, `,"jti":"`...)
	b = append(b, gatehouse.NewID("ast", now)...)
	return append(b, `"}`...)
}
