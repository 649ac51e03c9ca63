package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

func newForwardAuth(t *testing.T, trusted ...string) (*gateway.ForwardAuth, *fake) {
	t.Helper()
	proxies, err := web.NewProxies(web.ProxyConfig{Trusted: trusted})
	if err != nil {
		t.Fatal(err)
	}
	ups, err := gateway.NewUpstreams([]gateway.Upstream{{Name: "api", URL: "http://127.0.0.1:9", Audience: "the-api", Headers: map[string]string{"X-Who": "subject"}}})
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{ch: make(chan *record, 1000), verdict: allow(enforce.Route{}, alice)}
	h, err := gateway.NewForwardAuth(gateway.ForwardAuthConfig{Enforcer: f, Asserter: newAsserter(t), Upstreams: ups, Proxies: proxies})
	if err != nil {
		t.Fatal(err)
	}
	return h, f
}

func question(style string, h http.Header) *http.Request {
	r := httptest.NewRequest("GET", "/.gatehouse/auth/"+style, nil)
	r.RemoteAddr = "10.0.0.1:1234"
	r.Header = h
	return r
}

func original(method, uri, host string) http.Header {
	return http.Header{"X-Original-Method": {method}, "X-Original-Uri": {uri}, "X-Original-Host": {host}, "X-Forwarded-For": {"9.9.9.9"}, "X-Forwarded-Proto": {"https"}}
}

func forwarded(method, uri, host string) http.Header {
	return http.Header{"X-Forwarded-Method": {method}, "X-Forwarded-Uri": {uri}, "X-Forwarded-Host": {host}, "X-Forwarded-For": {"9.9.9.9"}, "X-Forwarded-Proto": {"https"}}
}

func TestForwardAuthAllows(t *testing.T) {
	h, f := newForwardAuth(t, "10.0.0.0/8")
	for style, header := range map[string]http.Header{
		"nginx": original("PUT", "/d/1?x=%2f", "api.example:8443"), "haproxy": original("PUT", "/d/1?x=%2f", "api.example:8443"),
		"apache": original("PUT", "/d/1?x=%2f", "api.example:8443"), "caddy": forwarded("PUT", "/d/1?x=%2f", "api.example:8443"),
		"traefik": forwarded("PUT", "/d/1?x=%2f", "api.example:8443"),
	} {
		header.Set("Authorization", "Bearer t")
		header.Set("Content-Length", "17")
		header.Set("X-Gatehouse-Subject", "usr_evil")
		header["X-Gatehouse-Assertion"] = []string{"evil"}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, question(style, header))
		x := f.last(t)
		r := x.asked
		if w.Code != 200 || r.Method != "PUT" || r.URL.Path != "/d/1" || r.URL.RawQuery != "x=%2f" || r.Host != "api.example:8443" || r.ContentLength != 0 {
			t.Fatalf("%s: %d, asked about %v %v %v", style, w.Code, r.Method, r.URL, r.Host)
		}
		if r.Header.Get("Authorization") != "Bearer t" || r.Header.Get("Content-Length") != "" || r.Header.Get("X-Gatehouse-Subject") != "" ||
			r.Header.Get("X-Original-Uri") != "" || r.Header.Get("X-Forwarded-For") != "9.9.9.9" {
			t.Errorf("%s: header %v", style, r.Header)
		}
		out := w.Header()
		if c := claimsOf(t, out.Get("X-Gatehouse-Assertion")); c["aud"] != "the-api" || c["sub"] != "usr_alice" {
			t.Errorf("%s: %v", style, c)
		}
		if out.Get("X-Gatehouse-Subject") != "usr_alice" || out.Get("X-Who") != "usr_alice" || out.Get("X-Request-Id") != x.id || out.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", style, out)
		}
	}
	// Nobody: every line is there, and empty, so that a copy of it overwrites.
	f.verdict = allow(enforce.Route{Anonymous: true}, &gatehouse.Principal{Kind: gatehouse.KindAnonymous})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, question("nginx", original("GET", "/", "a")))
	for _, name := range []string{"X-Gatehouse-Assertion", "X-Gatehouse-Subject", "X-Gatehouse-Username", "X-Gatehouse-Roles", "X-Gatehouse-Scopes", "X-Who"} {
		if v := w.Header()[name]; len(v) != 1 || v[0] != "" {
			t.Errorf("anonymous: %s is %q", name, v)
		}
	}
}

