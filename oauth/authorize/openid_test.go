package authorize

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestOpenIDRequest: a client says whom it means, how surely, and what it would know. Who is another, or proved less, signs in anew, and
// is refused when that changes nothing; where nobody may be asked, at once.
func TestOpenIDRequest(t *testing.T) {
	b, s := newBooks(t)
	app := b.clients["main app"]
	app.Metadata.Scope = "openid email read offline_access"
	b.clients["main app"] = app
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if b.keys, err = token.NewKeySet(key); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	hint := func(sub, aud string) string {
		text, err := key.SignID(&token.ID{Issuer: issuer, Subject: sub, Audience: aud, IssuedAt: now.Add(-time.Hour), ExpiresAt: now.Add(-time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	access, err := key.SignAccess(&token.Access{Issuer: issuer, Subject: "usr_1", Audience: []string{"app"}, ClientID: "app", ID: "tok_1", IssuedAt: now, ExpiresAt: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	who := func(id, acr string, signed time.Duration) *gatehouse.Principal {
		return &gatehouse.Principal{Realm: "main", ID: id, ACR: acr, AuthTime: now.Add(signed)}
	}
	const two, say = `claims={"id_token":{"acr":{"essential":true,"values":["aal2"]}}}`, "scope=openid"
	for _, c := range []struct {
		name  string
		query string
		who   *gatehouse.Principal
		want  Need
		sent  string // also of one who has just signed in for it: then want is not of interest
	}{
		{"the one", with(say, "id_token_hint="+hint("usr_1", "app")), who("usr_1", "aal1", -time.Minute), Consent, ""},
		{"another", with(say, "id_token_hint="+hint("usr_2", "app")), who("usr_1", "aal1", -time.Minute), SignInAgain, ""},
		{"another, silent", with(say, "prompt=none", "id_token_hint="+hint("usr_2", "app")), who("usr_1", "aal1", -time.Minute), SignInAgain, "login_required"},
		{"another, still", with(say, "id_token_hint="+hint("usr_2", "app")), who("usr_1", "aal1", time.Second), SignInAgain, "login_required"},
		{"the one by now", with(say, "id_token_hint="+hint("usr_2", "app")), who("usr_2", "aal1", time.Second), Consent, ""},
		{"another, by claims", with(say, `claims={"id_token":{"sub":{"value":"usr_2"}}}`), who("usr_1", "aal1", -time.Minute), SignInAgain, ""},
		{"another, and no OpenID", with("scope=read", `claims={"id_token":{"sub":{"value":"usr_2"}}}`), who("usr_1", "aal1", -time.Minute), Consent, ""},
		{"two factors", with(say, two), who("usr_1", "aal1", -time.Minute), SignInAgain, ""},
		{"two factors, silent", with(say, two, "prompt=none"), who("usr_1", "aal1", -time.Minute), SignInAgain, "login_required"},
		{"two factors, still", with(say, two), who("usr_1", "aal1", time.Second), SignInAgain, "unmet_authentication_requirements"},
		{"two factors, had", with(say, two), who("usr_1", "aal2", -time.Minute), Consent, ""},
		{"what nobody knows", with(say, `claims={"id_token":{"acr":{"essential":true,"value":"gold"}}}`), who("usr_1", "aal2", time.Second), SignInAgain, "unmet_authentication_requirements"},
		{"wished for", with(say, "acr_values=gold aal2"), who("usr_1", "aal1", -time.Minute), SignInAgain, ""},
		{"wished for, still", with(say, "acr_values=gold aal2"), who("usr_1", "aal1", time.Second), Consent, ""},
		{"one of two", with(say, "acr_values=aal2 aal1"), who("usr_1", "aal1", -time.Minute), Consent, ""},
		{"what nobody knows, wished for", with(say, "acr_values=1 2"), who("usr_1", "aal1", -time.Minute), Consent, ""},
	} {
		r, err := s.Read(t.Context(), realm, c.query)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if c.who.AuthTime.After(now) { // for this request
			if r, err = s.Read(t.Context(), realm, r.Again(now)); err != nil {
				t.Fatal(err)
			}
		}
		need, refused, _ := s.Next(t.Context(), r, c.who, now.Add(time.Hour))
		if need != c.want || (refused != nil) != (c.sent != "") || refused != nil && refused.code != c.sent {
			t.Errorf("%s: %v %v", c.name, need, refused)
		}
	}
	for name, change := range map[string]string{"another client's hint": "id_token_hint=" + hint("usr_1", "two"), "an access token": "id_token_hint=" + access, "a spoiled hint": "id_token_hint=" + hint("usr_1", "app") + "x",
		"claims that are none": "claims=x", "two sub": `claims={"id_token":{"sub":{"values":["a","b"]}}}`} {
		_, err := s.Read(t.Context(), realm, with(say, change))
		refused, ok := err.(*Refusal)
		if !ok || refused.code != "invalid_request" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Read(t.Context(), realm, with(say, "id_token_hint="+hint("usr_1", "app"), `claims={"id_token":{"sub":{"value":"usr_2"}}}`)); err == nil {
		t.Error("two persons are meant")
	}

	// What is asked for by name is shown, and no more than the registration would give is had.
	r, err := s.Read(t.Context(), realm, with(say, `claims={"userinfo":{"email":null,"phone_number":null},"id_token":{"name":null,"email_verified":{"essential":true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	p := who("usr_1", "aal1", 0)
	p.Kind, p.Scheme, p.SessionID = gatehouse.KindUser, gatehouse.SchemeSession, "ses_1"
	if _, err := s.Allow(t.Context(), r, p); err != nil {
		t.Fatal(err)
	}
	got := b.allowed[0]
	if strings.Join(r.Shown(), " ") != "openid email" || strings.Join(got.Scopes, " ") != "openid" || strings.Join(got.Claims.UserInfo, " ") != "email" || strings.Join(got.Claims.IDToken, " ") != "email_verified" {
		t.Errorf("%v %+v", r.Shown(), got)
	}
	if r, err := s.Read(t.Context(), realm, with("scope")); err != nil || strings.Join(r.Scopes, " ") != "read" {
		t.Errorf("what is of a person comes unasked: %v %v", r, err)
	}
	if client.IsPersonal("read") {
		t.Error("read is of an API")
	}
}
