package authn

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestAudienceOfARoute: where a token has to be for one API, no token for another one counts, be it the issuer's own or that of nobody in
// particular, whatever form it has and whoever issued it, and also when it was seen before elsewhere; a token for it counts nowhere else.
func TestAudienceOfARoute(t *testing.T) {
	const api, other = "https://api.test/mcp", "https://other.test"
	w := newWorld(t)
	w.realms["main"] = gatehouse.Realm{Name: "main", Settings: gatehouse.RealmSettings{Audience: "https://default.test",
		Audiences:      map[string]gatehouse.AudienceRules{api: {}, other: {}},
		TrustedIssuers: []gatehouse.TrustedIssuer{{Issuer: "https://idp.test", Audiences: []string{api, other}, Algorithms: []string{"ES256"}}}}}
	forms := map[string]func(aud ...string) Presented{
		"signed": func(aud ...string) Presented { return w.access(func(a *token.Access) { a.Audience = aud }) },
		"opaque": func(aud ...string) Presented {
			w.grants["grt_1"] = gatehouse.Grant{ClientID: "c", StatusList: 5, StatusIdx: 9, ExpiresAt: w.now.Add(time.Hour)}
			text, id, hash := credential.MintKey("ght", "live")
			w.tokens[string(hash)] = credential.OpaqueToken{Hash: hash, ID: "tok_" + id, Realm: "main", GrantID: "grt_1", Subject: "usr_alice",
				Audience: aud, IssuedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}
			parsed, _ := credential.ParseKey(text.Reveal())
			return Presented{Scheme: gatehouse.SchemeOpaque, ID: id, Secret: text, Key: parsed}
		},
	}
	here := secure
	here.Audience = api
	for name, form := range forms {
		for _, c := range []struct {
			aud               []string
			anywhere, atTheir string // what is wrong, "" for nothing
		}{
			{[]string{api}, "token_wrong_audience", ""},
			{[]string{other, api}, "token_wrong_audience", ""},
			{[]string{other}, "token_wrong_audience", "token_wrong_audience"},
			{[]string{issuerURL}, "", "token_wrong_audience"},
			{[]string{"https://default.test"}, "", "token_wrong_audience"},
			{[]string{issuerURL, api}, "", ""},
			{[]string{api + "/"}, "token_wrong_audience", "token_wrong_audience"},
		} {
			p := form(c.aud...)
			for range 2 { // the second time from memory
				for _, try := range []struct {
					rule Rule
					why  string
				}{{secure, c.anywhere}, {here, c.atTheir}} {
					code := ""
					if try.why != "" {
						code = "invalid_token"
					}
					t.Run(fmt.Sprint(name, c.aud, try.rule.Audience), func(t *testing.T) { w.check(t, p, try.rule, code, try.why) })
				}
			}
		}
	}
	foreign := func(aud string) Presented {
		text, err := w.foreign.Sign(token.TypeJWT, fmt.Appendf(nil, `{"iss":"https://idp.test","sub":"x","aud":%q,"iat":%d,"exp":%d}`, aud, w.now.Unix(), w.now.Add(time.Minute).Unix()))
		if err != nil {
			t.Fatal(err)
		}
		return Presented{Scheme: gatehouse.SchemeJWT, Secret: gatehouse.Secret(text)}
	}
	w.check(t, foreign(api), here, "", "")
	w.check(t, foreign(other), here, "invalid_token", "token_wrong_audience")
	w.check(t, foreign(other), secure, "", "")
}
