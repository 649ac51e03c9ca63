package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// publicRSA is a JWK of any modulus and exponent.
func publicRSA(n *big.Int, e int64) []byte {
	return fmt.Appendf(nil, `{"kty":"RSA","alg":"RS256","n":%q,"e":%q}`, raw(string(n.Bytes())), raw(string(big.NewInt(e).Bytes())))
}

// TestRSALimits: a modulus has 2048 to 8192 bits and is odd, an exponent is odd, at
// least 65537 and has at most 31 bits. What stands at the bound is a key.
func TestRSALimits(t *testing.T) {
	// All ones but for a bit: odd, and without the pattern of TestROCA.
	ones := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits)
		return n.Sub(n, big.NewInt(5))
	}
	for name, c := range map[string]struct {
		n    *big.Int
		e    int64
		code string
	}{
		"2047 bits":            {ones(2047), 65537, "jwk_weak"},
		"2048 bits":            {ones(2048), 65537, ""},
		"8192 bits":            {ones(8192), 65537, ""},
		"8193 bits":            {ones(8193), 65537, "jwk_invalid"},
		"even":                 {new(big.Int).Sub(ones(2048), big.NewInt(1)), 65537, "jwk_weak"},
		"exponent 65535":       {ones(2048), 65535, "jwk_weak"},
		"exponent 65536":       {ones(2048), 65536, "jwk_weak"},
		"exponent 65538":       {ones(2048), 65538, "jwk_weak"},
		"exponent of 31 bits":  {ones(2048), 1<<31 - 1, ""},
		"exponent of 32 bits":  {ones(2048), 1<<31 + 1, "jwk_invalid"},
		"exponent of 33 bits":  {ones(2048), 1<<32 + 65537, "jwk_invalid"}, // 65537 again if it were cut to 32 bits
		"exponent of 64 bits":  {ones(2048), 1<<62 + 65537, "jwk_invalid"},
		"modulus of one octet": {big.NewInt(7), 65537, "jwk_weak"},
	} {
		k, err := token.ParseJWK(publicRSA(c.n, c.e), token.ParseOptions{})
		wantCode(t, name, err, c.code)
		if (k == nil) != (c.code != "") {
			t.Errorf("%s: %v", name, k)
		}
	}
	for name, jwk := range map[string]string{
		"no n":             `{"kty":"RSA","alg":"RS256","e":"AQAB"}`,
		"no e":             `{"kty":"RSA","alg":"RS256","n":"` + raw(string(ones(2048).Bytes())) + `"}`,
		"e with zero":      `{"kty":"RSA","alg":"RS256","n":"` + raw(string(ones(2048).Bytes())) + `","e":"AAEAAQ"}`,
		"e of no base64":   `{"kty":"RSA","alg":"RS256","n":"` + raw(string(ones(2048).Bytes())) + `","e":"AQA="}`,
		"n empty":          `{"kty":"RSA","alg":"RS256","n":"","e":"AQAB"}`,
		"a curve":          `{"kty":"RSA","alg":"RS256","crv":"P-256","n":"` + raw(string(ones(2048).Bytes())) + `","e":"AQAB"}`,
		"alg of one curve": `{"kty":"RSA","alg":"ES256","n":"` + raw(string(ones(2048).Bytes())) + `","e":"AQAB"}`,
	} {
		_, err := token.ParseJWK([]byte(jwk), token.ParseOptions{})
		wantCode(t, name, err, "jwk_invalid")
	}
}

// TestROCA: moduli of the generator of CVE-2017-15361 are powers of 65537 modulo each of
// the first primes. One that is none modulo a single prime is none of its making.
func TestROCA(t *testing.T) {
	primes := []int64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137,
		139, 149, 151, 157, 163, 167}
	all := big.NewInt(1)
	for _, p := range primes {
		all.Mul(all, big.NewInt(p))
	}
	// bad is 65537^a modulo all of them, made odd and 2048 bits long.
	bad := func(a int64) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), 2047)
		n.Sub(n, new(big.Int).Mod(n, all)).Add(n, all)
		n.Add(n, new(big.Int).Exp(big.NewInt(65537), big.NewInt(a), all))
		if n.Bit(0) == 0 {
			n.Add(n, all)
		}
		return n
	}
	for _, a := range []int64{0, 1, 2, 3, 1_000_003} {
		n := bad(a)
		_, err := token.ParseJWK(publicRSA(n, 65537), token.ParseOptions{})
		wantCode(t, fmt.Sprint("exponent ", a), err, "jwk_weak")
	}
	told := 0
	for _, p := range primes {
		powers := map[int64]bool{}
		for x := int64(1); !powers[x]; x = x * (65537 % p) % p {
			powers[x] = true
		}
		if int64(len(powers)) == p-1 {
			continue // everything is a power: this prime tells nothing
		}
		told++
		// Another residue modulo p alone, a multiple of p not among them.
		step := new(big.Int).Mul(new(big.Int).Div(all, big.NewInt(p)), big.NewInt(2))
		n, residue := bad(5), new(big.Int)
		for powers[residue.Mod(n, big.NewInt(p)).Int64()] || residue.Sign() == 0 {
			n.Add(n, step)
		}
		_, err := token.ParseJWK(publicRSA(n, 65537), token.ParseOptions{})
		wantCode(t, fmt.Sprint("no power modulo ", p), err, "")
	}
	if told < 10 {
		t.Errorf("only %d primes tell anything", told)
	}
}

