package policy

import (
	"fmt"
	"strings"

	"github.com/cedar-policy/cedar-go"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// Explanation is a decision with the policies behind it, for the operator.
type Explanation struct {
	Principal, Action, Resource string
	Decision                    gatehouse.Decision
	// Considered is how many policies could apply by their scope, of Total.
	Considered, Total int
	// Policies are the ones that matched or failed, then the nearest misses:
	// permits for this action and resource whose principal or condition did not
	// hold. At most 20 misses.
	Policies []Trace
}

// Trace is what one policy said.
type Trace struct {
	PolicyID string `json:"policy"`
	Effect   string `json:"effect"` // "permit" or "forbid"
	Source   string `json:"source"` // "role admin", "policy documents"
	Note     string `json:"note,omitempty"`
	Line     int    `json:"line,omitempty" doc:"Of the policy in its document; absent for roles"`
	Outcome  string `json:"outcome" doc:"matched, error or not met"`
	// Failed are the parts that did not hold, in the order of the policy:
	// "principal in Role::\"admin\"", "when { … }".
	Failed []string `json:"failed,omitempty" doc:"The parts that did not hold, in the order of the policy"`
	Error  string   `json:"error,omitempty"`
}

const maxMisses = 20

// Explain decides as [Set.Evaluate] does and tells how it came to that.
func (s *Set) Explain(r Request) (x Explanation) {
	x = Explanation{Principal: refText(r.Principal), Action: r.Action, Resource: refText(r.Resource), Total: s.Len()}
	x.Decision = s.Evaluate(r)
	defer func() {
		if recover() != nil { // the decision above stands; only its story is lost
			x.Policies = nil
		}
	}()
	if s == nil || s.index == nil {
		return x
	}
	var e evaluation
	if _, err := e.prepare(s, &r); err != nil {
		return x
	}
	if err := s.index.find(&e.cand, &e.g, e.req); err != nil {
		return x
	}
	considered := map[cedar.PolicyID]bool{}
	for id := range e.cand.All() {
		considered[id] = true
	}
	x.Considered = len(considered)
	var hits, misses []Trace
	for p := range s.policies {
		t, scopeHolds := s.trace(p, &e)
		switch {
		case t.Outcome != "not met":
			hits = append(hits, t)
		case scopeHolds && t.Effect == "permit":
			misses = append(misses, t)
		}
	}
	sorted.Slice(hits, func(a, b Trace) int { return strings.Compare(a.PolicyID, b.PolicyID) })
	sorted.Slice(misses, func(a, b Trace) int {
		if d := distance(a) - distance(b); d != 0 {
			return d
		}
		return strings.Compare(a.PolicyID, b.PolicyID)
	})
	x.Policies = append(hits, misses[:min(len(misses), maxMisses)]...)
	return x
}

// distance orders misses: one failed term of a condition is nearer than a role
// that the principal has not.
func distance(t Trace) int {
	d := 2 * len(t.Failed)
	for _, f := range t.Failed {
		if strings.HasPrefix(f, "principal") {
			d += 3
		}
	}
	return d
}

// trace evaluates the parts of one policy. forThis tells that the policy is
// about this action and this resource, whatever the rest says.
func (s *Set) trace(c *compiled, e *evaluation) (t Trace, forThis bool) {
	t = Trace{PolicyID: string(c.id), Effect: effect(c.policy), Source: c.source, Note: c.note,
		Line: c.policy.Position().Line, Outcome: "matched"}
	for _, p := range parts(c.policy) {
		ok, err := p.holds(&e.g, e.req)
		if !ok && err == nil && (p.name == "action" || p.name == "resource") {
			t.Outcome = "not met"
			return t, false
		}
		if ok {
			continue
		}
		if err != nil {
			if t.Outcome == "matched" { // what comes after a failed part is not evaluated
				t.Outcome, t.Error = "error", err.Error()
				t.Failed = append(t.Failed, partText(p))
			}
			break
		}
		t.Outcome = "not met"
		t.Failed = append(t.Failed, partText(p))
	}
	return t, true
}

func partText(p part) string {
	if p.name == "when" || p.name == "unless" {
		return p.name + " { " + p.text + " }"
	}
	return p.text
}

func refText(e Entity) string { return e.e.UID.String() }

// String writes the explanation for people.
func (x Explanation) String() string {
	var b strings.Builder
	verdict := "DENIED"
	if x.Decision.Allowed {
		verdict = "ALLOWED"
	}
	fmt.Fprintf(&b, "%s (%s): %s may %s%s on %s\n", verdict, x.Decision.Code, x.Principal,
		map[bool]string{true: "", false: "not "}[x.Decision.Allowed], x.Action, x.Resource)
	fmt.Fprintf(&b, "%d of %d policies could apply\n", x.Considered, x.Total)
	for _, e := range x.Decision.Errors {
		fmt.Fprintf(&b, "error: %s\n", e)
	}
	section := ""
	for _, t := range x.Policies {
		if t.Outcome != section {
			section = t.Outcome
			b.WriteString(map[string]string{"matched": "\nmatched:\n", "error": "\nfailed:\n", "not met": "\nnearest policies that did not match:\n"}[section])
		}
		fmt.Fprintf(&b, "  %s %s", t.Effect, t.PolicyID)
		if t.Line > 0 {
			fmt.Fprintf(&b, " (line %d)", t.Line)
		}
		if t.Note != "" {
			fmt.Fprintf(&b, ": %s", t.Note)
		}
		b.WriteByte('\n')
		for _, f := range t.Failed {
			fmt.Fprintf(&b, "    not met: %s\n", f)
		}
		if t.Error != "" {
			fmt.Fprintf(&b, "    error: %s\n", t.Error)
		}
	}
	return b.String()
}
