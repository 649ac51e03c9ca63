package oracles

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	issuer   = "https://gate.example"
	audience = "https://api.example"
	now      = 1_800_000_000
)

var (
	b64   = base64.RawURLEncoding
	clock = time.Unix(now, 0)
	types = []string{"at+jwt", "JWT", ""}
)

// testKey is one key of testdata/keys.jsonl. They are fixed, so that a seed gives
// the same tokens everywhere; they guard nothing.
type testKey struct {
	kid, alg string
	raw      any // []byte, *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey
	public   []byte
}

// ours reports whether our verifier knows the key: the others are an attacker's,
// or weak keys that it refuses to read.
func (k *testKey) ours() bool { return !strings.Contains(k.kid, "-") }
func (k *testKey) weak() bool { return strings.HasPrefix(k.kid, "weak-") }

// world is what a verifier knows. HMAC keys and public keys are never in one.
type world struct {
	keys map[string]*testKey // by kid
	ours *token.Verifier
	jose jose.JSONWebKeySet
	jwx  jwk.Set
	// one holds each library's set of the only key for an algorithm: what a
	// verifier without our rule for tokens without kid is given for those.
	one map[string]*world
}

type worlds struct {
	all                   map[string]*testKey
	symmetric, asymmetric *world
	signatures            sync.Map // of RSA keys, by key, algorithm and text
}

