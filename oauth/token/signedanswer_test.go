package token_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestSignedIntrospection: an API that asks for it is told what a token stands for in a JWT that the realm signed for this API alone, and
// that nobody takes for an access token (RFC 9701 §5, §8.1).
func TestSignedIntrospection(t *testing.T) {
	const media = "application/token-introspection+jwt"
	for _, format := range []string{"signed", "opaque"} {
		h := newIntrospected(t, format)
		id, secret := h.register(client.AuthBasic, "read", func(c *client.Client) {
			c.Metadata.Audiences, c.Metadata.IntrospectionAlg = []string{api}, "ES256"
		})
		ask := func(auth, accept, text string) answer {
			return call(h.site, "POST", "/introspect", form("token", text), "Content-Type", formCT, "Authorization", auth, "Accept", accept)
		}
		read := func(a answer, audience string, alg token.Algorithm) (says struct {
			Issuer   string         `json:"iss"`
			Audience string         `json:"aud"`
			IssuedAt int64          `json:"iat"`
			Said     map[string]any `json:"token_introspection"`
		}) {
			t.Helper()
			if a.code != 200 || a.header.Get("Content-Type") != media || a.header.Get("Cache-Control") != "no-store" || h.signer == nil || h.signer.Algorithm != alg {
				t.Fatalf("%d %v %s", a.code, a.header, a.raw)
			}
			parts := strings.Split(a.raw, ".")
			if ok, why := token.VerifyVector(must(json.Marshal(map[string]any{"jws": a.raw, "jwks": json.RawMessage(token.MarshalJWKSet([]*token.Key{h.signer}))}))); !ok || len(parts) != 3 {
				t.Fatal(why)
			}
			head, payload := must(base64.RawURLEncoding.DecodeString(parts[0])), must(base64.RawURLEncoding.DecodeString(parts[1]))
			if !strings.Contains(string(head), `"typ":"token-introspection+jwt"`) {
				t.Errorf("%s", head)
			}
			var members map[string]any
			if err := json.Unmarshal(payload, &members); err != nil || len(members) != 4 {
				t.Errorf("%s: %v", payload, err)
			}
			if err := json.Unmarshal(payload, &says); err != nil || says.Issuer != issuer || says.Audience != audience || time.Since(time.Unix(says.IssuedAt, 0)) > time.Minute {
				t.Errorf("%s: %v", payload, err)
			}
			v := must(token.NewVerifier(token.VerifierConfig{Issuer: issuer, Audience: []string{audience}, Algorithms: []token.Algorithm{alg}, Types: []string{"at+jwt", "JWT", ""}, Keys: must(token.NewKeySet(h.signer))}))
			if _, err := v.Verify(a.raw); err == nil {
				t.Error("it is a token")
			}
			return says
		}
		text := h.token(t)
		if says := read(ask(basicOf(id, secret), media, text), id, token.ES256); says.Said["active"] != true || says.Said["sub"] != h.askerID || says.Said["scope"] != "read" {
			t.Errorf("%s: %+v", format, says)
		}
		if says := read(ask(h.api, "application/json;q=0.5, "+media+";q=1", text), h.apiID, token.RS256); says.Said["active"] != true {
			t.Errorf("%s: %+v", format, says)
		}
		if says := read(ask(h.other, media, text), h.otherID, token.RS256); says.Said["active"] != false || len(says.Said) != 1 {
			t.Errorf("%s, another API: %+v", format, says)
		}
		if says := read(ask(h.asker, media, text), h.askerID, token.RS256); says.Said["active"] != false { // it has it, and it is not for it
			t.Errorf("%s, whose it is: %+v", format, says)
		}
		for _, accept := range []string{"application/json", "*/*", "application/*", media + ";q=0", "application/jwt"} {
			if a := ask(h.api, accept, text); a.code != 200 || a.header.Get("Content-Type") != jsonCT || a.json["active"] != true {
				t.Errorf("%s: %v %s", accept, a.header, a.raw)
			}
		}
		if a := ask(basic, media, text); a.code != 401 || a.header.Get("Content-Type") == media {
			t.Errorf("nobody: %d %s", a.code, a.raw)
		}
	}
}
