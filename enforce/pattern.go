package enforce

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// pattern is a parsed Route.Pattern. Patterns mean what those of net/http's
// ServeMux mean, with the same precedence: the more specific wins, and two that
// overlap without one being more specific are refused. Beyond ServeMux, a segment
// may mix text and parameters: "{id}.json", "{id}:archive", "{from}-{to}".
type pattern struct {
	method string // "" is every method; GET serves HEAD too
	segs   []segment
	multi  bool   // matches everything below: the path ends in "/" or {name...}
	rest   string // the name of {name...}
}

// segment is one part of a path between slashes: text, parameter, text, … There
// is one text more than names; a parameter takes at least one character. A
// segment without text or names stands for the end of a path that ends in "/".
type segment struct {
	texts []string
	names []string
}

func literal(s string) segment { return segment{texts: []string{s}} }

// isParam reports whether s is one parameter and nothing else.
func (s segment) isParam() bool { return len(s.names) == 1 && s.texts[0] == "" && s.texts[1] == "" }

// isLiteral reports whether s has no parameter.
func (s segment) isLiteral() bool { return len(s.names) == 0 }

// parsePattern reads "/path" or "METHOD /path". What other routers would take for
// a wildcard, and what no request can match, is refused with what is meant: a rule
// that never applies leaves its paths to a wider one.
func parsePattern(s string) (pattern, error) {
	var p pattern
	method, path, ok := strings.Cut(strings.TrimSpace(s), " ")
	if !ok {
		method, path = "", method
	}
	path = strings.TrimSpace(path)
	if err := checkPatternMethod(method); err != nil {
		return p, err
	}
	p.method = method
	if !strings.HasPrefix(path, "/") {
		return p, errors.New(`the pattern must be "/path" or "METHOD /path"; the host has a field of its own`)
	}
	segments := strings.Split(path[1:], "/")
	for i, text := range segments {
		last := i == len(segments)-1
		switch {
		case last && text == "":
			p.multi = true
			continue
		case text == "{$}":
			if !last {
				return p, errors.New("{$} stands at the end only")
			}
			p.segs = append(p.segs, literal(""))
			continue
		case last && strings.HasPrefix(text, "{") && strings.HasSuffix(text, "...}"):
			p.multi, p.rest = true, text[1:len(text)-len("...}")]
			if !isName(p.rest) {
				return p, fmt.Errorf("%q is not the name of a parameter", p.rest)
			}
			continue
		}
		seg, err := parseSegment(text)
		if err != nil {
			return p, err
		}
		p.segs = append(p.segs, seg)
	}
	seen := p.names()
	slices.Sort(seen)
	if len(slices.Compact(seen)) != len(p.names()) {
		return p, errors.New("the pattern has two parameters of one name")
	}
	return p, p.reachable()
}

// checkPatternMethod refuses what is no method, and what is a slip of one: a rule
// for "DELTE" would leave DELETE to a wider one.
func checkPatternMethod(m string) error {
	switch {
	case m == "" || slices.Contains(commonMethods, m):
		return nil
	case m == http.MethodTrace || m == http.MethodConnect:
		return errors.New("TRACE and CONNECT are never served")
	case strings.Contains(m, ","):
		return fmt.Errorf("one method a route: write one for each of %s, or leave the method out for every one", m)
	case strings.HasPrefix(m, "/"):
		return errors.New("a path has no spaces; write %20 for one")
	case m != strings.ToUpper(m):
		return fmt.Errorf("methods are upper-case: %s", strings.ToUpper(m))
	case strings.Contains(m, "/"):
		return errors.New(`the pattern must be "/path" or "METHOD /path"; the host has a field of its own`)
	case !web.ServableMethod(m):
		return fmt.Errorf("%q is no method", m)
	}
	for _, known := range commonMethods {
		if differsLittle(m, known) {
			return fmt.Errorf("%s is no method; %s is meant?", m, known)
		}
	}
	return nil
}

var commonMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodOptions, "QUERY", "PURGE", "PROPFIND", "PROPPATCH", "REPORT", "SEARCH", "LOCK", "UNLOCK", "COPY", "MOVE", "MKCOL",
	"ACL", "BIND", "UNBIND", "REBIND", "LINK", "UNLINK", "LABEL", "MERGE", "CHECKIN", "CHECKOUT", "UNCHECKOUT", "UPDATE"}

// differsLittle reports whether one slip of the pen makes b of a: a character too
// many, too few or wrong, or two that changed places.
func differsLittle(a, b string) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	a, b = a[i:], b[i:]
	switch {
	case a == "" || b == "":
		return len(a)+len(b) <= 1
	case a[1:] == b || b[1:] == a || a[1:] == b[1:]:
		return true
	}
	return len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]
}

