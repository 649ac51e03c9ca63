package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/nearest"
)

// flagMistake says what is wrong with a flag, in the words of this program: the
// libraries' own name Go functions and say nothing of what was meant.
func (a *app) flagMistake(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var value *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown):
		typed := unknown.GetSpecifiedName()
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		c.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		return usagef("unknown flag --%s%s", typed, seeHelp(meant("--", typed, names), c))
	case errors.As(err, &value):
		why := value.Unwrap().Error()
		switch value.GetFlag().Value.Type() {
		case "int", "int64":
			why = "must be a whole number"
		case "bool":
			why = "must be true or false"
		}
		return usagef("--%s: %q: %s", value.GetFlag().Name, value.GetValue(), why)
	case errors.As(err, &missing):
		return usagef("--%s needs a value: %s", missing.GetFlag().Name, missing.GetFlag().Usage)
	}
	return usagef("%v%s", err, seeHelp("", c))
}

// seeHelp ends a sentence, or follows a question, with where more is to be read.
func seeHelp(question string, c *cobra.Command) string {
	if question != "" {
		return question + " See " + c.CommandPath() + " --help"
	}
	return "; see " + c.CommandPath() + " --help"
}

// operandMistake says which operand is missing, or which is one too many.
func operandMistake(c *cobra.Command, args []string) error {
	use := strings.TrimSuffix(c.UseLine(), " [flags]")
	var named []string
	for _, w := range strings.Fields(c.Use)[1:] {
		if strings.HasPrefix(w, "-") {
			break
		}
		named = append(named, w)
	}
	least := len(slices.DeleteFunc(slices.Clone(named), func(w string) bool { return strings.HasPrefix(w, "[") }))
	switch {
	case len(args) < least:
		return usagef("%s is missing: %s", named[len(args)], use)
	case len(named) == 0:
		return usagef("%q: no operand is expected here: %s", args[0], use)
	}
	return usagef("%q is one too many: %s", args[len(named)], use)
}

// namesByCode tells, for a refusal of the server, under which path the names are that
// could have been meant, and which member holds one.
var namesByCode = map[string]struct{ path, member string }{
	"user_not_found":    {"users", "username"},
	"key_owner_unknown": {"users", "username"},
	"role_not_found":    {"roles", "name"},
	"role_unknown":      {"roles", "name"},
	"key_role_unknown":  {"roles", "name"},
	"policy_not_found":  {"policies", "id"},
	"realm_not_found":   {"", "name"},
	"scope_unknown":     {"", "scopes"},
}

// suggestion asks the server which names there are, and returns the one that is spelled
// much like a word of the command line; "" when none is, or nobody may look.
func (a *app) suggestion(ctx context.Context, err error, typed []string) string {
	var e *gatehouse.Error
	if !errors.As(err, &e) {
		return ""
	}
	at, known := namesByCode[e.Code]
	if !known || at.member == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var names []string
	switch {
	case at.member == "scopes":
		var realm struct {
			Settings struct {
				Scopes map[string]string `json:"scopes"`
			} `json:"settings"`
		}
		if a.call(ctx, "GET", a.realmPath(), nil, &realm) != nil {
			return ""
		}
		for s := range realm.Settings.Scopes {
			names = append(names, s)
		}
	default:
		path := "/realms"
		if at.path != "" {
			path = a.realmPath(at.path)
		}
		var p page
		if a.call(ctx, "GET", path+"?"+url.Values{"limit": {"500"}}.Encode(), nil, &p) != nil &&
			a.call(ctx, "GET", path, nil, &p) != nil { // some lists are never paged
			return ""
		}
		for _, o := range p.Items {
			names = append(names, text(o[at.member]))
		}
	}
	for _, word := range typed {
		if len(word) < 3 || slices.Contains(names, word) {
			continue
		}
		if near := nearest.Name(word, names); near != "" {
			return near
		}
	}
	return ""
}

// words are what the command line names: operands and the values of flags, lists taken
// apart, without the words of the command itself.
func words(root *cobra.Command, args []string) []string {
	var out []string
	if _, rest, err := root.Find(args); err == nil {
		args = rest
	}
	for _, arg := range args {
		if name, value, ok := strings.Cut(arg, "="); strings.HasPrefix(arg, "--") {
			if !ok {
				continue
			}
			arg, _ = value, name
		}
		out = append(out, strings.Split(arg, ",")...)
	}
	return out
}

// meant asks whether the nearest of the names was meant.
func meant(lead, typed string, names []string) string {
	if near := nearest.Name(typed, names); near != "" {
		return "; did you mean " + lead + near + "?"
	}
	return ""
}

// unreadable says why a file cannot be read: a mistake of the caller's, most often.
func unreadable(name string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return usagef("%s: %v", name, err)
}

// instantOf reads a time as people write it for a search: an instant, a day (from its
// beginning, UTC), or how long ago.
func instantOf(flag, text string, ago func(string) (time.Duration, error), now time.Time) (string, error) {
	if text == "" {
		return "", nil
	}
	for _, form := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC().Format(time.RFC3339Nano), nil
		}
	}
	if d, err := ago(text); err == nil && d >= 0 {
		return now.Add(-d).UTC().Format(time.RFC3339Nano), nil
	}
	return "", fmt.Errorf("--%s: %q is no time; write 2026-01-31T08:00:00Z, 2026-01-31, or how long ago: 24h, 7d", flag, text)
}

// oneOf refuses what a flag does not know, before a server is asked.
func oneOf(flag, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return usagef("--%s: %q is none of %s%s", flag, value, strings.Join(known, ", "), meant("", value, known))
}
