package token_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/token"
)

// TestHeaderLimits: a header may have 4 KiB, a kid 512 octets, nesting 16; and what is
// registered as a string is one, even where nobody asks for it.
func TestHeaderLimits(t *testing.T) {
	k := newKey(t, token.HS256)
	jwk, err := k.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	secret := secretOf(t, jwk)
	key := func(kid string) *token.KeySet {
		named, err := token.NewSecretKey(kid, token.HS256, secret)
		if err != nil {
			t.Fatal(err)
		}
		return keySet(t, named)
	}
	const head = `{"alg":"HS256","typ":"at+jwt","x":"`
	nested := func(n int) string {
		return `{"alg":"HS256","typ":"at+jwt","x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	longKID, tooLongKID := strings.Repeat("k", 512), strings.Repeat("k", 513)
	for name, c := range map[string]struct{ kid, header, code string }{
		"4096 octets":        {"a", head + strings.Repeat("x", 4096-len(head)-2) + `"}`, ""},
		"4097 octets":        {"a", head + strings.Repeat("x", 4097-len(head)-2) + `"}`, "token_malformed"},
		"kid of 512 octets":  {longKID, `{"alg":"HS256","typ":"at+jwt","kid":"` + longKID + `"}`, ""},
		"kid of 513 octets":  {tooLongKID, `{"alg":"HS256","typ":"at+jwt","kid":"` + tooLongKID + `"}`, "token_malformed"},
		"16 deep":            {"a", nested(16), ""},
		"17 deep":            {"a", nested(17), "token_malformed"},
		"cty":                {"a", `{"alg":"HS256","typ":"at+jwt","cty":"x","x5t":"x","x5t#S256":"x"}`, ""},
		"cty number":         {"a", `{"alg":"HS256","typ":"at+jwt","cty":1}`, "token_malformed"},
		"x5t array":          {"a", `{"alg":"HS256","typ":"at+jwt","x5t":["x"]}`, "token_malformed"},
		"x5t#S256 object":    {"a", `{"alg":"HS256","typ":"at+jwt","x5t#S256":{}}`, "token_malformed"},
		"kid null":           {"a", `{"alg":"HS256","typ":"at+jwt","kid":null}`, "token_malformed"},
		"half a member":      {"a", `{"alg":"HS256","typ":"at+jwt","x":`, "token_malformed"},
		"no end":             {"a", `{"alg":"HS256","typ":"at+jwt"`, "token_malformed"},
		"comma at the end":   {"a", `{"alg":"HS256","typ":"at+jwt",}`, "token_malformed"},
		"name not a string":  {"a", `{"alg":"HS256","typ":"at+jwt",1:2}`, "token_malformed"},
		"blank after it":     {"a", `{"alg":"HS256","typ":"at+jwt"} `, ""},
		"bad UTF-8":          {"a", "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"x\":\"\xff\"}", "token_malformed"},
		"null":               {"a", `null`, "token_malformed"},
		"half an empty text": {"a", `{`, "token_malformed"},
	} {
		_, err := newVerifier(t, config(key(c.kid))).Verify(hmacSign(secret, raw(c.header)+"."+raw(string(claims(nil)))))
		wantCode(t, name, err, c.code)
	}
}

