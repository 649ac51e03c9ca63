package enforce

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/limit"
)

func mustUnescape(t *testing.T, s string) string {
	t.Helper()
	out, err := url.PathUnescape(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A path that differs from that of a stricter route only in what common routers
// ignore may not slip through the weaker route that matches it.
func TestSpellingsOfStricterRoutes(t *testing.T) {
	fallback := Route{ID: "rest", Pattern: "/", Authenticated: true}
	guarded := Route{ID: "guarded", Pattern: "DELETE /reports/{id}", Roles: []string{"admin"}}
	exact := Route{ID: "exact", Pattern: "/admin", Roles: []string{"admin"}}
	upper := Route{ID: "upper", Pattern: "/Panel/Users", Scopes: []string{"s"}}
	slash := Route{ID: "slash", Pattern: "/staff/{$}", Roles: []string{"admin"}}
	file := Route{ID: "file", Pattern: "/dump.csv", Roles: []string{"admin"}}
	open := Route{ID: "open", Pattern: "/docs/public", Anonymous: true}
	docs := Route{ID: "docs", Pattern: "/docs/{id}", Roles: []string{"admin"}}
	below := Route{ID: "below", Pattern: "/tree/", Scopes: []string{"s"}}
	all := []Route{fallback, guarded, exact, upper, slash, file, open, docs, below}
	f := newFakes()
	f.roles = nil
	p := f.pipeline(t, all...)
	strict := make([]Route, len(all))
	copy(strict, all)
	for i := range strict {
		strict[i].StrictPaths = true
	}
	trusting := f.pipeline(t, strict...)
	for _, tt := range []struct{ method, target, want string }{
		{"DELETE", "/Reports/5", "path_ambiguous"}, {"DELETE", "/reports/5/", "path_ambiguous"}, {"DELETE", "/REPORTS/5/", "path_ambiguous"},
		{"DELETE", "/repor%74s/5", "access_denied"}, {"DELETE", "/%52eports/5", "path_ambiguous"}, {"DELETE", "/report\u017f/5", "path_ambiguous"},
		{"DELETE", "/reports/5.json", "access_denied"}, {"GET", "/Reports/5", ""}, {"POST", "/reports/5/", ""}, {"DELETE", "/reports", ""},
		{"DELETE", "/reports/5/6", ""}, {"DELETE", "/reports/", ""},
		{"GET", "/admin", "access_denied"}, {"GET", "/ADMIN", "path_ambiguous"}, {"GET", "/admin/", "path_ambiguous"}, {"GET", "/admin.json", "path_ambiguous"},
		{"GET", "/Admin.json/", "path_ambiguous"}, {"GET", "/adm\u0131n", "path_ambiguous"}, {"GET", "/adm\u0130n", "path_ambiguous"}, {"GET", "/admin.", "path_ambiguous"},
		{"GET", "/admin%20", "path_ambiguous"}, {"PUT", "/aDmin", "path_ambiguous"}, {"GET", "/admin/x", ""}, {"GET", "/administration", ""}, {"GET", "/.admin", ""},
		{"GET", "/panel/users", "path_ambiguous"}, {"GET", "/panel/users/", "path_ambiguous"}, {"GET", "/panel/user", ""},
		{"GET", "/staff", "path_ambiguous"}, {"GET", "/Staff/", "path_ambiguous"}, {"GET", "/staff.html", "path_ambiguous"},
		{"GET", "/dump", ""}, {"GET", "/dump.CSV", "path_ambiguous"}, {"GET", "/dump.csv.json", "path_ambiguous"},
		{"GET", "/docs/public", ""}, {"GET", "/docs/public/", ""}, {"GET", "/Docs/Public", ""}, {"GET", "/docs/PUBLIC", "access_denied"},
		{"GET", "/docs/publi%63", "path_ambiguous"}, {"GET", "/Docs/publi%63", "path_ambiguous"}, {"GET", "/docs/private/", "path_ambiguous"},
		{"GET", "/tree", "path_ambiguous"}, {"GET", "/Tree/a", "path_ambiguous"}, {"GET", "/Tree", "path_ambiguous"}, {"GET", "/trees", ""},
		{"GET", "/style.css", ""}, {"GET", "/a%20b", ""}, {"GET", "/%61", ""},
	} {
		r := request("GET", "/", "", "Authorization", bearer)
		u, err := url.Parse(tt.target)
		if err != nil {
			t.Fatal(err)
		}
		r.Method, r.URL = tt.method, u
		v := f.do(p, r)
		code := ""
		if v.Err != nil {
			code = v.Err.Code
		}
		if code == "insufficient_scope" {
			code = "access_denied"
		}
		if code != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.target, code, tt.want)
		}
		if tt.want == "path_ambiguous" {
			if v := f.do(trusting, r); v.Err != nil && v.Err.Code == "path_ambiguous" {
				t.Errorf("%s %s: refused, although the API tells paths apart", tt.method, tt.target)
			}
			if p.Match(r) != nil {
				t.Errorf("Match finds %s", tt.target)
			}
		}
	}
	// A route of another upstream, of another host or of the same demands is no rival.
	for name, other := range map[string]Route{
		"other upstream": {Pattern: "/admin", Roles: []string{"admin"}, Upstream: "b"},
		"other host":     {Pattern: "/admin", Roles: []string{"admin"}, Host: "admin.test"},
		"same demands":   {Pattern: "/admin", Authenticated: true},
		"weaker":         {Pattern: "/admin", Anonymous: true},
	} {
		p := f.pipeline(t, fallback, other)
		if v := f.do(p, request("GET", "/ADMIN", "", "Authorization", bearer)); !v.Allowed {
			t.Errorf("%s: %+v", name, v.Err)
		}
	}
	// A stricter route of the request's host is one, though the fallback is for every host.
	p = f.pipeline(t, fallback, Route{Pattern: "/admin", Roles: []string{"admin"}, Host: "example.com"})
	if v := f.do(p, request("GET", "/ADMIN", "", "Authorization", bearer)); v.Allowed || v.Err.Code != "path_ambiguous" {
		t.Errorf("%+v", v)
	}
}