func newWorlds(t testing.TB) *worlds {
	t.Helper()
	f, err := os.Open("testdata/keys.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := &worlds{all: map[string]*testKey{}}
	var sym, asym []*testKey
	for s := bufio.NewScanner(f); s.Scan(); {
		k := readKey(t, s.Bytes())
		w.all[k.kid] = k
		if _, ok := k.raw.([]byte); ok {
			sym = append(sym, k)
		} else {
			asym = append(asym, k)
		}
	}
	w.symmetric, w.asymmetric = newWorld(t, sym), newWorld(t, asym)
	return w
}

func readKey(t testing.TB, line []byte) *testKey {
	t.Helper()
	var j jose.JSONWebKey
	if err := j.UnmarshalJSON(line); err != nil {
		t.Fatal(err)
	}
	k := &testKey{kid: j.KeyID, alg: j.Algorithm, raw: j.Key, public: bytes.Clone(line)}
	if pub := j.Public(); pub.Key != nil {
		text, err := pub.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		k.public = text
	}
	return k
}

func newWorld(t testing.TB, keys []*testKey) *world {
	t.Helper()
	w := &world{keys: map[string]*testKey{}, jwx: jwk.NewSet(), one: map[string]*world{}}
	var mine []*token.Key
	for _, k := range keys {
		w.keys[k.kid] = k
		parsed, err := token.ParseJWK(k.public, token.ParseOptions{Private: true})
		if k.weak() != (err != nil) {
			t.Fatalf("%s: %v", k.kid, err)
		}
		if k.ours() {
			mine = append(mine, parsed)
		}
		if !k.ours() && !k.weak() {
			continue
		}
		w.add(t, k)
		if k.ours() {
			one := &world{jwx: jwk.NewSet()}
			one.add(t, k)
			w.one[k.alg] = one
			if k.alg == "EdDSA" {
				w.one["Ed25519"] = one
			}
		}
	}
	set, err := token.NewKeySet(mine...)
	if err != nil {
		t.Fatal(err)
	}
	w.ours, err = token.NewVerifier(token.VerifierConfig{Issuer: issuer, Audience: []string{audience}, Algorithms: token.Algorithms(), RequireClaims: []string{"jti"},
		Types: types, Keys: set, Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) add(t testing.TB, k *testKey) {
	t.Helper()
	var j jose.JSONWebKey
	if err := j.UnmarshalJSON(k.public); err != nil {
		t.Fatal(err)
	}
	w.jose.Keys = append(w.jose.Keys, j)
	x, err := jwk.ParseKey(k.public)
	if err != nil && k.weak() {
		return // jwx reads no weak RSA keys either
	}
	if err != nil {
		t.Fatal(err)
	}
	if k.alg == "EdDSA" { // jwx takes both names of the algorithm when the key names none
		err = errors.Join(err, x.Remove(jwk.AlgorithmKey))
	}
	if err := errors.Join(err, w.jwx.AddKey(x)); err != nil {
		t.Fatal(err)
	}
}

// verdict is what one implementation says of a token. Accepted tokens are
// compared by what was read from them.
type verdict struct {
	err  error
	read string // "sub jti exp"
}

func (v verdict) accepts() bool { return v.err == nil }

func reading(sub, jti string, exp time.Time) string {
	return fmt.Sprintf("%q %q %d", sub, jti, exp.Unix())
}

func (w *world) judgeOurs(text string) (v verdict) {
	c, err := w.ours.Verify(text)
	if err != nil {
		if !errors.Is(err, gatehouse.Unauthenticated) {
			panic(fmt.Sprintf("refused with %v", err))
		}
		return verdict{err: err}
	}
	return verdict{read: reading(c.Subject, c.ID, c.ExpiresAt)}
}

var joseAlgorithms = []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512, jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

func (w *world) judgeJose(text string) (v verdict) {
	defer catch("go-jose", &v)
	parsed, err := josejwt.ParseSigned(text, joseAlgorithms)
	if err != nil {
		return verdict{err: err}
	}
	keys := w.jose
	if h := parsed.Headers[0]; h.KeyID == "" && w.one[h.Algorithm] != nil {
		keys = w.one[h.Algorithm].jose
		var c josejwt.Claims
		return josed(c, parsed.Claims(keys.Keys[0].Key, &c))
	}
	var c josejwt.Claims
	err = parsed.Claims(keys, &c)
	return josed(c, err)
}

func josed(c josejwt.Claims, err error) verdict {
	if err == nil {
		err = c.ValidateWithLeeway(josejwt.Expected{Issuer: issuer, AnyAudience: []string{audience}, Time: clock}, 0)
	}
	if err != nil {
		return verdict{err: err}
	}
	exp := time.Unix(0, 0)
	if c.Expiry != nil {
		exp = c.Expiry.Time()
	}
	return verdict{read: reading(c.Subject, c.ID, exp)}
}

func (w *world) judgeJWX(text string) (v verdict) {
	defer catch("jwx", &v)
	set, kid := w.jwx, true
	// A token without kid gets the only key of its algorithm, as ours does.
	var h map[string]any // a struct would take Kid for kid
	head, _, _ := strings.Cut(text, ".")
	if raw, err := b64.DecodeString(head); err == nil && json.Unmarshal(raw, &h) == nil && (h["kid"] == nil || h["kid"] == "") {
		if alg, _ := h["alg"].(string); w.one[alg] != nil {
			set, kid = w.one[alg].jwx, false
		}
	}
	parsed, err := jwxjwt.Parse([]byte(text), jwxjwt.WithKeySet(set, jws.WithRequireKid(kid), jws.WithInferAlgorithmFromKey(true)), jwxjwt.WithValidate(true),
		jwxjwt.WithIssuer(issuer), jwxjwt.WithAudience(audience), jwxjwt.WithClock(jwxjwt.ClockFunc(func() time.Time { return clock })))
	if err != nil {
		return verdict{err: err}
	}
	sub, _ := parsed.Subject()
	jti, _ := parsed.JwtID()
	exp, ok := parsed.Expiration()
	if !ok {
		exp = time.Unix(0, 0)
	}
	return verdict{read: reading(sub, jti, exp)}
}

// catch makes a refusal of a library's panic; that is for them to mend.
func catch(who string, v *verdict) {
	if r := recover(); r != nil {
		*v = verdict{err: fmt.Errorf("%s panics: %v", who, r)}
	}
}

var hashes = map[byte]crypto.Hash{'2': crypto.SHA256, '3': crypto.SHA384, '5': crypto.SHA512}

func hashOf(alg string) crypto.Hash {
	if len(alg) == 5 {
		if h, ok := hashes[alg[2]]; ok {
			return h
		}
	}
	return crypto.SHA256
}

// sign makes a signature as alg says if the key can, and as the key says if not.
func (k *testKey) sign(alg string, input []byte) []byte {
	h := hashOf(alg)
	digest := h.New()
	digest.Write(input)
	sum := digest.Sum(nil)
	switch p := k.raw.(type) {
	case []byte:
		return mac(h, p, input)
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			sig, _ := rsa.SignPSS(rand.Reader, p, h, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
			return sig
		}
		sig, _ := rsa.SignPKCS1v15(nil, p, h, sum)
		return sig
	case *ecdsa.PrivateKey:
		der, err := p.Sign(nil, sum, h) // RFC 6979: the same for the same seed
		if err != nil {
			panic(err)
		}
		r, s := fromDER(der)
		return fixed(p, r, s)
	case ed25519.PrivateKey:
		return ed25519.Sign(p, input)
	}
	panic("a key of no kind")
}

func fixed(p *ecdsa.PrivateKey, r, s *big.Int) []byte {
	size := (p.Curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out
}

func quote(s string) string { b, _ := json.Marshal(s); return string(b) }
