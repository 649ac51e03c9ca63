package enforce

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// TestPatternsLikeServeMux: without mixed segments, patterns conflict and match as
// net/http's own do, parameters included.
func TestPatternsLikeServeMux(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	path := func(segments ...string) string {
		var b strings.Builder
		for i, n := 0, rnd.IntN(4); i <= n; i++ {
			s := pick(segments...)
			if s == "{}" {
				s = fmt.Sprintf("{p%d}", i)
			}
			b.WriteString("/" + s)
		}
		return b.String()
	}
	matched, conflicts := 0, 0
	for range 4000 {
		mux := http.NewServeMux()
		table := newTable()
		for range 6 {
			pattern := pick("", "", "GET ", "HEAD ", "POST ") + path("a", "b", "{}", "{}", "a%20b") + pick("", "", "/", "/{$}", "/{rest...}")
			parsed, err := parsePattern(pattern)
			if err != nil {
				t.Fatalf("%s: %v", pattern, err)
			}
			refused := func() (refused bool) {
				defer func() { refused = recover() != nil }()
				mux.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) { r.Header.Set("Found", pattern) })
				return false
			}()
			err = table.add(&compiled{Route: Route{ID: pattern, Pattern: pattern}, pattern: parsed, folded: parsed.fold(), wildcards: parsed.names()})
			if refused != (err != nil) {
				t.Fatalf("%s among %v: ServeMux refuses it: %v, we say %v", pattern, names(table), refused, err)
			}
			if refused {
				conflicts++
			}
		}
		for range 20 {
			r := httptest.NewRequest(pick("GET", "HEAD", "POST", "PUT"), path("a", "b", "c", "a%20b", "%61")+pick("", "", "/"), nil)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			if w.Code == http.StatusTemporaryRedirect || w.Code == http.StatusMovedPermanently {
				continue // ServeMux redirects to the path with a slash; a gateway leaves that to the API
			}
			want := r.Header.Get("Found")
			c := table.find("", r.Method, r.URL.EscapedPath())
			got := ""
			if c != nil {
				got = c.ID
			}
			if got != want {
				t.Fatalf("%s %s among %v: %q, ServeMux says %q", r.Method, r.URL, names(table), got, want)
			}
			if c != nil {
				matched++
				params := map[string]string{}
				if err := c.pattern.params(r.URL.EscapedPath(), params); err != nil {
					t.Fatal(err)
				}
				for name, value := range params {
					if r.PathValue(name) != value {
						t.Fatalf("%s for %s: {%s} is %q, ServeMux says %q", c.ID, r.URL, name, value, r.PathValue(name))
					}
				}
			}
		}
	}
	if matched < 1000 || conflicts < 1000 {
		t.Errorf("%d matches and %d conflicts show little", matched, conflicts)
	}
}

func names(t *table) (out []string) {
	for _, c := range t.all {
		out = append(out, c.ID)
	}
	return out
}

func TestMixedSegments(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t,
		Route{ID: "json", Pattern: "GET /d/{id}.json", Authenticated: true},
		Route{ID: "tar", Pattern: "GET /d/{id}.tar.json", Authenticated: true},
		Route{ID: "mine", Pattern: "GET /d/mine.json", Authenticated: true},
		Route{ID: "one", Pattern: "GET /d/{id}", Authenticated: true},
		Route{ID: "archive", Pattern: "POST /d/{id}:archive", Authenticated: true},
		Route{ID: "range", Pattern: "GET /r/{from}-{to}", Authenticated: true},
		Route{ID: "below", Pattern: "GET /r/", Authenticated: true},
		Route{ID: "deep", Pattern: "GET /r/v{major}.{minor}/x", Authenticated: true},
	)
	for _, tt := range []struct {
		method, target, want string
		params               map[string]string
	}{
		{"GET", "/d/5.json", "json", map[string]string{"id": "5"}},
		{"GET", "/d/5%20a.json", "json", map[string]string{"id": "5 a"}},
		{"GET", "/d/5.%6Ason", "json", map[string]string{"id": "5"}},
		{"GET", "/d/a.tar.json", "tar", map[string]string{"id": "a"}},
		{"GET", "/d/a.json.json", "json", map[string]string{"id": "a.json"}},
		{"GET", "/d/mine.json", "mine", nil},
		{"GET", "/d/.json", "one", map[string]string{"id": ".json"}},
		{"GET", "/d/5.xml", "one", map[string]string{"id": "5.xml"}},
		{"GET", "/d/5.json/x", "", nil},
		{"POST", "/d/5:archive", "archive", map[string]string{"id": "5"}},
		{"POST", "/d/5", "", nil},
		{"POST", "/d/:archive", "", nil},
		{"GET", "/r/1-2", "range", map[string]string{"from": "1", "to": "2"}},
		{"GET", "/r/-2", "below", nil},
		{"GET", "/r/12", "below", nil},
		{"GET", "/r/1-2/x", "below", nil},
		{"GET", "/r/v1.2/x", "deep", map[string]string{"major": "1", "minor": "2"}},
	} {
		r := request(tt.method, tt.target, "", "Authorization", bearer)
		v := f.do(p, r)
		if tt.want == "" {
			if v.Allowed || v.Err.Code != "no_route" {
				t.Errorf("%s: %+v", tt.target, v.Err)
			}
			continue
		}
		if !v.Allowed || v.Route.ID != tt.want || len(tt.params) > 0 && !reflect.DeepEqual(v.Params, tt.params) {
			t.Errorf("%s: %+v, %+v, params %v", tt.target, v.Err, v.Route, v.Params)
		}
		for name, value := range tt.params {
			if r.PathValue(name) != value {
				t.Errorf("%s: path value %s is %q", tt.target, name, r.PathValue(name))
			}
		}
	}
	// Where the parts end is another question to each framework.
	for _, target := range []string{"/r/1-2-3", "/r/1--2", "/r/----", "/r/v1.2.3/x"} {
		if v := f.do(p, request("GET", target, "", "Authorization", bearer)); v.Allowed || v.Err.Code != "path_ambiguous" {
			t.Errorf("%s: %+v", target, v.Err)
		}
	}
}