// TestPrivateMembers: each member of a private or secret key alone makes it one, so that
// none is taken in where public keys belong; and each is checked where they do belong.
func TestPrivateMembers(t *testing.T) {
	rsa := private(t, newKey(t, token.RS256))
	public := newKey(t, token.RS256).PublicJWK()
	var members map[string]any
	if err := json.Unmarshal(rsa, &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		_, err := token.ParseJWK(edit(t, public, map[string]any{name: "AQAB"}), token.ParseOptions{})
		wantCode(t, name+" alone, where public keys belong", err, "jwk_invalid")
		_, err = token.ParseJWK(edit(t, public, map[string]any{name: "AQAB"}), token.ParseOptions{Private: true})
		wantCode(t, name+" alone", err, "jwk_invalid")
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		value := unraw(t, members[name].(string))
		last := string(value[:len(value)-1]) + string(value[len(value)-1]^2)
		for what, other := range map[string]any{"missing": nil, "altered": raw(last), "with a zero": raw("\x00" + string(value)), "empty": "", "padded": members[name].(string) + "="} {
			_, err := token.ParseJWK(edit(t, rsa, map[string]any{name: other}), token.ParseOptions{Private: true})
			wantCode(t, name+" "+what, err, "jwk_invalid")
		}
	}
	_, err := token.ParseJWK(edit(t, rsa, map[string]any{"d": raw(strings.Repeat("\x01", 1025))}), token.ParseOptions{Private: true})
	wantCode(t, "d beyond 8192 bits", err, "jwk_invalid")
	if !strings.Contains(err.Error(), "member d is not a canonical integer of at most 8192 bits") { // and is no number to reckon with
		t.Error(err)
	}
	_, err = token.ParseJWK(edit(t, rsa, map[string]any{"p": members["q"], "q": members["p"]}), token.ParseOptions{Private: true})
	wantCode(t, "primes in the other order, the rest not", err, "jwk_invalid")
}