// TestVerifierLimits: each bound of a configuration holds where it says, and what is at
// the bound is allowed.
func TestVerifierLimits(t *testing.T) {
	k := newKey(t, token.Ed25519)
	for name, change := range map[string]func(*token.VerifierConfig){
		"leeway of a minute": func(c *token.VerifierConfig) { c.Leeway = token.MaxLeeway },
		"no leeway":          func(c *token.VerifierConfig) { c.Leeway = 0 },
		"64 KiB":             func(c *token.VerifierConfig) { c.MaxBytes = 64 << 10 },
		"real clock":         func(c *token.VerifierConfig) { c.Now = nil },
	} {
		cfg := config(keySet(t, k))
		change(&cfg)
		if _, err := token.NewVerifier(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*token.VerifierConfig){
		"leeway":         func(c *token.VerifierConfig) { c.Leeway = token.MaxLeeway + 1 },
		"size":           func(c *token.VerifierConfig) { c.MaxBytes = 64<<10 + 1 },
		"negative size":  func(c *token.VerifierConfig) { c.MaxBytes = -1 },
		"empty audience": func(c *token.VerifierConfig) { c.Audience = []string{audience, ""} },
		"one of two unknown": func(c *token.VerifierConfig) {
			c.Algorithms = []token.Algorithm{token.Ed25519, "none"}
		},
	} {
		cfg := config(keySet(t, k))
		change(&cfg)
		if _, err := token.NewVerifier(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	now := time.Now()
	cfg := config(keySet(t, k))
	cfg.Now = nil
	v := newVerifier(t, cfg)
	_, err := v.Verify(signed(t, k, token.TypeAccess, claims(map[string]any{"iat": now.Unix() - 60, "exp": now.Unix() + 3600})))
	wantCode(t, "by the real clock", err, "")
	_, err = v.Verify(signed(t, k, token.TypeAccess, claims(map[string]any{"iat": now.Unix() - 60, "exp": now.Unix() - 30})))
	wantCode(t, "by the real clock, expired", err, "token_expired")

	// The size that is counted is that of the whole text.
	for _, most := range []int{0, 1000, 64 << 10} {
		cfg := config(keySet(t, k))
		cfg.MaxBytes = most
		v := newVerifier(t, cfg)
		if most == 0 {
			most = token.DefaultMaxBytes
		}
		exact := ofLength(t, k, most)
		_, err := v.Verify(exact)
		wantCode(t, fmt.Sprint(most, " octets"), err, "")
		_, err = v.Verify(exact + "A")
		wantCode(t, fmt.Sprint(most, " octets and one"), err, "token_too_large")
	}
}

// ofLength returns a good token of exactly that many octets.
func ofLength(t *testing.T, k *token.Key, n int) string {
	t.Helper()
	base := len(signed(t, k, token.TypeAccess, claims(map[string]any{"x": ""})))
	for fill := (n - base) * 3 / 4; ; fill++ {
		text := signed(t, k, token.TypeAccess, claims(map[string]any{"x": strings.Repeat("x", fill)}))
		if len(text) == n {
			return text
		}
		if len(text) > n { // one length in four is none of base64: a longer kid or typ would be needed
			t.Fatalf("no token of %d octets", n)
		}
	}
}

// TestEmptyClaimsAreMissing: a claim that is required is there and says something.
func TestEmptyClaimsAreMissing(t *testing.T) {
	k := newKey(t, token.Ed25519)
	for name, empty := range map[string]any{"jti": "", "client_id": "", "sid": "", "scope": "", "grant_id": "", "acr": "", "amr": []string{}, "custom": nil,
		"status": map[string]any{"status_list": map[string]any{"idx": 3, "uri": "https://other.example/status/12"}}} {
		cfg := config(keySet(t, k))
		cfg.RequireClaims = []string{name}
		text, code := claims(map[string]any{name: empty}), "token_claim_missing"
		if empty == nil {
			text = []byte(strings.Replace(string(claims(nil)), `"sub"`, `"`+name+`":null,"sub"`, 1))
		}
		_, err := newVerifier(t, cfg).Verify(signed(t, k, token.TypeAccess, text))
		wantCode(t, "empty "+name, err, code)
	}
	// What every token has may be named, and is asked for once.
	cfg := config(keySet(t, k))
	cfg.RequireClaims = []string{"iss", "sub", "aud", "exp", "iat"}
	_, err := newVerifier(t, cfg).Verify(signed(t, k, token.TypeAccess, claims(nil)))
	wantCode(t, "the usual ones", err, "")
}

// TestSeveralAudiencesAndClaims: each audience that a verifier is given is enough, and
// each claim that it requires is necessary.
func TestSeveralAudiencesAndClaims(t *testing.T) {
	k := newKey(t, token.Ed25519)
	cfg := config(keySet(t, k))
	cfg.Audience, cfg.RequireClaims = []string{"a", "b", "c"}, []string{"jti", "sid", "tenant"}
	v := newVerifier(t, cfg)
	all := map[string]any{"aud": "a", "sid": "s", "tenant": "t"}
	for name, c := range map[string]struct {
		claim string
		value any
		code  string
	}{
		"first audience": {"aud", "a", ""}, "second audience": {"aud", "b", ""}, "last audience": {"aud", []string{"x", "c"}, ""},
		"none of them": {"aud", []string{"x", "ab"}, "token_wrong_audience"}, "all as one": {"aud", "a b c", "token_wrong_audience"},
		"without the first claim": {"jti", nil, "token_claim_missing"}, "without the second": {"sid", nil, "token_claim_missing"},
		"without the last": {"tenant", nil, "token_claim_missing"},
	} {
		change := maps.Clone(all)
		change[c.claim] = c.value
		_, err := v.Verify(signed(t, k, token.TypeAccess, claims(change)))
		wantCode(t, name, err, c.code)
	}
	cfg.Audience[0], cfg.RequireClaims[0] = "x", "x" // the caller's lists are the caller's
	_, err := v.Verify(signed(t, k, token.TypeAccess, claims(all)))
	wantCode(t, "after the lists changed", err, "")
}

// TestLineBreaks: base64 decoders skip line breaks, so one token would have many
// spellings. Wherever one stands, it refuses.
func TestLineBreaks(t *testing.T) {
	k := newKey(t, token.ES256)
	good := signed(t, k, token.TypeAccess, claims(nil))
	cold, warm := newVerifier(t, config(keySet(t, k))), newVerifier(t, config(keySet(t, k)))
	if _, err := warm.Verify(good); err != nil {
		t.Fatal(err)
	}
	for i := range len(good) + 1 {
		for _, c := range []string{"\n", "\r"} {
			for _, v := range []*token.Verifier{cold, warm} {
				_, err := v.Verify(good[:i] + c + good[i:])
				wantCode(t, fmt.Sprintf("%q at %d", c, i), err, "token_malformed")
			}
		}
	}
	jwk, x := string(k.PublicJWK()), strings.Index(string(k.PublicJWK()), `"x":"`)+5
	for _, c := range []string{`\n`, `\r`} {
		_, err := token.ParseJWK([]byte(jwk[:x]+c+jwk[x:]), token.ParseOptions{})
		wantCode(t, "at the beginning of a member", err, "jwk_invalid")
	}
}

// TestRefusalsTellTheOperator: the cause of a refusal, which an operator sees and the
// caller does not, names what was asked for and what would do.
func TestRefusalsTellTheOperator(t *testing.T) {
	k, other := newKey(t, token.ES256), newKey(t, token.Ed25519)
	v := newVerifier(t, config(keySet(t, k)))
	set, nameless := keySet(t, k, other), edit(t, k.PublicJWK(), map[string]any{"kid": nil})
	unnamed, err := token.ParseJWK(nameless, token.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	only := func(algs ...token.Algorithm) *token.Verifier {
		cfg := config(set)
		cfg.Algorithms = algs
		return newVerifier(t, cfg)
	}
	forge := func(text string) string { return text[:len(text)-8] + "AAAAAAAA" }
	good := signed(t, k, token.TypeAccess, claims(nil))
	untold, err := token.UnmarshalPrivate(edit(t, private(t, k), map[string]any{"kid": nil}))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		v    *token.Verifier
		text string
		says string
	}{
		"algorithm":    {only(token.ES384, token.Ed25519), good, `alg is ES256; accepted here: ES384, EdDSA, Ed25519`},
		"type":         {v, signed(t, k, "JWT", claims(nil)), `typ is "jwt"; accepted here: ["at+jwt"]`},
		"issuer":       {v, signed(t, k, token.TypeAccess, claims(map[string]any{"iss": "x"})), `the token says "x"; accepted here: https://gate.example`},
		"audience":     {v, signed(t, k, token.TypeAccess, claims(map[string]any{"aud": []string{"x", "y"}})), `the token says "x, y"; accepted here: https://api.example`},
		"expired":      {v, signed(t, k, token.TypeAccess, claims(map[string]any{"exp": clock.Unix()})), "exp is 2026-11-22T12:00:00Z"},
		"not yet":      {v, signed(t, k, token.TypeAccess, claims(map[string]any{"nbf": clock.Unix() + 1})), "nbf is 2026-11-22T12:00:01Z"},
		"from later":   {v, signed(t, k, token.TypeAccess, claims(map[string]any{"iat": clock.Unix() + 1})), "iat is 2026-11-22T12:00:01Z"},
		"signature":    {v, forge(good), `it is not by the key "` + k.KID + `"`},
		"unknown key":  {v, signed(t, other, token.TypeAccess, claims(nil)), `kid is "` + other.KID + `"`},
		"several keys": {newVerifier(t, config(keySet(t, k, newKey(t, token.ES256)))), signed(t, untold, token.TypeAccess, claims(nil)), `kid is ""; several keys would fit`},
	} {
		_, err := c.v.Verify(c.text)
		if err == nil || !strings.HasSuffix(err.Error(), ": "+c.says) {
			t.Errorf("%s: %v, want it to end with %s", name, err, c.says)
		}
	}
	for head, says := range map[string]string{`["alg","ES256"]`: "header is not a JSON object", `"alg"`: "header is not a JSON object", `{"alg":"ES256"}{}`: "text after the header",
		`{"alg":"none"}`: `alg is "none"`, `{}`: "no alg in the header", `{"alg":"ES256","jku":""}`: "header member jku is refused"} {
		if _, err := v.Verify(raw(head) + ".e30.AAAA"); err == nil || !strings.HasSuffix(err.Error(), ": "+says) {
			t.Errorf("%s: %v, want it to end with %s", head, err, says)
		}
	}
	_, err = newVerifier(t, config(keySet(t, unnamed))).Verify(forge(signed(t, untold, token.TypeAccess, claims(nil))))
	wantCode(t, "no kid at all", err, "token_signature_invalid")
	if strings.Contains(err.Error(), "by the key") {
		t.Errorf("names a key that nobody named: %v", err)
	}
}

func private(t *testing.T, k *token.Key) []byte {
	t.Helper()
	text, err := k.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