// What is within another is tried before it, whatever the order of the routes.
func TestSegmentsCompare(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want relation
	}{
		{"a", "a", equal}, {"a", "b", disjoint}, {"a", "{x}", moreSpecific}, {"{x}", "{y}", equal},
		{"{x}.json", "{x}", moreSpecific}, {"{x}.json", "{y}.json", equal}, {"a.json", "{y}.json", moreSpecific},
		{".json", "{y}.json", disjoint}, {"{x}.tar.gz", "{x}.gz", moreSpecific}, {"{x}.json", "{x}.xml", disjoint},
		{"{x}.json", "a{x}", overlapping}, {"{a}-{b}", "{a}-{b}.json", moreGeneral}, {"{a}-{b}", "{a}--{b}", moreGeneral},
		{"a{x}a", "a{x}", moreSpecific}, {"a{x}b", "a{x}c", disjoint}, {"a{x}", "{x}b", overlapping}, {"ab", "a{x}b", disjoint},
		{"{a}-{b}", "x-y", moreGeneral}, {"{a}-{b}-{c}", "{a}-{b}", moreSpecific}, {"{a}.{b}", "{a}-{b}", overlapping},
	} {
		a, err := parseSegment(tt.a)
		b, err2 := parseSegment(tt.b)
		if err != nil || err2 != nil {
			t.Fatal(tt.a, err, tt.b, err2)
		}
		back := map[relation]relation{moreSpecific: moreGeneral, moreGeneral: moreSpecific}
		want, ok := back[tt.want]
		if !ok {
			want = tt.want
		}
		if got, rev := a.compare(b), b.compare(a); got != tt.want || rev != want {
			t.Errorf("%s, %s: %v and %v, want %v", tt.a, tt.b, got, rev, tt.want)
		}
	}
}

func TestEncodedSlashes(t *testing.T) {
	f := newFakes()
	var asked string
	f.entity = func(path string) (map[string]any, error) { asked = path; return map[string]any{}, nil }
	p := f.pipeline(t,
		Route{ID: "package", Pattern: "GET /p/{name}", EncodedSlashes: true, Action: "read", Resource: &ResourceRule{Type: "P", ID: "{name}", Source: "upstream", Fetch: "/meta/{name}?of={name}"}},
		Route{ID: "below", Pattern: "GET /b/{rest...}", EncodedSlashes: true, Action: "read", Resource: &ResourceRule{Type: "P", ID: "{rest}", Source: "upstream", Fetch: "/meta/{rest}"}},
		Route{ID: "version", Pattern: "GET /p/{name}/{version}", Authenticated: true},
		Route{ID: "plain", Pattern: "GET /q/{name}", Authenticated: true},
	)
	for _, tt := range []struct{ target, route, fetched, id string }{
		{"/p/%40scope%2Fname", "package", "/meta/@scope%2Fname?of=%40scope%2Fname", "@scope/name"},
		{"/p/a%2fb", "package", "/meta/a%2Fb?of=a%2Fb", "a/b"},
		{"/p/https%3A%2F%2Fexample.com%2F", "package", "/meta/https:%2F%2Fexample.com%2F?of=https%3A%2F%2Fexample.com%2F", "https://example.com/"},
		{"/b/x/a%2Fb/c", "below", "/meta/x/a%2Fb/c", "x/a/b/c"},
		{"/p/a", "package", "/meta/a?of=a", "a"},
	} {
		r := request("GET", tt.target, "", "Authorization", bearer)
		v := f.do(p, r)
		if !v.Allowed || v.Route.ID != tt.route || asked != tt.fetched || f.asked[len(f.asked)-1].Resource.ID != tt.id {
			t.Errorf("%s: %+v, %+v, fetched %q, asked for %q", tt.target, v.Err, v.Route, asked, f.asked[len(f.asked)-1].Resource.ID)
		}
		if got := r.URL.EscapedPath(); got != tt.target {
			t.Errorf("%s became %s", tt.target, got)
		}
	}
	for _, target := range []string{"/q/a%2Fb", "/q/a%2fb", "/p/a%2Fb/1", "/p/a/b%2F1", "/nothing%2F", "/p/..%2Fb", "/p/a%2F..", "/p/a%2F.%2Fb", "/p/%2e%2e%2Fb",
		"/p/a%252Fb", "/p/a%5Cb", "/p/a%2Fb;x", "/p//a%2Fb", "/p/a%2Fb%00", "/p%2Fa"} {
		r := request("GET", "/x", "", "Authorization", bearer)
		var err error
		if r.URL, err = r.URL.Parse(target); err != nil {
			t.Fatal(err)
		}
		r.URL.Path, r.URL.RawPath = mustUnescape(t, target), target
		if v := f.do(p, r); v.Allowed || v.Err.Code != "path_ambiguous" || p.Match(r) != nil {
			t.Errorf("%s: %+v", target, v.Err)
		}
	}
}

