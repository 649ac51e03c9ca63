package authn

import (
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/proof"
)

// Auth-schemes of challenges (RFC 9110 §11.1).
const (
	challengeBearer = "Bearer" // RFC 6750
	challengeBasic  = "Basic"  // RFC 7617
	challengeDPoP   = "DPoP"   // RFC 9449 §7.1
	challengeCookie = "Cookie" // registered by nobody: browsers ignore it, and a 401 must name something
)

// Challenges returns the WWW-Authenticate lines for an answer to err where nothing is
// said of carriers; see [Reader.Challenges].
func Challenges(realm string, schemes []gatehouse.Scheme, err error, scopes ...string) []string {
	return standard.Challenges(realm, schemes, err, scopes...)
}

// Challenges returns the WWW-Authenticate lines for an answer to err, one field
// line for each auth-scheme of the accepted kinds (RFC 9110 §11.6.1). schemes
// empty means all.
//
// The Bearer line carries the error of RFC 6750 §3.1, which is fixed text; no
// error when nothing was presented. scopes, given with an "insufficient_scope"
// error, are the ones needed.
func (rd *Reader) Challenges(realm string, schemes []gatehouse.Scheme, err error, scopes ...string) []string {
	q := quote(realm)
	var lines []string
	invite := func(scheme, parameters string) {
		if line := scheme + " realm="; !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, line) }) {
			lines = append(lines, line+q+parameters)
		}
	}
	basic := `, charset="UTF-8"` // RFC 7617 §2.1
	keys := false
	for _, k := range kinds {
		if !k.accepted(schemes) {
			continue
		}
		keys = keys || k.By&ByKeyField != 0
		switch k.Challenge {
		case challengeBearer:
			invite(challengeBearer, bearerParameters(err, scopes))
		case challengeBasic:
			invite(challengeBasic, basic)
		case challengeCookie:
			invite(challengeCookie, "")
		}
	}
	if rd := rd.orStandard(); keys {
		if rd.keyScheme != "" {
			invite(rd.keyScheme, "")
		}
		if rd.keyAsUser {
			invite(challengeBasic, basic) // some clients send a user name only when they are asked for one
		}
	}
	return lines
}

// bearerParameters tells what was wrong with a bearer credential.
func bearerParameters(err error, scopes []string) string {
	switch code := bearerError(err); code {
	case "":
		return ""
	case CodeStepUp:
		return `, error="` + code + `"` + stepUpParameters(err)
	case "insufficient_scope":
		line := `, error="insufficient_scope"`
		if len(scopes) > 0 {
			line += ", scope=" + quote(strings.Join(scopes, " "))
		}
		return line
	default:
		return `, error="` + code + `"`
	}
}

// bearerError maps err to a code of RFC 6750 §3.1.
func bearerError(err error) string {
	if err == nil || gatehouse.CodeOf(err) == ErrNone.Code {
		return ""
	}
	if code := gatehouse.CodeOf(err); code == proof.ErrInvalid.Code || code == proof.ErrUseNonce.Code {
		return code
	}
	if code := gatehouse.CodeOf(err); code == gatehouse.ErrSecondFactor.Code || code == gatehouse.ErrNoSecondFactor.Code || code == CodeStepUp {
		return CodeStepUp
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
