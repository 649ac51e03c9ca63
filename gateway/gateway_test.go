package gateway_test

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/token"
)

// fake is an Enforcer whose verdict the test sets. The pipeline itself has its
// own tests; here only what the gateway makes of a verdict counts.
type fake struct {
	verdict func(r *http.Request) enforce.Verdict
	match   func(r *http.Request) *enforce.Route
	filter  func(body []byte) ([]byte, error)

	mu   sync.Mutex
	done []*record
	ch   chan *record
}

type record struct {
	f        *fake
	id       string
	steps    []gatehouse.Step
	status   int
	bytes    int64
	finished int
	asked    *http.Request
}

func (f *fake) Begin(enforce.Point, *http.Request) gateway.Judgement {
	return &record{f: f, id: gatehouse.NewID("req", time.Now())}
}
func (f *fake) Match(r *http.Request) *enforce.Route {
	if f.match == nil {
		return nil
	}
	return f.match(r)
}
func (x *record) IssueTicket(*http.Request) (gatehouse.Secret, error) { return "", gatehouse.NotFound }

func (x *record) Recheck(r *http.Request) error {
	if v := x.f.verdict(r); v.Err != nil {
		return v.Err
	}
	return nil
}
func (x *record) RequestID() string { return x.id }
func (x *record) Check(r *http.Request) enforce.Verdict {
	x.asked = r
	return x.f.verdict(r)
}
func (x *record) FilterList(_ context.Context, _ enforce.Verdict, body []byte) ([]byte, error) {
	return x.f.filter(body)
}
func (x *record) Step(s gatehouse.Step) { x.steps = append(x.steps, s) }
func (x *record) Finish(status int, bytes int64) {
	x.status, x.bytes, x.finished = status, bytes, x.finished+1
	x.f.mu.Lock()
	x.f.done = append(x.f.done, x)
	x.f.mu.Unlock()
	x.f.ch <- x
}

// last waits for the record of the request before.
func (f *fake) last(t *testing.T) *record {
	t.Helper()
	select {
	case x := <-f.ch:
		if x.finished != 1 {
			t.Errorf("finished %d times", x.finished)
		}
		return x
	case <-time.After(10 * time.Second):
		t.Fatal("no record was written")
		return nil
	}
}

var alice = &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_alice", Name: "Älice\r\nX: 1",
	Roles: []string{"admin", "a,b"}, Scopes: []string{"read", "write"}, Scheme: gatehouse.SchemeJWT}

func allow(r enforce.Route, p *gatehouse.Principal) func(*http.Request) enforce.Verdict {
	r.Upstream = "api"
	return func(*http.Request) enforce.Verdict {
		return enforce.Verdict{Allowed: true, Route: &r, Principal: p, Limits: []limit.Item{{Name: "p", Rate: limit.Rate{Limit: 2, Window: time.Hour}, Result: limit.Result{OK: true, Remaining: 1}}}}
	}
}

func deny(err *gatehouse.Error, h http.Header) func(*http.Request) enforce.Verdict {
	return func(*http.Request) enforce.Verdict {
		return enforce.Verdict{Err: err, Header: h, Route: &enforce.Route{}}
	}
}

// ring is a key source with one key.
type ring struct{ key *token.Key }

func (r ring) Signer(string) (*token.Key, error) { return r.key, nil }

func newRing(t testing.TB) ring {
	t.Helper()
	key, err := token.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return ring{key}
}