func TestForwardAuthRefuses(t *testing.T) {
	h, f := newForwardAuth(t, "10.0.0.0/8")
	f.verdict = func(*http.Request) enforce.Verdict {
		t.Error("the pipeline was asked")
		return enforce.Verdict{}
	}
	change := func(h http.Header, name string, lines ...string) http.Header {
		if h[name] = lines; len(lines) == 0 {
			delete(h, name)
		}
		return h
	}
	for name, header := range map[string]http.Header{
		"two URIs":         change(original("GET", "/", "a"), "X-Original-Uri", "/public", "/admin"),
		"no method":        change(original("GET", "/", "a"), "X-Original-Method"),
		"no host":          change(original("GET", "/", "a"), "X-Original-Host"),
		"two hosts":        change(original("GET", "/", "a"), "X-Original-Host", "a", "b"),
		"two protos":       change(original("GET", "/", "a"), "X-Forwarded-Proto", "https", "http"),
		"odd method":       original("GET /x", "/", "a"),
		"lower method":     original("get", "/", "a"),
		"absolute URI":     original("GET", "http://evil/", "a"),
		"relative URI":     original("GET", "admin", "a"),
		"dot segments":     original("GET", "/public/../admin", "a"),
		"dots, encoded":    original("GET", "/public%2f..%2Fadmin", "a"),
		"space in URI":     original("GET", "/public /admin", "a"),
		"list in host":     original("GET", "/", "a, b"),
		"userinfo in host": original("GET", "/", "u@a"),
		"other dialect":    forwarded("GET", "/", "a"),
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, question("nginx", header))
		if x := f.last(t); w.Code != 403 || x.status != 403 || len(x.steps) != 1 || x.steps[0].Code != "original_request_unclear" {
			t.Errorf("%s: %d, %+v", name, w.Code, x.steps)
		}
	}
	w := httptest.NewRecorder()
	r := question("nginx", original("GET", "/", "a"))
	r.RemoteAddr = "192.0.2.1:9"
	h.ServeHTTP(w, r)
	if x := f.last(t); w.Code != 403 || x.steps[0].Code != "untrusted_proxy" || w.Header().Get("X-Gatehouse-Assertion") != "" {
		t.Errorf("untrusted: %d %+v", w.Code, x.steps)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, question("squid", original("GET", "/", "a")))
	if w.Code != 404 {
		t.Errorf("unknown dialect: %d", w.Code)
	}
	// An empty list trusts nobody.
	none, g := newForwardAuth(t)
	g.verdict = f.verdict
	w = httptest.NewRecorder()
	none.ServeHTTP(w, question("nginx", original("GET", "/", "a")))
	if w.Code != 403 {
		t.Errorf("nobody trusted: %d", w.Code)
	}
}

// TestForwardAuthClearsLines: a line that says nothing about its caller is sent
// empty, so that the proxy's copy of it overwrites what the caller made up.
func TestForwardAuthClearsLines(t *testing.T) {
	h, f := newForwardAuth(t, "10.0.0.0/8")
	for name, p := range map[string]gatehouse.Principal{
		"no roles":          {ID: "usr_1", Name: "bob", Scopes: []string{"read"}},
		"no scopes":         {ID: "usr_1", Name: "bob", Roles: []string{"user"}},
		"no name":           {ID: "usr_1", Roles: []string{"user"}, Scopes: []string{"read"}},
		"nothing but an id": {ID: "usr_1"},
	} {
		p.Realm, p.Kind, p.Scheme = "main", gatehouse.KindUser, gatehouse.SchemeJWT
		f.verdict = allow(enforce.Route{}, &p)
		q := original("GET", "/", "a")
		want := map[string]string{"X-Gatehouse-Subject": p.ID, "X-Gatehouse-Username": p.Name, "X-Gatehouse-Roles": strings.Join(p.Roles, ","),
			"X-Gatehouse-Scopes": strings.Join(p.Scopes, " "), "X-Who": p.ID}
		for line := range want {
			q.Set(line, "forged")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, question("nginx", q))
		f.last(t)
		for line, value := range want {
			if got := w.Header()[line]; len(got) != 1 || got[0] != value {
				t.Errorf("%s: %s is %q, want one line %q", name, line, got, value)
			}
		}
	}
}

