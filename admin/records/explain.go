package records

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Explanation is what is recorded of one request, with what would have let it pass.
type Explanation struct {
	RequestID string        `json:"request_id"`
	Events    []audit.Entry `json:"events"`
	// Counted: the request has no event of its own. It was refused together with many
	// others, and Events are the counts of that time; it is part of one of them.
	Counted bool `json:"counted,omitempty" doc:"The request was refused and counted with others, in one of the events, in place of an event of its own"`
	// Near is asked anew, of the policies, roles and stored entities of now; who may not
	// ask for decisions does not see it. Attributes that came from the API or from the
	// request's body are not recorded, so conditions on them count as not met.
	Near []policy.Trace `json:"near,omitempty" doc:"Of a request that the policies refused: the policies that matched, then the permits that came nearest with what they lack, as of now"`
}

// recordDelay is how long an event may be on its way into the log.
const recordDelay = 3 * time.Second

// Explain finds what is recorded of one request: the chain from credential to
// rule. For a request of the last few seconds it waits until it is recorded: who
// asks has its id from the answer, which was sent before. A refusal that was counted
// together with others is explained by the counts that it may be part of.
func (s *Service) Explain(ctx context.Context, actor *gatehouse.Principal, realm, requestID string) (Explanation, error) {
	log, err := s.readAudit(ctx, actor, realm)
	if err != nil {
		return Explanation{}, err
	}
	found, err := log.Find(ctx, realm, requestID)
	made, ok := gatehouse.IDTime(requestID)
	if age := s.k.Now().Sub(made); ok && age >= -recordDelay && age <= recordDelay {
		again := time.NewTicker(100 * time.Millisecond)
		defer again.Stop()
		for range recordDelay / (100 * time.Millisecond) {
			if !errors.Is(err, gatehouse.NotFound) && !(err == nil && counted(found)) {
				break
			}
			select {
			case <-again.C:
				found, err = log.Find(ctx, realm, requestID)
			case <-ctx.Done():
				return Explanation{}, ctx.Err()
			}
		}
	}
	if errors.Is(err, gatehouse.NotFound) && ok && s.c.Counting != nil {
		for _, e := range s.c.Counting(realm, made) { // the count is not recorded yet
			found, err = append(found, audit.Entry{Index: -1, Event: e}), nil
		}
	}
	if err == nil {
		err = audit.OpenPersonal(ctx, found, s.c.Persons)
	}
	if err != nil {
		return Explanation{}, err
	}
	return Explanation{RequestID: requestID, Events: found, Counted: counted(found), Near: s.near(ctx, actor, realm, found)}, nil
}

// counted reports whether found are no events of a request, but counts of refusals
// that it may be part of.
func counted(found []audit.Entry) bool {
	return len(found) > 0 && found[0].Kind == audit.KindAuditCounted
}

// near asks the decision point about the first request that policies refused, as its
// caller would, and returns what came nearest to permitting it.
func (s *Service) near(ctx context.Context, actor *gatehouse.Principal, realm string, events []audit.Entry) []policy.Trace {
	i := slices.IndexFunc(events, func(e audit.Entry) bool {
		return e.Kind == audit.KindRequestDecide && (e.Reason == policy.CodeNoPermit || e.Reason == policy.CodeForbidden) && e.Detail["action"] != ""
	})
	if i < 0 || !s.k.Decide(ctx, actor, policy.AdminRead, policy.AdminDecision, realm, "").Allowed {
		return nil
	}
	e := &events[i].Event
	about := gatehouse.WithRequest(ctx, gatehouse.RequestFacts{ID: gatehouse.RequestIDFrom(ctx)})
	x, err := s.c.Explain(about, gatehouse.AccessRequest{
		Principal: callerOf(e), Action: e.Detail["action"],
		Resource:  gatehouse.Resource{Type: e.Target.Type, ID: e.Target.ID},
		Simulated: factsOf(e),
	})
	if err != nil {
		return nil // the record stands without it
	}
	return x.Policies
}

// callerOf makes the caller of a recorded request, as far as decisions look at it.
func callerOf(e *gatehouse.Event) *gatehouse.Principal {
	p := &gatehouse.Principal{Realm: e.Realm, Kind: e.Actor.Kind, ID: e.Actor.ID, Name: e.Actor.Name, Scheme: e.Actor.Scheme,
		Scopes: strings.Fields(e.Detail["scopes"])}
	roles := strings.Fields(e.Detail["roles"])
	switch {
	case strings.HasPrefix(p.ID, "ext_"): // no account of ours: the roles came with the token
		p.Foreign, p.Roles = true, roles
	case p.Scheme == gatehouse.SchemeAPIKey:
		p.RoleLimit = slices.Clone(roles) // a key may hold fewer than its owner
		if p.RoleLimit == nil {
			p.RoleLimit = []string{}
		}
	}
	return p
}

// factsOf are the facts of a recorded request that policies can read.
func factsOf(e *gatehouse.Event) map[string]any {
	facts := map[string]any{"time": e.Time.UTC(), "method": e.Method, "path": e.Path}
	if a, err := netip.ParseAddr(e.Address); err == nil {
		facts["address"] = a
	}
	return facts
}
