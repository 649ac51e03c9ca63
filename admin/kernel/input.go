package kernel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
)

// Bounds of what an administrator may write.
const (
	maxName = 200 // characters
	MaxList = 200 // roles, scopes
)

// Faults gathers what is wrong with an input: member → what.
type Faults map[string]string

// Add notes what is wrong with a member; the first fault of each is kept.
func (f Faults) Add(member, format string, args ...any) {
	if _, dup := f[member]; !dup {
		f[member] = fmt.Sprintf(format, args...)
	}
}

// ErrInput says that members of an input are not valid. Who returns it names them in the Fields of a copy.
var ErrInput = gatehouse.E(gatehouse.Unprocessable, "input_invalid", "Some members of the input are not valid.")

// Err is nil when nothing is wrong. The texts hold names of scopes, roles and groups
// that were sent, and nothing else of it.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	e := *ErrInput
	e.Fields = f
	return &e
}

// Naming says which name of a list an error is about. Names of scopes and roles are
// no secrets, and the form of a name was checked before.
func Naming(err *gatehouse.Error, member, name string) *gatehouse.Error {
	e := *err
	e.Fields = map[string]string{member: "about " + Quoted(name)}
	return &e
}

// Quoted shows a name that was sent, cut where it is too long to be one.
func Quoted(name string) string {
	if len(name) > 128 {
		name = name[:128] + "…"
	}
	return strconv.QuoteToASCII(name)
}

// Text checks a short line for people.
func (f Faults) Text(member, s string, required bool) {
	switch {
	case s == "" && required:
		f.Add(member, "is required")
	case utf8.RuneCountInString(s) > maxName:
		f.Add(member, "is longer than %d characters", maxName)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		// NUL would be stored by one database and refused by the other; the rest
		// would forge lines in terminals and logs.
		f.Add(member, "must not contain control characters")
	}
}

// Names checks a list of role, group or scope names.
func (f Faults) Names(member string, list []string) {
	if len(list) > MaxList {
		f.Add(member, "has more than %d entries", MaxList)
		return
	}
	for i, s := range list {
		if !NameForm(s) {
			f.Add(member, "%s is not a name of at most 128 plain characters", Quoted(s))
		}
		if slices.Contains(list[:i], s) {
			f.Add(member, "has %s twice", Quoted(s))
		}
	}
}

// NameForm is what names and scopes are made of: the characters of a scope
// token (RFC 6749 §3.3), which need no quoting anywhere.
func NameForm(s string) bool {
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