func newAsserter(t testing.TB) *gateway.Asserter {
	t.Helper()
	a, err := gateway.NewAsserter(gateway.AsserterConfig{Keys: newRing(t), Issuer: func(string) string { return "https://auth.example" }})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type setup struct {
	f    *fake
	srv  *httptest.Server
	url  string
	cfg  gateway.Config
	addr string
}

type option func(*gateway.Config, *gateway.Upstream)

// start puts a gateway before the upstream, over real sockets.
func start(t testing.TB, up http.Handler, opts ...option) *setup {
	t.Helper()
	api := httptest.NewServer(up)
	t.Cleanup(api.Close)
	return startURL(t, api.URL, opts...)
}

func startURL(t testing.TB, url string, opts ...option) *setup {
	t.Helper()
	s := &setup{f: &fake{ch: make(chan *record, 1000), verdict: allow(enforce.Route{}, alice)}}
	upstream := gateway.Upstream{Name: "api", URL: url, PlainHeaders: true}
	s.cfg = gateway.Config{Enforcer: s.f, Asserter: newAsserter(t)}
	for _, o := range opts {
		o(&s.cfg, &upstream)
	}
	ups, err := gateway.NewUpstreams([]gateway.Upstream{upstream})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ups.Close)
	s.cfg.Upstreams = ups
	g, err := gateway.New(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.srv = httptest.NewUnstartedServer(g)
	s.srv.EnableHTTP2 = true
	s.srv.Start()
	t.Cleanup(s.srv.Close)
	s.url, s.addr = s.srv.URL, s.srv.Listener.Addr().String()
	return s
}

// echo answers with the request header it saw, as JSON.
func echo(w http.ResponseWriter, r *http.Request) {
	h := r.Header.Clone()
	h.Set("Host", r.Host)
	h.Set("Uri", r.RequestURI)
	body, _ := json.Marshal(h)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func get(t *testing.T, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func seen(t *testing.T, body string) http.Header {
	t.Helper()
	var h http.Header
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		t.Fatalf("%v in %.200s", err, body)
	}
	return h
}

// raw sends bytes and returns everything that comes back.
func raw(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(c)
	return string(out)
}

// ASVS: 8.3.3, 13.2.1
func TestIdentity(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), func(c *gateway.Config, u *gateway.Upstream) {
		c.StripHeaders = []string{"X-Tenant"}
		u.Headers = map[string]string{"X-Acting-User": "subject"}
	})
	spoof := []string{"X-Gatehouse-Assertion", "X-Gatehouse-Subject", "X-Gatehouse-Roles", "X_Gatehouse_Subject", "x.gatehouse.subject",
		"X-Forwarded-User", "X-Forwarded-Access-Token", "X_Forwarded_User", "Remote-User", "REMOTE_USER", "Remote_User", "X-Remote-User",
		"X-Auth-Request-Email", "X-WebAuth-User", "X-User-Id", "Forwarded", "X-Original-URL", "X-Rewrite-URL",
		"X-HTTP-Method-Override", "X_HTTP_Method_Override", "Proxy", "X-Tenant", "X_Tenant", "X_Acting_User", "Authorization", "X-Api-Key", "X_API_Key"}
	text := "GET /a/b?x=1 HTTP/1.1\r\nHost: api.example\r\nConnection: close, X-Gatehouse-Assertion, X-Gatehouse-Subject, X-Request-Id, X-Forwarded-For\r\n" +
		"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nX-Request-Id: mine\r\nX-Fine: yes\r\n"
	for _, name := range spoof {
		text += name + ": evil\r\n"
	}
	out := raw(t, s.addr, text+"\r\n")
	if !strings.HasPrefix(out, "HTTP/1.1 200") {
		t.Fatalf("%s", out)
	}
	head, body, _ := strings.Cut(out, "\r\n\r\n")
	h := seen(t, body)
	x := s.f.last(t)
	for name, want := range map[string]string{
		"X-Gatehouse-Subject": "usr_alice", "X-Gatehouse-Username": "%C3%84lice%0D%0AX:%201", "X-Gatehouse-Roles": "admin,a%2Cb",
		"X-Gatehouse-Scopes": "read write", "X-Acting-User": "usr_alice", "X-Request-Id": x.id, "X-Forwarded-For": "127.0.0.1",
		"X-Forwarded-Proto": "http", "X-Forwarded-Host": "api.example", "X-Fine": "yes", "Uri": "/a/b?x=1",
	} {
		if got := h[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: upstream saw %q, want %q", name, got, want)
		}
	}
	if strings.Contains(body, "evil") || strings.Contains(body, "6.6.6.6") {
		t.Errorf("a spoofed value came through: %s", body)
	}
	if !strings.Contains(head, "X-Request-Id: "+x.id) {
		t.Errorf("no request id in the answer:\n%s", head)
	}
	claims := claimsOf(t, h.Get("X-Gatehouse-Assertion"))
	if claims["iss"] != "https://auth.example" || claims["aud"] != "api" || claims["sub"] != "usr_alice" || claims["scope"] != "read write" ||
		claims["name"] != alice.Name || claims["exp"].(float64)-claims["iat"].(float64) != 45 {
		t.Errorf("assertion: %v", claims)
	}
	if x.status != 200 || x.bytes == 0 || len(x.steps) != 1 || x.steps[0].Name != "forward" {
		t.Errorf("record: %+v", x)
	}

	// An anonymous caller gets no identity, whatever it claims.
	s.f.verdict = allow(enforce.Route{Anonymous: true}, &gatehouse.Principal{Kind: gatehouse.KindAnonymous})
	_, body = get(t, s.url+"/", http.Header{"X-Gatehouse-Subject": {"usr_alice"}, "X-Gatehouse-Assertion": {"x.y.z"}})
	h = seen(t, body)
	if h["X-Gatehouse-Subject"] != nil || h["X-Gatehouse-Assertion"] != nil {
		t.Errorf("anonymous caller has an identity: %v", h)
	}
}

