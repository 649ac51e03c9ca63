package rules

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// maxTried bounds the documents that one question may bring.
const maxTried = 20

// Decide answers what a user of the realm may do, with the reasons, as if he had
// asked with a credential of his own that carries all scopes.
func (s *Service) Decide(ctx context.Context, actor *gatehouse.Principal, realm string, q Question) (Answer, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminDecision, realm, ""); err != nil {
		return Answer{}, err
	}
	f := kernel.Faults{}
	f.Text("action", q.Action, true)
	f.Text("resource.type", q.Resource.Type, true)
	f.Text("resource.id", q.Resource.ID, true)
	simulated := simulatedFacts(f, "context", q.Context)
	if len(q.Policies) > maxTried {
		f.Add("policies", "has more than %d entries", maxTried)
	}
	if err := f.Err(); err != nil {
		return Answer{}, err
	}
	p := &gatehouse.Principal{Realm: realm, Kind: gatehouse.KindAnonymous}
	if q.Principal != "" {
		u, err := s.c.Users.Find(ctx, realm, q.Principal)
		if err != nil {
			return Answer{}, err
		}
		p = &gatehouse.Principal{Realm: realm, Kind: u.Kind, ID: u.ID, Name: u.Username, Scopes: []string{gatehouse.ScopeAll}}
	}
	r := gatehouse.Resource{Type: q.Resource.Type, ID: q.Resource.ID, Attributes: q.Resource.Attributes}
	for _, parent := range q.Resource.Parents {
		r.Parents = append(r.Parents, gatehouse.EntityRef(parent))
	}
	// The question is about a request of the principal: nothing of the one that asks
	// may count, its address least of all.
	about := gatehouse.WithRequest(ctx, gatehouse.RequestFacts{ID: gatehouse.RequestIDFrom(ctx)})
	tried := make([]policy.Document, 0, len(q.Policies))
	for _, id := range slices.Sorted(maps.Keys(q.Policies)) {
		tried = append(tried, policy.Document{Realm: realm, ID: id, Text: q.Policies[id]})
	}
	x, err := s.c.Explain(about, gatehouse.AccessRequest{Principal: p, Action: q.Action, Resource: r, Simulated: simulated}, tried...)
	if err != nil {
		return Answer{}, err
	}
	d := x.Decision
	return Answer{Allowed: d.Allowed, Code: d.Code, Reasons: kernel.Some(d.Reasons), Errors: kernel.Some(d.Errors), Missing: kernel.Some(d.Missing),
		Considered: x.Considered, Total: x.Total, Policies: kernel.Some(x.Policies)}, nil
}

// simulatedFacts reads facts that somebody wrote for a question to the decision point.
// A name that is no fact is refused: ignored, it would make the answer wrong.
func simulatedFacts(f kernel.Faults, at string, given map[string]any) map[string]any {
	var out map[string]any
	for name, v := range given {
		fact, known := policy.FindFact(name)
		if !known {
			var names []string
			for _, k := range policy.Facts() {
				names = append(names, k.Name)
			}
			f.Add(at, "has a member that is no fact of a request; the facts are %s", strings.Join(names, ", "))
			continue
		}
		x, err := fact.Parse(v)
		if err != nil {
			f.Add(at+"."+name, "%s", err)
			continue
		}
		if out == nil {
			out = make(map[string]any, len(given))
		}
		out[name] = x
	}
	return out
}