// TestForwardAuthFoldingNames: what the proxy cannot take away by its name, and
// a CGI-like API would take for a line of ours, is refused in every spelling.
func TestForwardAuthFoldingNames(t *testing.T) {
	h, f := newForwardAuth(t, "10.0.0.0/8")
	protected := []string{"X-Gatehouse-Subject", "X-Gatehouse-Assertion", "X-Gatehouse-Anything", "Remote-User", "X-Remote-User", "X-Forwarded-User", "X-Forwarded-For",
		"X-Auth-Request-User", "X-WebAuth-User", "X-User-Id", "X-Rewrite-Url", "X-Original-Uri", "X-Http-Method-Override", "X-Method-Override", "X-Http-Method",
		"X-Request-Id", "X-Api-Key", "Proxy-Authorization", "X-Real-Ip", "X-Who"} // X-Who is a plain line of the upstream
	ask := func(name string) (int, *record) {
		q := original("GET", "/", "a")
		q[http.CanonicalHeaderKey(name)] = []string{"forged"}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, question("caddy", func() http.Header { // the same lines, as caddy names them
			for _, n := range []string{"Method", "Uri", "Host"} {
				q["X-Forwarded-"+n] = q["X-Original-"+n]
				if name != "X-Original-"+n {
					delete(q, "X-Original-"+n)
				}
			}
			return q
		}()))
		return w.Code, f.last(t)
	}
	for _, name := range protected {
		first, last := strings.Index(name, "-"), strings.LastIndex(name, "-")
		for _, spelling := range []string{strings.ReplaceAll(name, "-", "_"), strings.ToLower(strings.ReplaceAll(name, "-", "_")), strings.ToUpper(strings.ReplaceAll(name, "-", "_")),
			name[:first] + "_" + name[first+1:], name[:last] + "_" + name[last+1:], name[:last] + "." + name[last+1:], name[:last] + "~" + name[last+1:]} {
			if code, x := ask(spelling); code != 400 || len(x.steps) != 1 || x.steps[0].Code != "header_name_ambiguous" {
				t.Errorf("%s: %d %+v", spelling, code, x.steps)
			}
		}
	}
	for _, name := range []string{"X-Gatehouse-Subject", "X-Custom_Name", "Content_Language", "Authorization", "X-Api-Key"} {
		if code, _ := ask(name); code != 200 { // the answer's line replaces it, or nobody minds it
			t.Errorf("%s: %d", name, code)
		}
	}
}

