package server_test

import (
	"net/url"
	"strings"
	"testing"
)

// TestLogout: a program has the person sign out: at once by the ID token of the session, else after a question; the session ends, and
// what ends with it; the browser goes to a registered address and nowhere else.
func TestLogout(t *testing.T) {
	d := demo(t)
	const bye = "https://app.example/bye"
	p := asksWho(t, d, `,"scope":"openid documents:read","post_logout_redirect_uris":["`+bye+`"]`)
	if to := call(t, "GET", d.Issuer+"/.well-known/openid-configuration").want(t, "metadata", 200).text("end_session_endpoint"); to != d.Issuer+"/logout" {
		t.Fatal(to)
	}
	v := signedIn(t, d)
	got := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query("scope", "openid documents:read"))).want(t, "tokens", 200)
	leave := func(change ...string) string {
		q := url.Values{"id_token_hint": {got.text("id_token")}, "post_logout_redirect_uri": {bye}, "state": {"s 1"}}
		for i := 0; i+1 < len(change); i += 2 {
			if q.Del(change[i]); change[i+1] != "" {
				q.Set(change[i], change[i+1])
			}
		}
		return q.Encode()
	}
	in := func(want bool) {
		t.Helper()
		if status, _ := v.get(d.Issuer + "/account"); (status == 200) != want {
			t.Fatalf("signed in: %d", status)
		}
	}
	for name, query := range map[string]string{"elsewhere": leave("post_logout_redirect_uri", "https://evil.example"), "a hint that was changed": leave("id_token_hint", got.text("id_token")+"x")} {
		if status, page := v.get(d.Issuer + "/logout?" + query); status != 400 || strings.Contains(page, "evil") {
			t.Errorf("%s: %d %s", name, status, page)
		}
		in(true)
	}
	// Without the ID token anybody could ask: the person decides.
	query := leave("id_token_hint", "", "client_id", p.id)
	if status, page := v.get(d.Issuer + "/logout?" + query); status != 200 || !strings.Contains(page, `id="signout"`) {
		t.Fatalf("not asked: %d %s", status, page)
	}
	in(true)
	v.get(d.Issuer + "/logout?" + query)
	if status, to := v.send(d.Issuer+"/logout/sure", url.Values{"request": {leave("client_id", p.id)}}); status != 403 {
		t.Errorf("the answer to another question: %d %s", status, to)
	}
	in(true)
	v.get(d.Issuer + "/logout?" + query)
	if status, to := v.send(d.Issuer+"/logout/sure", url.Values{"request": {query}}); status != 303 || to != bye+"?state=s+1" {
		t.Errorf("%d %s", status, to)
	}
	in(false)
	p.renews(d.Issuer, got.text("refresh_token")).want(t, "what ended with it", 400)
	if status, to := v.get(d.Issuer + "/logout?" + query); status != 303 || to != "/signedout" {
		t.Errorf("nobody is signed in, and is led away: %d %s", status, to)
	}

	// With it, at once; also by a form of the program's page.
	v = signedIn(t, d)
	if status, page := v.get(d.Issuer + "/logout?" + leave()); status != 200 || !strings.Contains(page, `id="signout"`) {
		t.Errorf("the token of another session: %d %s", status, page)
	}
	got = p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query("scope", "openid documents:read"))).want(t, "tokens", 200)
	form, err := url.ParseQuery(leave())
	if err != nil {
		t.Fatal(err)
	}
	if status, to := v.seen(v.client.PostForm(d.Issuer+"/logout", form)); status != 303 || to != "/logout?"+leave() {
		t.Fatalf("posted: %d %s", status, to)
	}
	in(true)
	if status, to := v.get(d.Issuer + "/logout?" + leave()); status != 303 || to != bye+"?state=s+1" {
		t.Errorf("%d %s", status, to)
	}
	in(false)
}
