package token

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

var anyRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, minRSABits) })

// TestKeysOfOneFamilyOnly: a key verifies and signs by the algorithm it is bound to, with
// the part that this algorithm needs, and never with a part that it has besides.
func TestKeysOfOneFamilyOnly(t *testing.T) {
	rs, err := anyRSA()
	if err != nil {
		t.Fatal(err)
	}
	fresh := func(alg Algorithm) *Key {
		k, err := generateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	input := []byte("what is signed")
	parts := map[string]*Key{"secret": fresh(HS256), "curve": fresh(ES256), "Edwards": fresh(Ed25519), "RSA": {Algorithm: RS256, rsa: &rs.PublicKey, private: rs}}
	own := map[family]string{familyHMAC: "secret", familyPKCS1: "RSA", familyPSS: "RSA", familyECDSA: "curve", familyEd25519: "Edwards"}
	for _, alg := range Algorithms() {
		for part, from := range parts {
			k := &Key{Algorithm: alg, secret: from.secret, rsa: from.rsa, ec: from.ec, ed: from.ed, private: from.private}
			sig, err := k.sign(input)
			if own[alg.spec().family] != part {
				if !errors.Is(err, errCannotSign) || sig != nil {
					t.Errorf("a key of %s signs with its %s part", alg, part)
				}
				if sig, err = from.sign(input); err != nil || k.verify(input, sig) {
					t.Errorf("a key of %s verifies with its %s part (%v)", alg, part, err)
				}
				continue
			}
			switch {
			case alg == HS384 || alg == HS512: // the secret is shorter than the hash
				if err == nil || k.verify(input, make([]byte, alg.spec().size)) {
					t.Errorf("%s with a secret of 32 octets", alg)
				}
				continue
			case alg == ES384 || alg == ES512: // the curve is not the algorithm's: signed by nobody's rules
				continue
			case err != nil || !k.verify(input, sig):
				t.Errorf("%s does not verify what it signed: %v", alg, err)
				continue
			}
			for name, wrong := range map[string][]byte{"none": nil, "empty": {}, "short": sig[1:], "cut": sig[:len(sig)-1], "long": append([]byte{0}, sig...),
				"longer": append(bytes.Clone(sig), 0), "zero": make([]byte, len(sig))} {
				if k.verify(input, wrong) {
					t.Errorf("%s takes a signature that is %s", alg, name)
				}
			}
			if k.verify(append(input, '.'), sig) {
				t.Errorf("%s takes another text", alg)
			}
			// Without its part, or without an algorithm, it verifies nothing.
			for _, empty := range []*Key{{Algorithm: alg}, {secret: k.secret, rsa: k.rsa, ec: k.ec, ed: k.ed}, {Algorithm: alg, secret: []byte("short"), ed: []byte("short")}} {
				if empty.verify(input, sig) || empty.verify(input, nil) {
					t.Errorf("%s: %+v verifies", alg, empty.Algorithm)
				}
				if s, err := empty.sign(input); err == nil {
					t.Errorf("%s: signs %x", alg, s)
				}
				if _, err := empty.Sign("", input); !errors.Is(err, errCannotSign) {
					t.Errorf("%s: Sign = %v", alg, err)
				}
			}
		}
	}
}

// TestPaddingOfPSS: the salt is as long as the hash (RFC 7518 §3.5), and no other; nor is
// one padding taken for the other.
func TestPaddingOfPSS(t *testing.T) {
	rs, err := anyRSA()
	if err != nil {
		t.Fatal(err)
	}
	input := []byte("what is signed")
	for _, alg := range []Algorithm{PS256, PS384, PS512} {
		s := alg.spec()
		k := &Key{Algorithm: alg, rsa: &rs.PublicKey, private: rs}
		for _, salt := range []int{0, 20, s.hash.Size() - 1, s.hash.Size(), s.hash.Size() + 1, rsa.PSSSaltLengthAuto} {
			sig, err := rsa.SignPSS(rand.Reader, rs, s.hash, s.digest(input), &rsa.PSSOptions{SaltLength: salt, Hash: s.hash})
			if err != nil {
				t.Fatal(err)
			}
			if got := k.verify(input, sig); got != (salt == s.hash.Size()) {
				t.Errorf("%s with a salt of %d: %v", alg, salt, got)
			}
		}
		sig, err := k.sign(input)
		if err != nil {
			t.Fatal(err)
		}
		if err := rsa.VerifyPSS(&rs.PublicKey, s.hash, s.digest(input), sig, &rsa.PSSOptions{SaltLength: s.hash.Size(), Hash: s.hash}); err != nil {
			t.Errorf("%s: our salt is not as long as the hash", alg)
		}
		other := &Key{Algorithm: "RS" + alg[2:], rsa: &rs.PublicKey, private: rs}
		if other.verify(input, sig) {
			t.Errorf("%s takes a signature of %s", other.Algorithm, alg)
		}
		if sig, err = other.sign(input); err != nil || k.verify(input, sig) || !other.verify(input, sig) {
			t.Errorf("%s takes a signature of %s, %v", alg, other.Algorithm, err)
		}
	}
}

// TestDigests: each algorithm has the hash of its name (RFC 7518 §3.1) and a size that
// follows from it; what is no algorithm has neither.
func TestDigests(t *testing.T) {
	for _, alg := range Algorithms() {
		s := alg.spec()
		if alg == EdDSA || alg == Ed25519 {
			if s.hash != 0 || s.digest([]byte("x")) != nil || s.size != 64 || alg.curve() != nil {
				t.Errorf("%s: %+v", alg, s)
			}
			continue
		}
		want := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[string(alg[2:])]
		h := want.New()
		h.Write([]byte("x"))
		if s.hash != want || !bytes.Equal(s.digest([]byte("x")), h.Sum(nil)) {
			t.Errorf("%s: %v", alg, s.hash)
		}
		if (alg.curve() != nil) != (s.family == familyECDSA) {
			t.Errorf("%s: curve %v", alg, alg.curve())
		}
	}
	seen := algorithmSet(0)
	for _, alg := range Algorithms() {
		bit := alg.spec().bit
		if bit == 0 || bit&(bit-1) != 0 || seen&bit != 0 && alg != Ed25519 {
			t.Errorf("%s has the bit %b", alg, bit)
		}
		seen |= bit
	}
	for _, alg := range []Algorithm{"", "none", "hs256", "HS256 ", "ES256K"} {
		if kty, crv := alg.keyType(); alg.Valid() || alg.Symmetric() || alg.spec() != (spec{}) || alg.is(alg) || alg.is(HS256) || HS256.is(alg) ||
			seen.has(alg) || kty != "" || crv != "" || alg.curve() != nil {
			t.Errorf("%q is an algorithm", alg)
		}
	}
	if set, ok := setOf([]Algorithm{ES256, PS512, Ed25519}); !ok || set.String() != "PS512, ES256, EdDSA, Ed25519" {
		t.Errorf("%s, %v", set, ok)
	}
}

// TestKeysReadBack: what a key writes of itself reads back as the same key, and a key that
// cannot be written says so.
func TestKeysReadBack(t *testing.T) {
	rs, err := anyRSA()
	if err != nil {
		t.Fatal(err)
	}
	k := &Key{Algorithm: RS256, rsa: &rs.PublicKey, private: rs}
	text, err := k.MarshalPrivate()
	if err != nil || strings.Contains(string(text), `"kid"`) || strings.Contains(string(text), `,,`) {
		t.Fatalf("%s, %v", text, err)
	}
	for range 2 {
		again, err := UnmarshalPrivate(text)
		if err != nil || again.KID != "" || again.Thumbprint() != k.Thumbprint() || !again.private.(*rsa.PrivateKey).Equal(rs) {
			t.Fatalf("%v, %v", again, err)
		}
		if text, err = again.MarshalPrivate(); err != nil {
			t.Fatal(err)
		}
	}
	three := *rs
	three.Primes = append(slices.Clone(three.Primes), three.Primes[0])
	if text, err := (&Key{Algorithm: RS256, rsa: &rs.PublicKey, private: &three}).MarshalPrivate(); err == nil || text != nil {
		t.Error("a key of three primes is written as one of two")
	}
	if text, err := (&Key{Algorithm: HS256}).MarshalPrivate(); err == nil || text != nil {
		t.Errorf("no key at all is written as %s", text)
	}
	empty := &Key{Algorithm: ES256}
	if empty.CanSign() || empty.PublicJWK() != nil || empty.Thumbprint() != "" {
		t.Error("no key at all has a public half")
	}
	for _, alg := range []Algorithm{HS256, HS384, HS512} {
		secret, err := GenerateKey(alg)
		if err != nil || !secret.CanSign() || len(secret.secret) != alg.spec().hash.Size() || CheckSecret(alg, secret.secret) != nil || len(secret.KID) != 22 {
			t.Errorf("%s: %v, %v", alg, secret, err)
		}
		// Whoever reads a kid can test no guess of the secret by it (RFC 7638 §7).
		text := b64.EncodeToString(secret.secret)
		sum, print := sha256.Sum256(secret.secret), sha256.Sum256([]byte(`{"k":"`+text+`","kty":"oct"}`))
		for _, told := range []string{text, b64.EncodeToString(sum[:]), b64.EncodeToString(print[:])} {
			if strings.HasPrefix(told, secret.KID[:20]) {
				t.Errorf("%s: the kid follows from the secret", alg)
			}
		}
	}
	if string(appendObject([]byte("x"), nil)) != "x{}" || string(appendObject(nil, []member{{"a", ""}, {"b", "1"}, {"c", ""}, {"d", `"`}})) != `{"b":"1","d":"\""}` {
		t.Error("objects are not written right")
	}
}

// TestHeadersAreWritten: the protected header has alg, kid and typ in that order, and of
// the last two what is not empty; a text that is not UTF-8 is signed under no header.
func TestHeadersAreWritten(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	for _, c := range []struct{ kid, typ, want string }{
		{"k", "at+jwt", `{"alg":"HS256","kid":"k","typ":"at+jwt"}`}, {"", "at+jwt", `{"alg":"HS256","typ":"at+jwt"}`},
		{"k", "", `{"alg":"HS256","kid":"k"}`}, {"", "", `{"alg":"HS256"}`}, {`"`, `\`, `{"alg":"HS256","kid":"\"","typ":"\\"}`}, {"\xff", "", ""}, {"", "\xff", ""},
	} {
		k := &Key{KID: c.kid, Algorithm: HS256, secret: secret}
		for range 2 { // once made, once remembered
			text, err := k.Sign(c.typ, []byte("{}"))
			if c.want == "" {
				if err == nil {
					t.Errorf("kid %q, typ %q: %s", c.kid, c.typ, text)
				}
				continue
			}
			if head, _, _ := strings.Cut(text, "."); err != nil || head != b64.EncodeToString([]byte(c.want)) {
				t.Errorf("kid %q, typ %q: %s, %v", c.kid, c.typ, text, err)
			}
		}
	}
	k := &Key{KID: "k", Algorithm: HS256, secret: secret} // of several types each has its own
	for range 2 {
		for typ, want := range map[string]string{"a": `,"typ":"a"}`, "b": `,"typ":"b"}`, "": `"k"}`} {
			if h, err := k.header(typ); err != nil || h != b64.EncodeToString([]byte(`{"alg":"HS256","kid":"k"`+strings.TrimPrefix(want, `"k"`))) {
				t.Errorf("typ %q: %s, %v", typ, h, err)
			}
		}
	}
}