// TestJWKLimits: sizes at their bounds, and the members that say what a key is for.
func TestJWKLimits(t *testing.T) {
	ec, secret := newKey(t, token.ES256), newKey(t, token.HS256)
	public := string(edit(t, ec.PublicJWK(), map[string]any{"kid": nil}))
	fill := func(n int) []byte { return []byte(public[:len(public)-1] + strings.Repeat(" ", n-len(public)) + "}") }
	nested := func(n int) []byte {
		return edit(t, []byte(public), map[string]any{"x5c": json.RawMessage(strings.Repeat("[", n-1) + strings.Repeat("]", n-1))})
	}
	ops := func(jwk []byte, ops ...string) []byte { return edit(t, jwk, map[string]any{"key_ops": ops}) }
	full := private(t, ec)
	for name, c := range map[string]struct {
		jwk  []byte
		code string
	}{
		"64 KiB":                       {fill(64 << 10), ""},
		"64 KiB and one":               {fill(64<<10 + 1), "jwk_invalid"},
		"16 deep":                      {nested(16), ""},
		"17 deep":                      {nested(17), "jwk_invalid"},
		"kid of 512 octets":            {edit(t, full, map[string]any{"kid": strings.Repeat("x", 512)}), ""},
		"verify":                       {ops([]byte(public), "verify"), ""},
		"verify and sign, public":      {ops([]byte(public), "verify", "sign"), ""},
		"sign, private":                {ops(full, "sign"), ""},
		"encrypt and sign":             {ops(full, "encrypt", "sign"), "jwk_invalid"},
		"sign twice, apart":            {ops(full, "sign", "verify", "sign"), "jwk_invalid"},
		"encrypt twice":                {ops(full, "encrypt", "encrypt"), "jwk_invalid"},
		"use sig, ops encrypt":         {edit(t, full, map[string]any{"use": "sig", "key_ops": []string{"encrypt"}}), "jwk_invalid"},
		"use enc, ops verify":          {edit(t, full, map[string]any{"use": "enc", "key_ops": []string{"verify"}}), "jwk_invalid"},
		"oct with a curve":             {edit(t, private(t, secret), map[string]any{"crv": "P-256"}), "jwk_invalid"},
		"oct without k":                {edit(t, private(t, secret), map[string]any{"k": nil}), "jwk_invalid"},
		"oct of no base64":             {edit(t, private(t, secret), map[string]any{"k": "?"}), "jwk_invalid"},
		"y short":                      {edit(t, full, map[string]any{"y": "AA"}), "jwk_invalid"},
		"d short":                      {edit(t, full, map[string]any{"d": "AA"}), "jwk_invalid"},
		"d long":                       {edit(t, full, map[string]any{"d": raw(strings.Repeat("\x00", 33))}), "jwk_invalid"},
		"d beyond the curve's order":   {edit(t, full, map[string]any{"d": raw(strings.Repeat("\xff", 32))}), "jwk_invalid"},
		"Edwards x missing":            {edit(t, newKey(t, token.EdDSA).PublicJWK(), map[string]any{"x": nil}), "jwk_invalid"},
		"Edwards x long":               {edit(t, newKey(t, token.EdDSA).PublicJWK(), map[string]any{"x": raw(strings.Repeat("\x01", 33))}), "jwk_invalid"},
		"Edwards d short":              {edit(t, private(t, newKey(t, token.EdDSA)), map[string]any{"d": raw(strings.Repeat("\x01", 31))}), "jwk_invalid"},
		"Edwards d missing its octets": {edit(t, private(t, newKey(t, token.EdDSA)), map[string]any{"d": ""}), "jwk_invalid"},
	} {
		k, err := token.ParseJWK(c.jwk, token.ParseOptions{Private: true})
		wantCode(t, name, err, c.code)
		if (k == nil) != (c.code != "") {
			t.Errorf("%s: %v", name, k)
		}
	}
	for _, alg := range []token.Algorithm{token.ES384, token.ES512} { // each curve its own length
		k := newKey(t, alg)
		var m map[string]any
		if err := json.Unmarshal(k.PublicJWK(), &m); err != nil {
			t.Fatal(err)
		}
		x := unraw(t, m["x"].(string))
		if want := map[token.Algorithm]int{token.ES384: 48, token.ES512: 66}[alg]; len(x) != want {
			t.Errorf("%s: x of %d octets", alg, len(x))
		}
		for _, other := range []string{raw(string(x[1:])), raw("\x00" + string(x))} {
			_, err := token.ParseJWK(edit(t, k.PublicJWK(), map[string]any{"x": other}), token.ParseOptions{})
			wantCode(t, string(alg), err, "jwk_invalid")
		}
	}
}

// TestJWKErrorsQuoteNothing: what stands where no key belongs may be the key, and an error
// goes into logs.
func TestJWKErrorsQuoteNothing(t *testing.T) {
	const secret = "bM4k0ZqT7xV2nLw9RfYs1HcJ8uEpA6dG"
	for _, jwk := range []string{`{"` + secret + `":1,"` + secret + `":2}`, `{"k":{"` + secret + `":{"a":1,"a":2}}}`, `{"oth":{"` + secret + `":1,"` + secret + `":2}}`,
		`{"k":` + secret + `}`, `{"k":["` + secret + `"]}`, `{"kty":"oct","alg":"` + secret + `"}`, `{"kty":"` + secret + `"}`, `{"kty":"oct","alg":"HS256","k":"` + secret + `="}`,
		`{"kty":"oct","use":"` + secret + `"}`, `{"kty":"oct","key_ops":["` + secret + `","` + secret + `"]}`, `{"kty":"oct","alg":"HS512","k":"` + secret + `"}`, secret} {
		_, err := token.ParseJWK([]byte(jwk), token.ParseOptions{Private: true})
		_, err2 := token.ParseJWKSet([]byte(`{"keys":[`+jwk+`]}`), token.ParseOptions{Private: true})
		_, skipped, err3 := token.ParsePublishedJWKSet([]byte(`{"keys":[`+jwk+`]}`), nil)
		_, reason := token.VerifyVector([]byte(`{"jwk":` + jwk + `,"jws":"` + secret + `"}`))
		if err == nil || err2 == nil || err3 == nil || reason == "" {
			t.Errorf("%s: %v, %v, %v, %q", jwk, err, err2, err3, reason)
		}
		if said := fmt.Sprint(err, err2, err3, skipped, reason); strings.Contains(said, secret) {
			t.Errorf("%s: says %s", jwk, said)
		}
	}
}

