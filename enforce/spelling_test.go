package enforce

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// compiledFor is the route of a pattern, as it is compared with others.
func compiledFor(t *testing.T, pattern string) *compiled {
	t.Helper()
	p, err := parsePattern(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return &compiled{Route: Route{ID: pattern, Pattern: pattern}, pattern: p, folded: p.fold()}
}

// TestSpellingsOfAPath: the paths that some router takes for the one that was asked.
func TestSpellingsOfAPath(t *testing.T) {
	for _, tt := range []struct {
		path   string
		suffix bool
		want   []string
	}{
		{"/", true, []string{"/"}},
		{"/a", false, []string{"/a", "/a/"}},
		{"/a/", false, []string{"/a/", "/a"}},
		{"/a", true, []string{"/a", "/a/"}},
		{"/a.json", false, []string{"/a.json", "/a.json/"}},
		{"/a.json", true, []string{"/a.json", "/a.json/", "/a", "/a/"}},
		{"/a.json/", true, []string{"/a.json/", "/a.json", "/a", "/a/"}},
		{"/a.b.c", true, []string{"/a.b.c", "/a.b.c/", "/a.b", "/a.b/"}},
		{"/a.", true, []string{"/a.", "/a./", "/a", "/a/"}},
		{"/.a", true, []string{"/.a", "/.a/"}},          // a name without anything before the dot has no suffix
		{"/x/.a", true, []string{"/x/.a", "/x/.a/"}},    // nor has it below another
		{"/x.y/a", true, []string{"/x.y/a", "/x.y/a/"}}, // the dot of another segment
		{"/b.a", true, []string{"/b.a", "/b.a/", "/b", "/b/"}},
		{"/a%20", true, []string{"/a%20", "/a%20/", "/a", "/a/"}},
		{"/a%20%20", true, []string{"/a%20%20", "/a%20%20/", "/a", "/a/"}},
		{"/a.json%20", true, []string{"/a.json%20", "/a.json%20/", "/a", "/a/"}},
		{"/a%20", false, []string{"/a%20", "/a%20/"}},
		{"/%20", true, []string{"/%20", "/%20/"}}, // cut to nothing it would be the root
	} {
		if got := spellings(tt.path, tt.suffix); !slices.Equal(got, tt.want) {
			t.Errorf("%s, suffix %v: %q, want %q", tt.path, tt.suffix, got, tt.want)
		}
	}
}

// TestNeedlessEscapes: an escape is needless when its character may stand in a path as
// it is (RFC 3986 §3.3, pchar); a semicolon is refused either way.
func TestNeedlessEscapes(t *testing.T) {
	const pchar = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + "-._~" + "!$&'()*+,=" + ":@"
	for c := range 256 {
		want := strings.IndexByte(pchar, byte(c)) >= 0
		for _, form := range []string{"%%%02x", "%%%02X"} {
			escape := fmt.Sprintf(form, c)
			if got := isNeedless(escape[1], escape[2]); got != want {
				t.Errorf("%s: %v", escape, got)
			}
			for _, path := range []string{"/" + escape, "/a%20" + escape + "b", "/a" + escape + "%20"} {
				if got := needlessEscape(path); got != want {
					t.Errorf("%s: %v", path, got)
				}
			}
		}
	}
	for _, path := range []string{"/", "/a", "/a%", "/a%4", "/%2"} {
		if needlessEscape(path) {
			t.Errorf("%s has a whole escape", path)
		}
	}
	// Its character is made one that no pattern has, so that only a parameter takes it.
	for in, want := range map[string]string{"a": "a", "%61": "%00", "%61%62": "%00%00", "x%61": "x%00", "%20%61": "%20%00", "%61%20": "%00%20", "%6": "%6", "a%2561": "a%2561", "%C3%BC": "%C3%BC"} {
		if got := spoil(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestReadings: how a segment is understood, decoded or compared before, with and
// without regard to letter case.
func TestReadings(t *testing.T) {
	for _, tt := range []struct {
		m        reading
		in, want string
	}{
		{reading{}, "Ab", "Ab"}, {reading{}, "%41b%20", "Ab "}, {reading{raw: true}, "%41b%20", "\x00b "}, {reading{raw: true}, "Ab", "Ab"},
		{reading{fold: true}, "aB%63", "ABC"}, {reading{fold: true, raw: true}, "aB%63", "AB\x00"},
	} {
		if got := tt.m.text(tt.in); got != tt.want {
			t.Errorf("%+v of %s: %q, want %q", tt.m, tt.in, got, tt.want)
		}
	}
	for in, want := range map[string]string{"": "", "AZ[@`{09": "AZ[@`{09", "az": "AZ", "a": "A", "z": "Z", "ſ": "S", "\u212a": "K", "ı": "I", "İ": "I", "é": "É", "σς": "ΣΣ", "\x80": "\ufffd"} {
		if got := foldCase(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestVariantsOfAPattern: what a router that ignores a final slash or a suffix takes
// for the paths of a pattern.
func TestVariantsOfAPattern(t *testing.T) {
	show := func(p pattern) string {
		var b strings.Builder
		for _, s := range p.segs {
			b.WriteByte('/')
			for i, text := range s.texts {
				if i > 0 {
					b.WriteString("{" + s.names[i-1] + "}")
				}
				b.WriteString(text)
			}
		}
		if p.multi {
			b.WriteString("/...")
		}
		return b.String()
	}
	for _, tt := range []struct{ pattern, slashed, suffixed string }{
		{"/", "", ""},
		{"/{$}", "", ""},
		{"/{rest...}", "", ""},
		{"/a", "/A/", "/A.{suffix}"},
		{"/a/", "/A", ""},
		{"/a/{$}", "/A", "/A.{suffix}"},
		{"/a/{rest...}", "/A", ""},
		{"/a/{id}", "/A/{id}/", ""},
		{"/a/{id}/{$}", "/A/{id}", ""},
		{"/a/{id}.json", "/A/{id}.JSON/", "/A/{id}.JSON.{suffix}"},
		{"/a/x{id}", "/A/X{id}/", "/A/X{id}.{suffix}"},
	} {
		c := compiledFor(t, tt.pattern)
		var slashed, suffixed string
		for _, p := range c.slashed() {
			slashed += show(p)
		}
		if p, ok := c.suffixed(); ok {
			suffixed = show(p)
		}
		if slashed != tt.slashed || suffixed != tt.suffixed {
			t.Errorf("%s: %q and %q, want %q and %q", tt.pattern, slashed, suffixed, tt.slashed, tt.suffixed)
		}
		if before := compiledFor(t, tt.pattern); show(c.folded) != show(before.folded) {
			t.Errorf("%s was changed to %s", tt.pattern, show(c.folded))
		}
	}
}

// TestSuffixesOfItsOwn: whose last segment has a dot in its text is for one suffix by
// its pattern, and not for what stands before it.
func TestSuffixesOfItsOwn(t *testing.T) {
	for pattern, want := range map[string]bool{"/": false, "/{$}": false, "/a": false, "/a.b": true, "/a.b/{$}": true, "/a.b/": false, "/a.b/{rest...}": false, "/a.b/c": false, "/{x}.json": true,
		"/.{x}": false, "/{x}": false, "/v1.0/{x}": false, "/{x}.tar.gz": true, "/{x}.a{y}": false} {
		if got := compiledFor(t, pattern).spellsSuffix(); got != want {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}

// TestCouldServe: whether a route matches a request that differs from one of another
// route only in what routers ignore.
func TestCouldServe(t *testing.T) {
	for _, tt := range []struct {
		c, o string
		want bool
	}{
		{"/", "/a", true}, {"/{x}", "/a", true}, {"/A", "/a", true}, {"/a", "/a", true}, {"/b", "/a", false},
		{"GET /", "POST /a", false}, {"GET /", "HEAD /a", true}, {"GET /", "/a", true}, {"/", "GET /a", true},
		{"/a", "/{x}", false}, // an exception from it
		{"/a/", "/a", true}, {"/a/{$}", "/a", true}, {"/A/{$}", "/a", true}, {"/a", "/a/{$}", true}, {"/a", "/a/", true}, {"/b/", "/a", false},
		{"/a.json", "/a", false}, {"/a.json/{$}", "/a", false}, {"/{x}.json", "/a", false}, // for a suffix by their patterns
		{"/a{x}", "/a", true}, {"/a{x}/{$}", "/a", true}, {"/a.{x}", "/a", true}, {"/b{x}", "/a", false},
		{"/x/{y}/{$}", "/x/a", true}, {"/{y}/b", "/a/{z}", true},
	} {
		if got := compiledFor(t, tt.c).couldServe(compiledFor(t, tt.o)); got != tt.want {
			t.Errorf("%s for %s: %v", tt.c, tt.o, got)
		}
	}
}

// TestApart: a segment in the middle that differs settles that no spelling of the one
// is a path of the other; the last one settles nothing.
func TestApart(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"/a/x", "/b/x", true}, {"/a/x", "/A/x", false}, {"/a", "/b", false}, {"/a/x", "/{p}/x", false}, {"/a/x", "/b", false}, {"/a/", "/b/c", false}, {"/a/b/x", "/a/c/x", true},
		{"/a/b/x/y", "/a/c/x", true}, {"/", "/a", false}, {"/a/b", "/a/c", false}, {"/a{p}/x", "/b/x", false}, {"/a/b{p}/x", "/a/c{p}/x", false}, {"/a{p}/x/y", "/a{p}/z/y", true},
	} {
		a, b := compiledFor(t, tt.a), compiledFor(t, tt.b)
		if got, back := a.apart(b), b.apart(a); got != tt.want || back != tt.want {
			t.Errorf("%s, %s: %v and %v", tt.a, tt.b, got, back)
		}
	}
}

// TestRivals: which routes are rivals of which, and which of these have to be looked
// for with every request (true) rather than where an escape is needless (false).
func TestRivals(t *testing.T) {
	admin := Route{ID: "admin", Pattern: "/admin", Roles: []string{"admin"}}
	for _, tt := range []struct {
		name         string
		weak, strong Route
		rival, wider bool
	}{
		{"a wider one", Route{Pattern: "/"}, admin, true, true},
		{"an exception", Route{Pattern: "/docs/public"}, Route{Pattern: "/docs/{id}", Roles: []string{"admin"}}, true, false},
		{"another path", Route{Pattern: "/x"}, admin, false, false},
		{"the same host", Route{Pattern: "/", Host: "a.test"}, admin.on("A.test:80"), true, true},
		{"another host", Route{Pattern: "/", Host: "a.test"}, admin.on("b.test"), false, false},
		{"every host, and one", Route{Pattern: "/"}, admin.on("b.test"), true, true},
		{"one host, and every", Route{Pattern: "/", Host: "a.test"}, admin, true, true},
		{"told apart", Route{Pattern: "/", StrictPaths: true}, admin, false, false},
		{"another upstream", Route{Pattern: "/", Upstream: "b"}, admin, false, false},
	} {
		tt.weak.Authenticated = true
		p := newFakes().pipeline(t, tt.weak, tt.strong)
		weak, strong := p.routes.Load().all[0], p.routes.Load().all[1]
		wider, rival := weak.stricter[strong]
		if rival != tt.rival || wider != tt.wider || weak.fallback != tt.wider {
			t.Errorf("%s: rival %v, wider %v, looked for %v", tt.name, rival, wider, weak.fallback)
		}
		if len(strong.stricter) > 0 || strong.fallback {
			t.Errorf("%s: the stricter route has a rival", tt.name)
		}
	}
}

func (r Route) on(host string) Route { r.Host = host; return r }

// TestEveryRivalIsFound: routes that are none, or that stand for an API which tells
// paths apart, hide no others, wherever in the list they are.
func TestEveryRivalIsFound(t *testing.T) {
	admin := []string{"admin"}
	p := newFakes().pipeline(t, Route{Pattern: "/told/apart", Authenticated: true, StrictPaths: true}, Route{Pattern: "/x", Authenticated: true},
		Route{Pattern: "/y", Roles: admin}, Route{Pattern: "/X", Roles: admin}, Route{Pattern: "/z", Roles: admin}, Route{Pattern: "/x/{$}", Roles: admin})
	all := p.routes.Load().all
	var got []string
	for _, o := range all {
		if _, rival := all[1].stricter[o]; rival {
			got = append(got, o.ID)
		}
	}
	if want := []string{"/X", "/x/{$}"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestOnlyWhoServesIsARival: a stricter route that would not serve the spelling itself,
// since a more specific one does, keeps nobody out.
func TestOnlyWhoServesIsARival(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t,
		Route{ID: "rest", Pattern: "/", Authenticated: true},
		Route{ID: "docs", Pattern: "/docs/{id}", Roles: []string{"admin"}},
		Route{ID: "open", Pattern: "/docs/public", Authenticated: true},
		Route{ID: "page", Pattern: "/docs/public/{$}", Authenticated: true})
	for target, want := range map[string]string{"/DOCS/public": "", "/docs/public/": "", "/DOCS/other": "path_ambiguous", "/docs/other/": "path_ambiguous", "/Docs/PUBLIC": "", "/docs/public.json": "access_denied"} {
		v := f.do(p, request("GET", target, "", "Authorization", bearer))
		code := ""
		if v.Err != nil {
			code = v.Err.Code
		}
		if code != want {
			t.Errorf("%s: %q, want %q", target, code, want)
		}
	}
}

// TestRoutesOfTheHostComeFirst: where a host has a route that matches, those of every
// host serve nothing there, so no spelling of a path can be meant for them.
func TestRoutesOfTheHostComeFirst(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{ID: "own", Host: "a.test", Pattern: "/", Authenticated: true}, Route{ID: "all", Pattern: "/", Authenticated: true}, Route{ID: "admin", Pattern: "/admin", Roles: []string{"admin"}})
	for target, want := range map[string]string{"a.test /ADMIN": "own", "a.test /admin/": "own", "a.test /admin": "own", "b.test /ADMIN": "", "b.test /x": "all"} {
		host, path, _ := strings.Cut(target, " ")
		r := request("GET", path, "", "Authorization", bearer)
		r.Host = host
		v := f.do(p, r)
		got := ""
		if v.Allowed {
			got = v.Route.ID
		}
		if got != want {
			t.Errorf("%s: %q, want %q: %v", target, got, want, v.Err)
		}
	}
}

// TestWarningsCount: one warning for each route that lets in more, with the first of
// those beside it and how many more there are; none where the list is wrong.
func TestWarningsCount(t *testing.T) {
	admin := []string{"admin"}
	got := Warnings([]Route{{Pattern: "/", Authenticated: true}, {Pattern: "/a", Roles: admin}, {Pattern: "/b", Roles: admin}, {Pattern: "/c", Roles: admin}})
	if len(got) != 1 || !strings.Contains(got[0], `route "/" lets in more callers than "/a" and 2 more, `) {
		t.Errorf("%q", got)
	}
	got = Warnings([]Route{{Pattern: "/", Authenticated: true}, {Pattern: "/a", Roles: admin}})
	if len(got) != 1 || !strings.Contains(got[0], `than "/a", and`) {
		t.Errorf("%q", got)
	}
	// Of two that ask for different things neither lets in more.
	if got := Warnings([]Route{{Pattern: "/", Scopes: []string{"s"}}, {Pattern: "/a", Roles: admin}}); len(got) > 0 {
		t.Errorf("%q", got)
	}
	if got := Warnings([]Route{{Pattern: "/", Authenticated: true}, {Pattern: "/a", Roles: admin}, {Pattern: "/b"}}); got != nil {
		t.Errorf("a list that is wrong: %q", got)
	}
}
