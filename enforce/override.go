package enforce

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

var errOverride = gatehouse.E(gatehouse.Invalid, "method_override", "The method must be that of the request line.")

// overridesMethod names a header line or a query parameter by which frameworks
// let a caller replace the method: the API would do something else than was judged.
// "" when there is none.
func overridesMethod(r *http.Request) string {
	for name := range r.Header {
		// The length first: it settles nearly every line without reading it.
		if n := len(name); (n == len("X-Http-Method-Override") || n == len("X-Method-Override") || n == len("X-Http-Method")) &&
			namesMethodOverride(name) {
			return "by the header line " + name
		}
	}
	query := r.URL.RawQuery
	for query != "" {
		var pair string
		if i := strings.IndexAny(query, "&;"); i >= 0 { // some parsers end a pair at ";" too
			pair, query = query[:i], query[i+1:]
		} else {
			pair, query = query, ""
		}
		name, _, _ := strings.Cut(pair, "=")
		if namesMethodOverride(unescapeName(name)) {
			return "by the query parameter " + clip(name, 64)
		}
	}
	return ""
}

// namesMethodOverride reports whether name is one of those that frameworks read
// the method from, in a header line, a query or a body. It is folded as the most
// lenient of them do: letter case does not count; PHP cuts a name at NUL, takes
// leading spaces away and makes "_" of a space and of "."; CGI makes "_" of "-";
// and "[" begins an index.
func namesMethodOverride(name string) bool {
	name = strings.TrimLeft(name, " ")
	if i := strings.IndexAny(name, "\x00["); i >= 0 {
		name = name[:i]
	}
	switch len(name) {
	case len("_method"), len("x_http_method"), len("x_method_override"), len("x_http_method_override"):
	default:
		return false
	}
	name = strings.Map(func(c rune) rune {
		if c == ' ' || c == '.' || c == '-' {
			return '_'
		}
		return c
	}, name)
	for _, known := range [...]string{"_method", "x_http_method", "x_method_override", "x_http_method_override"} {
		if strings.EqualFold(name, known) {
			return true
		}
	}
	return false
}

// unescapeName decodes the name of a query parameter. Escapes that are malformed
// stay as they are, as PHP and others leave them: they must not hide the rest.
func unescapeName(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, hex(s[i+1])<<4|hex(s[i+2]))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func hex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
