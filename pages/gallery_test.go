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

func showGallery(t *testing.T) string {
	t.Helper()
	h, err := NewGallery()
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
	dir := os.Getenv("GATEHOUSE_GALLERY")
	s, p := showGallery(t), chromium.Open(t, testbrowser.View{})
	var shown strings.Builder
	for _, e := range append([]exhibit{{"", []state{{name: ""}}}}, gallery()...) {
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
				if look.view.Width == 0 {
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
