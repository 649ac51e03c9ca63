package authn

import (
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// Challenges returns the WWW-Authenticate lines for an answer to err, one field
// line for each accepted scheme (RFC 9110 §11.6.1): Bearer for keys and tokens,
// Basic with its charset (RFC 7617 §2.1). schemes empty means all.
//
// The Bearer line carries the error of RFC 6750 §3.1, which is fixed text; no
// error when nothing was presented. scopes, given with an "insufficient_scope"
// error, are the ones needed.
func Challenges(realm string, schemes []gatehouse.Scheme, err error, scopes ...string) []string {
	accepts := func(s ...gatehouse.Scheme) bool {
		return len(schemes) == 0 || slices.ContainsFunc(s, func(x gatehouse.Scheme) bool { return slices.Contains(schemes, x) })
	}
	q := quote(realm)
	var lines []string
	if accepts(gatehouse.SchemeAPIKey, gatehouse.SchemeJWT, gatehouse.SchemeOpaque) {
		line := "Bearer realm=" + q
		switch code := bearerError(err); code {
		case "":
		case "insufficient_scope":
			line += `, error="insufficient_scope"`
			if len(scopes) > 0 {
				line += ", scope=" + quote(strings.Join(scopes, " "))
			}
		default:
			line += `, error="` + code + `"`
		}
		lines = append(lines, line)
	}
	if accepts(gatehouse.SchemeBasic) {
		lines = append(lines, "Basic realm="+q+`, charset="UTF-8"`)
	}
	return lines
}

// bearerError maps err to a code of RFC 6750 §3.1.
func bearerError(err error) string {
	if err == nil || gatehouse.CodeOf(err) == ErrNone.Code {
		return ""
	}
	switch gatehouse.KindOf(err) {
	case gatehouse.Invalid:
		return "invalid_request"
	case gatehouse.Denied:
		return "insufficient_scope"
	default:
		return "invalid_token"
	}
}

// quote writes s as quoted-string (RFC 9110 §5.6.4), without control
// characters: a realm title with a line break must not add a header line.
func quote(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c < ' ' || c == 0x7f:
			continue
		case c == '"' || c == '\\':
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
	return b.String()
}
