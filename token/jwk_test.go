package token_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// edit changes members of a JWK; nil removes.
func edit(t *testing.T, jwk []byte, change map[string]any) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(jwk, &m); err != nil {
		t.Fatal(err)
	}
	for k, v := range change {
		if m[k] = v; v == nil {
			delete(m, k)
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKIDsCanBePasted: no kid of ours is taken for a flag. One thumbprint in 64 begins
// with a dash.
func TestKIDsCanBePasted(t *testing.T) {
	for _, alg := range []token.Algorithm{token.Ed25519, token.ES256, token.HS256} {
		for range 700 { // (63/64)^700 is 1 in 60,000
			if k := newKey(t, alg); k.KID[0] == '-' {
				t.Fatalf("%s: %s", alg, k.KID)
			}
		}
	}
}

func TestPublicJWKRoundTrip(t *testing.T) {
	for _, alg := range token.Algorithms() {
		k := newKey(t, alg)
		pub := k.PublicJWK()
		if alg.Symmetric() {
			if pub != nil {
				t.Errorf("%s: a public half of a secret: %s", alg, pub)
			}
			continue
		}
		again, err := token.ParseJWK(pub, token.ParseOptions{})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if !bytes.Equal(again.PublicJWK(), pub) || again.CanSign() || again.Algorithm != alg || again.KID != k.Thumbprint() {
			t.Errorf("%s: %s became %s", alg, pub, again.PublicJWK())
		}
		priv, err := k.MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.ParseJWK(priv, token.ParseOptions{}); gatehouse.CodeOf(err) != "jwk_invalid" {
			t.Errorf("%s: a private key where a public one belongs: %v", alg, err)
		}
		if _, err := token.UnmarshalPrivate(pub); err == nil {
			t.Errorf("%s: a public key read as private", alg)
		}
		if _, err := again.MarshalPrivate(); err == nil {
			t.Errorf("%s: a public key has a private form", alg)
		}
		if _, err := again.Sign("", []byte("{}")); err == nil {
			t.Errorf("%s: a public key signs", alg)
		}
	}
}

// ASVS: 11.6.1
func TestJWKRefused(t *testing.T) {
	private := func(alg token.Algorithm) []byte {
		b, err := freshKey(t, alg).MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ec, ed, oct := private(token.ES256), private(token.Ed25519), private(token.HS256)
	rs, err := newKey(t, token.RS256).MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	member := func(jwk []byte, name string) string {
		var m map[string]any
		_ = json.Unmarshal(jwk, &m)
		return m[name].(string)
	}
	n, e := unraw(t, member(rs, "n")), "AQAB"
	withN := func(n []byte) map[string]any {
		return map[string]any{"n": raw(string(n)), "e": e, "d": nil, "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil}
	}
	public := withN(n)
	even := bytes.Clone(n)
	even[len(even)-1] &^= 1
	exponent := func(s string) map[string]any { m := withN(n); m["e"] = raw(s); return m }
	for name, c := range map[string]struct {
		jwk  []byte
		code string
	}{
		"ec":                     {ec, ""},
		"rsa public":             {edit(t, rs, public), ""},
		"unknown members":        {edit(t, ec, map[string]any{"x5c": []string{"?"}, "foo": 1}), ""},
		"no alg, curve decides":  {edit(t, ec, map[string]any{"alg": nil}), ""},
		"EdDSA":                  {edit(t, ed, map[string]any{"alg": "EdDSA"}), ""},
		"key_ops":                {edit(t, ec, map[string]any{"key_ops": []string{"sign", "verify"}}), ""},
		"key_ops sign, private":  {edit(t, ec, map[string]any{"key_ops": []string{"sign"}}), ""},
		"no use":                 {edit(t, ec, map[string]any{"use": nil}), ""},
		"no kty":                 {edit(t, ec, map[string]any{"kty": nil}), "jwk_invalid"},
		"kty lower case":         {edit(t, ec, map[string]any{"kty": "ec"}), "jwk_invalid"},
		"use enc":                {edit(t, ec, map[string]any{"use": "enc"}), "jwk_invalid"},
		"use empty":              {edit(t, ec, map[string]any{"use": ""}), "jwk_invalid"},
		"key_ops encrypt":        {edit(t, ec, map[string]any{"key_ops": []string{"encrypt"}}), "jwk_invalid"},
		"key_ops empty":          {edit(t, ec, map[string]any{"key_ops": []string{}}), "jwk_invalid"},
		"key_ops mixed":          {edit(t, ec, map[string]any{"key_ops": []string{"verify", "encrypt"}}), "jwk_invalid"},
		"key_ops twice":          {edit(t, ec, map[string]any{"key_ops": []string{"verify", "verify"}}), "jwk_invalid"},
		"key_ops sign, public":   {edit(t, ec, map[string]any{"d": nil, "key_ops": []string{"sign"}}), "jwk_invalid"},
		"alg of another curve":   {edit(t, ec, map[string]any{"alg": "ES384"}), "jwk_invalid"},
		"alg of another type":    {edit(t, ec, map[string]any{"alg": "RS256"}), "jwk_invalid"},
		"alg HMAC":               {edit(t, ec, map[string]any{"alg": "HS256"}), "jwk_invalid"},
		"alg none":               {edit(t, ec, map[string]any{"alg": "none"}), "jwk_invalid"},
		"alg empty":              {edit(t, ec, map[string]any{"alg": ""}), "jwk_invalid"},
		"rsa without alg":        {edit(t, rs, map[string]any{"alg": nil}), "jwk_invalid"},
		"oct without alg":        {edit(t, oct, map[string]any{"alg": nil}), "jwk_invalid"},
		"kid empty":              {edit(t, ec, map[string]any{"kid": ""}), "jwk_invalid"},
		"kid number":             {edit(t, ec, map[string]any{"kid": 1}), "jwk_invalid"},
		"kid long":               {edit(t, ec, map[string]any{"kid": strings.Repeat("x", 513)}), "jwk_invalid"},
		"curve unknown":          {edit(t, ec, map[string]any{"crv": "secp256k1", "alg": nil}), "jwk_invalid"},
		"x25519":                 {edit(t, ed, map[string]any{"crv": "X25519", "alg": nil}), "jwk_invalid"},
		"no y":                   {edit(t, ec, map[string]any{"y": nil}), "jwk_invalid"},
		"off the curve":          {edit(t, ec, map[string]any{"y": member(ec, "x")}), "jwk_invalid"},
		"point zero":             {edit(t, ec, map[string]any{"x": raw(strings.Repeat("\x00", 32)), "y": raw(strings.Repeat("\x00", 32))}), "jwk_invalid"},
		"x short":                {edit(t, ec, map[string]any{"x": raw(string(unraw(t, member(ec, "x"))[1:]))}), "jwk_invalid"},
		"x long":                 {edit(t, ec, map[string]any{"x": raw("\x00" + string(unraw(t, member(ec, "x"))))}), "jwk_invalid"},
		"x padded":               {edit(t, ec, map[string]any{"x": member(ec, "x") + "="}), "jwk_invalid"},
		"x with newline":         {edit(t, ec, map[string]any{"x": member(ec, "x")[:9] + "\n" + member(ec, "x")[9:]}), "jwk_invalid"},
		"d of another key":       {edit(t, ec, map[string]any{"d": member(private(token.ES256), "d")}), "jwk_invalid"},
		"d zero":                 {edit(t, ec, map[string]any{"d": raw(strings.Repeat("\x00", 32))}), "jwk_invalid"},
		"ed short":               {edit(t, ed, map[string]any{"x": raw("short"), "d": nil}), "jwk_invalid"},
		"ed d of another":        {edit(t, ed, map[string]any{"d": member(private(token.Ed25519), "d")}), "jwk_invalid"},
		"rsa d of another":       {edit(t, rs, map[string]any{"d": member(private(token.RS256), "d")}), "jwk_invalid"},
		"rsa without p":          {edit(t, rs, map[string]any{"p": nil}), "jwk_invalid"},
		"rsa wrong dp":           {edit(t, rs, map[string]any{"dp": member(rs, "dq")}), "jwk_invalid"},
		"rsa oth":                {edit(t, rs, map[string]any{"oth": []any{}}), "jwk_invalid"},
		"rsa 1024":               {edit(t, rs, withN(n[:128])), "jwk_weak"},
		"rsa 2047":               {edit(t, rs, withN(append([]byte{0x7f}, n[1:256]...))), "jwk_weak"},
		"rsa 8200":               {edit(t, rs, withN(bytes.Repeat([]byte{0xff}, 1025))), "jwk_invalid"},
		"rsa even":               {edit(t, rs, withN(even)), "jwk_weak"},
		"rsa leading zero":       {edit(t, rs, withN(append([]byte{0}, n...))), "jwk_invalid"},
		"rsa exponent 1":         {edit(t, rs, exponent("\x01")), "jwk_weak"},
		"rsa exponent 3":         {edit(t, rs, exponent("\x03")), "jwk_weak"},
		"rsa exponent even":      {edit(t, rs, exponent("\x01\x00\x02")), "jwk_weak"},
		"rsa exponent huge":      {edit(t, rs, exponent("\x01\x00\x00\x00\x01")), "jwk_invalid"},
		"rsa exponent zero":      {edit(t, rs, exponent("")), "jwk_invalid"},
		"hmac short":             {edit(t, oct, map[string]any{"k": raw(strings.Repeat("x", 31))}), "jwk_weak"},
		"hmac empty":             {edit(t, oct, map[string]any{"k": ""}), "jwk_weak"},
		"hmac short for HS512":   {edit(t, oct, map[string]any{"alg": "HS512"}), "jwk_weak"},
		"duplicate member":       {append([]byte(`{"kty":"EC",`), ec[1:]...), "jwk_invalid"},
		"trailing":               {append(bytes.Clone(ec), '{', '}'), "jwk_invalid"},
		"array":                  {[]byte("[]"), "jwk_invalid"},
		"text":                   {[]byte(`"x"`), "jwk_invalid"},
		"empty":                  {nil, "jwk_invalid"},
		"large":                  {edit(t, ec, map[string]any{"x5c": strings.Repeat("x", 1<<16)}), "jwk_invalid"},
		"deep":                   {edit(t, ec, map[string]any{"z": json.RawMessage(strings.Repeat("[", 20) + strings.Repeat("]", 20))}), "jwk_invalid"},
		"member of another case": {edit(t, ec, map[string]any{"x": nil, "X": member(ec, "x")}), "jwk_invalid"},
	} {
		_, err := token.ParseJWK(c.jwk, token.ParseOptions{Private: true})
		wantCode(t, name, err, c.code)
		if err != nil && len(c.jwk) > 100 {
			for _, m := range []string{"d", "k"} {
				var v map[string]any
				if json.Unmarshal(c.jwk, &v) == nil {
					if s, ok := v[m].(string); ok && len(s) > 10 && strings.Contains(err.Error(), s) {
						t.Errorf("%s: the error quotes the key", name)
					}
				}
			}
		}
	}
}

func TestMissingAlgorithmIsBoundByTheCaller(t *testing.T) {
	k := newKey(t, token.PS256)
	jwk := edit(t, k.PublicJWK(), map[string]any{"alg": nil})
	got, err := token.ParseJWK(jwk, token.ParseOptions{Algorithms: []token.Algorithm{token.ES256, token.PS256}})
	if err != nil || got.Algorithm != token.PS256 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := token.ParseJWK(jwk, token.ParseOptions{Algorithms: []token.Algorithm{token.PS256, token.ES256, token.PS256}}); err != nil || got.Algorithm != token.PS256 {
		t.Errorf("one algorithm named twice: %v, %v", got, err)
	}
	for _, algs := range [][]token.Algorithm{{token.RS256, token.PS256}, {token.PS256, token.ES256, token.PS384}, {token.ES256}, nil} {
		if k, err := token.ParseJWK(jwk, token.ParseOptions{Algorithms: algs}); err == nil {
			t.Errorf("bound to %s by %s", k.Algorithm, algs)
		}
	}
}

func TestJWKSet(t *testing.T) {
	a, b := newKey(t, token.ES256), newKey(t, token.Ed25519)
	secret, err := newKey(t, token.HS256).MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	pa, pb := string(a.PublicJWK()), string(b.PublicJWK())
	set := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
	enc := string(edit(t, []byte(pa), map[string]any{"use": "enc", "kid": "e", "alg": "ECDH-ES"}))
	for name, c := range map[string]struct {
		text string
		n    int // 0: refused
	}{
		"two":                  {set(pa, pb), 2},
		"skips others":         {set(pa, enc, `{"kty":"AKP","kid":"q"}`), 1},
		"extra members":        {`{"x":[{}],"keys":[` + pa + `]}`, 1},
		"empty":                {set(), 0},
		"no keys":              {`{}`, 0},
		"null":                 {`null`, 0},
		"nothing usable":       {set(enc), 0},
		"same kid":             {set(pa, pa), 0},
		"kid of one skipped":   {set(`{"kty":"AKP","kid":"`+a.KID+`"}`, pa), 0},
		"two skipped of a kid": {set(pa, `{"kty":"AKP","kid":"q"}`, `{"kty":"AKP","kid":"q"}`), 0},
		"kid of a skipped key": {set(pa, string(edit(t, []byte(enc), map[string]any{"kid": a.KID}))), 0},
		"mixed":                {set(pa, string(secret)), 0},
		"mixed, skipped":       {set(pa, `{"kty":"oct","alg":"A128KW","k":"AAAA","kid":"w"}`), 0},
		"secret":               {set(string(secret)), 0},
		"one broken":           {set(pa, string(edit(t, []byte(pb), map[string]any{"x": "AAAA"}))), 0},
		"duplicate member":     {`{"keys":[` + pa + `],"keys":[` + pb + `]}`, 0},
		"too many":             {set(strings.Split(strings.Repeat(`{"kty":"x"} `, 101), " ")[:101]...), 0},
		"large":                {set(pa, `{"kty":"`+strings.Repeat("x", 1<<19)+`"}`), 0},
		"not an object":        {`[` + pa + `]`, 0},
		"keys not objects":     {`{"keys":[1]}`, 0},
	} {
		s, err := token.ParseJWKSet([]byte(c.text), token.ParseOptions{})
		if c.n == 0 {
			wantCode(t, name, err, "jwk_set_invalid")
			continue
		}
		if err != nil || len(s.Keys()) != c.n {
			t.Errorf("%s: %v", name, err)
		}
	}
	mixed := set(pa, `{"kty":"oct","alg":"A128KW","k":"AAAA","kid":"w"}`)
	if _, err := token.ParseJWKSet([]byte(mixed), token.ParseOptions{Private: true}); err == nil {
		t.Error("a set mixes public keys with a secret, though one that is skipped")
	}
	if s, err := token.ParseJWKSet(token.MarshalJWKSet([]*token.Key{a, newKey(t, token.HS256), b}), token.ParseOptions{}); err != nil || len(s.Keys()) != 2 {
		t.Errorf("a set of ours: %v", err)
	}
	if _, err := token.NewKeySet(a, newKey(t, token.HS256)); err == nil {
		t.Error("NewKeySet mixes")
	}
}

func TestKeySetLookup(t *testing.T) {
	a, b, c := newKey(t, token.ES256), newKey(t, token.ES256), newKey(t, token.Ed25519)
	nameless, err := token.ParseJWK(edit(t, newKey(t, token.ES384).PublicJWK(), map[string]any{"kid": nil}), token.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := keySet(t, a, b, c, nameless)
	for _, x := range []struct {
		kid  string
		alg  token.Algorithm
		want *token.Key
	}{
		{a.KID, token.ES256, a}, {b.KID, token.ES256, b}, {"", token.Ed25519, c}, {"", token.ES256, nil},
		{"x", token.Ed25519, nil}, {"x", token.ES384, nameless}, {"", token.ES384, nameless}, {"", token.RS256, nil},
	} {
		got, err := s.Key(x.kid, x.alg)
		if got != x.want || (err == nil) != (x.want != nil) {
			t.Errorf("Key(%q, %s) = %v, %v", x.kid, x.alg, got, err)
		}
	}
}

// ASVS: 11.6.1
func TestWeakSecrets(t *testing.T) {
	sequence := make([]byte, 64)
	for i := range sequence {
		sequence[i] = byte(i)
	}
	thueMorse := make([]byte, 64) // two values, and no period at all
	for i := range thueMorse {
		thueMorse[i] = byte(bits.OnesCount(uint(i)) % 2)
	}
	for _, s := range []string{string(thueMorse), "\xf1\x02\x93\x44\xa5\x16\x87\x28\xd9\x3a\xeb\x4c" + strings.Repeat("\x00", 52),
		"", "secret", "my_super_secret", "your-256-bit-secret", strings.Repeat("secret", 10), strings.Repeat("my_super_secret", 4),
		"a-string-secret-at-least-256-bits-long", "changeme-changeme-changeme-change", strings.Repeat("\x00", 64), strings.Repeat("A", 64),
		"secret" + strings.Repeat("\x00", 58), strings.Repeat("0", 58) + "secret", "q8Zt1" + strings.Repeat("=", 60), string(sequence),
		strings.Repeat("0123456789", 5), strings.Repeat("0123456789abcdef", 4), "correct horse battery staple and some more",
		"thisisaverylongpassphrasewithoutdigits", strings.Repeat("ab", 40), strings.Repeat("\x01\x02\x03\x04\xf0", 13),
		strings.Repeat("q8Zt1Wx0pLk3", 3), "31415926535897932384626433832795028841", "PLEASE-REPLACE-ME-0123456789-abcdefg"} {
		if err := token.CheckSecret(token.HS256, []byte(s)); gatehouse.CodeOf(err) != "jwk_weak" {
			t.Errorf("%q: %v", s, err)
		}
		if _, err := token.NewSecretKey("k", token.HS256, []byte(s)); err == nil {
			t.Errorf("%q makes a key", s)
		}
		jwk := fmt.Sprintf(`{"kty":"oct","alg":"HS256","k":%q}`, raw(s))
		if _, err := token.ParseJWK([]byte(jwk), token.ParseOptions{Private: true}); err == nil {
			t.Errorf("%q is read as a key", s)
		}
	}
	// The same ones each time: of all random texts one in some millions holds a word.
	random := rand.NewChaCha8([32]byte{1})
	for range 2000 {
		var b [64]byte
		_, _ = random.Read(b[:])
		for _, s := range []string{string(b[:32]), string(b[:]), fmt.Sprintf("%x", b[:16]), fmt.Sprintf("%X", b[:32]), raw(string(b[:32]))} {
			if err := token.CheckSecret(token.HS256, []byte(s)); err != nil {
				t.Fatalf("a random secret %q is refused: %v", s, err)
			}
		}
	}
	good, err := token.NewSecretKey("k", token.HS256, []byte("bM4k0ZqT7xV2nLw9RfYs1HcJ8uEpA6dG"))
	if err != nil || good.KID != "k" || !good.CanSign() {
		t.Errorf("%v, %v", good, err)
	}
	if err := token.CheckSecret(token.ES256, make([]byte, 64)); err == nil {
		t.Error("a secret for ES256")
	}
}

func TestKeysPrintNothing(t *testing.T) {
	for _, alg := range []token.Algorithm{token.HS256, token.ES256, token.Ed25519} {
		k := newKey(t, alg)
		want := k.String()
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if got := fmt.Sprintf(verb, k); got != want {
				t.Errorf("%s prints %s", verb, got)
			}
		}
		if !strings.Contains(log.String(), k.KID) || len(log.String()) > 250 {
			t.Errorf("log: %s", log.String())
		}
	}
}

// ASVS: 11.6.1
func TestGenerateRefusesUnknown(t *testing.T) {
	for _, alg := range []token.Algorithm{"", "none", "eddsa", "ES256K"} {
		if _, err := token.GenerateKey(alg); !errors.Is(err, gatehouse.Invalid) {
			t.Errorf("%q: %v", alg, err)
		}
	}
}
