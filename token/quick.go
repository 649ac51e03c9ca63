package token

import (
	"strings"
	"time"
)

// readQuickly fills in c from a claims set in the shape in which almost every
// issuer writes one: compact JSON in printable ASCII, no escapes, whole seconds.
// It reports false for anything else, right or wrong, and then says nothing about
// it: readFully decides, and c must be thrown away. So it must never accept what
// readFully refuses, nor read it otherwise; TestQuickAgreesWithFull holds it to
// that. The strings of c are parts of text.
func (c *Claims) readQuickly(text string) bool {
	r := quickReader{text: text}
	var (
		seen   claimSet
		others nameList
		place  statusPlace
	)
	if !r.skip('{') {
		return false
	}
	for {
		name, ok := r.name()
		if !ok {
			return false
		}
		bit := claimSet(0)
		switch name {
		case "iss":
			bit, ok = 1<<0, r.stringTo(&c.Issuer)
		case "sub":
			bit, ok = 1<<1, r.stringTo(&c.Subject)
		case "aud":
			bit, ok = 1<<2, r.audienceTo(&c.Audience)
		case "exp":
			bit, ok = 1<<3, r.dateTo(&c.ExpiresAt)
		case "nbf":
			bit, ok = 1<<4, r.dateTo(&c.NotBefore)
		case "iat":
			bit, ok = 1<<5, r.dateTo(&c.IssuedAt)
		case "jti":
			bit, ok = 1<<6, r.stringTo(&c.ID)
		case "client_id":
			bit, ok = 1<<7, r.stringTo(&c.ClientID)
		case "scope":
			bit, ok = 1<<8, r.stringTo(&c.Scope)
		case "auth_time":
			bit, ok = 1<<9, r.dateTo(&c.AuthTime)
		case "acr":
			bit, ok = 1<<10, r.stringTo(&c.ACR)
		case "amr":
			bit, ok = 1<<11, r.listTo(&c.AMR)
		case "sid":
			bit, ok = 1<<12, r.stringTo(&c.SessionID)
		case "grant_id":
			bit, ok = 1<<13, r.stringTo(&c.GrantID)
		case "status":
			bit, ok = 1<<14, r.statusTo(&place)
		case "cnf", "act", "authorization_details": // what binds a token, who acts, and what for, is read in one way only
			return false
		default:
			ok = others.add(name) && r.value(1)
		}
		if !ok || seen&bit != 0 {
			return false
		}
		seen |= bit
		if !r.skip(',') {
			break
		}
	}
	if !r.skip('}') || r.at != len(text) {
		return false
	}
	c.setPlace(place) // of no status claim at all, it is nobody's
	return true
}

// claimSet tells which of the claims that we read were there.
type claimSet uint16

const (
	quickBytes = 2 << 10 // longer texts are read fully: the strings of c keep all of the text alive
	quickNames = 16      // members of one object that we do not read ourselves
	quickList  = 8       // strings in aud or amr
	quickDepth = 4
)

// nameList finds names that come twice.
type nameList struct {
	names [quickNames]string
	n     int
}

func (l *nameList) add(name string) bool {
	if l.n == len(l.names) {
		return false
	}
	for _, other := range l.names[:l.n] {
		if other == name {
			return false
		}
	}
	l.names[l.n] = name
	l.n++
	return true
}

// quickReader walks through a JSON text. Its methods report false as soon as the
// text is not of the expected form; where the reader stands then means nothing.
type quickReader struct {
	text string
	at   int
}

// skip passes over the octet c.
func (r *quickReader) skip(c byte) bool {
	if r.at >= len(r.text) || r.text[r.at] != c {
		return false
	}
	r.at++
	return true
}

// skipText passes over s.
func (r *quickReader) skipText(s string) bool {
	if !strings.HasPrefix(r.text[r.at:], s) {
		return false
	}
	r.at += len(s)
	return true
}