func claimsOf(t *testing.T, compact string) map[string]any {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("not a compact token: %q", compact)
	}
	head, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if !strings.Contains(string(head), `"typ":"gatehouse-assertion+jwt"`) {
		t.Errorf("header %s", head)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil {
		t.Fatalf("%v: %s", err, payload)
	}
	return m
}

// TestTraceContextPasses: the lines by which the logs of several programs are joined (W3C Trace Context) reach the API
// as the caller wrote them.
func TestTraceContextPasses(t *testing.T) {
	s := start(t, http.HandlerFunc(echo))
	const parent, state = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=1,b=2"
	_, body := get(t, s.url+"/x", http.Header{"Traceparent": {parent}, "Tracestate": {state}})
	if h := seen(t, body); h.Get("Traceparent") != parent || h.Get("Tracestate") != state {
		t.Errorf("%v", h)
	}
}

func TestPassAuthorization(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), func(_ *gateway.Config, u *gateway.Upstream) { u.PassAuthorization, u.DropCookies = true, true })
	_, body := get(t, s.url+"/", http.Header{"Authorization": {"Bearer t"}, "Cookie": {"a=b"}})
	if h := seen(t, body); h.Get("Authorization") != "Bearer t" || h.Get("Cookie") != "" {
		t.Errorf("%v", h)
	}
}

// TestProofEndsHere: the proof of a bound token is used up and goes no further; a line DPoP beside anything else is the API's own.
func TestProofEndsHere(t *testing.T) {
	s := start(t, http.HandlerFunc(echo))
	bound := *alice
	bound.Confirmation = gatehouse.Confirmation{JKT: "key"}
	for p, want := range map[*gatehouse.Principal]string{alice: "theirs", &bound: ""} {
		s.f.verdict = allow(enforce.Route{Authenticated: true}, p)
		_, body := get(t, s.url+"/", http.Header{"Dpop": {"theirs"}})
		if h := seen(t, body); h.Get("DPoP") != want {
			t.Errorf("%+v: %v", p.Confirmation, h)
		}
	}
}

