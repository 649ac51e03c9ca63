package pages

import (
	"embed"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

//go:embed messages/*.json
var messages embed.FS // read-only

// language is a set of messages.
type language struct {
	Tag, Name, Dir string
	texts          map[string]string
}

// tags are the languages that there are, the first for whoever asks for none of them.
var tags = [...]string{"en", "de", "fr", "es", "ja"}

func readLanguages() ([]*language, error) {
	var out []*language
	for _, tag := range tags {
		b, err := messages.ReadFile("messages/" + tag + ".json")
		if err != nil {
			return nil, err
		}
		l := &language{Tag: tag, Dir: direction(tag)}
		if err := json.Unmarshal(b, &l.texts); err != nil {
			return nil, fmt.Errorf("pages: messages/%s.json: %w", tag, err)
		}
		l.Name = l.texts["language"]
		out = append(out, l)
	}
	return out, nil
}

// direction is in which a language is written (the HTML attribute dir).
func direction(tag string) string {
	switch tag {
	case "ar", "fa", "he", "ur":
		return "rtl"
	}
	return "ltr"
}

// text is a message, with {0}, {1} … replaced by args.
func (l *language) text(key string, args ...any) (string, error) {
	s, ok := l.texts[key]
	if !ok {
		return "", fmt.Errorf("pages: %s has no message %q", l.Tag, key)
	}
	if len(args) == 0 {
		return s, nil
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		number, after, _ := strings.Cut(rest, "}")
		if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < len(args) {
			fmt.Fprint(&b, args[n])
			s = after
		} else {
			b.WriteByte('{')
			s = rest
		}
	}
}

// Bounds of what is read of Accept-Language.
const (
	maxAcceptLanguage  = 512 // bytes
	maxLanguagesWanted = 16
)

// choose is the language that a browser asks for (RFC 9110 §12.5.4), by the first part of its tags.
func (d *dress) choose(accept string) *language {
	best, most := d.languages[0], 0
	n := 0
	for part := range strings.SplitSeq(accept[:min(len(accept), maxAcceptLanguage)], ",") {
		if n++; n > maxLanguagesWanted {
			break
		}
		tag, params, _ := strings.Cut(part, ";")
		q := 1000
		if value, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q = weight(value)
		}
		primary, _, _ := strings.Cut(strings.TrimSpace(tag), "-")
		if l := d.language(strings.ToLower(primary)); l != nil && q > most {
			best, most = l, q
		}
	}
	return best
}

// weight is a qvalue in thousandths (RFC 9110 §12.4.2); what is none weighs nothing.
func weight(s string) int {
	whole, rest, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole+(rest + "000")[:3], 10, 16)
	if err != nil || len(whole) != 1 || len(rest) > 3 || n > 1000 {
		return 0
	}
	return int(n)
}

func (d *dress) language(tag string) *language {
	for _, l := range d.languages {
		if l.Tag == tag {
			return l
		}
	}
	return nil
}

// aYear is how long a browser keeps what somebody prefers, in seconds.
const aYear = 365 * 24 * 60 * 60

// prefer finds the language and theme of the page: those of a link that was followed,
// which the browser then keeps, else those that it kept.
func (v *visit) prefer() {
	v.language = v.dress.language(v.cookie(cookieLanguage))
	if l := v.dress.language(one(v.r, "lang")); l != nil && v.r.Method == http.MethodGet {
		v.language = l
		v.setCookie(cookieLanguage, l.Tag, aYear)
	}
	if v.language == nil {
		v.language = v.dress.wanted(v.uiLocales())
	}
	if v.language == nil {
		v.language = v.dress.choose(v.r.Header.Get("Accept-Language"))
	}
	v.theme = v.cookie(cookieTheme)
	if t := one(v.r, "theme"); t != "" && v.r.Method == http.MethodGet {
		v.theme = t
		if knownTheme(t) {
			v.setCookie(cookieTheme, t, aYear)
		} else {
			v.setCookie(cookieTheme, "", -1)
		}
	}
	if !knownTheme(v.theme) {
		v.theme = ""
	}
}

// uiLocales are the languages in which a client would have the person asked (OpenID Connect Core §3.1.2.1): those of its request, and on
// the way to it.
func (v *visit) uiLocales() string {
	if given := oneOf(v.r, "ui_locales", maxAcceptLanguage); given != "" {
		return given
	}
	return v.asked(returnOf(v.r), "ui_locales")
}

// wanted is the first of these languages that there is, by the first part of their tags; nil for none.
func (d *dress) wanted(locales string) *language {
	for _, tag := range strings.Fields(locales) {
		primary, _, _ := strings.Cut(tag, "-")
		if l := d.language(strings.ToLower(primary)); l != nil {
			return l
		}
	}
	return nil
}

func knownTheme(t string) bool { return t == "light" || t == "dark" }
