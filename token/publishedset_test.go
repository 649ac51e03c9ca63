package token_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/token"
)

// TestPublishedSet: what an issuer publishes beside its good keys does not take
// them away, and is not believed either.
func TestPublishedSet(t *testing.T) {
	good, other := newKey(t, token.ES256), newKey(t, token.EdDSA)
	text := signed(t, good, token.TypeAccess, claims(nil))
	private, err := other.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	jwk := string(good.PublicJWK())
	renamed := func(k *token.Key, kid string) string {
		return strings.Replace(string(k.PublicJWK()), `"kid":"`+k.KID+`"`, `"kid":"`+kid+`"`, 1)
	}
	for name, bad := range map[string]string{
		"off the curve":       `{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","kid":"bad"}`,
		"weak":                `{"kty":"RSA","alg":"RS256","n":"` + strings.Repeat("w", 171) + `","e":"AQAB","kid":"weak"}`,
		"private":             string(private),
		"secret":              `{"kty":"oct","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow","kid":"s"}`,
		"unknown type":        `{"kty":"AKP","alg":"ML-DSA-44","pub":"AA","kid":"pq"}`,
		"for encryption":      `{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB","kid":"enc"}`,
		"no object":           `7`,
		"null":                `null`,
		"members of no type":  `{"kty":7}`,
		"empty kid":           `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":""}`,
		"nothing":             `{}`,
		"alg of another type": `{"kty":"OKP","crv":"Ed25519","alg":"ES256","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"x"}`,
	} {
		for _, body := range []string{`{"keys":[` + bad + `,` + jwk + `]}`, `{"keys":[` + jwk + `,` + bad + `]}`} {
			set, skipped, err := token.ParsePublishedJWKSet([]byte(body), nil)
			if err != nil || len(skipped) != 1 || len(set.Keys()) != 1 {
				t.Errorf("%s: %v, skipped %v", name, err, skipped)
				continue
			}
			if strings.Contains(skipped[0].Error(), "AyM1") {
				t.Errorf("%s: quotes the key", name)
			}
			if _, err := newVerifier(t, config(set)).Verify(text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := token.ParsePublishedJWKSet([]byte(`{"keys":[`+bad+`]}`), nil); err == nil {
			t.Errorf("%s: a set without any usable key is accepted", name)
		}
	}
	forged := signed(t, other, token.TypeAccess, claims(nil))
	set, _, err := token.ParsePublishedJWKSet([]byte(`{"keys":[`+jwk+`,`+string(private)+`]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = newVerifier(t, config(set)).Verify(forged)
	wantCode(t, "a private key that was published", err, "token_key_unknown")

	// Keys of one kid: both stay when their algorithms tell them apart, none when not.
	set, skipped, err := token.ParsePublishedJWKSet([]byte(`{"keys":[`+jwk+`,`+renamed(other, good.KID)+`]}`), nil)
	if err != nil || len(skipped) != 0 || len(set.Keys()) != 2 {
		t.Fatalf("%v, %v", skipped, err)
	}
	if _, err := newVerifier(t, config(set)).Verify(text); err != nil {
		t.Error(err)
	}
	es := newKey(t, token.ES256)
	set, skipped, err = token.ParsePublishedJWKSet([]byte(`{"keys":[`+jwk+`,`+renamed(es, good.KID)+`,`+string(other.PublicJWK())+`]}`), nil)
	if err != nil || len(skipped) != 2 || len(set.Keys()) != 1 {
		t.Fatalf("%v, %v", skipped, err)
	}
	_, err = newVerifier(t, config(set)).Verify(text)
	wantCode(t, "a kid that two keys share", err, "token_key_unknown")

	// The two names of Ed25519 are one algorithm: they tell no keys apart, and find a key
	// by either.
	fully := newKey(t, token.Ed25519)
	set, skipped, err = token.ParsePublishedJWKSet([]byte(`{"keys":[`+jwk+`,`+renamed(other, "x")+`,`+renamed(fully, "x")+`]}`), nil)
	if err != nil || len(skipped) != 2 || len(set.Keys()) != 1 {
		t.Errorf("one kid under both names of an algorithm: %v, %v", skipped, err)
	}
	set, _, err = token.ParsePublishedJWKSet([]byte(`{"keys":[`+jwk+`,`+renamed(other, good.KID)+`]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for alg, want := range map[token.Algorithm]token.Algorithm{token.EdDSA: token.EdDSA, token.Ed25519: token.EdDSA, token.ES256: token.ES256} {
		if k, err := set.Key(good.KID, alg); err != nil || k.Algorithm != want {
			t.Errorf("the key of %s: %v, %v", alg, k, err)
		}
	}

	for _, body := range []string{``, `null`, `[]`, `{}`, `{"keys":{}}`, `{"keys":[]}`, `{"keys":[` + jwk + `]} x`, `{"keys":[` + jwk + `],"keys":[]}`} {
		if _, _, err := token.ParsePublishedJWKSet([]byte(body), nil); err == nil {
			t.Errorf("accepted %s", body)
		}
	}
}