// TestForwardAuthReservedNames: a line that only the proxy may write, and that is
// still there when it asks, would reach the API. So the request is refused, unless
// that proxy writes the line itself, or replaces it by one of the answer.
func TestForwardAuthReservedNames(t *testing.T) {
	h, f := newForwardAuth(t, "10.0.0.0/8")
	overrides := []string{"x-http-method", "x-http-method-override", "x-method-override"} // the pipeline's
	written := map[string][]string{
		"nginx": {"x-original-method", "x-original-uri", "x-original-host"}, "haproxy": {"x-original-method", "x-original-uri", "x-original-host"},
		"apache": {"x-original-method", "x-original-uri", "x-original-host"}, "caddy": {"x-forwarded-method", "x-forwarded-uri", "x-forwarded-host"},
		"traefik": {"x-forwarded-method", "x-forwarded-uri", "x-forwarded-host", "x-forwarded-port", "x-forwarded-server", "x-real-ip"}, "envoy": nil,
	}
	for style, own := range written {
		for _, name := range append(gateway.ProtectedNames(), "x-gatehouse-anything", "x-forwarded-port", "x-forwarded-server") {
			q := original("GET", "/x", "a")
			switch style {
			case "caddy", "traefik":
				q = forwarded("GET", "/x", "a")
			case "envoy":
				q = http.Header{"X-Forwarded-For": {"9.9.9.9"}, "X-Forwarded-Proto": {"https"}}
			}
			canonical := http.CanonicalHeaderKey(name)
			if q[canonical] == nil {
				q[canonical] = []string{"forged"}
			}
			r := question(style, q)
			if style == "envoy" {
				r = question("envoy/x", q)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			x := f.last(t)
			if slices.Contains(own, name) || slices.Contains(overrides, name) || name == "x-request-id" {
				if w.Code != 200 {
					t.Errorf("%s, %s: %d %+v", style, name, w.Code, x.steps)
				}
				continue
			}
			want := 400
			if style == "nginx" {
				want = 403
			}
			if w.Code != want || len(x.steps) != 1 || x.steps[0].Code != "header_name_reserved" || w.Header().Get("X-Gatehouse-Assertion") != "" ||
				!strings.Contains(w.Body.String(), `"`+canonical+`"`) {
				t.Errorf("%s, %s: %d %+v %s", style, name, w.Code, x.steps, w.Body)
			}
		}
	}
}

// TestForwardAuthEnvoy: Envoy sends the request itself, behind the dialect's name.
func TestForwardAuthEnvoy(t *testing.T) {
	h, f := newForwardAuth(t, "10.0.0.0/8")
	ask := func(method, target string) (*httptest.ResponseRecorder, *record) {
		r := httptest.NewRequest(method, gateway.ForwardAuthPath+target, nil)
		r.RemoteAddr, r.Host = "10.0.0.1:1234", "api.example"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w, f.last(t)
	}
	w, x := ask("DELETE", "/envoy/d/nginx?x=%2f")
	if r := x.asked; w.Code != 200 || r.Method != "DELETE" || r.URL.Path != "/d/nginx" || r.URL.RawQuery != "x=%2f" || r.Host != "api.example" || r.RequestURI != "/d/nginx?x=%2f" {
		t.Errorf("%d, asked about %v %v %v", w.Code, x.asked.Method, x.asked.URL, x.asked.Host)
	}
	for target, want := range map[string]int{"/envoy/a/..%2fb": 403, "/envoy/a/../b": 403, "/envoy": 403, "/envoy?x": 403, "/envoy*": 404, "/envoyx/a": 404,
		"/nginx/a": 403, "/caddy/a": 404, "/": 404, "": 404} {
		if w, x := ask("GET", target); w.Code != want || w.Header().Get("X-Gatehouse-Assertion") != "" {
			t.Errorf("%q: %d %+v", target, w.Code, x.steps)
		}
	}
}

// TestForwardAuthPreflight: a preflight carries no credential. Where 204 is an answer
// for the caller it is answered; where it would let the request pass, it never is.
func TestForwardAuthPreflight(t *testing.T) {
	h, f := newForwardAuth(t, "10.0.0.0/8")
	judged := 0
	f.verdict = func(*http.Request) enforce.Verdict {
		judged++
		return deny(gatehouse.E(gatehouse.Unauthenticated, "credential_missing", ""), nil)(nil)
	}
	rule := func(r *http.Request) *enforce.Route {
		if r.URL.Path != "/d/1" {
			t.Errorf("a rule was looked for at %s", r.URL.Path)
		}
		return &enforce.Route{CORS: &enforce.CORS{Origins: []string{"https://app.example"}, Methods: []string{"PUT"}, Headers: []string{"Authorization"}, Credentials: true}}
	}
	ask := func(style, peer, origin, asks string) *httptest.ResponseRecorder {
		q := original("OPTIONS", "/d/1", "a")
		switch style {
		case "caddy", "traefik":
			q = forwarded("OPTIONS", "/d/1", "a")
		case "envoy", "preflight":
			q = http.Header{}
		}
		q.Set("Origin", origin)
		if asks != "" {
			q.Set("Access-Control-Request-Method", asks)
		}
		r := question(style, q)
		if style == "envoy" || style == "preflight" {
			r = question(style+"/d/1", q)
			r.Method = "OPTIONS"
		}
		r.RemoteAddr = peer
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		f.last(t)
		if w.Header().Get("X-Gatehouse-Assertion") != "" {
			t.Errorf("%s: an assertion for a preflight", style)
		}
		return w
	}
	const proxy = "10.0.0.1:1234"
	for _, style := range []string{"haproxy", "apache", "envoy", "preflight"} {
		f.match = rule
		w := ask(style, proxy, "https://app.example", "PUT")
		if h := w.Header(); w.Code != 204 || h.Get("Access-Control-Allow-Origin") != "https://app.example" || h.Get("Access-Control-Allow-Methods") != "PUT" ||
			h.Get("Access-Control-Allow-Headers") != "Authorization" || h.Get("Access-Control-Allow-Credentials") != "true" || h.Get("Vary") == "" {
			t.Errorf("%s: %d %v", style, w.Code, w.Header())
		}
		for name, w := range map[string]*httptest.ResponseRecorder{"origin": ask(style, proxy, "https://evil.example", "PUT"), "method": ask(style, proxy, "https://app.example", "DELETE")} {
			if w.Code != 204 || w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s, other %s: %d %v", style, name, w.Code, w.Header())
			}
		}
		if judged != 0 {
			t.Errorf("%s: a preflight was judged", style)
		}
		// Without a rule, or when it is none, it is a request like any other.
		want := 401
		if style == "preflight" {
			want = 404
		}
		if w := ask(style, proxy, "https://app.example", ""); w.Code != want {
			t.Errorf("%s, OPTIONS: %d", style, w.Code)
		}
		f.match = nil
		if w := ask(style, proxy, "https://app.example", "PUT"); w.Code != want || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s, no rule: %d", style, w.Code)
		}
		judged = 0
	}
	f.match = rule
	for _, style := range []string{"nginx", "caddy", "traefik"} {
		if w := ask(style, proxy, "https://app.example", "PUT"); w.Code != 401 {
			t.Errorf("%s: %d", style, w.Code)
		}
	}
	// The rule is no secret: anybody may ask for it, and for nothing else.
	if w := ask("preflight", "192.0.2.1:9", "https://app.example", "PUT"); w.Code != 204 {
		t.Errorf("asked directly: %d", w.Code)
	}
	if w := ask("envoy", "192.0.2.1:9", "https://app.example", "PUT"); w.Code != 403 {
		t.Errorf("envoy from elsewhere: %d", w.Code)
	}
}