func TestAnyOf(t *testing.T) {
	route := Route{ID: "r", Pattern: "GET /x", AnyOf: []Requirement{
		{Schemes: []gatehouse.Scheme{"jwt"}, Scopes: []string{"users:read"}}, {Schemes: []gatehouse.Scheme{"jwt"}, Scopes: []string{"a", "b"}}, {Schemes: []gatehouse.Scheme{"api_key"}}}}
	for _, tt := range []struct {
		name    string
		scheme  gatehouse.Scheme
		scopes  []string
		code    string
		missing []string
		roles   []string
	}{
		{name: "token with the scope", scheme: "jwt", scopes: []string{"users:read"}},
		{name: "token with the other scopes", scheme: "jwt", scopes: []string{"b", "a"}},
		{name: "token with every scope", scheme: "jwt", scopes: []string{"*"}},
		{name: "key without a scope", scheme: "api_key"},
		{name: "token without a scope", scheme: "jwt", code: "insufficient_scope", missing: []string{"users:read"}},
		{name: "token with half of it", scheme: "jwt", scopes: []string{"a"}, code: "insufficient_scope", missing: []string{"users:read"}},
		{name: "scheme of no alternative", scheme: "basic", scopes: []string{"*"}, code: "access_denied"},
	} {
		f := newFakes()
		who := *alice
		who.Scheme, who.Scopes = tt.scheme, tt.scopes
		f.principal = &who
		p := f.pipeline(t, route)
		v := f.do(p, request("GET", "/x", "", "Authorization", bearer))
		code := ""
		if v.Err != nil {
			code = v.Err.Code
		}
		if code != tt.code || v.Allowed != (code == "") || !reflect.DeepEqual(v.Decision.Missing, tt.missing) {
			t.Errorf("%s: %+v, %+v", tt.name, v.Err, v.Decision)
		}
		if want := []gatehouse.Scheme{"jwt", "api_key"}; !reflect.DeepEqual(f.rule.Schemes, want) {
			t.Errorf("%s: the authenticator may accept %v", tt.name, f.rule.Schemes)
		}
		if tt.code == "insufficient_scope" && !strings.Contains(strings.Join(v.Header["Www-Authenticate"], ","), `scope="users:read"`) {
			t.Errorf("%s: %v", tt.name, v.Header)
		}
	}
	// Beside the alternatives, the route's own scopes count.
	f := newFakes()
	route.Scopes = []string{"base"}
	p := f.pipeline(t, route)
	if v := f.do(p, request("GET", "/x", "", "Authorization", bearer)); v.Allowed || v.Err.Code != "insufficient_scope" {
		t.Errorf("%+v", v)
	}
}

// The time to compare all routes grows with the square of their number; it must
// stay small where there are many.
func TestManyRoutes(t *testing.T) {
	const many = maxRoutes / 4
	routes := make([]Route, 0, many)
	for i := range many - 1 {
		routes = append(routes, Route{Pattern: fmt.Sprintf("GET /api/v1/thing%d/{id}", i), Scopes: []string{fmt.Sprintf("thing%d:read", i)}})
	}
	routes = append(routes, Route{Pattern: "/", Authenticated: true})
	began := time.Now()
	if err := CheckRoutes(routes); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > 20*time.Second { // half a second on an idle machine
		t.Errorf("checking %d routes took %s", len(routes), d)
	}
}
