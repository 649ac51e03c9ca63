package proof

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testdpop"
	"github.com/gatehouse-auth/gatehouse/token"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// always remembers for ever, and forgot nothing.
type always map[[sha256.Size]byte]bool

func (a always) First(_ context.Context, key [sha256.Size]byte, _ time.Time) (bool, error) {
	used := a[key]
	a[key] = true
	return !used, nil
}
func (a always) Since() time.Time { return time.Time{} }

func verifier(t *testing.T, seen Seen, now *time.Time) *Verifier {
	t.Helper()
	nonces, err := NewNonces([]byte(strings.Repeat("k", NonceKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(Config{Seen: seen, Nonces: nonces, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The proofs of RFC 9449, figures 2 and 12, with the key of both (§6.1) and the token of the second (§7.1).
const (
	rfcTokenProof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19." +
		"eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ." +
		"2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	rfcResourceProof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19." +
		"eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9." +
		"2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	rfcThumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	rfcToken      = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
)

func TestVectorsOfTheRFC(t *testing.T) {
	now := time.Unix(1562262620, 0)
	v := verifier(t, always{}, &now)
	for _, c := range []struct {
		what, proof string
		r           Request
	}{
		{"figure 2", rfcTokenProof, Request{Method: "POST", URL: "https://server.example.com/token"}},
		{"figure 12", rfcResourceProof, Request{Method: "GET", URL: "https://resource.example.org/protectedresource", Token: rfcToken, Key: rfcThumbprint}},
	} {
		if p, err := v.Verify(t.Context(), []string{c.proof}, c.r); err != nil || p.Key != rfcThumbprint {
			t.Errorf("%s: %+v, %v", c.what, p, err)
		}
	}
}

// TestEveryRefusal changes one thing at a time of a proof that is good.
func TestEveryRefusal(t *testing.T) {
	const url, text = "https://api.example/documents/1?page=2", "token-text"
	k := testdpop.New()
	now := noon
	good := Request{Method: "GET", URL: url, Token: text, Key: k.Thumbprint()}
	type change = func(header, claims map[string]any, r *Request) (lines []string)
	set := func(what map[string]any, name string, value any) []string {
		if what[name] = value; value == nil {
			delete(what, name)
		}
		return nil
	}
	header := func(name string, value any) change {
		return func(h, _ map[string]any, _ *Request) []string { return set(h, name, value) }
	}
	claim := func(name string, value any) change {
		return func(_, c map[string]any, _ *Request) []string { return set(c, name, value) }
	}
	other := testdpop.New()
	for what, c := range map[string]change{
		"none":                   func(_, _ map[string]any, _ *Request) []string { return []string{} },
		"two":                    func(h, c map[string]any, _ *Request) []string { return []string{k.Sign(h, c), k.Sign(h, c)} },
		"no token":               func(_, _ map[string]any, _ *Request) []string { return []string{"proof"} },
		"two in a line":          func(h, c map[string]any, _ *Request) []string { return []string{k.Sign(h, c) + ", " + k.Sign(h, c)} },
		"too long":               claim("more", strings.Repeat("a", 8<<10)),
		"typ of another token":   header("typ", "at+jwt"),
		"no typ":                 header("typ", nil),
		"alg none":               header("alg", "none"),
		"alg of a shared secret": header("alg", "HS256"),
		"alg of another curve":   header("alg", "ES384"),
		"alg that FAPI forbids":  header("alg", "RS256"),
		"alg that is not for this client": func(_, _ map[string]any, r *Request) []string {
			r.Algorithms = []token.Algorithm{token.PS256}
			return nil
		},
		"no alg":                        header("alg", nil),
		"no key":                        header("jwk", nil),
		"the private key":               header("jwk", k.Private()),
		"a shared secret":               header("jwk", map[string]any{"kty": "oct", "k": strings.Repeat("k", 43)}),
		"a key that is no object":       header("jwk", "key"),
		"another key than signed":       header("jwk", other.JWK()),
		"a point that is on no curve":   header("jwk", map[string]any{"kty": "EC", "crv": "P-256", "x": strings.Repeat("A", 43), "y": strings.Repeat("A", 43)}),
		"crit":                          header("crit", []string{"exp"}),
		"a key by URL":                  header("jku", "https://evil.example/keys"),
		"no jti":                        claim("jti", nil),
		"an empty jti":                  claim("jti", ""),
		"a long jti":                    claim("jti", strings.Repeat("j", 257)),
		"a jti that is no text":         claim("jti", 7),
		"another method":                claim("htm", "POST"),
		"the method in lower case":      claim("htm", "get"),
		"no method":                     claim("htm", nil),
		"no URL":                        claim("htu", nil),
		"another scheme":                claim("htu", "http://api.example/documents/1"),
		"another host":                  claim("htu", "https://api.example.evil/documents/1"),
		"another port":                  claim("htu", "https://api.example:8443/documents/1"),
		"another path":                  claim("htu", "https://api.example/documents/2"),
		"the path in another case":      claim("htu", "https://api.example/Documents/1"),
		"an escaped slash":              claim("htu", "https://api.example/documents%2F1"),
		"a user in the URL":             claim("htu", "https://u@api.example/documents/1"),
		"no absolute URL":               claim("htu", "/documents/1"),
		"a long URL":                    claim("htu", url+"&"+strings.Repeat("a", 4<<10)),
		"no iat":                        claim("iat", nil),
		"an iat that is no number":      claim("iat", "now"),
		"a negative iat":                claim("iat", -1),
		"too old":                       claim("iat", noon.Add(-61*time.Second).Unix()),
		"of the future":                 claim("iat", noon.Add(11*time.Second).Unix()),
		"no ath":                        claim("ath", nil),
		"the ath of another token":      claim("ath", testdpop.Claims(now, "GET", url, "other")["ath"]),
		"a nonce of somebody else":      claim("nonce", "nonce"),
		"a nonce that is no text":       claim("nonce", 5),
		"a token bound to another":      func(_, _ map[string]any, r *Request) []string { r.Key = other.Thumbprint(); return nil },
		"a token that is bound to none": func(_, _ map[string]any, r *Request) []string { r.Key = ""; return nil },
		"a proof by somebody else": func(h, c map[string]any, _ *Request) []string {
			set(h, "jwk", other.JWK())
			return []string{other.Sign(h, c)}
		},
		"a signature that is cut": func(h, c map[string]any, _ *Request) []string { return []string{k.Sign(h, c)[:200]} },
		"a member twice": func(h, c map[string]any, _ *Request) []string {
			parts := strings.Split(k.Sign(h, c), ".")
			return []string{parts[0] + "." + "eyJqdGkiOiJhIiwianRpIjoiYiJ9" + "." + parts[2]}
		},
	} {
		r, h, cl := good, k.Header(), testdpop.Claims(now, "GET", url, text)
		lines := c(h, cl, &r)
		if lines == nil {
			lines = []string{k.Sign(h, cl)}
		}
		_, err := verifier(t, always{}, &now).Verify(t.Context(), lines, r)
		want := ErrInvalid.Code
		if strings.HasPrefix(what, "a nonce of") {
			want = ErrUseNonce.Code
		}
		if gatehouse.CodeOf(err) != want || gatehouse.KindOf(err) != gatehouse.Unauthenticated {
			t.Errorf("%s: %v", what, err)
		}
	}
	v := verifier(t, always{}, &now)
	good1 := k.Sign(k.Header(), testdpop.Claims(now, "GET", url, text))
	if _, err := v.Verify(t.Context(), []string{good1}, good); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	if _, err := v.Verify(t.Context(), []string{good1}, good); gatehouse.CodeOf(err) != ErrInvalid.Code {
		t.Errorf("a second time: %v", err)
	}
	again := testdpop.Claims(now, "GET", url, text)
	k.Sign(k.Header(), again) // another signature over the same claims is the same proof
	if _, err := v.Verify(t.Context(), []string{k.Sign(k.Header(), again)}, good); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), []string{k.Sign(k.Header(), again)}, good); gatehouse.CodeOf(err) != ErrInvalid.Code {
		t.Errorf("signed anew: %v", err)
	}
	maps.DeleteFunc(again, func(name string, _ any) bool { return name == "ath" })
	again["jti"] = "other"
	if _, err := v.Verify(t.Context(), []string{k.Sign(k.Header(), again)}, Request{Method: "GET", URL: url}); err != nil {
		t.Errorf("where a token is asked for: %v", err)
	}
}

func TestURLsThatAreTheSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://api.example/a", "HTTPS://API.Example:443/a?x=1#y", true},
		{"http://api.example", "http://api.example:80/", true},
		{"https://api.example/%7Ea/%c3%a4", "https://api.example/~a/%C3%A4", true},
		{"https://api.example/b/./c", "https://api.example/b/x/../c", true},
		{"https://api.example/b/..", "https://api.example/", true},
		{"https://[2001:DB8::1]/", "https://[2001:db8::1]:443", true},
		{"https://api.example/a", "https://api.example/a/", false},
		{"https://api.example//a", "https://api.example/a", false},
		{"https://api.example:80/", "http://api.example/", false},
		{"https://api.example/%2e%2e/a", "https://api.example/a", true},
		{"https://api.example/a%2fb", "https://api.example/a/b", false},
		{"https://api.example/a%zz", "https://api.example/a%ZZ", false},
	} {
		a, ok1 := normalURL(c.a)
		b, ok2 := normalURL(c.b)
		if (ok1 && ok2 && a == b) != c.same {
			t.Errorf("%s and %s: %q and %q", c.a, c.b, a, b)
		}
	}
	for _, s := range []string{"", "ftp://api.example/", "https:///a", "https:a", "https://a b/"} {
		if out, ok := normalURL(s); ok {
			t.Errorf("%q: %q", s, out)
		}
	}
}

func TestNonces(t *testing.T) {
	now := noon
	v := verifier(t, always{}, &now)
	k := testdpop.New()
	try := func(nonce any) (Proof, error) {
		c := testdpop.Claims(now, "POST", "https://id.example/token", "")
		if nonce != nil {
			c["nonce"] = nonce
		}
		return v.Verify(t.Context(), []string{k.Sign(k.Header(), c)}, Request{Method: "POST", URL: "https://id.example/token", Nonce: true})
	}
	nonce := v.Nonce()
	other, err := NewNonces([]byte(strings.Repeat("o", NonceKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	for what, n := range map[string]any{"none": nil, "another key's": other.at(now), "cut": nonce[:20], "with more": nonce + "A", "with a line break": nonce + "\n"} {
		if _, err := try(n); gatehouse.CodeOf(err) != ErrUseNonce.Code {
			t.Errorf("%s: %v", what, err)
		}
	}
	if p, err := try(nonce); err != nil || p.Aging {
		t.Errorf("ours: %+v, %v", p, err)
	}
	now = noon.Add(3 * time.Minute)
	if p, err := try(nonce); err != nil || !p.Aging {
		t.Errorf("an old one: %+v, %v", p, err)
	}
	now = noon.Add(5 * time.Minute)
	if _, err := try(nonce); gatehouse.CodeOf(err) != ErrUseNonce.Code {
		t.Errorf("one that is too old: %v", err)
	}
	if _, err := NewNonces(make([]byte, NonceKeySize-1)); err == nil {
		t.Error("a short key")
	}
}

// TestMemoryAfterStart: what the process before remembered is unknown, so a proof that it may have seen needs a nonce
// that was made since.
func TestMemoryAfterStart(t *testing.T) {
	now := noon
	k := testdpop.New()
	r := Request{Method: "GET", URL: "https://api.example/", Token: "t", Key: k.Thumbprint()}
	claims := testdpop.Claims(now, "GET", "https://api.example/", "t")
	before := verifier(t, &Memory{young: map[[sha256.Size]byte]struct{}{}, now: func() time.Time { return now }, turned: now}, &now)
	old := before.Nonce()
	proof := k.Sign(k.Header(), claims)
	if _, err := before.Verify(t.Context(), []string{proof}, r); err != nil {
		t.Fatal(err)
	}
	now = noon.Add(time.Second)
	v := verifier(t, NewMemory(func() time.Time { return now }), &now)
	if _, err := v.Verify(t.Context(), []string{proof}, r); gatehouse.CodeOf(err) != ErrUseNonce.Code {
		t.Errorf("a proof of before: %v", err)
	}
	claims["nonce"] = old
	if _, err := v.Verify(t.Context(), []string{k.Sign(k.Header(), claims)}, r); gatehouse.CodeOf(err) != ErrUseNonce.Code {
		t.Errorf("with a nonce of before: %v", err)
	}
	claims["nonce"] = v.Nonce()
	if _, err := v.Verify(t.Context(), []string{k.Sign(k.Header(), claims)}, r); err != nil {
		t.Errorf("with a nonce of now: %v", err)
	}
	now = noon.Add(12 * time.Second) // a clock that is ahead cannot have made this one before
	if _, err := v.Verify(t.Context(), []string{k.Sign(k.Header(), testdpop.Claims(now, "GET", "https://api.example/", "t"))}, r); err != nil {
		t.Errorf("without a nonce, later: %v", err)
	}
}

func TestMemoryForgetsNothingThatCounts(t *testing.T) {
	now := noon
	m := NewMemory(func() time.Time { return now })
	first := func(s string) bool {
		ok, err := m.First(t.Context(), sha256.Sum256([]byte(s)), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	for i := range 100 { // each is asked again until just before it is over
		now = noon.Add(time.Duration(i) * 7 * time.Second)
		if !first(now.String()) || i >= 10 && first(now.Add(-70*time.Second).String()) {
			t.Fatalf("round %d", i)
		}
	}
	if len(m.young)+len(m.old) > 40 {
		t.Errorf("%d are remembered", len(m.young)+len(m.old))
	}
	for i := range memorySize {
		m.young[[sha256.Size]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}] = struct{}{}
	}
	if ok, err := m.First(t.Context(), [sha256.Size]byte{9, 9}, time.Time{}); ok || !errors.Is(err, errFull) {
		t.Errorf("when it is full: %v, %v", ok, err)
	}
}

// broken cannot tell.
type broken struct{ always }

func (broken) First(context.Context, [sha256.Size]byte, time.Time) (bool, error) {
	return true, errors.New("away")
}

func TestUncheckedIsRefused(t *testing.T) {
	now := noon
	k := testdpop.New()
	_, err := verifier(t, broken{}, &now).Verify(t.Context(), []string{k.Sign(k.Header(), testdpop.Claims(now, "GET", "https://a.example/", ""))},
		Request{Method: "GET", URL: "https://a.example/"})
	if gatehouse.CodeOf(err) != "proof_unchecked" || gatehouse.KindOf(err) != gatehouse.Unavailable {
		t.Error(err)
	}
	if _, err := NewVerifier(Config{}); err == nil {
		t.Error("a verifier of nothing")
	}
}
