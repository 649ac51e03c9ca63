package token_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/token"
)

// TestTwoNamesOfEd25519: a key writes the name it was made with, in its tokens
// and in its JWK, and every verifier of ours takes both names for the one
// algorithm that they are.
func TestTwoNamesOfEd25519(t *testing.T) {
	for _, alg := range []token.Algorithm{token.EdDSA, token.Ed25519} {
		k := newKey(t, alg)
		if want := `"alg":"` + string(alg) + `"`; !strings.Contains(string(k.PublicJWK()), want) {
			t.Errorf("JWK %s lacks %s", k.PublicJWK(), want)
		}
		sealed, err := k.MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		again, err := token.UnmarshalPrivate(sealed)
		if err != nil || again.Algorithm != alg {
			t.Fatalf("a key of %s came back as %v, %v", alg, again, err)
		}
		text := signed(t, again, token.TypeAccess, claims(nil))
		head, _, _ := strings.Cut(text, ".")
		if want := `{"alg":"` + string(alg) + `","kid":"` + k.KID + `","typ":"at+jwt"}`; string(unraw(t, head)) != want {
			t.Errorf("header %s, want %s", unraw(t, head), want)
		}
		for _, published := range []string{`"EdDSA"`, `"Ed25519"`, ""} {
			jwk := strings.Replace(string(k.PublicJWK()), `"alg":"`+string(alg)+`",`, "", 1)
			if published != "" {
				jwk = strings.Replace(jwk, `"use":"sig",`, `"use":"sig","alg":`+published+`,`, 1)
			}
			set, err := token.ParseJWKSet([]byte(`{"keys":[`+jwk+`]}`), token.ParseOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, allowed := range []token.Algorithm{token.EdDSA, token.Ed25519} {
				cfg := config(set)
				cfg.Algorithms = []token.Algorithm{allowed}
				if _, err := newVerifier(t, cfg).Verify(text); err != nil {
					t.Errorf("token of %s, published as %s, %s allowed: %v", alg, published, allowed, err)
				}
			}
			cfg := config(set)
			cfg.Algorithms = []token.Algorithm{token.ES256}
			if _, err := newVerifier(t, cfg).Verify(text); err == nil {
				t.Errorf("token of %s passes where only ES256 is allowed", alg)
			}
		}
	}
}
