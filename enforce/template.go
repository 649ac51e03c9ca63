package enforce

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// template is text with path parameters: "/documents/{id}".
type template struct {
	parts []part
}

type part struct {
	text  string
	param bool
}

// parseTemplate accepts {name} for the names given.
func parseTemplate(s string, names []string) (template, error) {
	var t template
	for s != "" {
		text, behind, opened := strings.Cut(s, "{")
		if strings.Contains(text, "}") {
			return template{}, errors.New("a brace is not opened")
		}
		if text != "" {
			t.parts = append(t.parts, part{text: text})
		}
		if !opened {
			return t, nil
		}
		name, behind, closed := strings.Cut(behind, "}")
		if !closed {
			return template{}, errors.New("a brace is not closed")
		}
		if !slices.Contains(names, name) {
			return template{}, fmt.Errorf("the pattern has no parameter %q", name)
		}
		t.parts = append(t.parts, part{text: name, param: true})
		s = behind
	}
	return t, nil
}

// expand fills in the parameters as they are.
func (t template) expand(params map[string]string) string {
	if len(t.parts) == 1 {
		if t.parts[0].param {
			return params[t.parts[0].text]
		}
		return t.parts[0].text
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.param {
			b.WriteString(params[p.text])
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// expandURL fills the parameters into a path with an optional query, each escaped
// for the place that it stands in. rest is the parameter that takes all below a
// path, restPath its value as it came, percent-encoded: in the path its slashes
// stay slashes. In the query nothing of a value keeps a meaning there, so that it
// can neither end the value nor add a parameter.
func (t template) expandURL(params map[string]string, rest, restPath string) string {
	var b strings.Builder
	inQuery := false
	for _, p := range t.parts {
		switch {
		case !p.param:
			b.WriteString(p.text)
			inQuery = inQuery || strings.Contains(p.text, "?")
		case inQuery:
			// "%20", not "+": only forms read a plus sign as a space.
			b.WriteString(strings.ReplaceAll(url.QueryEscape(params[p.text]), "+", "%20"))
		case p.text == rest:
			for i, segment := range strings.Split(restPath, "/") {
				if i > 0 {
					b.WriteByte('/')
				}
				b.WriteString(url.PathEscape(reading{}.text(segment)))
			}
		default:
			b.WriteString(url.PathEscape(params[p.text]))
		}
	}
	return b.String()
}
