package admin

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
)

// Bounds of what an administrator may write.
const (
	maxName     = 200 // characters
	maxList     = 200 // roles, scopes
	maxPageSize = 200
	pageSize    = 50
)

// faults gathers what is wrong with an input: member → what.
type faults map[string]string

func (f faults) add(member, format string, args ...any) {
	if _, dup := f[member]; !dup {
		f[member] = fmt.Sprintf(format, args...)
	}
}

// ErrInput says that members of an input are not valid. Who returns it names them in the Fields of a copy.
var ErrInput = gatehouse.E(gatehouse.Unprocessable, "input_invalid", "Some members of the input are not valid.")

// err is nil when nothing is wrong. The texts hold names of scopes, roles and groups
// that were sent, and nothing else of it.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	e := *ErrInput
	e.Fields = f
	return &e
}

// naming says which name of a list an error is about. Names of scopes and roles are
// no secrets, and the form of a name was checked before.
func naming(err *gatehouse.Error, member, name string) *gatehouse.Error {
	e := *err
	e.Fields = map[string]string{member: "about " + quoted(name)}
	return &e
}

// quoted shows a name that was sent, cut where it is too long to be one.
func quoted(name string) string {
	if len(name) > 128 {
		name = name[:128] + "…"
	}
	return strconv.QuoteToASCII(name)
}

// text checks a short line for people.
func (f faults) text(member, s string, required bool) {
	switch {
	case s == "" && required:
		f.add(member, "is required")
	case utf8.RuneCountInString(s) > maxName:
		f.add(member, "is longer than %d characters", maxName)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		// NUL would be stored by one database and refused by the other; the rest
		// would forge lines in terminals and logs.
		f.add(member, "must not contain control characters")
	}
}

// names checks a list of role, group or scope names.
func (f faults) names(member string, list []string) {
	if len(list) > maxList {
		f.add(member, "has more than %d entries", maxList)
		return
	}
	for i, s := range list {
		if !nameForm(s) {
			f.add(member, "%s is not a name of at most 128 plain characters", quoted(s))
		}
		if slices.Contains(list[:i], s) {
			f.add(member, "has %s twice", quoted(s))
		}
	}
}

// nameForm is what names and scopes are made of: the characters of a scope
// token (RFC 6749 §3.3), which need no quoting anywhere.
func nameForm(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

var realmName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// limitOf bounds the size of a page.
func limitOf(n int) int {
	if n <= 0 {
		return pageSize
	}
	return min(n, maxPageSize)
}

// paged cuts items, of which one more than limit was read, into a page.
func paged[R, V any](items []R, limit int, id func(R) string, view func(R) V) Page[V] {
	p := Page[V]{Items: make([]V, 0, min(len(items), limit))}
	for i, it := range items {
		if i == limit {
			p.Next = id(items[limit-1])
			break
		}
		p.Items = append(p.Items, view(it))
	}
	return p
}

// some makes an absent list an empty one, so that JSON says [] and not null.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
