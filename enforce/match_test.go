package enforce

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/limit"
)

func TestMatch(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t,
		Route{ID: "list", Pattern: "GET /documents", Authenticated: true},
		Route{ID: "one", Pattern: "GET /documents/{id}", Authenticated: true},
		Route{ID: "mine", Pattern: "GET /documents/mine", Authenticated: true},
		Route{ID: "make", Pattern: "POST /documents", Authenticated: true},
		Route{ID: "files", Pattern: "/files/{path...}", Authenticated: true},
		Route{ID: "admin", Host: "Admin.Test:443", Pattern: "/documents/{id}", Roles: []string{"admin"}},
	)
	tests := []struct{ method, target, host, want string }{
		{"GET", "/documents", "", "list"},
		{"HEAD", "/documents", "", "list"},
		{"GET", "/documents/1", "", "one"},
		{"GET", "/documents/mine", "", "mine"},
		{"GET", "/documents/%6Dine", "", "mine"},
		{"POST", "/documents", "", "make"},
		{"PUT", "/documents", "", ""},
		{"get", "/documents", "", ""},
		{"GET", "/documents/", "", ""},
		{"GET", "/Documents", "", ""},
		{"GET", "/documents/1/2", "", ""},
		{"GET", "/", "", ""},
		{"DELETE", "/files/a/b", "", "files"},
		{"GET", "/files", "", ""},
		{"GET", "/documents/1", "admin.test", "admin"},
		{"GET", "/documents/1", "ADMIN.test", "admin"},
		{"GET", "/documents/1", "admin.test:8443", "admin"},
		{"GET", "/documents/1", "admin.test.", "admin"},
		{"GET", "/documents/1", "admin.test.:443", "admin"},
		{"GET", "/documents/1", "other.test", "one"},
		{"GET", "/documents", "admin.test", "list"},
		{"TRACE", "/documents", "", ""},
		{"CONNECT", "/documents", "", ""},
		{"OPTIONS", "/documents", "", ""},
		{"delete", "/files/a/b", "", ""},
		{"Delete", "/files/a/b", "", ""},
		{"PROPFIND", "/files/a/b", "", "files"},
		{"M-SEARCH", "/files/a/b", "", "files"},
	}
	for _, tt := range tests {
		r := request(tt.method, tt.target, "")
		if tt.host != "" {
			r.Host = tt.host
		}
		got := ""
		if rt := p.Match(r); rt != nil {
			got = rt.ID
		}
		if got != tt.want {
			t.Errorf("%s %s%s → %q, want %q", tt.method, tt.host, tt.target, got, tt.want)
		}
	}
	if v := f.do(p, request("GET", "/nothing", "")); v.Err.Code != "no_route" || v.Route != nil {
		t.Errorf("%+v", v)
	}
	// What exists under another method looks like what does not exist at all.
	if v := f.do(p, request("PUT", "/documents", "")); v.Err.Code != "no_route" {
		t.Errorf("%+v", v.Err)
	}
	if v := f.do(p, request("TRACE", "/documents", "")); v.Err.Kind != gatehouse.MethodNotAllowed || v.Header.Get("Allow") == "" {
		t.Errorf("%+v", v)
	}
}

// A method in another letter case is another method, and frameworks that fold it
// would do what no route judged.
func TestMethodsAreTokensInUpperCase(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "/", Anonymous: true})
	for _, method := range []string{"", "get", "delete", "Delete", "dELETE", "GET ", "GET\t", "GE\u017f", "G3T", "GET_", "*", "TRACE", "CONNECT", strings.Repeat("A", 33)} {
		r := request("GET", "/a", "")
		r.Method = method
		if v := f.do(p, r); v.Allowed || v.Err.Code != "method_not_allowed" || v.Header.Get("Allow") == "" {
			t.Errorf("%q: %+v", method, v.Err)
		}
		if p.Match(r) != nil {
			t.Errorf("Match finds %q", method)
		}
	}
}

