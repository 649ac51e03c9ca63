package enforce

import (
	"math/rand/v2"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// TestMethodsOfPatterns: a slip of a method would leave the real one to a wider route,
// so it is refused with what is meant; a method that some API may have is taken.
func TestMethodsOfPatterns(t *testing.T) {
	for m, says := range map[string]string{
		"": "", "GET": "", "PROPFIND": "", "SUBSCRIBE": "", "M-SEARCH": "", "FOO": "", "MOOVE": "MOVE is meant", "GTE": "GET is meant", "PUTT": "PUT is meant", "POS": "POST is meant",
		"TRACE": "never served", "CONNECT": "never served", "GET,POST": "one method a route", "/a": "%20", "get": "upper-case: GET", "Get": "upper-case: GET",
		"GET/A": "host has a field", "EXAMPLE/": "host has a field", "G3T": "no method", "GET_": "no method", strings.Repeat("A", 33): "no method",
	} {
		err := checkPatternMethod(m)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", m, err, says)
		}
	}
}

// TestSlips: one slip of the pen is a character too many, too few or wrong, or two
// that changed places; two slips are another word.
func TestSlips(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"GET", "GET", true}, {"", "", true}, {"", "G", true}, {"", "GE", false}, {"G", "", true}, {"GE", "", false},
		{"GT", "GET", true}, {"ET", "GET", true}, {"GE", "GET", true}, {"G", "GET", false}, {"GEET", "GET", true}, {"GETS", "GET", true}, {"GETSS", "GET", false}, {"XGET", "GET", true},
		{"GAT", "GET", true}, {"XET", "GET", true}, {"GEX", "GET", true}, {"GXX", "GET", false}, {"XXT", "GET", false},
		{"GTE", "GET", true}, {"EGT", "GET", true}, {"TEG", "GET", false}, {"EGX", "GET", false}, {"GTEX", "GET", false},
		{"AB", "BA", true}, {"AB", "BC", false}, {"AB", "CA", false}, {"ABX", "BAY", false}, {"A", "BA", true}, {"AB", "B", true}, {"A", "B", true}, {"X", "YXZ", false}, {"AB", "CD", false},
	} {
		if got := differsLittle(tt.a, tt.b); got != tt.want {
			t.Errorf("%q, %q: %v", tt.a, tt.b, got)
		}
		if got := differsLittle(tt.b, tt.a); got != tt.want {
			t.Errorf("%q, %q: %v", tt.b, tt.a, got)
		}
	}
}

