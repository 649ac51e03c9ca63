package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestFrontchannelLogout: whoever signs out in a browser is shown a page with the frames of the programs of that session alone, from origins
// that the page alone allows, and goes on from there.
func TestFrontchannelLogout(t *testing.T) { onBoth(t, frontchannelLogout) }

func frontchannelLogout(t *testing.T, d *server.Demo) {
	if meta := call(t, "GET", d.Issuer+"/.well-known/openid-configuration").want(t, "metadata", 200).json; meta["frontchannel_logout_supported"] != true || meta["frontchannel_logout_session_supported"] != true {
		t.Errorf("%v", meta)
	}
	const bye = "https://app.example/bye"
	members := func(more string) string {
		return `,"scope":"openid documents:read","post_logout_redirect_uris":["` + bye + `"],"frontchannel_logout_session_required":true` + more
	}
	p := asksWho(t, d, members(`,"frontchannel_logout_uri":"https://app.example/out?a=b"`))
	elsewhere := asksWho(t, d, members(`,"frontchannel_logout_uri":"https://app.example/elsewhere"`))
	in := func(p *program) (*visitor, string, string) {
		t.Helper()
		v := signedIn(t, d)
		got := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query("scope", "openid documents:read"))).want(t, "tokens", 200)
		_, id := p.idClaims(got.text("id_token"))
		session, _ := id["sid"].(string)
		return v, got.text("id_token"), session
	}
	in(elsewhere) // of another session
	shows := func(what string, v *visitor, session, to string, response *http.Response) {
		t.Helper()
		policy, refresh := response.Header.Get("Content-Security-Policy"), response.Header.Get("Refresh")
		_, page := v.seen(response, nil)
		frame := `<iframe src="https://app.example/out?a=b&amp;iss=` + url.QueryEscape(d.Issuer) + `&amp;sid=` + session + `"`
		if response.StatusCode != 200 || strings.Count(page, "<iframe") != 1 || !strings.Contains(page, frame) || !strings.Contains(page, `sandbox="allow-scripts allow-same-origin"`) ||
			!strings.HasSuffix(policy, "; frame-src https://app.example") || refresh != "1; url="+to || !strings.Contains(page, `href="`+strings.ReplaceAll(to, "&", "&amp;")+`" id="continue"`) {
			t.Errorf("%s: %d %s %s %s", what, response.StatusCode, policy, refresh, page)
		}
		if status, _ := v.get(d.Issuer + "/account"); status != 303 {
			t.Errorf("%s: still signed in", what)
		}
	}
	get := func(v *visitor, address string) *http.Response {
		t.Helper()
		r, err := v.client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	v, id, session := in(p)
	if _, page := v.get(d.Issuer + "/account"); strings.Contains(page, "<iframe") {
		t.Error("frames before the end")
	}
	shows("by a program", v, session, bye+"?state=a+b", get(v, d.Issuer+"/logout?"+url.Values{"id_token_hint": {id}, "post_logout_redirect_uri": {bye}, "state": {"a b"}}.Encode()))
	if status, to := v.get(d.Issuer + "/logout?" + url.Values{"id_token_hint": {id}}.Encode()); status != 303 || to != "/signedout" {
		t.Errorf("once more: %d %s", status, to)
	}
	v, id, session = in(p)
	shows("and nowhere", v, session, "/signedout", get(v, d.Issuer+"/logout?"+url.Values{"id_token_hint": {id}}.Encode()))

	for what, form := range map[string]struct {
		page  string
		field func(session string) url.Values
	}{
		"signed out":      {"/signout", func(string) url.Values { return url.Values{} }},
		"on the account":  {"/account", func(session string) url.Values { return url.Values{"session": {session}} }},
		"everywhere, too": {"/account", func(string) url.Values { return url.Values{"do": {"everywhere"}} }},
	} {
		v, _, session = in(p)
		v.get(d.Issuer + form.page)
		status, page := v.send(d.Issuer+form.page, form.field(session))
		if status != 200 || strings.Count(page, "<iframe") != 1 || !strings.Contains(page, "sid="+session+`"`) || !strings.Contains(page, `href="/signedout" id="continue"`) {
			t.Errorf("%s: %d %s", what, status, page)
		}
	}
}

// TestFramesInTheBrowser: Chromium loads what a program has for that, with its cookies where it keeps them, and goes on by itself; nothing
// is complained of.
func TestFramesInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := demo(t)
	told := make(chan url.Values, 10)
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	page := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><title>App</title>%s`, text)
		}
	}
	mux.HandleFunc("GET /back", page(`<p id="back">back</p>`))
	mux.HandleFunc("GET /bye", page(`<p id="bye">bye</p>`))
	mux.HandleFunc("GET /out", func(w http.ResponseWriter, r *http.Request) {
		told <- r.URL.Query()
		page(`<p>out</p>`)(w, r)
	})
	p := registers(t, d, `,"token_endpoint_auth_method":"client_secret_basic","scope":"openid documents:read"`)
	p.redirect = s.URL + "/back"
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main/clients/"+p.id, "bearer", d.AdminToken, "body", fmt.Sprintf(`{"redirect_uris":[%q],"post_logout_redirect_uris":[%q],"frontchannel_logout_uri":%q,"first_party":true}`,
		p.redirect, s.URL+"/bye", s.URL+"/out?x=1")).want(t, "addresses", 200)
	b := chromium.Open(t, testbrowser.View{})
	b.Go(d.Issuer + "/authorize?" + p.query("scope", "openid documents:read"))
	b.Type("identifier", "bob")
	b.Follow("continue")
	b.Type("password", d.Users["bob"].Password)
	b.Follow("submit")
	b.Wait("back")
	at, err := url.Parse(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	got := p.redeems(d.Issuer, at.Query().Get("code")).want(t, "tokens", 200)
	_, id := p.idClaims(got.text("id_token"))
	b.Go(d.Issuer + "/logout?" + url.Values{"id_token_hint": {got.text("id_token")}, "post_logout_redirect_uri": {s.URL + "/bye"}, "state": {"1"}}.Encode())
	select {
	case q := <-told:
		if q.Get("sid") != id["sid"] || q.Get("iss") != d.Issuer || q.Get("x") != "1" {
			t.Errorf("%v", q)
		}
	case <-time.After(10 * time.Second):
		t.Error("no frame was loaded")
	}
	b.Wait("bye")
	if b.URL() != s.URL+"/bye?state=1" {
		t.Errorf("at %s", b.URL())
	}
	if said := b.Complaints(); len(said) != 0 {
		t.Errorf("the browser complains: %q", said)
	}
}