func TestForwardedFromTrustedProxy(t *testing.T) {
	proxies, err := web.NewProxies(web.ProxyConfig{Trusted: []string{"127.0.0.0/8"}})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, http.HandlerFunc(echo), func(c *gateway.Config, _ *gateway.Upstream) { c.Proxies = proxies })
	res, body := get(t, s.url+"/", http.Header{"X-Forwarded-For": {"1.1.1.1, 9.9.9.9"}, "X-Forwarded-Proto": {"https"}})
	h := seen(t, body)
	if h.Get("X-Forwarded-For") != "9.9.9.9, 127.0.0.1" || h.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("%v", h)
	}
	if res.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS though the client used TLS")
	}
}

func TestRefusal(t *testing.T) {
	called := false
	s := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	for _, c := range []struct {
		name    string
		verdict func(*http.Request) enforce.Verdict
		status  int
		code    string
	}{
		{"401", deny(gatehouse.E(gatehouse.Unauthenticated, "credential_required", "x"), http.Header{"Www-Authenticate": {`Basic realm="main"`, `Bearer realm="main"`}}), 401, "credential_required"},
		{"403", deny(gatehouse.E(gatehouse.Denied, "no_permit", "x"), nil), 403, "no_permit"},
		{"zero verdict", func(*http.Request) enforce.Verdict { return enforce.Verdict{} }, 500, "internal"},
		{"allowed without route", func(*http.Request) enforce.Verdict { return enforce.Verdict{Allowed: true, Principal: alice} }, 500, "internal"},
		{"unknown upstream", func(*http.Request) enforce.Verdict {
			return enforce.Verdict{Allowed: true, Route: &enforce.Route{Upstream: "other"}, Principal: alice}
		}, 500, "internal"},
		{"panic", func(*http.Request) enforce.Verdict { panic("boom") }, 500, "internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.f.verdict = c.verdict
			res, body := get(t, s.url+"/x", nil)
			x := s.f.last(t)
			if res.StatusCode != c.status || !strings.Contains(body, `"code":"`+c.code+`"`) || !strings.Contains(body, x.id) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if res.Header.Get("Content-Type") != "application/problem+json" || x.status != c.status {
				t.Errorf("%v, recorded %d", res.Header, x.status)
			}
			if strings.Contains(body, "boom") || strings.Contains(body, "other") {
				t.Errorf("internals shown: %s", body)
			}
			if c.status == 401 && len(res.Header["Www-Authenticate"]) != 2 {
				t.Errorf("challenges: %q", res.Header["Www-Authenticate"])
			}
		})
	}
	if called {
		t.Error("the upstream saw a refused request")
	}
}

