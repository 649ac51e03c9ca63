package prooffuzz

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testdpop"
	"github.com/gatehouse-auth/gatehouse/proof"
)

// FuzzProof: whatever stands in the header and the claims, signed by the key that it names, a proof that is accepted is
// one for this request and this key, and nothing panics.
func FuzzProof(f *testing.F) {
	const url = "https://api.example/documents/1"
	at := time.Unix(1_800_000_000, 0)
	k := testdpop.New()
	plain := func(v map[string]any) string {
		out, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		return string(out)
	}
	f.Add(`{}`, plain(testdpop.Claims(at, "GET", url, "token")), false)
	f.Add(`{"crit":["x"]}`, `{"jti":"a","htm":"GET","htu":"HTTPS://api.example:443/documents/%31","iat":1.8e9}`, false)
	f.Add(`{"alg":"none"}`, `{"jti":"a","nonce":"b"}`, true)
	f.Add(`{"jwk":{"kty":"oct","k":"AAAA"}}`, `[]`, true)
	nonces, err := proof.NewNonces([]byte(strings.Repeat("k", proof.NonceKeySize)))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header, claims string, nonce bool) {
		h, c := k.Header(), map[string]any{}
		changed := map[string]any{}
		if json.Unmarshal([]byte(header), &changed) != nil || json.Unmarshal([]byte(claims), &c) != nil {
			t.Skip()
		}
		for name, value := range changed {
			h[name] = value
		}
		v, err := proof.NewVerifier(proof.Config{Seen: proof.NewMemory(func() time.Time { return at.Add(-time.Hour) }), Nonces: nonces, Now: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		r := proof.Request{Method: "GET", URL: url, Token: "token", Key: k.Thumbprint(), Nonce: nonce}
		line := k.Sign(h, c)
		p, err := v.Verify(t.Context(), []string{line}, r)
		if err != nil {
			if kind := gatehouse.KindOf(err); kind != gatehouse.Unauthenticated {
				t.Fatalf("%v is of kind %v", err, kind)
			}
			return
		}
		if p.Key != k.Thumbprint() || c["htm"] != "GET" || c["ath"] != testdpop.Claims(at, "", "", "token")["ath"] || h["alg"] != "ES256" {
			t.Fatalf("accepted: %s %s", header, claims)
		}
		if _, err := v.Verify(t.Context(), []string{line}, r); err == nil {
			t.Fatal("accepted twice")
		}
	})
}
