package tokenfuzz_test

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/token"
	"github.com/go-jose/go-jose/v4"
)

var (
	b64    = base64.RawURLEncoding
	secret = []byte("bM4k0ZqT7xV2nLw9RfYs1HcJ8uEpA6dG")
	clock  = time.Unix(1_800_000_000, 0)
)

func verifier(f *testing.F) *token.Verifier {
	f.Helper()
	k, err := token.NewSecretKey("k", token.HS256, secret)
	if err != nil {
		f.Fatal(err)
	}
	set, err := token.NewKeySet(k)
	if err != nil {
		f.Fatal(err)
	}
	v, err := token.NewVerifier(token.VerifierConfig{Issuer: "i", Audience: []string{"a"}, Algorithms: token.Algorithms(),
		Types: []string{"at+jwt"}, Keys: set, Now: func() time.Time { return clock }})
	if err != nil {
		f.Fatal(err)
	}
	return v
}

func sign(input string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64.EncodeToString(mac.Sum(nil))
}

// FuzzJWS signs whatever the fuzzer invents with the right key, so that only the
// rules for form, header and claims stand between it and acceptance.
func FuzzJWS(f *testing.F) {
	const header = `{"alg":"HS256","kid":"k","typ":"at+jwt"}`
	const claims = `{"iss":"i","sub":"s","aud":"a","exp":1800000100,"iat":1800000000,"jti":"j"}`
	for _, h := range []string{header, `{"alg":"HS256","typ":"JWT"}`, `{"alg":"none"}`, `{"alg":"HS256","crit":["x"]}`, ` { "typ":"AT+JWT","alg":"HS256" } `} {
		f.Add(b64.EncodeToString([]byte(h)) + "." + b64.EncodeToString([]byte(claims)))
	}
	for _, c := range []string{`{}`, `null`, `{"exp":1e3}`, `{"aud":["a","b"]}`, `{"exp":1,"exp":2}`, `{"status":{"status_list":{"idx":1,"uri":"i/status/1"}}}`} {
		f.Add(b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(c)))
	}
	v := verifier(f)
	f.Fuzz(func(t *testing.T, input string) {
		text := sign(input)
		_, _ = token.Peek(text)
		_, _ = token.UnverifiedIssuer(text)
		c, err := v.Verify(text)
		if err != nil {
			return
		}
		parts := strings.Split(text, ".")
		if len(parts) != 3 {
			t.Fatalf("%d parts accepted", len(parts))
		}
		for _, p := range parts {
			raw, err := b64.DecodeString(p)
			if err != nil || b64.EncodeToString(raw) != p {
				t.Fatalf("%q has another spelling", p)
			}
		}
		other, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.HS256})
		if err != nil {
			t.Fatalf("go-jose refuses the form: %v", err)
		}
		payload, err := other.Verify(secret)
		if err != nil || !bytes.Equal(payload, c.Raw) {
			t.Fatalf("go-jose reads %q, we %q (%v)", payload, c.Raw, err)
		}
		var m map[string]any
		if err := json.Unmarshal(payload, &m); err != nil || m["iss"] != "i" || m["sub"] != c.Subject || m["jti"] != c.ID {
			t.Fatalf("encoding/json reads %v, we %+v (%v)", m, c, err)
		}
	})
}

// FuzzJWK reads keys: an accepted key comes out of its own text unchanged.
func FuzzJWK(f *testing.F) {
	for _, alg := range []token.Algorithm{token.HS256, token.ES256, token.ES384, token.ES512, token.Ed25519} {
		k, err := token.GenerateKey(alg)
		if err != nil {
			f.Fatal(err)
		}
		private, err := k.MarshalPrivate()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(private)
		f.Add(k.PublicJWK())
	}
	f.Add([]byte(`{"kty":"RSA","alg":"RS256","n":"AQAB","e":"AQAB"}`))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = token.ParseJWKSet(append(append([]byte(`{"keys":[`), data...), "]}"...), token.ParseOptions{Private: true})
		k, err := token.ParseJWK(data, token.ParseOptions{Private: true})
		if err != nil {
			return
		}
		if pub := k.PublicJWK(); pub != nil {
			again, err := token.ParseJWK(pub, token.ParseOptions{})
			if err != nil || !bytes.Equal(again.PublicJWK(), pub) || again.Thumbprint() != k.Thumbprint() {
				t.Fatalf("%s became %v (%v)", pub, again, err)
			}
			var other jose.JSONWebKey
			if err := other.UnmarshalJSON(pub); err != nil || !other.Valid() {
				t.Fatalf("go-jose refuses %s: %v", pub, err)
			}
			if sum, err := other.Thumbprint(crypto.SHA256); err != nil || b64.EncodeToString(sum) != k.Thumbprint() {
				t.Fatalf("go-jose finds another thumbprint: %v", err)
			}
		}
		if k.CanSign() {
			text, err := k.MarshalPrivate()
			if err != nil {
				t.Fatal(err)
			}
			again, err := token.UnmarshalPrivate(text)
			if err != nil {
				t.Fatalf("%s is not read again: %v", text, err)
			}
			if second, err := again.MarshalPrivate(); err != nil || !bytes.Equal(text, second) {
				t.Fatalf("%s became %s (%v)", text, second, err)
			}
		}
	})
}

// FuzzVector must end, and give a reason for each refusal, whatever the line.
func FuzzVector(f *testing.F) {
	f.Add([]byte(`{"jwk":{"kty":"oct","k":"AAAA"},"jws":"a.b.c"}`))
	f.Add([]byte(`{"jwks":{"keys":[]},"jws":""}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if valid, reason := token.VerifyVector(line); valid == (reason != "") {
			t.Fatalf("valid=%v, reason %q", valid, reason)
		}
	})
}
