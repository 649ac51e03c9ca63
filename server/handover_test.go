package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/websocket"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// site is a proxy with TLS before nodes, as a browser sees it: two host names, and of each request nobody knows which
// node will get it.
type site struct {
	auths, gates []string
	turn         atomic.Int64
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	nodes := s.gates
	if r.URL.Host == "auth.example" {
		nodes = s.auths
	}
	out := r.Clone(r.Context())
	out.Host, out.URL.Scheme = r.URL.Host, "http"
	out.URL.Host = strings.TrimPrefix(nodes[int(s.turn.Add(1))%len(nodes)], "http://")
	out.Header.Set("X-Forwarded-Proto", "https")
	out.Header.Set("X-Forwarded-For", "198.51.100.7")
	res, err := http.DefaultTransport.RoundTrip(out)
	if err == nil {
		res.Request = r
	}
	return res, err
}

// person is a browser with somebody before it.
type person struct {
	t *testing.T
	*http.Client
}

func (s *site) person(t *testing.T) *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t, &http.Client{Jar: jar, Transport: s}}
}

// goes asks as a browser does that shows a page.
func (p *person) goes(method, to string, form url.Values, lines ...string) (at *url.URL, status int, body string) {
	p.t.Helper()
	var sent io.Reader
	if form != nil {
		sent = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(p.t.Context(), method, to, sent)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(lines); i += 2 {
		r.Header.Set(lines[i], lines[i+1])
	}
	res, err := p.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.Request.URL, res.StatusCode, string(b)
}

var formField = regexp.MustCompile(`name="form" value="([^"]+)"`)

// signs fills in the forms of the page to sign in, and says where that led.
func (p *person) signs(at *url.URL, page, name, password string) (*url.URL, int, string) {
	p.t.Helper()
	to := at.Query().Get("return")
	for _, step := range []string{"identifier", "password"} {
		m := formField.FindStringSubmatch(page)
		if m == nil {
			p.t.Fatalf("no form at %s: %s", at, page)
		}
		fields := url.Values{"form": {m[1]}, "identifier": {name}, "step": {step}, "return": {to}}
		if step == "password" {
			fields.Set("password", password)
		}
		var status int
		if at, status, page = p.goes("POST", "https://auth.example/signin", fields); step == "password" {
			return at, status, page
		}
	}
	return nil, 0, ""
}

func (p *person) cookie(host, prefix string) string {
	for _, c := range p.Jar.Cookies(&url.URL{Scheme: "https", Host: host, Path: "/"}) {
		if strings.HasPrefix(c.Name, prefix) {
			return c.Value
		}
	}
	return ""
}

// TestHandOverOfTwoNodes: a person opens a page behind the gateway, signs in at another host and comes back, over nodes of
// which any may get any request; the API knows who it is and sees no cookie of ours. A script gets 401. Nothing of it helps
// another browser, and the end of the session ends it at every host and node.
//
// ASVS: 7.4.1
func TestHandOverOfTwoNodes(t *testing.T) {
	var seen atomic.Pointer[http.Header]
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(&r.Header)
		_, _ = io.WriteString(w, r.Header.Get("X-Gatehouse-Username"))
	}))
	t.Cleanup(api.Close)
	st := postgresStore(t)
	a := demoOn(t, st)
	const app, auth = "https://app.example", "https://auth.example"
	people := []gatehouse.Scheme{gatehouse.SchemeSession, gatehouse.SchemeAPIKey}
	node := func() *server.Server {
		return another(t, a, func(c *server.Config) {
			c.Issuer, c.Gateway.Origins = auth, []string{app, "https://two.example"}
			c.Upstreams = map[string]gateway.Upstream{"documents": {URL: api.URL, PlainHeaders: true}}
			c.Routes = []enforce.Route{{Pattern: "/app/", Upstream: "documents", Realm: "main", Authenticated: true, Schemes: people},
				{Pattern: "/high/", Upstream: "documents", Realm: "main", Authenticated: true, Schemes: append(people, gatehouse.SchemeJWT), ACR: gatehouse.AAL2},
				{Pattern: "/beyond/", Upstream: "documents", Realm: "main", Authenticated: true, Schemes: people, ACR: gatehouse.AAL3},
				{Pattern: "GET /private", Upstream: "documents", Realm: "main", Authenticated: true}}
		})
	}
	b, c := node(), node()
	s := &site{auths: []string{b.AuthURL(), c.AuthURL()}, gates: []string{b.GatewayURL(), c.GatewayURL()}}

	bob := s.person(t)
	at, status, page := bob.goes("GET", app+"/app/page?x=1", nil)
	if status != 200 || at.Host != "auth.example" || at.Path != "/signin" {
		t.Fatalf("without a session: %d at %s: %s", status, at, page)
	}
	at, status, page = bob.signs(at, page, "bob", a.Users["bob"].Password)
	if status != 200 || at.String() != app+"/app/page?x=1" || page != "bob" {
		t.Fatalf("signed in: %d at %s: %s", status, at, page)
	}
	if h := *seen.Load(); strings.Contains(strings.Join(h["Cookie"], ";"), "gatehouse") || h.Get("X-Gatehouse-Assertion") == "" {
		t.Errorf("the API sees %v", h)
	}
	atHost := bob.cookie("app.example", "__Host-gatehouse-gate-main")
	if atHost == "" || atHost == bob.cookie("auth.example", "__Host-gatehouse-session-main") {
		t.Fatalf("the host's own cookie: %q", atHost)
	}
	// Signed in there, no other page is asked for: another host of the gateway follows by itself, and a form works.
	if at, status, page := bob.goes("GET", "https://two.example/app/", nil); status != 200 || at.String() != "https://two.example/app/" || page != "bob" {
		t.Errorf("another host: %d at %s: %s", status, at, page)
	}
	if _, status, page := bob.goes("POST", app+"/app/form", url.Values{"a": {"b"}}); status != 200 || page != "bob" {
		t.Errorf("a form: %d %s", status, page)
	}
	for name, from := range map[string][]string{"another site": {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, "a host beside": {"Sec-Fetch-Site", "same-site", "Origin", "https://evil.app.example"}} {
		if _, status, page := bob.goes("POST", app+"/app/form", url.Values{"a": {"b"}}, from...); status != 403 || !strings.Contains(page, "cross_origin_refused") {
			t.Errorf("a form of %s: %d %s", name, status, page)
		}
	}
	if _, status, _ := bob.goes("GET", app+"/private", nil, "Sec-Fetch-Mode", "cors"); status != 401 {
		t.Errorf("a route that names no sessions: %d", status)
	}

	// A script without a session.
	nobody := s.person(t)
	if at, status, page := nobody.goes("GET", app+"/app/data", nil, "Sec-Fetch-Mode", "cors"); status != 401 || at.Host != "app.example" || !strings.Contains(page, "credential_missing") {
		t.Errorf("a script: %d at %s: %s", status, at, page)
	}
	// Eve has a ticket of hers opened in Bob's browser (login CSRF), and uses one of Bob's in hers.
	eve := s.person(t)
	stop := *eve.Client
	var ticket string
	stop.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.Path, "/.gatehouse/session/") {
			ticket = r.URL.String()
			return http.ErrUseLastResponse
		}
		return nil
	}
	eve.Client = &stop
	at, _, page = eve.goes("GET", app+"/app/", nil)
	eve.signs(at, page, "carol", a.Users["carol"].Password)
	if ticket == "" {
		t.Fatal("Eve gets no ticket")
	}
	victim := s.person(t)
	for name, browser := range map[string]*person{"of nobody": victim, "of somebody who is on his way": nobody, "that is signed in": bob} {
		if name == "of somebody who is on his way" {
			nobody.goes("GET", app+"/app/", nil)
		}
		if _, status, page := browser.goes("GET", ticket, nil, "Sec-Fetch-Site", "cross-site"); status != 403 || !strings.Contains(page, "handover_refused") {
			t.Errorf("Eve's ticket in the browser %s: %d %s", name, status, page)
		}
	}
	if got := bob.cookie("app.example", "__Host-gatehouse-gate-main"); got != atHost {
		t.Error("Bob is somebody else now")
	}
	if at, status, _ := eve.goes("GET", ticket, nil); status != 200 || at.String() != app+"/app/" {
		t.Errorf("Eve's ticket in her own: %d at %s", status, at)
	}
	if _, status, _ := eve.goes("GET", ticket, nil); status != 403 {
		t.Errorf("once more: %d", status)
	}
	// The host's cookie elsewhere: planted at another host, and by another name.
	for host, name := range map[string]string{"two.example": "__Host-gatehouse-gate-main", "app.example": "gatehouse-gate-main", "auth.example": "__Host-gatehouse-session-main"} {
		thief := s.person(t)
		thief.Jar.SetCookies(&url.URL{Scheme: "https", Host: host}, []*http.Cookie{{Name: name, Value: atHost, Secure: true, Path: "/"}})
		path := "/app/"
		if host == "auth.example" {
			path = "/account"
		}
		if at, _, _ := thief.goes("GET", "https://"+host+path, nil); at.Path != "/signin" {
			t.Errorf("as %s at %s: let in to %s", name, host, at)
		}
	}
	// No cookie of a session opens a WebSocket for a page of another site.
	for _, gate := range s.gates {
		w, err := websocket.NewConfig("ws"+strings.TrimPrefix(gate, "http")+"/app/socket", "https://evil.example")
		if err != nil {
			t.Fatal(err)
		}
		w.Header.Set("Cookie", "__Host-gatehouse-gate-main="+atHost)
		w.Header.Set("X-Forwarded-Proto", "https")
		if conn, err := websocket.DialConfig(w); err == nil {
			_ = conn.Close()
			t.Error("a page of another site opened a WebSocket")
		}
	}

	// Nobody is sent to an address where sessions do not count, signed in or not.
	for _, to := range []string{app + "/private", app + "/none", "https://app.example:8443/app/", "https://u@app.example/app/", "https://evil.example/app/"} {
		way := auth + "/handover?" + url.Values{"to": {base64.RawURLEncoding.EncodeToString([]byte(to))}, "browser": {strings.Repeat("b", 43)}}.Encode()
		for _, p := range []*person{bob, s.person(t)} {
			if at, status, page := p.goes("GET", way, nil); status != 400 || at.Host != "auth.example" || !strings.Contains(page, "handover_address_refused") {
				t.Errorf("handed over to %s: %d at %s", to, status, at)
			}
		}
	}

	// He proves again who he is: what each host knew before is dead, and the next page brings a new secret.
	_, _, page = bob.goes("GET", auth+"/signin?again=1", nil)
	f := formField.FindStringSubmatch(page)
	if f == nil {
		t.Fatal(page)
	}
	bob.goes("POST", auth+"/signin", url.Values{"form": {f[1]}, "identifier": {"bob"}, "step": {"password"}, "password": {a.Users["bob"].Password}})
	old := s.person(t)
	old.Jar.SetCookies(&url.URL{Scheme: "https", Host: "app.example"}, []*http.Cookie{{Name: "__Host-gatehouse-gate-main", Value: atHost, Secure: true, Path: "/"}})
	for range 2 * len(s.gates) {
		testwait.Until(t, soon, "the secret of before is dead", func() bool {
			_, status, _ := old.goes("GET", app+"/app/", nil, "Sec-Fetch-Mode", "cors")
			return status == 401
		})
	}
	if at, status, page := bob.goes("GET", app+"/app/", nil); status != 200 || at.String() != app+"/app/" || page != "bob" {
		t.Errorf("proven again: %d at %s: %s", status, at, page)
	}

	bob.stepsUp(app, auth, a.Users["bob"].Password)
	key, _ := call(t, "POST", s.auths[0]+"/tokens", "basic", "carol:"+a.Users["carol"].Password, "X-Forwarded-Proto", "https").want(t, "POST /tokens", 200).json["access_token"].(string)
	if r := call(t, "GET", s.gates[0]+"/high/", "bearer", key, "X-Forwarded-Proto", "https").want(t, "a token of a password alone", 401); r.json["code"] != "insufficient_user_authentication" ||
		!strings.Contains(strings.Join(r.header["Www-Authenticate"], "\n"), `error="insufficient_user_authentication", acr_values="aal2"`) {
		t.Errorf("%v %s", r.header, r.body)
	}

	// The end of the session.
	_, _, page = bob.goes("GET", auth+"/signout", nil)
	if f = formField.FindStringSubmatch(page); f == nil {
		t.Fatal(page)
	}
	bob.goes("POST", auth+"/signout", url.Values{"form": {f[1]}})
	for _, host := range []string{app, "https://two.example"} {
		for range 2 * len(s.gates) {
			testwait.Until(t, soon, "the session has ended at "+host, func() bool {
				_, status, _ := bob.goes("GET", host+"/app/", nil, "Sec-Fetch-Mode", "cors")
				return status == 401
			})
		}
	}
	var events struct{ Items []json.RawMessage }
	r := call(t, "GET", a.Issuer+"/admin/v1/realms/main/audit/events?kind=session.handover", "bearer", a.AdminToken).want(t, "the record", 200)
	if err := json.Unmarshal([]byte(r.body), &events); err != nil || len(events.Items) < 3 || bytes.Contains([]byte(r.body), []byte("gho_live_")) {
		t.Errorf("the record of hand-overs: %v %s", err, r.body)
	}
}
