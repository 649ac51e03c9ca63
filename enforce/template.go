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
		open := strings.IndexByte(s, '{')
		if open < 0 {
			open = len(s)
		}
		if open > 0 {
			if strings.IndexByte(s[:open], '}') >= 0 {
				return template{}, errors.New("a brace is not opened")
			}
			t.parts = append(t.parts, part{text: s[:open]})
			s = s[open:]
			continue
		}
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return template{}, errors.New("a brace is not closed")
		}
		n := s[1:end]
		if !slices.Contains(names, n) {
			return template{}, fmt.Errorf("the pattern has no parameter %q", n)
		}
		t.parts = append(t.parts, part{text: n, param: true})
		s = s[end+1:]
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
