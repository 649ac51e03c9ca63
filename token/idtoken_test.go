package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

func idToken() *token.ID {
	return &token.ID{Issuer: issuer, Subject: "usr_1", Audience: "cli_1", IssuedAt: clock, ExpiresAt: clock.Add(time.Minute), AuthTime: clock.Add(-time.Hour), Nonce: "n", ACR: "aal2",
		AMR: []string{"pwd", "otp"}, SessionID: "ses_1", AccessToken: "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", More: map[string]any{"email": "a@example.org", "email_verified": true}}
}

// TestIDToken: what is signed by each algorithm says who signed in, and goes for nothing but an ID token; nor does anything else go
// for one.
func TestIDToken(t *testing.T) {
	for _, alg := range token.IDAlgorithms() {
		k := newKey(t, alg)
		text, err := k.SignID(idToken())
		if err != nil {
			t.Fatal(err)
		}
		c, err := token.OpenHint(text, issuer, "cli_1", keySet(t, k), func() time.Time { return clock.Add(1000 * time.Hour) }) // it is a hint for ever
		if err != nil {
			t.Fatal(err)
		}
		// The example of OpenID Connect Core appendix A.4 is of SHA-256.
		if got := string(c.Lookup("at_hash")); (got == `"77QmUPtjPfzWtF2AnpK9RQ"`) != (alg != token.ES384 && alg != token.EdDSA) || len(got) < 24 {
			t.Errorf("%s: at_hash is %s", alg, got)
		}
		if c.Subject != "usr_1" || c.ACR != "aal2" || c.SessionID != "ses_1" || len(c.AMR) != 2 || !c.AuthTime.Equal(clock.Add(-time.Hour)) || string(c.Lookup("nonce")) != `"n"` ||
			string(c.Lookup("email_verified")) != "true" || string(c.Lookup("aud")) != `"cli_1"` || c.ClientID != "" {
			t.Errorf("%s", c.Raw)
		}
		cfg := config(keySet(t, k)) // as lax as a realm can be: by audience and typ
		cfg.Audience, cfg.Types, cfg.RequireClaims = []string{"cli_1"}, []string{token.TypeAccess, token.TypeJWT}, nil
		if _, err := newVerifier(t, cfg).Verify(text); gatehouse.CodeOf(err) != "token_wrong_type" {
			t.Errorf("%s: an ID token is taken for an access token: %v", alg, err)
		}
		for _, typ := range []string{token.TypeAccess, token.TypeJWT} {
			a := access()
			a.Audience, a.Type = []string{"cli_1"}, typ
			other, err := k.SignAccess(a)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := token.OpenHint(other, issuer, "cli_1", keySet(t, k), cfg.Now); gatehouse.CodeOf(err) != "token_wrong_type" {
				t.Errorf("%s: an access token is taken for an ID token: %v", alg, err)
			}
		}
		for name, refused := range map[string]struct{ text, issuer, client string }{"another issuer": {text, issuer + "/x", "cli_1"}, "another client": {text, issuer, "cli_2"},
			"spoiled": {strings.Replace(text, ".", ".e", 1), issuer, "cli_1"}, "no signature": {text[:strings.LastIndex(text, ".")+1], issuer, "cli_1"}} {
			if _, err := token.OpenHint(refused.text, refused.issuer, refused.client, keySet(t, k), cfg.Now); gatehouse.KindOf(err) != gatehouse.Unauthenticated {
				t.Errorf("%s: %v", name, err)
			}
		}
		told, err := k.SignUserInfo(issuer, "cli_1", map[string]any{"sub": "usr_1", "email": "a@example.org"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.OpenHint(told, issuer, "cli_1", keySet(t, k), cfg.Now); gatehouse.CodeOf(err) != "token_claim_missing" {
			t.Errorf("%s: an answer of userinfo is taken for an ID token: %v", alg, err)
		}
	}
	k := newKey(t, token.ES256)
	for name, change := range map[string]func(*token.ID){"no issuer": func(i *token.ID) { i.Issuer = "" }, "no subject": func(i *token.ID) { i.Subject = "" }, "no audience": func(i *token.ID) { i.Audience = "" },
		"no time": func(i *token.ID) { i.IssuedAt = time.Time{} }, "over at once": func(i *token.ID) { i.ExpiresAt = i.IssuedAt }, "another subject": func(i *token.ID) { i.More = map[string]any{"sub": "eve"} },
		"a scope": func(i *token.ID) { i.More = map[string]any{"scope": "*"} }, "another nonce": func(i *token.ID) { i.Nonce, i.More = "", map[string]any{"nonce": "x"} }, "not UTF-8": func(i *token.ID) { i.Nonce = "\xff" }} {
		i := idToken()
		change(i)
		if text, err := k.SignID(i); err == nil {
			t.Errorf("%s: %s", name, text)
		}
	}
	if text, err := k.SignUserInfo(issuer, "cli_1", map[string]any{"sub": "usr_1", "exp": 1}); err == nil {
		t.Error(text)
	}
}
