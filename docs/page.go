package docs

import "strings"

// Page is a page of [Errors] in its parts, in Markdown.
type Page struct{ Status, Meaning, Cause, Fix string }

// ErrorPage returns the page about a stable code; false when there is none.
func ErrorPage(code string) (Page, bool) {
	b, err := Errors.ReadFile("errors/" + code + ".md")
	if err != nil {
		return Page{}, false
	}
	var p Page
	parts := map[string]*string{"Status: ": &p.Status, "Exit code: ": &p.Status, "**What it means.** ": &p.Meaning, "**Cause.** ": &p.Cause, "**Fix.** ": &p.Fix}
	for paragraph := range strings.SplitSeq(string(b), "\n\n") {
		text := strings.Join(strings.Fields(paragraph), " ")
		for lead, part := range parts {
			if rest, ok := strings.CutPrefix(text, lead); ok {
				*part = rest
			}
		}
	}
	return p, true
}
