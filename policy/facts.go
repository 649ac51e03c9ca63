package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// Fact is one attribute of the Cedar context. Gatehouse supplies every fact of
// [Facts] at every enforcement point, and nothing else: a policy that reads
// another attribute could never be met, so it is refused when it is stored.
type Fact struct {
	Name string
	Type FactType
	// Always says that every request has it. The others need `context has NAME`.
	Always bool
	// Doc says in one line what it holds, for documentation and for error texts.
	Doc string
}

// FactType is the Cedar type of a fact, as a schema writes it.
type FactType string

// The types that facts have.
const (
	FactBool     FactType = "Bool"
	FactString   FactType = "String"
	FactStrings  FactType = "Set<String>"
	FactDatetime FactType = "datetime"
	FactAddress  FactType = "ipaddr"
)

var supplied = [...]Fact{
	{"authenticated", FactBool, true, "whether a credential was verified"},
	{"scheme", FactString, true, "how the caller was authenticated: basic, api_key, jwt, opaque; empty for anonymous callers"},
	{"scopes", FactStrings, true, "the scopes of the credential"},
	{"time", FactDatetime, true, "the time of the decision, in UTC"},
	{"method", FactString, false, "the request's method, such as GET"},
	{"path", FactString, false, "the request's path, decoded, without the query"},
	{"address", FactAddress, false, "the client's address, by the rules for trusted proxies"},
	{"environment", FactString, false, "live or test, of an API key"},
	{"acr", FactString, false, "the authentication context class (OpenID Connect Core §2)"},
	{"amr", FactStrings, false, "the authentication methods (RFC 8176)"},
	{"auth_time", FactDatetime, false, "when the caller last proved who they are"},
	{"client_id", FactString, false, "the OAuth client that the token was issued to"},
	{"actor", FactString, false, "who acts for the principal, by a token that was exchanged (RFC 8693)"},
}

// Facts returns what policies can read of `context`, in the order in which
// documentation lists it.
func Facts() []Fact { return slices.Clone(supplied[:]) }

// FindFact returns the fact with that name.
func FindFact(name string) (Fact, bool) {
	i := slices.IndexFunc(supplied[:], func(f Fact) bool { return f.Name == name })
	if i < 0 {
		return Fact{}, false
	}
	return supplied[i], true
}

// Parse reads a value that a person or JSON wrote for the fact: a bool, a string,
// a list of strings, a time in RFC 3339 form, or an address. It returns what
// [NewEntity] and [Request] take.
func (f Fact) Parse(v any) (any, error) {
	switch f.Type {
	case FactBool:
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case FactString:
		if s, ok := v.(string); ok {
			return s, nil
		}
	case FactStrings:
		switch list := v.(type) {
		case []string:
			return list, nil
		case []any:
			out := make([]string, len(list))
			for i, x := range list {
				s, ok := x.(string)
				if !ok {
					return nil, fmt.Errorf("context.%s is a list of strings", f.Name)
				}
				out[i] = s
			}
			return out, nil
		}
	case FactDatetime:
		switch t := v.(type) {
		case time.Time:
			return t, nil
		case string:
			if at, err := time.Parse(time.RFC3339, t); err == nil {
				return at, nil
			}
		}
		return nil, fmt.Errorf("context.%s is a time such as 2026-11-27T08:30:00Z", f.Name)
	case FactAddress:
		switch a := v.(type) {
		case netip.Addr:
			return a, nil
		case string:
			if at, err := netip.ParseAddr(a); err == nil {
				return at.WithZone("").Unmap(), nil
			}
		}
		return nil, fmt.Errorf("context.%s is an address such as 192.0.2.1 or 2001:db8::1", f.Name)
	}
	return nil, fmt.Errorf("context.%s is of type %s", f.Name, f.Type)
}

// unknownFacts tells which attributes of the context a policy reads that no
// request has; nil when all are known.
func unknownFacts(p *compiled) []string {
	names := map[string]bool{}
	contextUse(p.policy, names)
	var out []string
	for name := range names {
		if _, ok := FindFact(name); !ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// checkFacts refuses a document that reads what no request has: a forbid with
// such a condition would stand there and never apply.
func (c *compiler) checkFacts(policies []*compiled) {
	for _, p := range policies {
		for _, name := range unknownFacts(p) {
			c.problem(p.problem(fmt.Sprintf("no request has context.%s; a policy can read %s", clip(name), factNames())))
		}
	}
}

func factNames() string {
	names := make([]string, len(supplied))
	for i, f := range supplied {
		names[i] = f.Name
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// checkFacts refuses a schema that describes the context otherwise than it is:
// with it, every policy that reads the attribute would deny everything.
func (s *compiledSchema) checkFacts() Problems {
	var out Problems
	for uid, to := range s.applies {
		if to == nil {
			continue
		}
		for name, attr := range to.Context {
			if fault := factFault(string(name), typeText(attr.Type), attr.Optional); fault != "" {
				out = append(out, Problem{Source: "schema", Message: fmt.Sprintf("%s: %s", uid, fault)})
			}
		}
	}
	sorted.Slice(out, func(a, b Problem) int { return strings.Compare(a.Message, b.Message) })
	return out[:min(len(out), maxProblems)]
}

func factFault(name, typ string, optional bool) string {
	f, known := FindFact(name)
	switch {
	case !known:
		return fmt.Sprintf("no request has context.%s; the context may declare %s", clip(name), factNames())
	case typ != string(f.Type):
		return fmt.Sprintf("context.%s is of type %s, not %s", name, f.Type, typ)
	case !optional && !f.Always:
		return fmt.Sprintf("not every request has context.%s: declare it as %s?", name, name)
	}
	return ""
}