// ASVS: 13.4.4
func TestBounds(t *testing.T) {
	s := start(t, http.HandlerFunc(echo))
	many := ""
	for range 101 {
		many += "X-A: b\r\n"
	}
	for _, c := range []struct{ name, text, want string }{
		{"many lines", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + many + "\r\n", "HTTP/1.1 431"},
		{"long line", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", "HTTP/1.1 431"},
		{"trace", "TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 405"},
		{"connect", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n", "HTTP/1.1 405"},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 "},
		{"dots behind an encoded slash", "GET /documents/a%2F..%2fb HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		{"twice encoded slash", "GET /documents/a%252fb HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		{"encoded dots", "GET /public/%2e%2e/admin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		{"dots", "GET /public/../admin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		{"servlet dots", "GET /public/..;/admin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		{"backslash", "GET /public\\admin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		{"double slash", "GET //admin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		{"null", "GET /a%00b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		{"newline in path", "GET /a%0ab HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		{"dots in a name", "GET /a..b/.well-known/x%25y%20z HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200"},
	} {
		if out := raw(t, s.addr, c.text); !strings.HasPrefix(out, c.want) || c.name == "asterisk" && strings.HasPrefix(out, "HTTP/1.1 200 OK\r\nContent-Type") {
			t.Errorf("%s: %.300s", c.name, out)
		}
	}
	for _, method := range []string{"GET", "DELETE"} { // bytes that are no URL, but that clients send
		if out := raw(t, s.addr, method+" /x?q=caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(out, "HTTP/1.1 200 ") || !strings.Contains(out, "/x?q=caf\u00e9") {
			t.Errorf("%s: %s", method, out)
		}
	}
	if out := raw(t, s.addr, "GET /x%20y?a=%2f&b=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.Contains(out, `"/x%20y?a=%2f&b=1"`) {
		t.Errorf("the path or query changed on the way: %s", out)
	}
}

func TestCORS(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		echo(w, r)
	}))
	route := enforce.Route{CORS: &enforce.CORS{Origins: []string{"https://app.example"}, Methods: []string{"PUT"}, Headers: []string{"Authorization"}, Credentials: true, MaxAge: time.Hour}}
	s.f.match = func(r *http.Request) *enforce.Route {
		if r.Method == "PUT" {
			return &route
		}
		return nil
	}
	s.f.verdict = func(r *http.Request) enforce.Verdict {
		if r.Method == "OPTIONS" {
			return enforce.Verdict{Err: gatehouse.E(gatehouse.NotFound, "not_found", "")}
		}
		return enforce.Verdict{Err: gatehouse.E(gatehouse.Denied, "no_permit", ""), Route: &route}
	}
	preflight := func(origin, method string) *http.Response {
		req, _ := http.NewRequest("OPTIONS", s.url+"/x", nil)
		req.Header = http.Header{"Origin": {origin}, "Access-Control-Request-Method": {method}}
		res, _ := do(t, req)
		return res
	}
	res := preflight("https://app.example", "PUT")
	if res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || res.Header.Get("Access-Control-Allow-Methods") != "PUT" ||
		res.Header.Get("Access-Control-Max-Age") != "3600" {
		t.Errorf("preflight: %d %v", res.StatusCode, res.Header)
	}
	if res := preflight("https://evil.example", "PUT"); res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight of another origin: %v", res.Header)
	}
	if res := preflight("https://app.example", "DELETE"); res.StatusCode != 404 {
		t.Errorf("preflight without a rule: %d", res.StatusCode)
	}
	res, _ = get(t, s.url+"/x", http.Header{"Origin": {"https://app.example"}})
	if res.StatusCode != 403 || res.Header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("a refusal must be readable: %d %v", res.StatusCode, res.Header)
	}
	route.Upstream = "api"
	s.f.verdict = func(*http.Request) enforce.Verdict {
		return enforce.Verdict{Allowed: true, Route: &route, Principal: alice}
	}
	res, _ = get(t, s.url+"/x", http.Header{"Origin": {"https://evil.example"}})
	if res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") != "" || res.Header.Get("Vary") != "Origin" {
		t.Errorf("the upstream's CORS came through: %v", res.Header)
	}
}

// ASVS: 13.4.6, 14.2.2, 14.3.2
func TestResponseHeaders(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, n := range []string{"Server", "X-Powered-By", "Alt-Svc", "X-Gatehouse-Assertion", "X-Gatehouse-Anything"} {
			h.Set(n, "leak")
		}
		h.Set("X-Request-Id", "theirs")
		h.Set("Location", "http://"+r.Host+"/next?x=1")
		if r.URL.Path == "/cached" {
			h.Set("Cache-Control", "public, max-age=60")
		}
	}))
	res, _ := get(t, s.url+"/", nil)
	x := s.f.last(t)
	want := map[string]string{"Server": "", "X-Powered-By": "", "Alt-Svc": "", "X-Gatehouse-Assertion": "", "X-Gatehouse-Anything": "",
		"X-Request-Id": x.id, "Location": "/next?x=1", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cache-Control": "no-store", "Ratelimit": `"p";r=1;t=0`, "Strict-Transport-Security": ""}
	for name, v := range want {
		if got := res.Header.Get(name); got != v {
			t.Errorf("%s: %q, want %q", name, got, v)
		}
	}
	if res, _ := get(t, s.url+"/cached", nil); res.Header.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("the upstream's own caching rule was lost: %v", res.Header)
	}
}
