package realmfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// errFile says that a file has faults of several kinds.
var errFile = gatehouse.E(gatehouse.Unprocessable, "realm_file_invalid", "The file cannot be applied; each place says why.")

// maxFileFaults bounds what is told of one file.
const maxFileFaults = 50

// fileFaults gathers what is wrong with a file, each at its place: a JSON pointer
// (RFC 6901) into the file.
type fileFaults struct {
	at   map[string]string
	of   []*gatehouse.Error
	more int
}

// say notes a fault of the file itself.
func (f *fileFaults) say(section, name, format string, args ...any) {
	f.note(kernel.ErrInput, place(section, name), fmt.Sprintf(format, args...))
}

// add notes the error of a use case about one thing of the file. False: it is none of
// the file's, and must be returned.
func (f *fileFaults) add(err error, section, name string, members ...string) bool {
	var e *gatehouse.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Kind {
	case gatehouse.Invalid, gatehouse.Denied, gatehouse.NotFound, gatehouse.Conflict, gatehouse.Unprocessable:
	default:
		return false
	}
	var problems policy.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			f.rule(e, p)
		}
		return true
	}
	if len(e.Fields) == 0 {
		f.note(e, place(section, name, members...), e.Public)
	}
	for _, member := range slices.Sorted(maps.Keys(e.Fields)) {
		text := e.Fields[member]
		if e.Code != kernel.ErrInput.Code && !strings.HasPrefix(e.Public, "Some members ") {
			text = e.Public + " (" + text + ")" // which of the names that it is about
		}
		f.note(e, place(section, name, append(slices.Clone(members), strings.Split(member, ".")...)...), text)
	}
	return true
}

// settings notes the error of the one change that title, settings, scopes and issuers
// are; issuers are those of the list that was tried.
func (f *fileFaults) settings(err error, issuers []gatehouse.TrustedIssuer) bool {
	var e *gatehouse.Error
	if !errors.As(err, &e) || len(e.Fields) == 0 {
		return f.add(err, sectionSettings, "")
	}
	for _, member := range slices.Sorted(maps.Keys(e.Fields)) {
		section, rest, _ := strings.Cut(strings.TrimPrefix(member, "settings."), ".")
		name := ""
		switch first, index, listed := strings.Cut(section, "["); {
		case listed && first == sectionIssuers:
			section = first
			if i, err := strconv.Atoi(strings.TrimSuffix(index, "]")); err == nil && i < len(issuers) {
				name = issuers[i].Issuer
			}
		case section != sectionTitle && section != sectionScopes && section != sectionIssuers:
			section, name = sectionSettings, section
		}
		var inner []string
		if rest != "" {
			inner = []string{rest}
		}
		f.note(e, place(section, name, inner...), e.Fields[member])
	}
	return true
}

// rule notes what is wrong with a policy, role or schema.
func (f *fileFaults) rule(e *gatehouse.Error, p policy.Problem) {
	kind, name, _ := strings.Cut(p.Source, " ")
	at := place(sectionPolicies, "")
	switch kind {
	case "schema":
		at = place(sectionSchema, "")
	case "role", "roles":
		at = place(sectionRoles, name)
	case "policy":
		at = place(sectionPolicies, name, "text")
	}
	text := p.Message
	if p.Line > 0 {
		text = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, text)
	}
	f.note(e, at, text)
}

func (f *fileFaults) note(e *gatehouse.Error, at, text string) {
	if f.at == nil {
		f.at = map[string]string{}
	}
	f.of = append(f.of, e)
	before, there := f.at[at]
	switch {
	case there && strings.Contains(before, text):
	case there && len(before) < 1000:
		f.at[at] = before + "; " + text
	case len(f.at) < maxFileFaults:
		f.at[at] = text
	default:
		f.more++
	}
}

// err is nil when nothing is wrong. Faults of one code keep it.
func (f *fileFaults) err() error {
	if len(f.of) == 0 {
		return nil
	}
	e := *f.of[0]
	if slices.ContainsFunc(f.of, func(o *gatehouse.Error) bool { return o.Code != e.Code }) {
		e = *errFile
	}
	e.Fields, e.Cause = f.at, nil
	if f.more > 0 {
		e.Fields = maps.Clone(f.at)
		e.Fields["/"] = fmt.Sprintf("%d more are not shown", f.more)
	}
	return &e
}

// place is the pointer to one thing of a file. An empty name is the section itself.
func place(section, name string, members ...string) string {
	at := jsontext.Pointer("").AppendToken(section)
	if name != "" {
		at = at.AppendToken(name)
	}
	for _, m := range members {
		at = at.AppendToken(m)
	}
	return string(at)
}