// parseSegment reads one segment that is neither empty nor the end of a pattern.
func parseSegment(text string) (segment, error) {
	switch {
	case text == "":
		return segment{}, errors.New("a doubled slash is refused in requests; write one")
	case strings.Contains(text, "*"):
		return segment{}, fmt.Errorf("%q: * is no wildcard; write {name} for one segment, {name...} or a final slash for all below", text)
	case strings.HasPrefix(text, ":"):
		return segment{}, fmt.Errorf("%q is no parameter; write {%s}", text, strings.TrimPrefix(text, ":"))
	case strings.ContainsAny(text, "<>"):
		return segment{}, fmt.Errorf("%q is no parameter; write {name}", text)
	case strings.ContainsAny(text, "?#;\\"):
		return segment{}, fmt.Errorf("%q: a pattern is a path alone, without query, fragment, path parameters and backslashes", text)
	}
	seg := segment{texts: []string{""}}
	add := func(s string) error {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return fmt.Errorf("%q has a malformed percent-escape", text)
		}
		seg.texts[len(seg.texts)-1] = plain
		return nil
	}
	for rest := text; ; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			open = len(rest)
		}
		if strings.IndexByte(rest[:open], '}') >= 0 {
			return seg, fmt.Errorf("%q: a brace is not opened", text)
		}
		if err := add(rest[:open]); err != nil {
			return seg, err
		}
		if rest = rest[open:]; rest == "" {
			return seg, nil
		}
		name, behind, closed := strings.Cut(rest[1:], "}")
		if !closed {
			return seg, fmt.Errorf("%q: a brace is not closed", text)
		}
		switch {
		case strings.HasSuffix(name, "..."):
			return seg, fmt.Errorf("{%s} stands at the end of a pattern only, as a whole segment", name)
		case !isName(name):
			return seg, fmt.Errorf("{%s}: a parameter is a name alone, of letters, digits and _", name)
		case len(seg.names) > 0 && seg.texts[len(seg.texts)-1] == "":
			return seg, fmt.Errorf("%q: two parameters need text between them", text)
		}
		seg.names, seg.texts = append(seg.names, name), append(seg.texts, "")
		rest = behind
	}
}

// isName reports whether s may name a parameter.
func isName(s string) bool {
	for i, c := range s {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return s != ""
}

// reachable refuses a pattern whose texts no request can have, since its URL would
// be refused as ambiguous.
func (p pattern) reachable() error {
	var b strings.Builder
	for _, s := range p.segs {
		b.WriteByte('/')
		for i, text := range s.texts {
			if i > 0 {
				b.WriteByte('x')
			}
			b.WriteString(url.PathEscape(text))
		}
	}
	if p.multi {
		b.WriteByte('/')
	}
	u, err := url.ParseRequestURI(b.String())
	if err != nil || web.AmbiguousURL(u, false) {
		return errors.New("no request can match it: such paths are refused, since they can be read in more than one way")
	}
	return nil
}

// names returns the names of the parameters, in order.
func (p pattern) names() []string {
	var names []string
	for _, s := range p.segs {
		names = append(names, s.names...)
	}
	if p.rest != "" {
		names = append(names, p.rest)
	}
	return names
}

// split returns what the parameters of s take of text. ok is false when text does
// not match; unique is false when it does so in more than one way.
func (s segment) split(text string) (values []string, unique, ok bool) {
	first := s.cut(text, false)
	if first == nil {
		return nil, false, false
	}
	return first, len(first) < 2 || slices.Equal(first, s.cut(text, true)), true
}

// cut takes text apart at the first places where the texts in between stand, or at
// the last ones. It returns nil when text does not match.
func (s segment) cut(text string, last bool) []string {
	n := len(s.names)
	text, ok := strings.CutPrefix(text, s.texts[0])
	if !ok || n == 0 && text != "" {
		return nil
	}
	values := make([]string, n)
	if n == 0 {
		return values
	}
	if text, ok = strings.CutSuffix(text, s.texts[n]); !ok {
		return nil
	}
	from, to := 0, n-1 // the parameters that are left
	for from < to && text != "" {
		at, between := 0, ""
		if last {
			between = s.texts[to]
			at = strings.LastIndex(text[:len(text)-1], between) // a parameter takes one character at least
		} else {
			between = s.texts[from+1]
			at = strings.Index(text[1:], between) + 1
		}
		switch {
		case at <= 0:
			return nil
		case last:
			values[to], text = text[at+len(between):], text[:at]
			to--
		default:
			values[from], text = text[:at], text[at+len(between):]
			from++
		}
	}
	if text == "" {
		return nil
	}
	values[from] = text
	return values
}

// params puts the values of the parameters into out. path is percent-encoded,
// begins with a slash and is known to match. A segment that could be taken apart in
// more than one way is an error: frameworks choose differently.
func (p *pattern) params(path string, out map[string]string) error {
	rest := path[1:]
	for _, s := range p.segs {
		var text string
		text, rest, _ = strings.Cut(rest, "/")
		if s.isLiteral() {
			continue
		}
		values, unique, ok := s.split(reading{}.text(text))
		if !ok || !unique {
			return ErrPath
		}
		for i, name := range s.names {
			out[name] = values[i]
		}
	}
	if p.rest != "" {
		out[p.rest] = reading{}.text(rest)
	}
	return nil
}

// below returns the part of path, which matches, that {name...} takes, as it came.
func (p *pattern) below(path string) string {
	if p.rest == "" {
		return ""
	}
	for range p.segs {
		_, path, _ = strings.Cut(path[1:], "/")
		path = "/" + path
	}
	return path[1:]
}
