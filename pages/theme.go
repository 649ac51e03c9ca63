package pages

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/contrast"
)

// Our own colour, for a realm that has its own for light or for dark pages alone.
const (
	ownAccent     = "#2b4cb1"
	ownAccentDark = "#95b3f8"
)

// themeCSS is the style sheet of a realm with a colour of its own, behind ours; "" where it has none. What cannot be read,
// or is no colour, is left out, whatever is stored: nothing else of a setting gets into a style sheet.
func themeCSS(s gatehouse.RealmSettings) string {
	light, dark := s.Accent, s.AccentDark
	if contrast.Ratio(light, contrast.Light) < contrast.Least {
		light = ""
	}
	if contrast.Ratio(dark, contrast.Dark) < contrast.Least {
		dark = ""
	}
	if light == "" && dark == "" {
		return ""
	}
	light, dark = cmp.Or(light, ownAccent), cmp.Or(dark, ownAccentDark)
	return `@layer tokens {
:root { --accent: ` + light + `; --accent-text: ` + light + `; --accent-hover: ` + light + `; --accent-soft: ` + contrast.Light + `; }
@supports (color: light-dark(oklch(0 0 0), oklch(1 0 0))) { :root {
--accent: light-dark(` + light + `, ` + dark + `); --accent-text: light-dark(` + light + `, ` + dark + `);
--accent-hover: light-dark(color-mix(in oklab, ` + light + ` 82%, black), color-mix(in oklab, ` + dark + ` 82%, white));
--accent-soft: light-dark(` + contrast.Light + `, ` + contrast.Dark + `);
} }
}
`
}

// themeFile is the name of a style sheet: it changes with what is in it, so that browsers may keep it for ever.
func themeFile(css string) string {
	sum := sha256.Sum256([]byte(css))
	return hex.EncodeToString(sum[:8]) + ".css"
}

const pathTheme = "/ui/theme/"

// themeOf is the path of the style sheet of the realm; "" for none.
func (v *visit) themeOf() string {
	if css := themeCSS(v.realm.Settings); css != "" {
		return v.site.base + pathTheme + v.realm.Name + "/" + themeFile(css)
	}
	return ""
}

// serveTheme serves the style sheet of a realm, as it is now: of what it was before, nothing is left.
func (h *Handler) serveTheme(w http.ResponseWriter, r *http.Request) error {
	realm, err := h.c.Realm(r.Context(), r.PathValue("realm"))
	if err != nil {
		return err
	}
	css := themeCSS(realm.Settings)
	if css == "" || realm.Disabled || r.PathValue("file") != themeFile(css) {
		return gatehouse.ErrNotFound
	}
	head := w.Header()
	head["Content-Type"] = []string{"text/css; charset=utf-8"}
	head["Cache-Control"] = []string{"public, max-age=31536000, immutable"}
	head["Content-Length"] = []string{strconv.Itoa(len(css))}
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(css)) // the client may be gone; nothing is left to do
	}
	return nil
}
