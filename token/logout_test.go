package token_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestLogoutToken: a logout token says which sign-in has ended, and is good for nothing else; nor is anything else good for one.
func TestLogoutToken(t *testing.T) {
	k := newKey(t, token.ES256)
	whole := token.Logout{Issuer: issuer, Subject: "usr_1", SessionID: "ses_1", Audience: "cli_1", ID: "tok_1", IssuedAt: clock, ExpiresAt: clock.Add(token.LogoutLife)}
	text, err := k.SignLogout(&whole)
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return clock }
	lax := token.VerifierConfig{Issuer: issuer, Audience: []string{"cli_1"}, Algorithms: token.IDAlgorithms(), Keys: keySet(t, k), Now: now}
	lax.Types = []string{token.TypeLogout}
	c, err := newVerifier(t, lax).Verify(text)
	if err != nil || c.SessionID != "ses_1" || c.Subject != "usr_1" || string(c.Lookup("events")) != `{"http://schemas.openid.net/event/backchannel-logout":{}}` || c.Lookup("nonce") != nil {
		t.Errorf("%v %+v", err, c)
	}
	id, err := k.SignID(idToken())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newVerifier(t, lax).Verify(id); gatehouse.CodeOf(err) != "token_wrong_type" {
		t.Errorf("an ID token: %v", err)
	}
	if _, err := token.OpenHint(text, issuer, "cli_1", keySet(t, k), now); gatehouse.CodeOf(err) != "token_wrong_type" {
		t.Errorf("as a hint: %v", err)
	}
	lax.Types = []string{token.TypeAccess, token.TypeJWT}
	if _, err := newVerifier(t, lax).Verify(text); gatehouse.CodeOf(err) != "token_wrong_type" {
		t.Errorf("as an access token: %v", err)
	}
	for name, change := range map[string]func(*token.Logout){"no session": func(l *token.Logout) { l.SessionID = "" }, "nobody": func(l *token.Logout) { l.Subject = "" },
		"no name": func(l *token.Logout) { l.ID = "" }, "for nobody": func(l *token.Logout) { l.Audience = "" }, "too long": func(l *token.Logout) { l.ExpiresAt = clock.Add(time.Hour) },
		"over": func(l *token.Logout) { l.ExpiresAt = clock }} {
		l := whole
		change(&l)
		if _, err := k.SignLogout(&l); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}
