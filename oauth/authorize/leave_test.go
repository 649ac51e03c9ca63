package authorize

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestLeave: nobody is sent to an address that is not registered for the client, whoever asks; and only the ID token of the very session
// ends it without a question.
func TestLeave(t *testing.T) {
	b, s := newBooks(t)
	const bye = "https://app.example/bye?of=app"
	app := b.clients["main app"]
	app.Metadata.PostLogoutURIs = []string{bye}
	b.clients["main app"] = app
	off := app
	off.Disabled = true
	b.clients["main off"] = off
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if b.keys, err = token.NewKeySet(key); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	id := func(aud string) string {
		text, err := key.SignID(&token.ID{Issuer: issuer, Subject: "usr_1", Audience: aud, SessionID: "ses_1", IssuedAt: now.Add(-time.Hour), ExpiresAt: now.Add(-time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	access, err := key.SignAccess(&token.Access{Issuer: issuer, Subject: "usr_1", Audience: []string{"app"}, ClientID: "app", SessionID: "ses_1", ID: "tok_1", IssuedAt: now, ExpiresAt: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		q     url.Values
		to    string
		known bool
		code  string
	}{
		"nothing":                 {url.Values{}, "", false, ""},
		"all":                     {url.Values{"id_token_hint": {id("app")}, "post_logout_redirect_uri": {bye}, "state": {"a b"}, "client_id": {"app"}, "x": {"y"}}, bye + "&state=a+b", true, ""},
		"by the hint alone":       {url.Values{"id_token_hint": {id("app")}, "post_logout_redirect_uri": {bye}}, bye, true, ""},
		"by name alone":           {url.Values{"client_id": {"app"}, "post_logout_redirect_uri": {bye}}, bye, false, ""},
		"by nobody":               {url.Values{"post_logout_redirect_uri": {bye}}, "", false, "redirect_uri_refused"},
		"elsewhere":               {url.Values{"id_token_hint": {id("app")}, "post_logout_redirect_uri": {bye + "&x"}}, "", false, "redirect_uri_refused"},
		"where sign-ins go":       {url.Values{"id_token_hint": {id("app")}, "post_logout_redirect_uri": {"https://app.example/back?of=app"}}, "", false, "redirect_uri_refused"},
		"another client's":        {url.Values{"client_id": {"two"}, "post_logout_redirect_uri": {bye}}, "", false, "redirect_uri_refused"},
		"of a client that is off": {url.Values{"client_id": {"off"}, "post_logout_redirect_uri": {bye}}, "", false, "client_id_unknown"},
		"of none":                 {url.Values{"client_id": {"none"}, "post_logout_redirect_uri": {bye}}, "", false, "client_id_unknown"},
		"two clients":             {url.Values{"id_token_hint": {id("app")}, "client_id": {"two"}}, "", false, "authorization_request_invalid"},
		"an access token":         {url.Values{"id_token_hint": {access}}, "", false, "authorization_request_invalid"},
		"a spoiled hint":          {url.Values{"id_token_hint": {id("app") + "x"}, "post_logout_redirect_uri": {bye}}, "", false, "authorization_request_invalid"},
		"no hint at all":          {url.Values{"id_token_hint": {"x"}}, "", false, "authorization_request_invalid"},
		"twice":                   {url.Values{"state": {"1", "2"}}, "", false, "authorization_request_invalid"},
		"long":                    {url.Values{"state": {strings.Repeat("x", MaxQuery)}}, "", false, "authorization_request_invalid"},
	} {
		l, err := s.Leave(t.Context(), realm, c.q.Encode())
		if (err != nil) != (c.code != "") || err != nil && gatehouse.CodeOf(err) != c.code || l.To != c.to || l.Known() != c.known || (l.Forms != "") != (c.to != "") {
			t.Errorf("%s: %+v %v", name, l, err)
		}
		if err != nil && l.Means(&gatehouse.Principal{ID: "usr_1", SessionID: "ses_1"}) {
			t.Errorf("%s: ends a session", name)
		}
	}
	l, err := s.Leave(t.Context(), realm, url.Values{"id_token_hint": {id("app")}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	for who, means := range map[*gatehouse.Principal]bool{nil: false, {ID: "usr_1", SessionID: "ses_1"}: true, {ID: "usr_1", SessionID: "ses_2"}: false, {ID: "usr_2", SessionID: "ses_1"}: false, {ID: "usr_1"}: false} {
		if l.Means(who) != means {
			t.Errorf("%+v: %v", who, !means)
		}
	}
}
