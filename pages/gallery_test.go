package pages

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/markup"
	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
)

// TestGallery: every page that there is has states, and each can be drawn in every language.
func TestGallery(t *testing.T) {
	have := map[string]bool{"gallery": true} // shows the others
	for _, e := range gallery() {
		have[e.page] = len(e.states) > 0
	}
	files, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	defines := regexp.MustCompile(`(?s)^(\{\{define .*\{\{end\}\}\s*)+$`)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if name := strings.TrimSuffix(filepath.Base(f), ".html"); !have[name] && !defines.Match(text) {
			t.Errorf("%s has no state in the gallery: see gallery.go", f)
		}
	}
	s := showGallery(t)
	index := fetch(t, s+"/")
	for _, e := range gallery() {
		for _, st := range e.states {
			path := "/" + e.page + "/" + st.name
			if !strings.Contains(index, `href="`+path+`"`) {
				t.Errorf("%s is not in the list", path)
			}
			for _, tag := range tags {
				if body := fetch(t, s+path+"?lang="+tag); !strings.Contains(body, `<html lang="`+tag+`"`) {
					t.Errorf("%s in %s: %.200s", path, tag, body)
				}
			}
		}
	}
}

// TestGalleryLeadsNowhere: what is made up reaches no installation. Every link and form of every exhibit stays at the gallery, which
// drops what is sent, and none takes a cookie away that an installation on the same machine has given (browsers know no ports there).
func TestGalleryLeadsNowhere(t *testing.T) {
	h, err := NewGallery(nil)
	if err != nil {
		t.Fatal(err)
	}
	leads := regexp.MustCompile(` (?:href|src|action|formaction|data-ask)="([^"]*)"`)
	for _, e := range gallery() {
		for _, st := range e.states {
			path := "/" + e.page + "/" + st.name
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			found := leads.FindAllStringSubmatch(w.Body.String(), -1)
			if len(found) < 5 {
				t.Errorf("%s: %d links: the search is broken", path, len(found))
			}
			for _, m := range found {
				if to := html.UnescapeString(m[1]); to != "" && to[0] != '#' && !markup.OwnPath(to) && !strings.HasPrefix(to, "https://saffron.example/") { // nobody has a name under .example (RFC 2606)
					t.Errorf("%s leads to %q", path, to)
				}
			}
			for _, c := range w.Result().Cookies() {
				if c.Name != cookieForm {
					t.Errorf("%s sets the cookie %s", path, c.Name)
				}
			}
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/signin", strings.NewReader("identifier=alice&password=x")))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/" || len(w.Result().Cookies()) != 0 {
		t.Errorf("a form that is sent: %d %v", w.Code, w.Header())
	}
}

// TestWayOut: every page that takes a sign-in has the way out at its top.
//
// ASVS: 7.4.4
func TestWayOut(t *testing.T) {
	h, err := NewGallery(nil)
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, e := range gallery() {
		for _, st := range e.states {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+e.page+"/"+st.name, nil))
			page := w.Body.String()
			if !strings.Contains(page, `<body class="account">`) || e.page == "outbox" { // the demo's mail takes none
				continue
			}
			own++
			if !strings.Contains(page, ` href="/signout" id="signout">`) {
				t.Errorf("/%s/%s has no way out", e.page, st.name)
			}
		}
	}
	if own < 20 {
		t.Errorf("%d pages take a sign-in: the search is broken", own)
	}
}

// TestSides: each exhibit stands beside itself in both sizes and themes, and nothing but those frames may frame a page.
func TestSides(t *testing.T) {
	h, err := NewGallery(nil)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	page := get("/sides/signin/wrong")
	for _, want := range []string{`src="/signin/wrong?framed=light" title="390 px, light" width="390"`, `src="/signin/wrong?framed=dark" title="1280 px, dark" width="1280"`} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("no %s in %s", want, page.Body)
		}
	}
	for path, want := range map[string][2]string{
		"/signin/wrong":                {"frame-ancestors 'none'", `dir="ltr" >`},
		"/signin/wrong?framed=dark":    {"frame-ancestors 'self'", `data-theme="dark"`},
		"/signin/wrong?framed=other":   {"frame-ancestors 'none'", `dir="ltr" >`},
		"/sides/signin/wrong?lang=de":  {"frame-src 'self'", `<html lang="de"`},
		"/sides/signin/wrong?framed=x": {"frame-ancestors 'none'", `<iframe`},
	} {
		w := get(path)
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, want[0]) || !strings.Contains(w.Body.String(), want[1]) {
			t.Errorf("%s: %s, %.300s", path, policy, w.Body)
		}
	}
}

