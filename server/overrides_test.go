package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server/config"
)

// TestPagesOverrides: a reload takes the texts and templates of an operator, changed ones in their place, and none; what would make
// a page that does not work is refused, in a reload and in a check, by file and line, and what was there before stays.
func TestPagesOverrides(t *testing.T) {
	h, file, key := reloadable(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reload := func(status int) string {
		t.Helper()
		h.save(file, h.cfg)
		return fmt.Sprint(h.want("reload", "POST", "/admin/v1/config/reload", key, "", status))
	}
	shows := func(when, want string) {
		t.Helper()
		if body := fmt.Sprint(h.want(when, "GET", "/signin", "", "", 200)); !strings.Contains(body, want) {
			t.Errorf("%s: no %q in %s", when, want, body)
		}
	}
	shows("ours", "<h1>Sign in</h1>")
	write("texts/en.json", `{"signin.title": "Step into the garden"}`)
	h.cfg.Pages.Overrides = dir
	reload(200)
	shows("theirs", "<h1>Step into the garden</h1>")
	write("texts/en.json", `{"signin.title": "Come in"}`)
	shows("before the reload", "<h1>Step into the garden</h1>")
	reload(200)
	shows("changed", "<h1>Come in</h1>")

	write("texts/en.json", "{\n\"signin.lead\": \"without a place\"}")
	write("templates/signedout.html", `<script>alert("{{.Title}}")</script>`)
	if said := reload(422); !strings.Contains(said, "en.json:2") {
		t.Errorf("the reload says %s", said)
	}
	shows("what was before", "<h1>Come in</h1>")
	_, problems := prepare(h.cfg, nil, nil)
	var told []string
	for _, p := range problems {
		if p.Key == "pages.overrides" {
			told = append(told, p.Err.Error())
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "en.json:2: ") {
		t.Errorf("the check says %q of %v", told, problems)
	}
	write("texts/en.json", "{}")
	if _, problems := prepare(h.cfg, nil, nil); len(problems) == 0 || !strings.Contains((&config.Problems{List: problems}).Error(), "signedout.html, template signedout.html: line 1: <script") {
		t.Errorf("the check says %v", problems)
	}

	h.cfg.Pages.Overrides = ""
	reload(200)
	shows("ours again", "<h1>Sign in</h1>")
}