// Each of these is read as another path by some program in front of which a
// gateway stands.
func TestAmbiguousPaths(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "/", Anonymous: true})
	bad := []string{
		"/a//b", "//a", "/a/./b", "/a/../b", "/a/..", "/a/.", "/.", "/..", "/../a",
		"/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", "/%2e%2e/b", "/a/%2e/b", "/a/.%2e/b", "/%2E",
		"/a%252fb", "/a%25%32%66b", "/%252e%252e/", "/a%25252fb", "/a%25255Cb",
		"/a;b", "/a/..;/b", "/a;jsessionid=1/b", "/a%3bb", "/a%3Bx", "/a%253bb",
		"/a%00", "/a%0a", "/a%0D", "/a%7f", "/a%2500", "/a%3fb", "/a%23b", `/a\b`, "/a/..%5cb", "/%ff", "/a%c0%afb", "/a%e0%80%afb",
	}
	for _, s := range bad {
		u, err := url.ParseRequestURI(s)
		if err != nil {
			continue // the server refuses it
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = u
		v := f.do(p, r)
		if v.Allowed || v.Err.Code != "path_ambiguous" && v.Err.Code != "no_route" {
			t.Errorf("%s: %+v", s, v.Err)
		}
		if p.Match(r) != nil {
			t.Errorf("Match finds %s", s)
		}
	}
	// HTTP/2 carries these; on an HTTP/1.1 request line they end the target.
	for _, query := range []string{"q=1 HTTP/1.1", "q=\t", "q=\r\nX: y", "\x00", "\x7f"} {
		r := request("GET", "/a", "")
		r.URL.RawQuery = query
		if v := f.do(p, r); v.Allowed || v.Err.Code != "path_ambiguous" {
			t.Errorf("query %q: %+v", query, v.Err)
		}
	}
	for _, s := range []string{"/?q=caf\xc3\xa9", "/", "/a", "/a/", "/.hidden", "/a..b", "/...", "/..a/b", "/a.b/c.", "/100%25", "/100%25zz", "/a%20b", "/%C3%BC", "/a+b", "/a:b@c", "/a%25zz", "/x=y,z"} {
		if v := f.do(p, request("GET", s, "")); !v.Allowed {
			t.Errorf("%s: %+v", s, v.Err)
		}
	}
}

// Nobody may call what is closed, and a wider route does not get it.
func TestClosedRoute(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "/", Anonymous: true}, Route{Pattern: "GET /a/{x}", Closed: true})
	for target, code := range map[string]string{"/a/1": "no_route", "/A/1": "path_ambiguous", "/a/1/": "path_ambiguous", "/b": ""} {
		v := f.do(p, request("GET", target, "", "Authorization", bearer))
		if v.Allowed != (code == "") || code != "" && gatehouse.CodeOf(v.Err) != code {
			t.Errorf("%s: %v, want %q", target, v.Err, code)
		}
	}
	if v := f.do(p, request("POST", "/a/1", "")); !v.Allowed {
		t.Errorf("another method: %+v", v.Err)
	}
	if p.Match(request("GET", "/a/1", "")) != nil {
		t.Error("Match finds it")
	}

	// What a closed route and another one match, neither being more specific, is
	// closed; also where the API is said to tell paths apart, and in either order.
	open := Route{Pattern: "/a/{x}/c", Anonymous: true, StrictPaths: true}
	closed := Route{Pattern: "/a/b/{y}", Closed: true, Upstream: "other"}
	inner := Route{Pattern: "/a/b/c/{$}", Anonymous: true, StrictPaths: true}
	for _, routes := range [][]Route{{open, closed, inner}, {inner, closed, open}} {
		p := f.pipeline(t, routes...)
		for target, allowed := range map[string]bool{"/a/b/c": false, "/a/b/x": false, "/a/x/c": true, "/a/b/c/": true, "/a/%62/c": false} {
			if v := f.do(p, request("GET", target, "")); v.Allowed != allowed {
				t.Errorf("%s: %v, %v", target, v.Allowed, v.Err)
			}
		}
	}
	found, shut := Route{Pattern: "/a/b/{y}", Anonymous: true, StrictPaths: true}, Route{Pattern: "/a/{x}/c", Closed: true, Upstream: "other"}
	for _, routes := range [][]Route{{found, shut}, {shut, found}, {shut, {Pattern: "/a/b/{y}/{z}/{w}", Closed: true}, found}} {
		if v := f.do(f.pipeline(t, routes...), request("GET", "/a/b/c", "")); v.Allowed {
			t.Errorf("%s first: the first segment decides, and not that one of both is closed", routes[0].Pattern)
		}
	}
	// Beside a closed route, two others are compared as ever.
	if err := CheckRoutes([]Route{shut, {Pattern: "/{z}/b/q", Anonymous: true}, found}); err == nil || !strings.Contains(err.Error(), "/{z}/b/q") {
		t.Errorf("a conflict behind a closed route: %v", err)
	}
	wider := f.pipeline(t, Route{Pattern: "/{x}/b/c", Closed: true}, open, Route{Pattern: "/a/b/c", Authenticated: true, StrictPaths: true})
	if v := f.do(wider, request("GET", "/a/b/c", "", "Authorization", bearer)); !v.Allowed {
		t.Errorf("a more specific route than the closed one: %v", v.Err)
	}
}

