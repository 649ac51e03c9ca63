package server_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/token"
)

// hearer is a program's address that is told of sign-ins that have ended.
type hearer struct {
	*httptest.Server
	told chan string // the logout tokens
}

func newHearer(t *testing.T) *hearer {
	h := &hearer{told: make(chan string, 100)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.FormValue("logout_token") == "" {
			t.Errorf("%s %s", r.Method, r.Header)
		}
		h.told <- r.FormValue("logout_token")
	}))
	t.Cleanup(h.Close)
	return h
}

// hears is the logout token that comes next, verified as the program that it is for.
func (h *hearer) hears(t *testing.T, p *program) map[string]any {
	t.Helper()
	set, err := token.ParseJWKSet([]byte(call(t, "GET", p.issuer+"/.well-known/jwks.json").want(t, "keys", 200).body), token.ParseOptions{Algorithms: token.IDAlgorithms()})
	if err != nil {
		t.Fatal(err)
	}
	v, err := token.NewVerifier(token.VerifierConfig{Issuer: p.issuer, Audience: []string{p.id}, Algorithms: token.IDAlgorithms(), Types: []string{token.TypeLogout}, Keys: set})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case text := <-h.told:
		c, err := v.Verify(text)
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return object(t, c.Raw)
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told")
	}
	return nil
}

// TestBackchannelLogout: whatever ends a session, each program that learned of it is told, once, by a token that says so and is good for
// nothing else.
func TestBackchannelLogout(t *testing.T) { onBoth(t, backchannelLogout) }

func backchannelLogout(t *testing.T, d *server.Demo) {
	meta := call(t, "GET", d.Issuer+"/.well-known/openid-configuration").want(t, "metadata", 200).json
	if meta["backchannel_logout_supported"] != true || meta["backchannel_logout_session_supported"] != true {
		t.Errorf("%v", meta)
	}
	one, other := newHearer(t), newHearer(t)
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inside.Close() })
	reached := make(chan struct{}, 100)
	go func() {
		for {
			c, err := inside.Accept()
			if err != nil {
				return
			}
			reached <- struct{}{}
			_ = c.Close()
		}
	}()
	with := func(h *hearer, more string) *program {
		return asksWho(t, d, `,"scope":"openid offline_access documents:read","backchannel_logout_uri":"`+h.URL+`/out?x=1","backchannel_logout_session_required":true,"allow_private_address":true`+more)
	}
	p, q := with(one, ""), with(other, `,"id_token_signed_response_alg":"ES256"`)
	// Nobody allowed this address, which is of the server's own network.
	wary := asksWho(t, d, `,"scope":"openid documents:read","backchannel_logout_uri":"https://`+inside.Addr().String()+`"`)
	var ids []string
	opens := func(scope string, programs ...*program) (v *visitor, session string) {
		t.Helper()
		v = signedIn(t, d)
		for _, p := range programs {
			got := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query("scope", scope))).want(t, "tokens", 200)
			_, id := p.idClaims(got.text("id_token"))
			session, _ = id["sid"].(string)
			ids = append(ids, got.text("id_token"))
		}
		return v, session
	}
	told := func(what, session string, h *hearer, p *program) {
		t.Helper()
		c := h.hears(t, p)
		events, _ := c["events"].(map[string]any)
		if c["sid"] != session || c["sub"] != d.Users["bob"].ID || c["aud"] != p.id || c["jti"] == nil || len(events) != 1 || c["nonce"] != nil || c["exp"].(float64)-c["iat"].(float64) > 120 {
			t.Errorf("%s: %v", what, c)
		}
		if _, ok := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any); !ok {
			t.Errorf("%s: %v", what, events)
		}
	}
	admin := func(method, path, body string) {
		t.Helper()
		if a := call(t, method, d.Issuer+"/admin/v1/realms/main"+path, "bearer", d.AdminToken, "body", body); a.status > 299 {
			t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
		}
	}
	bob := "/users/" + d.Users["bob"].ID

	// Each program of the session, also the one that goes on without it, and once where it has two grants.
	v, session := opens("openid documents:read", p, q, wary)
	opened := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query("scope", "openid offline_access"))).want(t, "more", 200)
	if status, _ := v.get(d.Issuer + "/logout?" + url.Values{"id_token_hint": {ids[0]}}.Encode()); status != 303 {
		t.Fatal(status)
	}
	told("by a program", session, one, p)
	told("by a program", session, other, q)
	p.renews(d.Issuer, opened.text("refresh_token")).want(t, "offline", 200)
	for _, end := range []struct {
		what string
		do   func(v *visitor, session string)
	}{
		{"signed out", func(v *visitor, _ string) {
			v.get(d.Issuer + "/signout")
			if status, to := v.send(d.Issuer+"/signout", url.Values{}); status != 303 || to != "/signedout" {
				t.Fatalf("%d %s", status, to)
			}
		}},
		{"on the account page", func(v *visitor, session string) {
			v.get(d.Issuer + "/account")
			if status, to := v.send(d.Issuer+"/account", url.Values{"session": {session}}); status != 303 || to != "/signedout" {
				t.Fatalf("%d %s", status, to)
			}
		}},
		{"by an administrator", func(_ *visitor, session string) { admin("DELETE", bob+"/sessions/"+session, "") }},
		{"all of them", func(*visitor, string) { admin("DELETE", bob+"/sessions", "") }},
		{"a cut-off", func(_ *visitor, session string) {
			admin("POST", "/revocations", `{"kind":"session","id":"`+session+`"}`)
		}},
		{"disabled", func(*visitor, string) {
			admin("PATCH", bob, `{"disabled":true}`)
			admin("PATCH", bob, `{"disabled":false}`)
		}},
		{"deleted", func(*visitor, string) { admin("DELETE", bob, "") }},
	} {
		v, session := opens("openid documents:read", p)
		end.do(v, session)
		told(end.what, session, one, p)
	}
	testwait.Until(t, 10*time.Second, "the record", func() bool {
		log := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind=logout.told", "bearer", d.AdminToken).body
		return strings.Count(log, `"logout.told"`) == 9 && strings.Contains(log, session) && strings.Contains(log, q.id)
	})
	if len(one.told)+len(other.told)+len(reached) > 0 {
		t.Error("somebody was told more than once, or at an address that nobody allowed")
	}
}
