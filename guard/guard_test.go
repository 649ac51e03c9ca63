package guard_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	issuer   = "https://auth.example"
	audience = "documents"
)

// events keeps what was recorded.
type events struct{ ch chan *gatehouse.Event }

func (e events) Record(ev *gatehouse.Event) { e.ch <- ev }

func newKey(t testing.TB) *token.Key {
	t.Helper()
	key, err := token.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func jwksOf(t testing.TB, keys ...*token.Key) []byte {
	t.Helper()
	var parts []string
	for _, k := range keys {
		jwk := k.PublicJWK()
		parts = append(parts, string(jwk))
	}
	return []byte(`{"keys":[` + strings.Join(parts, ",") + `]}`)
}

func access(t testing.TB, key *token.Key, change func(*token.Access)) string {
	t.Helper()
	now := time.Now()
	a := token.Access{Issuer: issuer, Subject: "usr_alice", Audience: []string{audience}, ClientID: "cli", Scope: "read write",
		ID: gatehouse.NewID("tok", now), IssuedAt: now, ExpiresAt: now.Add(time.Minute)}
	if change != nil {
		change(&a)
	}
	text, err := key.SignAccess(&a)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var routes = []enforce.Route{
	{Pattern: "GET /public", Anonymous: true},
	{Pattern: "GET /private", Authenticated: true},
	{Pattern: "GET /scoped", Scopes: []string{"admin"}},
	{Pattern: "GET /managers", Roles: []string{"manager"}},
	{Pattern: "POST /upload", Authenticated: true, MaxBodyBytes: 10, ContentTypes: []string{"text/plain"}},
	{Pattern: "GET /panic", Anonymous: true},
	{Pattern: "GET /ws", Anonymous: true},
	{Pattern: "POST /docs", Action: "create", Resource: &enforce.ResourceRule{Type: "Document", Source: "body", Entities: map[string]string{"owner": "User"}}},
	{Pattern: "GET /docs/{id}", Authenticated: true},
	{Pattern: "PUT /docs/{id}", Authenticated: true},
}

const rules = `
permit (principal, action == Action::"create", resource) when { resource has owner && resource.owner == principal };
permit (principal, action == Action::"read", resource) when { resource has owner && resource.owner == principal };
forbid (principal, action, resource) when { resource has owner && context.method == "PUT" };
forbid (principal, action, resource) when { resource has owner && context.path like "/docs/*" && context.path != "/docs/1" && context.path != "/docs/2" };
`

// app is guarded; it shows what a handler is told.
func app() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p := guard.Principal(r.Context())
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %v body=%d err=%v id=%t", p.Kind, p.ID, p.Roles, len(body), err != nil, gatehouse.RequestIDFrom(r.Context()) != "")
		for name := range r.Header {
			if strings.HasPrefix(strings.ToLower(name), "x-gatehouse") || strings.HasPrefix(strings.ToLower(name), "x_gatehouse") {
				fmt.Fprintf(w, " spoofed=%s", name)
			}
		}
	})
	mux.HandleFunc("/docs/{id}", func(w http.ResponseWriter, r *http.Request) {
		owner := map[string]string{"1": "usr_alice", "2": "usr_bob", "3": "usr_alice"}[r.PathValue("id")]
		d := guard.Allowed(r.Context(), "read", gatehouse.Resource{Type: "Document", ID: r.PathValue("id"),
			Attributes: map[string]any{"owner": gatehouse.EntityRef{Type: "User", ID: owner}}})
		if !d.Allowed {
			http.Error(w, d.Code, http.StatusForbidden)
		}
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
	mux.Handle("/ws", websocket.Handler(func(c *websocket.Conn) { _, _ = io.Copy(c, c) }))
	return mux
}

func remote(t *testing.T, cfg guard.RemoteConfig) (*httptest.Server, events) {
	t.Helper()
	rec := events{make(chan *gatehouse.Event, 100)}
	cfg.Audience, cfg.Policies = audience, rules
	if cfg.Record == nil {
		cfg.Record = rec
	}
	if cfg.Issuer == "" {
		cfg.Issuer = issuer
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	if cfg.Routes == nil {
		cfg.Routes = routes
	}
	g, err := guard.NewRemote(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	srv := httptest.NewServer(g.Handler(app()))
	t.Cleanup(srv.Close)
	return srv, rec
}

func call(t *testing.T, method, url, body string, h http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range h {
		req.Header[k] = v
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out, _ := io.ReadAll(res.Body)
	return res, string(out)
}

func bearer(text string) http.Header { return http.Header{"Authorization": {"Bearer " + text}} }

func TestRemote(t *testing.T) {
	key := newKey(t)
	srv, rec := remote(t, guard.RemoteConfig{JWKS: jwksOf(t, key)})
	good := access(t, key, nil)
	with := func(change func(*token.Access)) http.Header { return bearer(access(t, key, change)) }
	form := bearer(good)
	form["Content-Type"] = []string{"text/plain"}
	doc := bearer(good)
	doc["Content-Type"] = []string{"application/json"}
	for _, c := range []struct {
		name, method, path, body string
		h                        http.Header
		want                     int
		code                     string
	}{
		{"anonymous on a public route", "GET", "/public", "", nil, 200, "anonymous"},
		{"wrong credential on a public route", "GET", "/public", "", bearer("x.y.z"), 401, "code"},
		{"no credential", "GET", "/private", "", nil, 401, "credential_missing"},
		{"token", "GET", "/private", "", bearer(good), 200, "user usr_alice"},
		{"seen before", "GET", "/private", "", bearer(good), 200, "user usr_alice"},
		{"other key", "GET", "/private", "", bearer(access(t, newKey(t), nil)), 401, "invalid_token"},
		{"other audience", "GET", "/private", "", with(func(a *token.Access) { a.Audience = []string{"other"} }), 401, "invalid_token"},
		{"other issuer", "GET", "/private", "", with(func(a *token.Access) { a.Issuer = "https://evil.example" }), 401, "invalid_token"},
		{"expired", "GET", "/private", "", with(func(a *token.Access) {
			a.IssuedAt, a.ExpiresAt = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
		}), 401, "invalid_token"},
		{"password", "GET", "/private", "", http.Header{"Authorization": {"Basic YTpi"}}, 401, "scheme_not_accepted"},
		{"scope", "GET", "/scoped", "", bearer(good), 403, "insufficient_scope"},
		{"scope held", "GET", "/scoped", "", with(func(a *token.Access) { a.Scope = "admin" }), 200, "user"},
		{"role", "GET", "/managers", "", bearer(good), 403, "access_denied"},
		{"no rule", "GET", "/elsewhere", "", bearer(good), 404, "code"},
		{"body", "POST", "/upload", "0123456789", form, 200, "body=10 err=false"},
		{"body too large", "POST", "/upload", "0123456789a", form, 413, "body_too_large"},
		{"content type", "POST", "/upload", "x", doc, 415, "content_type_unsupported"},
		{"policy on the body", "POST", "/docs", `{"owner":"usr_alice"}`, doc, 200, "body=21 err=false"},
		{"policy on another's body", "POST", "/docs", `{"owner":"usr_bob"}`, doc, 403, "access_denied"},
		{"Allowed", "GET", "/docs/1", "", bearer(good), 200, ""},
		{"not Allowed", "GET", "/docs/2", "", bearer(good), 403, "no_permit"},
		{"not Allowed by the path", "GET", "/docs/3", "", bearer(good), 403, "forbidden"},
		{"not Allowed by the method", "PUT", "/docs/1", "", bearer(good), 403, "forbidden"},
		{"panic", "GET", "/panic", "", nil, 500, "internal"},
	} {
		res, body := call(t, c.method, srv.URL+c.path, c.body, c.h)
		if res.StatusCode != c.want || !strings.Contains(body, c.code) || strings.Contains(body, "boom") {
			t.Errorf("%s: %d %s", c.name, res.StatusCode, body)
		}
		if ev := <-rec.ch; ev.Status != c.want || ev.RequestID != res.Header.Get("X-Request-Id") {
			t.Errorf("%s: recorded %+v", c.name, ev)
		}
		if c.want == 401 && res.Header.Get("Www-Authenticate") == "" {
			t.Errorf("%s: no challenge", c.name)
		}
	}
	res, body := call(t, "GET", srv.URL+"/private", "", http.Header{"Authorization": {"Bearer " + good},
		"X-Gatehouse-Subject": {"usr_evil"}, "X_Gatehouse_Roles": {"admin"}, "X-Gatehouse-Assertion": {"x"}})
	if res.StatusCode != 200 || strings.Contains(body, "spoofed") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestRemoteWebSocket(t *testing.T) {
	srv, rec := remote(t, guard.RemoteConfig{JWKS: jwksOf(t, newKey(t))})
	c, err := websocket.Dial(strings.Replace(srv.URL, "http", "ws", 1)+"/ws", "", srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := websocket.Message.Send(c, "hello"); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := websocket.Message.Receive(c, &got); err != nil || got != "hello" {
		t.Fatal(got, err)
	}
	_ = c.Close()
	if ev := <-rec.ch; ev.Status != 101 {
		t.Errorf("recorded %d", ev.Status)
	}
}

// TestRemoteFetchesKeys: the issuer's own key is found, one that no issuer
// publishes never is.
func TestRemoteFetchesKeys(t *testing.T) {
	a := newAuthority(t)
	keys := a.url + "/.well-known/jwks.json"
	srv, _ := remote(t, guard.RemoteConfig{Issuer: a.url, JWKSURL: keys, AllowPrivateAddress: true})
	text := a.token(t, aList(0), 1)
	if res, body := call(t, "GET", srv.URL+"/private", "", bearer(text)); res.StatusCode != 200 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	stranger := &authority{url: a.url, key: newKey(t), begun: a.begun}
	if res, body := call(t, "GET", srv.URL+"/private", "", bearer(stranger.token(t, aList(0), 1))); res.StatusCode != 401 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	// Keys that cannot be had deny, and it is not the caller's fault.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	down, _ := remote(t, guard.RemoteConfig{Issuer: a.url, JWKSURL: "http://" + ln.Addr().String() + "/keys", AllowPrivateAddress: true})
	if res, body := call(t, "GET", down.URL+"/private", "", bearer(text)); res.StatusCode != 503 || !strings.Contains(body, "authentication_unavailable") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if _, err := guard.NewRemote(guard.RemoteConfig{Issuer: issuer, Audience: audience, Routes: routes, JWKSURL: keys}); err == nil {
		t.Error("keys over plain http were accepted")
	}
}

type ring struct{ key *token.Key }

func (r ring) Signer(string) (*token.Key, error) { return r.key, nil }

// TestAssertions: a service behind the gateway learns from the assertion, and
// from nothing else, who calls.
//
// ASVS: 13.2.1
func TestAssertions(t *testing.T) {
	key := newKey(t)
	srv, _ := remote(t, guard.RemoteConfig{JWKS: jwksOf(t, key), Assertions: true})
	a, err := gateway.NewAsserter(gateway.AsserterConfig{Keys: ring{key}, Issuer: func(string) string { return issuer }})
	if err != nil {
		t.Fatal(err)
	}
	mona := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindService, ID: "svc_mona", Roles: []string{"manager"}, Scopes: []string{"admin"}}
	text, err := a.Assert(mona, audience)
	if err != nil {
		t.Fatal(err)
	}
	other, err := a.Assert(mona, "other")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		h    http.Header
		want int
	}{
		{"assertion", http.Header{gateway.HeaderAssertion: {text}}, 200},
		{"assertion beside a forwarded credential", http.Header{gateway.HeaderAssertion: {text}, "Authorization": {"Basic YTpi"}}, 200},
		{"for another upstream", http.Header{gateway.HeaderAssertion: {other}}, 401},
		{"twice", http.Header{gateway.HeaderAssertion: {text, text}}, 400},
		{"access token in its place", http.Header{gateway.HeaderAssertion: {access(t, key, nil)}}, 401},
		{"assertion as access token", bearer(text), 401},
		{"nothing", nil, 401},
	} {
		res, body := call(t, "GET", srv.URL+"/managers", "", c.h)
		if res.StatusCode != c.want {
			t.Errorf("%s: %d %s", c.name, res.StatusCode, body)
		}
		if c.want == 200 && !strings.Contains(body, "service svc_mona [manager]") {
			t.Errorf("%s: %s", c.name, body)
		}
	}
	// And an assertion is no access token to a guard of those.
	tokens, _ := remote(t, guard.RemoteConfig{JWKS: jwksOf(t, key)})
	if res, _ := call(t, "GET", tokens.URL+"/private", "", bearer(text)); res.StatusCode != 401 {
		t.Errorf("an assertion was taken for an access token: %d", res.StatusCode)
	}
}

// TestExpiryAfterACacheHit: a token or an assertion that was seen shortly before its
// end is refused when one that was never seen would be, and not when the cache
// forgets it; nor does a hit make its life longer.
func TestExpiryAfterACacheHit(t *testing.T) {
	const leeway = 5 * time.Second
	key := newKey(t)
	begin := time.Now().Truncate(time.Second)
	end := begin.Add(20 * time.Second)
	for name, c := range map[string]struct {
		assertions bool
		header     func() http.Header
	}{
		"token": {false, func() http.Header {
			return bearer(access(t, key, func(a *token.Access) { a.IssuedAt, a.ExpiresAt = begin, end }))
		}},
		"assertion": {true, func() http.Header {
			text, err := key.Sign("gatehouse-assertion+jwt", fmt.Appendf(nil, `{"iss":%q,"sub":"usr_alice","aud":%q,"jti":%q,"iat":%d,"exp":%d,"kind":"user"}`,
				issuer, audience, gatehouse.NewID("tok", begin), begin.Unix(), end.Unix()))
			if err != nil {
				t.Fatal(err)
			}
			return http.Header{gateway.HeaderAssertion: {text}}
		}},
	} {
		var at atomic.Pointer[time.Time]
		set := func(now time.Time) { at.Store(&now) }
		set(begin)
		srv, _ := remote(t, guard.RemoteConfig{JWKS: jwksOf(t, key), Assertions: c.assertions, Now: func() time.Time { return *at.Load() }})
		often, late := c.header(), c.header()
		for _, step := range []struct {
			at   time.Time
			want int
		}{{begin, 200}, {end.Add(-time.Second), 200}, {end.Add(leeway - time.Millisecond), 200}, {end.Add(leeway), 401}, {end.Add(30 * time.Second), 401}} {
			set(step.at)
			if res, body := call(t, "GET", srv.URL+"/private", "", often); res.StatusCode != step.want {
				t.Errorf("%s, seen before, %v after its end: %d %s", name, step.at.Sub(end), res.StatusCode, body)
			}
		}
		set(end.Add(-time.Second)) // seen once, at the last moment
		if res, _ := call(t, "GET", srv.URL+"/private", "", late); res.StatusCode != 200 {
			t.Errorf("%s: %d before its end", name, res.StatusCode)
		}
		set(end.Add(leeway))
		if res, _ := call(t, "GET", srv.URL+"/private", "", late); res.StatusCode != 401 {
			t.Errorf("%s, seen once: %d after its end", name, res.StatusCode)
		}
	}
}

func TestRemoteRefusesConfiguration(t *testing.T) {
	good := func() guard.RemoteConfig {
		return guard.RemoteConfig{Issuer: issuer, Audience: audience, Routes: routes, JWKS: jwksOf(t, newKey(t)), Policies: rules, Logger: slog.New(slog.DiscardHandler)}
	}
	if g, err := guard.NewRemote(good()); err != nil {
		t.Fatal(err)
	} else {
		g.Close()
	}
	for name, change := range map[string]func(*guard.RemoteConfig){
		"no issuer":      func(c *guard.RemoteConfig) { c.Issuer = "" },
		"no audience":    func(c *guard.RemoteConfig) { c.Audience = "" },
		"no routes":      func(c *guard.RemoteConfig) { c.Routes = nil },
		"bad policy":     func(c *guard.RemoteConfig) { c.Policies = "permit everything" },
		"bad keys":       func(c *guard.RemoteConfig) { c.JWKS = []byte(`{}`) },
		"secret algs":    func(c *guard.RemoteConfig) { c.Algorithms = []token.Algorithm{"HS256"} },
		"basic":          func(c *guard.RemoteConfig) { c.Routes[0].Schemes = []gatehouse.Scheme{gatehouse.SchemeBasic} },
		"filter":         func(c *guard.RemoteConfig) { c.Routes[0].Filter = &enforce.ListFilter{} },
		"two realms":     func(c *guard.RemoteConfig) { c.Routes[1].Realm = "other" },
		"rule of nobody": func(c *guard.RemoteConfig) { c.Routes[0].Anonymous = false },
	} {
		c := good()
		c.Routes = slices.Clone(c.Routes)
		change(&c)
		if _, err := guard.NewRemote(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestOutsideOfAHandler(t *testing.T) {
	ctx := t.Context()
	if guard.Principal(ctx) != nil || guard.Allowed(ctx, "read", gatehouse.Resource{}).Allowed {
		t.Error("somebody is somebody without a guard")
	}
	ctx = gatehouse.WithPrincipal(ctx, &gatehouse.Principal{ID: "usr_a", Kind: gatehouse.KindUser})
	if guard.Allowed(ctx, "read", gatehouse.Resource{}).Allowed {
		t.Error("allowed without a guard")
	}
}

// TestTypeOfTokens: a realm with typ JWT is read where that was said, and then no
// other typ is.
func TestTypeOfTokens(t *testing.T) {
	key := newKey(t)
	for _, typ := range []string{"", token.TypeAccess, token.TypeJWT} {
		srv, _ := remote(t, guard.RemoteConfig{JWKS: jwksOf(t, key), Type: typ})
		for _, theirs := range []string{token.TypeAccess, token.TypeJWT} {
			want := 401
			if theirs == typ || typ == "" && theirs == token.TypeAccess {
				want = 200
			}
			text := access(t, key, func(a *token.Access) { a.Type = theirs })
			if res, body := call(t, "GET", srv.URL+"/private", "", bearer(text)); res.StatusCode != want {
				t.Errorf("typ %s at a guard of %q: %d %s", theirs, typ, res.StatusCode, body)
			}
		}
	}
	for _, bad := range []guard.RemoteConfig{{Type: "jwt"}, {Type: token.TypeJWT, Assertions: true}} {
		bad.Issuer, bad.Audience, bad.Routes, bad.JWKS, bad.Logger = issuer, audience, routes, jwksOf(t, key), slog.New(slog.DiscardHandler)
		if _, err := guard.NewRemote(bad); err == nil {
			t.Errorf("%q: accepted", bad.Type)
		}
	}
}