func TestAsksAsMuch(t *testing.T) {
	rate := limit.Rate{Limit: 1, Window: 1e9}
	for _, tt := range []struct {
		name       string
		weak, more Route
	}{
		{"closed", Route{Roles: []string{"x"}}, Route{Closed: true}},
		{"anonymous", Route{Anonymous: true}, Route{Authenticated: true}},
		{"a scope", Route{Authenticated: true}, Route{Scopes: []string{"a"}}},
		{"another scope", Route{Scopes: []string{"b"}}, Route{Scopes: []string{"a"}}},
		{"more scopes", Route{Scopes: []string{"a"}}, Route{Scopes: []string{"a", "b"}}},
		{"roles", Route{Scopes: []string{"a"}}, Route{Scopes: []string{"a"}, Roles: []string{"x"}}},
		{"fewer roles", Route{Roles: []string{"x", "y"}}, Route{Roles: []string{"x"}}},
		{"schemes", Route{Authenticated: true}, Route{Authenticated: true, Schemes: []gatehouse.Scheme{"jwt"}}},
		{"other schemes", Route{Authenticated: true, Schemes: []gatehouse.Scheme{"basic"}}, Route{Authenticated: true, Schemes: []gatehouse.Scheme{"jwt"}}},
		{"any of", Route{AnyOf: []Requirement{{Scopes: []string{"a"}}, {Scopes: []string{"b"}}}}, Route{Scopes: []string{"a"}}},
		{"one of any", Route{AnyOf: []Requirement{{Scopes: []string{"a"}}, {Scopes: []string{"c"}}}}, Route{AnyOf: []Requirement{{Scopes: []string{"a"}}, {Scopes: []string{"b"}}}}},
		{"action", Route{Authenticated: true}, Route{Action: "read", Resource: &ResourceRule{Type: "D"}}},
		{"other action", Route{Action: "list", Resource: &ResourceRule{Type: "D"}}, Route{Action: "read", Resource: &ResourceRule{Type: "D"}}},
		{"other resource", Route{Action: "read", Resource: &ResourceRule{Type: "E"}}, Route{Action: "read", Resource: &ResourceRule{Type: "D"}}},
		{"rate by address", Route{Authenticated: true}, Route{Authenticated: true, RateAddress: rate}},
		{"rate by principal", Route{Authenticated: true}, Route{Authenticated: true, RatePrincipal: rate}},
		{"body", Route{Authenticated: true}, Route{Authenticated: true, MaxBodyBytes: 10}},
		{"content types", Route{Authenticated: true}, Route{Authenticated: true, ContentTypes: []string{"application/json"}}},
		{"filter", Route{Authenticated: true}, Route{Authenticated: true, Filter: &ListFilter{Action: "read", IDMember: "id", Resource: ResourceRule{Type: "D"}}}},
		{"realm", Route{Authenticated: true, Realm: "other"}, Route{Authenticated: true}},
		{"environment", Route{Authenticated: true, Environment: "test"}, Route{Authenticated: true}},
	} {
		tt.weak.Pattern, tt.more.Pattern = "/", "/admin"
		f := newFakes()
		p := f.pipeline(t, tt.weak, tt.more)
		r := request("GET", "/ADMIN", "", "Authorization", bearer)
		if v := f.do(p, r); v.Allowed || v.Err.Code != "path_ambiguous" {
			t.Errorf("%s: %+v", tt.name, v.Err)
		}
		tt.weak.Pattern, tt.more.Pattern = "/admin", "/"
		p = f.pipeline(t, tt.more, tt.more.with("/admin"))
		if v := f.do(p, r); v.Err != nil && v.Err.Code == "path_ambiguous" {
			t.Errorf("%s: refused between equals", tt.name)
		}
	}
}

func (r Route) with(pattern string) Route { r.Pattern = pattern; return r }

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		name   string
		routes []Route
		want   string
	}{
		{"fallback", []Route{{Pattern: "DELETE /reports/{id}", Roles: []string{"admin"}}, {Pattern: "/", Authenticated: true}}, `"/"`},
		{"parameter", []Route{{Pattern: "/u/me", Roles: []string{"admin"}}, {Pattern: "/u/{id}", Authenticated: true}}, `"/u/{id}"`},
		{"case", []Route{{Pattern: "/u", Roles: []string{"admin"}}, {Pattern: "/U", Authenticated: true}}, `"/U"`},
		{"slash", []Route{{Pattern: "/u", Roles: []string{"admin"}}, {Pattern: "/u/", Authenticated: true}}, `"/u/"`},
		{"stricter fallback", []Route{{Pattern: "/public", Anonymous: true}, {Pattern: "/", Authenticated: true}}, ""},
		{"exception", []Route{{Pattern: "/u/me", Anonymous: true}, {Pattern: "/u/{id}", Roles: []string{"admin"}}}, ""},
		{"strict", []Route{{Pattern: "/u", Roles: []string{"admin"}}, {Pattern: "/", Authenticated: true, StrictPaths: true}}, ""},
		{"other method", []Route{{Pattern: "GET /u", Roles: []string{"admin"}}, {Pattern: "POST /", Authenticated: true}}, ""},
		{"suffix of its own", []Route{{Pattern: "/u", Roles: []string{"admin"}}, {Pattern: "/u.json", Authenticated: true}}, ""},
	} {
		got := Warnings(tt.routes)
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}