func showGallery(t *testing.T) string {
	t.Helper()
	h, err := NewGallery(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode == http.StatusInternalServerError && !strings.Contains(url, "/error/") {
		t.Fatalf("%s: %d %s %v", url, res.StatusCode, b, err)
	}
	return string(b)
}

// pictures are the ways in which each page is looked at.
var pictures = []struct {
	name string
	view testbrowser.View
}{
	{"1280-light", testbrowser.View{}},
	{"1280-dark", testbrowser.View{Dark: true}},
	{"390-dark", testbrowser.View{Width: 390, Height: 844, Dark: true}},
	{"390-light", testbrowser.View{Width: 390, Height: 844}},
}

// TestLook: every page in every state, at a desk and on a phone, light and dark. Nothing of the page is stopped by its policy,
// nothing has to be scrolled sideways, and axe finds nothing that keeps somebody from using it (WCAG 2.2 AA). With
// GATEHOUSE_GALLERY the pictures are kept in that directory, with a page that shows them side by side.
func TestLook(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of pictures by one browser; runs without -short")
	}
	dir := os.Getenv("GATEHOUSE_GALLERY")
	s, p := showGallery(t), chromium.Open(t, testbrowser.View{})
	var shown strings.Builder
	for _, e := range append([]exhibit{{"", []state{{name: ""}}}, {"sides", []state{{name: "signin/wrong"}}}}, gallery()...) {
		for _, st := range e.states {
			path := strings.TrimSuffix("/"+e.page+"/"+st.name, "//")
			p.Go(s + cmp.Or(path, "/"))
			name := cmp.Or(strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", "-"), "index")
			fmt.Fprintf(&shown, "<h2>%s</h2>\n", html.EscapeString(name))
			for _, look := range pictures {
				p.See(look.view)
				if wide := testbrowser.Eval[int](p, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide > 0 {
					t.Errorf("%s at %s is %d pixels too wide", path, look.name, wide)
				}
				if look.name != "390-dark" { // its colours are those of a desk, its sizes those of 390-light
					for _, found := range p.Axe() {
						t.Errorf("%s at %s: %s", path, look.name, found)
					}
				}
				if dir == "" {
					continue
				}
				file := name + "-" + look.name + ".png"
				if err := os.WriteFile(filepath.Join(dir, file), p.Screenshot(), 0o644); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&shown, `<a href="%s"><img src="%[1]s" alt="%s" loading="lazy"></a>`+"\n", file, look.name)
			}
		}
	}
	rightToLeft(t, p, s, dir, &shown)
	if said := p.Complaints(); len(said) != 0 {
		t.Errorf("the browser complains: %q", slices.Compact(said))
	}
	if dir != "" {
		page := `<!doctype html><html lang="en"><meta charset="utf-8"><title>Pages of Gatehouse</title>
<style>body { font: 1rem system-ui; margin: 2rem; background: #888 } img { block-size: 24rem; margin: .5rem; vertical-align: top }</style><h1>Pages of Gatehouse</h1>
` + shown.String()
		if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// rightToLeft looks at every page in a language that is written so, on a phone: nothing sticks out, and what stands at the
// beginning of a line in other languages stands at the right.
func rightToLeft(t *testing.T, p *testbrowser.Page, s, dir string, shown *strings.Builder) {
	t.Helper()
	p.See(pictures[3].view)
	for _, e := range gallery() {
		st := e.states[0]
		p.Go(s + "/" + e.page + "/" + st.name + "?lang=he")
		wrong := testbrowser.Eval[string](p, `(() => {
			if (document.documentElement.dir != "rtl") return "it runs " + document.documentElement.dir;
			if (document.documentElement.scrollWidth > document.documentElement.clientWidth) return "it is too wide";
			const middle = e => { const b = e.getBoundingClientRect(); return (b.left + b.right) / 2 };
			const brand = document.querySelector(".brandline"), out = document.getElementById("signout");
			if (brand && out && out.matches("a.btn.plain") && middle(brand) < middle(out)) return "the brand is on the left";
			for (const label of document.querySelectorAll(".field > label")) {
				const range = document.createRange(); range.selectNodeContents(label);
				const text = range.getBoundingClientRect(), box = label.getBoundingClientRect();
				if (text.width && box.right - text.right > 2) return "a label begins on the left: " + label.htmlFor;
			}
			return "";
		})()`)
		if wrong != "" {
			t.Errorf("/%s/%s from right to left: %s", e.page, st.name, wrong)
		}
		if dir == "" {
			continue
		}
		file := e.page + "-" + st.name + "-390-rtl.png"
		if err := os.WriteFile(filepath.Join(dir, file), p.Screenshot(), 0o644); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(shown, `<a href="%s"><img src="%[1]s" alt="%s, right to left" loading="lazy"></a>`+"\n", file, e.page)
	}
}
