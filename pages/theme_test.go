package pages

import (
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/contrast"
)

// TestRealmColour: a realm's colour comes as a style sheet of this server whose name changes with it; other realms do not get it; what
// cannot be read, or is no colour, never gets into one.
func TestRealmColour(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	sheet := regexp.MustCompile(`<link rel="stylesheet" href="(/ui/theme/[^"]*)">`)
	at := func(path string) string {
		if m := sheet.FindStringSubmatch(b.get(path).body); m != nil {
			return m[1]
		}
		return ""
	}
	if got := at("/signin"); got != "" {
		t.Errorf("without a colour: %s", got)
	}
	h.settings.Accent = "#786700"
	first := at("/signin")
	css := b.get(first)
	css.want(t, "the sheet", 200, "#786700", ownAccentDark)
	if css.header.Get("Content-Type") != "text/css; charset=utf-8" || css.header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(css.header.Get("Cache-Control"), "immutable") {
		t.Errorf("%v", css.header)
	}
	if got := at("/realms/shop/signin"); got != "" {
		t.Errorf("another realm: %s", got)
	}
	b.get(strings.Replace(first, "/main/", "/shop/", 1)).want(t, "of another realm", 404)
	h.settings.AccentDark = "#ffde00"
	second := at("/signin")
	if second == first {
		t.Error("another colour, and the same name")
	}
	b.get(first).want(t, "what it was before", 404)
	b.get(second).want(t, "what it is now", 200, "#ffde00")
	for _, bad := range []string{"#ffde00", "red", "#786700;}body{display:none", "#78670"} {
		h.settings.Accent, h.settings.AccentDark = bad, ""
		if got := at("/signin"); got != "" {
			t.Errorf("%q: %s", bad, got)
		}
	}
	// The colours that the bound stands on are those of the pages.
	for _, name := range []string{"--hover: " + contrast.Light, "--accent: " + ownAccent} {
		if !strings.Contains(tokens, name) {
			t.Errorf("%s is not in tokens.css", name)
		}
	}
}