func TestMethodOverride(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "/x", Anonymous: true})
	for _, h := range []string{"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "x-http-method-override"} {
		if v := f.do(p, request("POST", "/x", "", h, "DELETE")); v.Allowed || v.Err.Code != "method_override" {
			t.Errorf("%s: %+v", h, v)
		}
	}
	for _, q := range []string{"?_method=DELETE", "?a=1&_METHOD=x", "?a;_method=x", "?%5fmethod=x", "?_%6dethod=x", "?%5F%6D%65%74%68%6F%64=x",
		"?.method=x", "?%20_method=x", "?++_method=x", "?-method=x", "?_method%00=x", "?_method%00%zz=x",
		"?_method[]=x", "?_method%5B0%5D=x", "?_method", "?a=1;.Method=x", "?a&&_method=x",
		"?X-HTTP-Method-Override=x", "?x.http.method=x", "?X_Method+Override=x"} {
		if v := f.do(p, request("POST", "/x"+q, "")); v.Allowed || v.Err.Code != "method_override" {
			t.Errorf("%s: %+v", q, v)
		}
	}
	// CGI makes the same name of both.
	for _, h := range []string{"X_HTTP_Method_Override", "X-HTTP_Method-Override", "x_method_override", "X_HTTP_METHOD"} {
		r := request("POST", "/x", "")
		r.Header[h] = []string{"DELETE"}
		if v := f.do(p, r); v.Allowed || v.Err.Code != "method_override" {
			t.Errorf("%s: %+v", h, v)
		}
	}
	for _, q := range []string{"?method=a&my_method=b", "?_methods=a", "?[method=a", "?a=_method", "?__method=a", "?_metho%zz=a", "?_metho%6", "?a=1;2;3", "?+method=x"} {
		if v := f.do(p, request("POST", "/x"+q, "")); !v.Allowed {
			t.Errorf("%s: %+v", q, v)
		}
	}
}

