package enforce

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
)

// noteOf says beside the code of a refusal what was in the way: which claim, which
// limit, which name. It is for the record alone.
func noteOf(err *gatehouse.Error, code string) string {
	note := authn.Detail(err)
	if code == err.Code {
		return clip(note, maxNote)
	}
	answered := "answered as " + err.Code
	if note != "" {
		answered += "; " + note
	}
	return clip(answered, maxNote)
}

const maxNote = 400 // bytes

// account records of a refusal of somebody who is known what the route asks, and what
// the caller holds of it at that moment: by then an operator's question is answered
// from the record, whatever has been changed since.
func (x *Exchange) account() {
	if !x.principal.Authenticated() {
		return
	}
	x.detail("asked", x.route.asked)
	if x.route.Action != "" {
		x.detail("action", x.route.Action)
	}
	if scopes := strings.Join(x.principal.Scopes, " "); scopes != "" {
		x.detail("scopes", scopes)
	}
	if held, err := x.p.cfg.Decider.Roles(x.ctx, x.principal); err == nil && len(held) > 0 {
		x.detail("roles", strings.Join(held, " "))
	}
}

// askedBy says in one line what a route asks of its callers.
func askedBy(c *compiled) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch {
	case c.Anonymous && c.Action == "":
		return "nothing"
	case c.Anonymous:
	case len(c.accepts) > 0:
		add("a caller by %s", joined(c.accepts))
	default:
		add("a caller")
	}
	if len(c.Scopes) > 0 {
		add("scope %s", strings.Join(c.Scopes, " and "))
	}
	for i, w := range c.AnyOf {
		lead := map[bool]string{true: "any of: ", false: "or "}[i == 0]
		var needs []string
		if len(w.Schemes) > 0 {
			needs = append(needs, joined(w.Schemes))
		}
		if len(w.Scopes) > 0 {
			needs = append(needs, "scope "+strings.Join(w.Scopes, " and "))
		}
		add("%s%s", lead, strings.Join(needs, " with "))
	}
	if len(c.Roles) > 0 {
		add("role %s", strings.Join(c.Roles, " or "))
	}
	if c.ACR != "" {
		add("a sign-in at %s", c.ACR)
	}
	if c.MaxAuthAge > 0 {
		add("a sign-in within %v", c.MaxAuthAge)
	}
	if c.Action != "" {
		add("policies that permit %s on %s", c.Action, c.Resource.Type)
	}
	return strings.Join(parts, "; ")
}

func joined(schemes []gatehouse.Scheme) string {
	names := make([]string, len(schemes))
	for i, s := range schemes {
		names[i] = string(s)
	}
	return strings.Join(names, " or ")
}

// credentialMissing is the refusal of a route that wants a credential: it names those
// that the route takes.
func credentialMissing(c *compiled) error {
	if len(c.accepts) == 0 {
		return authn.ErrNone
	}
	return authn.ErrNone.With(errors.New("accepted here: " + joined(c.accepts)))
}