// plain marks what a JSON string may hold and stand for itself: ASCII without
// control characters, quote and backslash.
var plain = func() (set [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		set[c] = c != '"' && c != '\\'
	}
	return set
}()

func isPlain(s string) bool {
	for i := range len(s) {
		if !plain[s[i]] {
			return false
		}
	}
	return true
}

func (r *quickReader) string() (string, bool) {
	if !r.skip('"') {
		return "", false
	}
	start := r.at
	for i := start; i < len(r.text); i++ {
		if !plain[r.text[i]] {
			r.at = i + 1
			return r.text[start:i], r.text[i] == '"'
		}
	}
	return "", false
}

// name reads the name of a member and the colon.
func (r *quickReader) name() (string, bool) {
	s, ok := r.string()
	return s, ok && r.skip(':')
}

func (r *quickReader) stringTo(to *string) (ok bool) {
	*to, ok = r.string()
	return ok
}

// listTo reads an array of one string or more.
func (r *quickReader) listTo(to *[]string) bool {
	if !r.skip('[') {
		return false
	}
	var list [quickList]string
	for n := range list {
		s, ok := r.string()
		if !ok {
			return false
		}
		list[n] = s
		if !r.skip(',') {
			*to = append([]string(nil), list[:n+1]...)
			return r.skip(']')
		}
	}
	return false
}

func (r *quickReader) audienceTo(to *[]string) bool {
	if r.at < len(r.text) && r.text[r.at] == '[' {
		return r.listTo(to)
	}
	s, ok := r.string()
	*to = []string{s}
	return ok
}

// digits reads a whole number without sign. Its bound lies below that of int64 and
// of what a double holds exactly.
func (r *quickReader) digits() (int64, bool) {
	start, n := r.at, int64(0)
	for ; r.at < len(r.text) && '0' <= r.text[r.at] && r.text[r.at] <= '9'; r.at++ {
		if r.at-start >= 15 {
			return 0, false
		}
		n = n*10 + int64(r.text[r.at]-'0')
	}
	return n, r.at > start && (r.text[start] != '0' || r.at == start+1)
}

// dateTo reads a date in whole seconds; of a fraction only the point is left for
// the caller, who expects none.
func (r *quickReader) dateTo(to *time.Time) bool {
	n, ok := r.digits()
	if !ok || n > maxNumericDate {
		return false
	}
	*to = time.Unix(n, 0)
	return true
}

// statusTo reads a status claim as [Access.AppendJSON] writes it.
func (r *quickReader) statusTo(to *statusPlace) (ok bool) {
	if !r.skipText(`{"status_list":{"idx":`) {
		return false
	}
	if to.index, ok = r.digits(); !ok || !r.skipText(`,"uri":`) {
		return false
	}
	return r.stringTo(&to.uri) && r.skipText("}}")
}

// value passes over a value of a claim that we do not read.
func (r *quickReader) value(depth int) bool {
	if r.at >= len(r.text) || depth > quickDepth {
		return false
	}
	switch r.text[r.at] {
	case '"':
		_, ok := r.string()
		return ok
	case '{':
		return r.object(depth)
	case '[':
		return r.array(depth)
	case 't':
		return r.skipText("true")
	case 'f':
		return r.skipText("false")
	case 'n':
		return r.skipText("null")
	case '-':
		r.at++
	}
	_, ok := r.digits()
	return ok
}

func (r *quickReader) object(depth int) bool {
	r.at++
	if r.skip('}') {
		return true
	}
	var names nameList
	for {
		name, ok := r.name()
		if !ok || !names.add(name) || !r.value(depth+1) {
			return false
		}
		if !r.skip(',') {
			return r.skip('}')
		}
	}
}

func (r *quickReader) array(depth int) bool {
	r.at++
	if r.skip(']') {
		return true
	}
	for {
		if !r.value(depth + 1) {
			return false
		}
		if !r.skip(',') {
			return r.skip(']')
		}
	}
}