// TestForwardAuthCORS: the lines of an answer follow the route's rule, for the proxies
// that can hand them on, and so do those of a refusal, so that the page can read it.
func TestForwardAuthCORS(t *testing.T) {
	h, f := newForwardAuth(t, "10.0.0.0/8")
	route := enforce.Route{CORS: &enforce.CORS{Origins: []string{"https://app.example"}}}
	refused := func(*http.Request) enforce.Verdict {
		return enforce.Verdict{Route: &route, Err: gatehouse.E(gatehouse.Denied, "no_permit", "")}
	}
	for style, answers := range map[string]bool{"nginx": true, "haproxy": true, "apache": true, "caddy": true, "envoy": true, "traefik": false} {
		for origin, want := range map[string]string{"https://app.example": "https://app.example", "https://evil.example": ""} {
			for status, verdict := range map[int]func(*http.Request) enforce.Verdict{200: allow(route, alice), 403: refused} {
				f.verdict = verdict
				q := original("GET", "/x", "a")
				for name, lines := range forwarded("GET", "/x", "a") {
					if style == "caddy" || style == "traefik" {
						delete(q, strings.Replace(name, "Forwarded", "Original", 1))
						q[name] = lines
					}
				}
				path := style
				if style == "envoy" {
					path, q = "envoy/x", http.Header{}
				}
				q.Set("Origin", origin)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, question(path, q))
				f.last(t)
				want := want
				if status == 200 && !answers {
					want = ""
				}
				if w.Code != status || w.Header().Get("Access-Control-Allow-Origin") != want {
					t.Errorf("%s, %s: %d %v, want %d %q", style, origin, w.Code, w.Header(), status, want)
				}
			}
		}
	}
}

func TestForwardAuthStatuses(t *testing.T) {
	h, f := newForwardAuth(t, "10.0.0.0/8")
	challenges := http.Header{"Www-Authenticate": {`Basic realm="main"`, `Bearer realm="main"`}}
	for _, c := range []struct {
		name         string
		verdict      func(*http.Request) enforce.Verdict
		nginx, caddy int
	}{
		{"401", deny(gatehouse.E(gatehouse.Unauthenticated, "credential_required", ""), challenges), 401, 401},
		{"403", deny(gatehouse.E(gatehouse.Denied, "no_permit", ""), nil), 403, 403},
		{"404", deny(gatehouse.E(gatehouse.NotFound, "not_found", ""), nil), 403, 404},
		{"429", deny(gatehouse.E(gatehouse.RateLimited, "rate_limited", ""), nil), 403, 429},
		{"400", deny(gatehouse.E(gatehouse.Invalid, "credentials_compete", ""), nil), 403, 400},
		{"500", func(*http.Request) enforce.Verdict { return enforce.Verdict{} }, 500, 500},
		{"panic", func(*http.Request) enforce.Verdict { panic("boom") }, 500, 500},
	} {
		f.verdict = c.verdict
		for style, want := range map[string]int{"nginx": c.nginx, "caddy": c.caddy} {
			q := original("GET", "/x", "a")
			if style == "caddy" {
				q = forwarded("GET", "/x", "a")
			}
			w := httptest.NewRecorder()
			func() {
				defer func() { _ = recover() }() // a handler that panicked cuts the connection after its answer
				h.ServeHTTP(w, question(style, q))
			}()
			if w.Code != want || f.last(t).status != want {
				t.Errorf("%s to %s: %d, want %d", c.name, style, w.Code, want)
			}
			if w.Header().Get("X-Gatehouse-Assertion") != "" || strings.Contains(w.Body.String(), "boom") {
				t.Errorf("%s to %s: %v %s", c.name, style, w.Header(), w.Body)
			}
			lines := w.Header()["Www-Authenticate"]
			if c.name == "401" && (style == "nginx" && (len(lines) != 1 || lines[0] != `Basic realm="main", Bearer realm="main"`) || style == "caddy" && len(lines) != 2) {
				t.Errorf("challenges to %s: %q", style, lines)
			}
		}
	}
}