// ASVS: 13.4.4
func TestSetRoutesRefuses(t *testing.T) {
	f := newFakes()
	ok := Route{ID: "ok", Pattern: "GET /a/{id}", Authenticated: true}
	p := f.pipeline(t, ok)
	doc := &ResourceRule{Type: "Document", ID: "{id}"}
	tests := []struct {
		name   string
		routes []Route
		says   string
	}{
		{"no requirement", []Route{{Pattern: "/a"}}, "who may call"},
		{"anonymous and more", []Route{{Pattern: "/a", Anonymous: true, Scopes: []string{"x"}}}, "contradicts"},
		{"unknown scheme", []Route{{Pattern: "/a", Authenticated: true, Schemes: []gatehouse.Scheme{"magic"}}}, "not known"},
		{"unavailable scheme", []Route{{Pattern: "/a", Authenticated: true, Schemes: []gatehouse.Scheme{"opaque"}}}, "not available"},
		{"environment", []Route{{Pattern: "/a", Authenticated: true, Environment: "prod"}}, "neither"},
		{"all scopes", []Route{{Pattern: "/a", Scopes: []string{"*"}}}, "none"},
		{"empty role", []Route{{Pattern: "/a", Roles: []string{""}}}, "names"},
		{"action without resource", []Route{{Pattern: "/a", Action: "read"}}, "needs a resource"},
		{"resource without action", []Route{{Pattern: "/a/{id}", Authenticated: true, Resource: doc}}, "decides nothing"},
		{"hidden without action", []Route{{Pattern: "/a", Authenticated: true, HideExistence: true}}, "hide_existence"},
		{"unknown parameter", []Route{{Pattern: "/a", Action: "read", Resource: doc}}, `"id"`},
		{"open brace", []Route{{Pattern: "/a/{id}", Action: "read", Resource: &ResourceRule{Type: "D", ID: "{id"}}}, "brace"},
		{"no type", []Route{{Pattern: "/a/{id}", Action: "read", Resource: &ResourceRule{ID: "{id}"}}}, "type"},
		{"unknown source", []Route{{Pattern: "/a/{id}", Action: "read", Resource: &ResourceRule{Type: "D", Source: "ldap"}}}, "not known"},
		{"upstream without fetch", []Route{{Pattern: "/a/{id}", Action: "read", Resource: &ResourceRule{Type: "D", Source: "upstream"}}}, "fetch"},
		{"fetch is no path", []Route{{Pattern: "/a/{id}", Action: "read", Resource: &ResourceRule{Type: "D", Source: "upstream", Fetch: "http://x/{id}"}}}, "path"},
		{"fetch has a fragment", []Route{{Pattern: "/a/{id}", Action: "read", Resource: &ResourceRule{Type: "D", Source: "upstream", Fetch: "/x#{id}"}}}, "fragment"},
		{"stored without id", []Route{{Pattern: "/a/{id}", Action: "read", Resource: &ResourceRule{Type: "D", Source: "stored"}}}, "stored"},
		{"rate", []Route{{Pattern: "/a", Authenticated: true, RateAddress: limit.Rate{Limit: 5}}}, "window"},
		{"cors with everything", []Route{{Pattern: "/a", Authenticated: true, CORS: &CORS{Origins: []string{"*"}, Credentials: true}}}, "any site"},
		{"cors pattern", []Route{{Pattern: "/a", Authenticated: true, CORS: &CORS{Origins: []string{"https://*.test"}}}}, "exact"},
		{"filter", []Route{{Pattern: "/a", Authenticated: true, Filter: &ListFilter{Action: "read"}}}, "filter"},
		{"pattern", []Route{{Pattern: "a", Authenticated: true}}, "pattern"},
		{"pattern with host", []Route{{Pattern: "GET x.test/a", Authenticated: true}}, "host"},
		{"bad wildcard", []Route{{Pattern: "/a/{}", Authenticated: true}}, "name alone"},
		{"adjacent parameters", []Route{{Pattern: "/a/{x}{y}", Authenticated: true}}, "text between"},
		{"rest within a segment", []Route{{Pattern: "/a/b{x...}", Authenticated: true}}, "end"},
		{"rest in the middle", []Route{{Pattern: "/a/{x...}/b", Authenticated: true}}, "end"},
		{"end in the middle", []Route{{Pattern: "/a/{$}/b", Authenticated: true}}, "end"},
		{"same name twice", []Route{{Pattern: "/a/{x}/{x}", Authenticated: true}}, "one name"},
		{"star", []Route{{Pattern: "/admin/*", Roles: []string{"boss"}}}, "{name...}"},
		{"stars", []Route{{Pattern: "/admin/**", Roles: []string{"boss"}}}, "{name...}"},
		{"star in a name", []Route{{Pattern: "/admin/{*path}", Roles: []string{"boss"}}}, "{name...}"},
		{"star in a text", []Route{{Pattern: "/files/*.pdf", Roles: []string{"boss"}}}, "wildcard"},
		{"colon", []Route{{Pattern: "GET /users/:id", Roles: []string{"boss"}}}, "{id}"},
		{"angle brackets", []Route{{Pattern: "/users/<int:id>", Roles: []string{"boss"}}}, "{name}"},
		{"typed parameter", []Route{{Pattern: "/users/{id:int}", Roles: []string{"boss"}}}, "name alone"},
		{"regular expression", []Route{{Pattern: "/users/{id:[0-9]+}", Roles: []string{"boss"}}}, "name alone"},
		{"optional parameter", []Route{{Pattern: "/users/{id?}", Roles: []string{"boss"}}}, "path alone"},
		{"doubled slash", []Route{{Pattern: "/a//b", Roles: []string{"boss"}}}, "doubled"},
		{"dots", []Route{{Pattern: "/a/../b", Roles: []string{"boss"}}}, "no request"},
		{"dot", []Route{{Pattern: "/a/./b", Roles: []string{"boss"}}}, "no request"},
		{"query", []Route{{Pattern: "/a?x=1", Roles: []string{"boss"}}}, "path alone"},
		{"fragment", []Route{{Pattern: "/a#x", Roles: []string{"boss"}}}, "path alone"},
		{"path parameter", []Route{{Pattern: "/a;x=1", Roles: []string{"boss"}}}, "path alone"},
		{"backslash", []Route{{Pattern: `/a\d`, Roles: []string{"boss"}}}, "path alone"},
		{"encoded slash", []Route{{Pattern: "/a/%2F", Roles: []string{"boss"}}}, "no request"},
		{"encoded dot", []Route{{Pattern: "/a/%2e%2e/b", Roles: []string{"boss"}}}, "no request"},
		{"encoded twice", []Route{{Pattern: "/a/%252f", Roles: []string{"boss"}}}, "no request"},
		{"control character", []Route{{Pattern: "/a/%00", Roles: []string{"boss"}}}, "no request"},
		{"malformed escape", []Route{{Pattern: "/a/%zz", Roles: []string{"boss"}}}, "escape"},
		{"space in a path", []Route{{Pattern: "/a b", Roles: []string{"boss"}}}, "%20"},
		{"two methods", []Route{{Pattern: "GET,POST /a", Roles: []string{"boss"}}}, "one method"},
		{"slip of a method", []Route{{Pattern: "DELTE /a", Roles: []string{"boss"}}}, "DELETE"},
		{"method that is none", []Route{{Pattern: "G$T /a", Roles: []string{"boss"}}}, "no method"},
		{"empty", []Route{{Pattern: "", Roles: []string{"boss"}}}, "pattern"},
		{"overlap of mixed segments", []Route{{ID: "first", Pattern: "/a/{x}.json", Authenticated: true}, {ID: "second", Pattern: "/a/x-{y}", Authenticated: true}}, "first"},
		{"same mixed segment", []Route{{ID: "first", Pattern: "/a/{x}.json", Authenticated: true}, {ID: "second", Pattern: "/a/{y}.json", Authenticated: true}}, "first"},
		{"method against path", []Route{{ID: "first", Pattern: "GET /", Authenticated: true}, {ID: "second", Pattern: "/a", Authenticated: true}}, "first"},
		{"closed and roles", []Route{{Pattern: "/a", Closed: true, Roles: []string{"x"}}}, "closed contradicts"},
		{"any_of with anonymous", []Route{{Pattern: "/a", Anonymous: true, AnyOf: []Requirement{{Scopes: []string{"x"}}}}}, "contradicts"},
		{"any_of against schemes", []Route{{Pattern: "/a", Schemes: []gatehouse.Scheme{"jwt"}, AnyOf: []Requirement{{Schemes: []gatehouse.Scheme{"basic"}}}}}, "no credential"},
		{"any_of with an unknown scheme", []Route{{Pattern: "/a", AnyOf: []Requirement{{Schemes: []gatehouse.Scheme{"magic"}}}}}, "not known"},
		{"any_of with every scope", []Route{{Pattern: "/a", AnyOf: []Requirement{{Scopes: []string{"*"}}}}}, "none"},
		{"lower-case method", []Route{{Pattern: "get /a", Authenticated: true}}, "upper"},
		{"trace", []Route{{Pattern: "TRACE /a", Authenticated: true}}, "TRACE"},
		{"wildcard host", []Route{{Host: "*.test", Pattern: "/a", Authenticated: true}}, "host"},
		{"same id", []Route{ok, {ID: "ok", Pattern: "/b", Authenticated: true}}, "same id"},
		{"conflict", []Route{{ID: "first", Pattern: "/{a}/x", Authenticated: true}, {ID: "second", Pattern: "/x/{a}", Authenticated: true}}, "first"},
		{"same pattern", []Route{{ID: "first", Pattern: "/a", Authenticated: true}, {ID: "second", Pattern: "/a", Authenticated: true}}, "first"},
	}
	for _, tt := range tests {
		err := p.SetRoutes(tt.routes)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, good := range []string{"/", "/{$}", "/a/", "/a:b", "/a/{id}:archive", "/a/{from}-{to}", "/v1.0/{x}", "/a%20b", "/café", "/People('x')", "/@me", "/~a", "M-SEARCH /", "PURGE /a", "/a/{größe}"} {
		if err := p.SetRoutes([]Route{{Pattern: good, Authenticated: true}}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	if err := p.SetRoutes([]Route{ok}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		_ = p.SetRoutes(tt.routes)
	}
	if p.Match(request("GET", "/a/1", "")) == nil {
		t.Error("a refused set replaced the routes")
	}
	if err := p.SetRoutes([]Route{{Host: "a.test", Pattern: "/a", Authenticated: true}, {Host: "b.test", Pattern: "/a", Authenticated: true}}); err != nil {
		t.Error(err)
	}
}