// TestSecretLimits: a secret is as long as the hash at least (RFC 7518 §3.2), and 1024
// octets at most.
func TestSecretLimits(t *testing.T) {
	random := func(n int) []byte { // no pattern, and the same in every run
		b, x := make([]byte, n), uint32(1)
		for i := range b {
			x = x*1664525 + 1013904223
			b[i] = byte(x >> 24)
		}
		return b
	}
	for _, c := range []struct {
		alg  token.Algorithm
		size int
		code string
	}{
		{token.HS256, 31, "jwk_weak"}, {token.HS256, 32, ""}, {token.HS384, 47, "jwk_weak"}, {token.HS384, 48, ""}, {token.HS512, 63, "jwk_weak"}, {token.HS512, 64, ""},
		{token.HS256, 1024, ""}, {token.HS256, 1025, "jwk_invalid"}, {token.ES256, 64, "jwk_invalid"}, {token.RS256, 64, "jwk_invalid"}, {"", 64, "jwk_invalid"},
	} {
		secret := random(c.size)
		k, err := token.NewSecretKey("k", c.alg, secret)
		wantCode(t, fmt.Sprint(c.alg, " ", c.size), err, c.code)
		if err == nil {
			clear(secret) // the caller's buffer is the caller's
			same, err := token.NewSecretKey("k", c.alg, random(c.size))
			if err != nil || signed(t, k, "", claims(nil)) != signed(t, same, "", claims(nil)) {
				t.Errorf("%s: the key changes with the caller's buffer (%v)", c.alg, err)
			}
		}
		if got := gatehouse.CodeOf(token.CheckSecret(c.alg, random(c.size))); err != nil && got != c.code {
			t.Errorf("CheckSecret(%s, %d) = %s", c.alg, c.size, got)
		}
	}
}

// TestSetLimits: a set has 1 to 100 keys and 512 KiB, and keys without kid do not clash.
func TestSetLimits(t *testing.T) {
	good := string(newKey(t, token.ES256).PublicJWK())
	set := func(n int) string {
		return `{"keys":[` + good + strings.Repeat(`,{"kty":"x"}`, n-1) + `]}`
	}
	fill := func(n int) string {
		s := `{"keys":[` + good + `]`
		return s + strings.Repeat(" ", n-len(s)-1) + "}"
	}
	nested := func(n int) string {
		return `{"x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `,"keys":[` + good + `]}`
	}
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"100 keys": {set(100), true}, "101 keys": {set(101), false}, "512 KiB": {fill(512 << 10), true}, "more": {fill(512<<10 + 1), false},
		"16 deep": {nested(16), true}, "17 deep": {nested(17), false},
	} {
		_, err := token.ParseJWKSet([]byte(c.text), token.ParseOptions{})
		if _, _, err2 := token.ParsePublishedJWKSet([]byte(c.text), nil); (err == nil) != c.ok || (err2 == nil) != c.ok {
			t.Errorf("%s: %v, %v", name, err, err2)
		}
	}
	nameless := func() *token.Key {
		k, err := token.ParseJWK(edit(t, newKey(t, token.ES256).PublicJWK(), map[string]any{"kid": nil}), token.ParseOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	a, b := nameless(), nameless()
	s := keySet(t, a, b)
	if k, err := s.Key("", token.ES256); k != nil || gatehouse.CodeOf(err) != "token_key_unknown" {
		t.Errorf("one of two keys without kid: %v, %v", k, err)
	}
	list := `{"keys":[` + string(a.PublicJWK()) + `,` + string(b.PublicJWK()) + `]}`
	if s, skipped, err := token.ParsePublishedJWKSet([]byte(list), nil); err != nil || len(skipped) != 0 || len(s.Keys()) != 2 {
		t.Errorf("two keys without kid: %v, %v", skipped, err)
	}
	if s, err := token.ParseJWKSet([]byte(list), token.ParseOptions{}); err != nil || len(s.Keys()) != 2 {
		t.Errorf("two keys without kid: %v", err)
	}
	c := newKey(t, token.ES256)
	mixed := keySet(t, a, c, b) // a key without kid hides none behind it
	if k, err := mixed.Key(c.KID, token.ES256); k != c || err != nil {
		t.Errorf("a key behind one without kid: %v, %v", k, err)
	}
	if _, err := token.NewKeySet(a, c, c); err == nil {
		t.Error("one kid twice behind a key without kid")
	}
	if _, err := token.NewKeySet(a, c, newKey(t, token.HS256)); err == nil {
		t.Error("a secret behind a key without kid")
	}
	if _, err := token.NewKeySet(c, newKey(t, token.EdDSA), c); gatehouse.CodeOf(err) != "jwk_set_invalid" {
		t.Errorf("one kid twice: %v", err)
	}
	if _, err := token.NewKeySet(newKey(t, token.HS256), newKey(t, token.HS512)); err != nil {
		t.Errorf("two secrets: %v", err)
	}
	// The kids of a set are its keys', whatever becomes of the caller's list.
	if _, err := keySet(t, c).Key("", token.ES384); !errors.Is(err, gatehouse.Unauthenticated) {
		t.Errorf("no key of that algorithm: %v", err)
	}
	if got, want := string(token.MarshalJWKSet(nil)), `{"keys":[]}`; got != want {
		t.Errorf("an empty set is %s", got)
	}
}