// TestRefusedSegments: what other routers read as a wildcard, and braces that are not
// pairs, each with what is meant.
func TestRefusedSegments(t *testing.T) {
	for in, says := range map[string]string{
		"a<b": "is no parameter", "a>b": "is no parameter", "a?": "path alone", "a#": "path alone", "a;": "path alone", `a\`: "path alone", "": "doubled",
		"a}": "not opened", "}": "not opened", "{a}b}": "not opened", "a}{b}": "not opened", "{a": "not closed", "x{": "not closed", "%zz": "malformed", "{a}%2": "malformed",
		"{a...}b": "as a whole segment", "{}": "name alone", "{a b}": "name alone", "{1a}": "name alone", "{a}{b}": "text between", "x{a}{b}": "text between",
		"{a}": "", "x{a}": "", "{a}x{b}": "", "{a1}": "", "{_}": "", "{a}.{b}.{c}": "", "%7Bx%7D": "", "a:b": "",
	} {
		_, err := parseSegment(in)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", in, err, says)
		}
	}
	for in, says := range map[string]string{"/a/{...}": "not the name", "/a/{1...}": "not the name", "/{a}/{a...}": "two parameters of one name", "/{a}-{b}/{c}/{a}": "two parameters of one name",
		"/{a}-{a}": "two parameters of one name", "/{a}/{b}/{c...}": "", " GET  /a ": "", "/{a}/..": "no request", "/a/..{b}": "", "/.{a}": "", "/{a}.": ""} {
		_, err := parsePattern(in)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", in, err, says)
		}
	}
}

// TestSegmentsAreCut: a mixed segment takes a text apart in one way or is ambiguous;
// every parameter gets one character at least.
func TestSegmentsAreCut(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		values        []string // nil does not match
		ambiguous     bool
	}{
		{"a", "a", []string{}, false}, {"a", "ab", nil, false}, {"a", "", nil, false},
		{"{x}", "a", []string{"a"}, false}, {"{x}", "", nil, false},
		{"v{x}", "v1", []string{"1"}, false}, {"v{x}", "v", nil, false}, {"v{x}", "w1", nil, false},
		{"{x}.j", "a.j", []string{"a"}, false}, {"{x}.j", ".j", nil, false}, {"{x}.j", "a.k", nil, false}, {"{x}.j", "a.j.j", []string{"a.j"}, false},
		{"a{x}a", "a", nil, false}, {"a{x}a", "aa", nil, false}, {"a{x}a", "aba", []string{"b"}, false}, // the texts around must not share characters
		{"{x}-{y}", "a-b", []string{"a", "b"}, false}, {"{x}-{y}", "-b", nil, false}, {"{x}-{y}", "a-", nil, false}, {"{x}-{y}", "-", nil, false}, {"{x}-{y}", "ab", nil, false},
		{"{x}-{y}", "a-b-c", []string{"a", "b-c"}, true}, {"{x}-{y}", "--a", []string{"-", "a"}, false}, {"{x}-{y}", "a--", []string{"a", "-"}, false}, {"{x}-{y}", "---", []string{"-", "-"}, false},
		{"{x}--{y}", "a--b", []string{"a", "b"}, false}, {"{x}--{y}", "a---b", []string{"a", "-b"}, true}, {"{x}--{y}", "a-b", nil, false},
		{"{x}-{y}.{z}", "a-b.c", []string{"a", "b", "c"}, false}, {"{x}-{y}.{z}", "a-b-c.d", []string{"a", "b-c", "d"}, true}, {"{x}-{y}.{z}", "a.b-c", nil, false},
		{"{x}-{y}.{z}", "a-.c", nil, false}, {"{x}-{y}.{z}", "a-b.", nil, false}, {"{x}-{y}.{z}", "a.b-c.d", []string{"a.b", "c", "d"}, false},
		{"p{x}-{y}s", "p1-2s", []string{"1", "2"}, false}, {"p{x}-{y}s", "p1-2", nil, false}, {"p{x}-{y}s", "p-2s", nil, false}, {"p{x}-{y}s", "ps", nil, false},
		{"{a}-{b}-{c}-{d}", "1-2-3-4", []string{"1", "2", "3", "4"}, false}, {"{a}-{b}-{c}-{d}", "1-2-3", nil, false},
	} {
		s, err := parseSegment(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		values, unique, ok := s.split(tt.text)
		if ok != (tt.values != nil) || ok && (!slices.Equal(values, tt.values) || unique == tt.ambiguous) {
			t.Errorf("%s for %s: %q, unique %v, matches %v", tt.pattern, tt.text, values, unique, ok)
		}
	}
}

// TestCutAgainstEveryCut: the first and the last way to take a text apart are found
// whenever there is one, by trying all.
func TestCutAgainstEveryCut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	text := func(most int) string {
		b := make([]byte, rnd.IntN(most+1))
		for i := range b {
			b[i] = "ab"[rnd.IntN(2)]
		}
		return string(b)
	}
	for range 4000 {
		s := segment{texts: []string{text(1)}}
		for i := range 1 + rnd.IntN(3) {
			if i > 0 && s.texts[i] == "" {
				s.texts[i] = "b"
			}
			s.names, s.texts = append(s.names, "x"), append(s.texts, text(2))
		}
		in := text(9)
		all := everyCut(s, in)
		values, unique, ok := s.split(in)
		if ok != (len(all) > 0) || ok && (!slices.ContainsFunc(all, func(c []string) bool { return slices.Equal(c, values) }) || unique != (len(all) == 1)) {
			t.Fatalf("%q for %q: %q, unique %v, matches %v; there are %q", s.texts, in, values, unique, ok, all)
		}
	}
}

// everyCut tries each length for the first parameter, and then for those behind it.
func everyCut(s segment, text string) (out [][]string) {
	rest, ok := strings.CutPrefix(text, s.texts[0])
	if !ok {
		return nil
	}
	if len(s.names) == 0 {
		if rest != "" {
			return nil
		}
		return [][]string{{}}
	}
	for n := 1; n <= len(rest); n++ {
		for _, behind := range everyCut(segment{texts: s.texts[1:], names: s.names[1:]}, rest[n:]) {
			out = append(out, append([]string{rest[:n]}, behind...))
		}
	}
	return out
}

// TestMethodsCompare: GET serves HEAD too, and no method is every method.
func TestMethodsCompare(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want relation
	}{
		{"", "", equal}, {"GET", "GET", equal}, {"GET", "", moreSpecific}, {"", "GET", moreGeneral}, {"HEAD", "", moreSpecific}, {"", "HEAD", moreGeneral},
		{"HEAD", "GET", moreSpecific}, {"GET", "HEAD", moreGeneral}, {"GET", "POST", disjoint}, {"POST", "GET", disjoint}, {"HEAD", "POST", disjoint}, {"POST", "HEAD", disjoint},
	} {
		if got := compareMethods(tt.a, tt.b); got != tt.want {
			t.Errorf("%q, %q: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestRelationsCombine: what two parts of a pattern say together.
func TestRelationsCombine(t *testing.T) {
	for _, tt := range []struct{ a, b, want relation }{
		{disjoint, equal, disjoint}, {disjoint, moreSpecific, disjoint}, {disjoint, overlapping, disjoint}, {disjoint, disjoint, disjoint},
		{equal, equal, equal}, {equal, moreSpecific, moreSpecific}, {equal, moreGeneral, moreGeneral}, {equal, overlapping, overlapping},
		{moreSpecific, moreSpecific, moreSpecific}, {moreGeneral, moreGeneral, moreGeneral}, {moreSpecific, moreGeneral, overlapping},
		{moreSpecific, overlapping, overlapping}, {moreGeneral, overlapping, overlapping}, {overlapping, overlapping, overlapping},
	} {
		if got, back := tt.a.and(tt.b), tt.b.and(tt.a); got != tt.want || back != tt.want {
			t.Errorf("%v and %v: %v and %v, want %v", tt.a, tt.b, got, back, tt.want)
		}
	}
}

// TestPathsCompare: whole paths, those that go on below them among them.
func TestPathsCompare(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want relation
	}{
		{"/a", "/a", equal}, {"/a/", "/a/", equal}, {"/a/", "/a/{rest...}", equal}, {"/", "/{x...}", equal},
		{"/a/b", "/a", disjoint}, {"/a/", "/a", disjoint}, {"/a/{$}", "/a", disjoint}, {"/a/{$}", "/a/", moreSpecific}, {"/a/b", "/a/", moreSpecific},
		{"/a/b/", "/a/", moreSpecific}, {"/a/b/", "/b/", disjoint}, {"/a/b/c", "/a/{x}/", moreSpecific}, {"/a/{x}", "/{y}/b", overlapping}, {"/a/{x}/", "/{y}/b", disjoint}, {"/a/{x}/", "/{y}/b/c", overlapping},
		{"/a/{x}/c", "/{y}/", moreSpecific}, {"/{y}/b/", "/a/", overlapping}, {"/a/{x}", "/a/b/c", disjoint}, {"/a", "/b", disjoint}, {"/", "/a", moreGeneral},
	} {
		a, err := parsePattern(tt.a)
		b, err2 := parsePattern(tt.b)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		want := tt.want
		if got := a.compare(&b); got != want {
			t.Errorf("%s, %s: %v, want %v", tt.a, tt.b, got, want)
		}
		switch want {
		case moreSpecific:
			want = moreGeneral
		case moreGeneral:
			want = moreSpecific
		}
		if got := b.compare(&a); got != want {
			t.Errorf("%s, %s: %v, want %v", tt.b, tt.a, got, want)
		}
	}
}

// TestMoreSpecificSegmentsFirst: of mixed segments that match the same text, the one
// within the other serves it, in whatever order the routes were given.
func TestMoreSpecificSegmentsFirst(t *testing.T) {
	patterns := []string{"/{x}.gz", "/{x}.tar.gz", "/a{x}.tar.gz", "/a{x}b.tar.gz", "/{x}"}
	for _, tt := range []struct{ target, want string }{
		{"/b.gz", "/{x}.gz"}, {"/b.tar.gz", "/{x}.tar.gz"}, {"/ac.tar.gz", "/a{x}.tar.gz"}, {"/acb.tar.gz", "/a{x}b.tar.gz"}, {"/b", "/{x}"},
	} {
		for shift := range patterns {
			var routes []Route
			for i := range patterns {
				routes = append(routes, Route{Pattern: patterns[(i+shift)%len(patterns)], Anonymous: true, StrictPaths: true})
			}
			f := newFakes()
			if v := f.do(f.pipeline(t, routes...), request("GET", tt.target, "")); !v.Allowed || v.Route.ID != tt.want {
				t.Errorf("%s: %+v, %+v", tt.target, v.Route, v.Err)
			}
		}
	}
}

// TestSameTextsShareABranch: routes of several methods, and those that go on behind
// the same segments, do not hide one another.
func TestSameTextsShareABranch(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "GET /d/{a}.json", Anonymous: true}, Route{Pattern: "POST /d/{b}.json", Anonymous: true}, Route{Pattern: "/d/{c}.json/x", Anonymous: true},
		Route{Pattern: "/d/{id}", Anonymous: true}, Route{Pattern: "/d/{id}/y", Anonymous: true}, Route{Pattern: "/d/lit/z", Anonymous: true}, Route{Pattern: "/d/lit/w", Anonymous: true})
	for target, want := range map[string]string{"GET /d/1.json": "GET /d/{a}.json", "POST /d/1.json": "POST /d/{b}.json", "PUT /d/1.json/x": "/d/{c}.json/x", "PUT /d/1.json": "/d/{id}",
		"GET /d/1/y": "/d/{id}/y", "GET /d/1.json/y": "/d/{id}/y", "GET /d/lit/z": "/d/lit/z", "GET /d/lit/w": "/d/lit/w", "GET /d/lit/y": "/d/{id}/y"} {
		method, path, _ := strings.Cut(target, " ")
		if v := f.do(p, request(method, path, "")); !v.Allowed || v.Route.ID != want {
			t.Errorf("%s: %+v, %+v", target, v.Route, v.Err)
		}
	}
}

// TestNoRouteSaysWhichMethods: the record of a 404 names the methods that the path has
// routes for, not those of closed ones, and the caller learns nothing of it.
func TestNoRouteSaysWhichMethods(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "GET /a", Anonymous: true}, Route{Pattern: "PATCH /a", Anonymous: true}, Route{Pattern: "DELETE /a", Closed: true}, Route{Pattern: "DELETE /b", Closed: true})
	for path, want := range map[string]string{"/a": "the path has routes for GET, PATCH only", "/b": "no route matches this path on this host, whatever the method", "/c": "no route matches this path on this host, whatever the method"} {
		f.events = nil
		v := f.do(p, request("PUT", path, ""))
		if v.Allowed || v.Err.Code != "no_route" || v.Header != nil || f.events[0].Chain[0].Note != want {
			t.Errorf("%s: %+v, noted %q", path, v, f.events[0].Chain[0].Note)
		}
	}
}

// TestHosts: port and final dot do not make another host of one, in no spelling.
func TestHosts(t *testing.T) {
	for in, want := range map[string]string{"": "", "A.test": "a.test", "a.test:": "a.test", "a.test:80": "a.test", "a.test.:80": "a.test", "a.test.": "a.test", ":80": "", "[2001:DB8::1]": "[2001:db8::1]",
		"[2001:db8::1]:443": "[2001:db8::1]", "[::1]:": "[::1]", ".": ""} {
		if got := canonicalHost(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f := newFakes()
	p := f.pipeline(t, Route{ID: "any", Pattern: "/", Anonymous: true, StrictPaths: true}, Route{ID: "named", Host: "[2001:db8::1]", Pattern: "GET /a", Anonymous: true, StrictPaths: true},
		Route{ID: "wide", Host: "[2001:db8::1]", Pattern: "/a", Anonymous: true, StrictPaths: true})
	for _, tt := range []struct{ method, host, path, want string }{
		{"GET", "[2001:DB8::1]:443", "/a", "named"}, {"HEAD", "[2001:db8::1]", "/a", "named"}, {"POST", "[2001:db8::1]", "/a", "wide"}, {"GET", "[2001:db8::1]", "/b", "any"},
		{"GET", "", "/a", "any"}, {"GET", "2001:db8::1", "/a", "any"},
	} {
		r := request(tt.method, tt.path, "")
		r.Host = tt.host
		if v := f.do(p, r); !v.Allowed || v.Route.ID != tt.want {
			t.Errorf("%+v: %+v, %+v", tt, v.Route, v.Err)
		}
	}
}

// TestRestOfThePath: {name...} takes what is below, in the parameters decoded, and for
// the address that is asked as it came.
func TestRestOfThePath(t *testing.T) {
	for _, tt := range []struct{ pattern, path, below string }{
		{"/{rest...}", "/", ""}, {"/{rest...}", "/a/b", "a/b"}, {"/x/{rest...}", "/x/", ""}, {"/x/{rest...}", "/x/a%20b/c", "a%20b/c"}, {"/x/{y}/{rest...}", "/x/1/a/b", "a/b"}, {"/x/", "/x/a", ""}, {"/x", "/x", ""},
	} {
		p, err := parsePattern(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		params := map[string]string{}
		if err := p.params(tt.path, params); err != nil {
			t.Fatal(err)
		}
		plain, _ := url.PathUnescape(tt.below)
		if got := p.below(tt.path); got != tt.below || params["rest"] != plain {
			t.Errorf("%s for %s: %q, %q", tt.pattern, tt.path, got, params)
		}
	}
}

// TestParametersOfTheMatch: they are in the verdict and on the request, and a route
// without any has none.
func TestParametersOfTheMatch(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "/x/{id}/{rest...}", Anonymous: true}, Route{Pattern: "/plain", Anonymous: true})
	r := request("GET", "/x/a%20b/c/d", "")
	if v := f.do(p, r); !reflect.DeepEqual(v.Params, map[string]string{"id": "a b", "rest": "c/d"}) || r.PathValue("id") != "a b" || r.PathValue("rest") != "c/d" {
		t.Errorf("%v", v.Params)
	}
	if v := f.do(p, request("GET", "/plain", "")); v.Params != nil || !v.Allowed {
		t.Errorf("%v", v.Params)
	}
	if v := f.do(p, request("GET", "/nowhere", "")); v.Params != nil || gatehouse.CodeOf(v.Err) != "no_route" {
		t.Errorf("%v", v.Params)
	}
}
