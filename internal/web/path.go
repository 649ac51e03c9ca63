package web

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// EncodesSlash reports whether the percent-encoded path has an encoded slash.
func EncodesSlash(path string) bool {
	for i := 0; i+2 < len(path); i++ {
		if path[i] == '%' && path[i+1] == '2' && path[i+2]|0x20 == 'f' {
			return true
		}
	}
	return false
}

// AmbiguousURL reports request targets that a proxy and the program behind it are known to
// read differently: encoded or doubled slashes, backslashes, dot segments in any
// spelling, path parameters (";", which servlet containers cut off before they
// match), NUL and other control characters, anything that is still encoded after
// one decoding, and bytes that are not UTF-8 in the path; spaces and control
// characters in the query, which HTTP/2 carries and which end the target on an
// HTTP/1.1 request line. None of them is needed to name a resource.
//
// With slashes, an encoded slash is no reason: some APIs have it in the names of
// their resources. What stands between two slashes of any kind is judged like a
// segment then, since whoever decodes early would split there.
func AmbiguousURL(u *url.URL, slashes bool) bool {
	escaped := u.EscapedPath()
	if escaped == "" || escaped[0] != '/' || u.Opaque != "" {
		return true
	}
	for i := range len(u.RawQuery) {
		if c := u.RawQuery[i]; c <= ' ' || c == 0x7f {
			return true
		}
	}
	if strings.Contains(escaped, "//") || !utf8.ValidString(u.Path) {
		return true
	}
	if slashes && EncodesSlash(escaped) {
		escaped = strings.NewReplacer("%2f", "/", "%2F", "/").Replace(escaped)
	}
	// EscapedPath writes backslashes and control characters as escapes, and each escape whole.
	for i := 0; i < len(escaped); i++ {
		switch c := escaped[i]; {
		case c == ';':
			return true
		case c == '%' && escapesSyntax(escaped[i+1], escaped[i+2]):
			return true
		case c == '.' && escaped[i-1] == '/': // i > 0: the first byte is a slash
			rest := strings.TrimPrefix(escaped[i+1:], ".")
			if rest == "" || rest[0] == '/' {
				return true
			}
		}
	}
	for i := 0; i+2 < len(u.Path); i++ {
		if u.Path[i] == '%' {
			if _, again := unhex(u.Path[i+1], u.Path[i+2]); again {
				return true // whoever decodes twice sees another path
			}
		}
	}
	return false
}

// escapesSyntax reports whether two hexadecimal digits after a percent sign stand for a
// character that would change how the path is split.
func escapesSyntax(a, b byte) bool {
	c, _ := unhex(a, b)
	return c < ' ' || c == 0x7f || strings.IndexByte(`/\.;?#`, c) >= 0
}

func unhex(a, b byte) (byte, bool) {
	hi, ok1 := hexDigit(a)
	lo, ok2 := hexDigit(b)
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
