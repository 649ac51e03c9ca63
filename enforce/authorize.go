package enforce

import (
	"net/http"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
)

var (
	errDenied   = gatehouse.E(gatehouse.Denied, "access_denied", "You may not do this.")
	errDecision = gatehouse.E(gatehouse.Unavailable, "decision_unavailable", "The decision cannot be made at the moment.")
)

// requirements checks what the route asks of the caller, without the resource:
// that there is one, its scopes, its roles. They come first because they cost
// nothing and tell nothing about any resource.
func (p *Pipeline) requirements(x *Exchange, _ *http.Request) error {
	rt := x.route
	if !rt.requiresSomething() {
		// SetRoutes refuses such a route; should one get here, it denies.
		x.decision = gatehouse.Decision{Code: "route_without_rule"}
		return errDenied
	}
	if !rt.Anonymous && !x.principal.Authenticated() {
		x.decision = gatehouse.Decision{Code: "unauthenticated"}
		return errDenied
	}
	if x.principal.Authenticated() {
		met := rt.nearest(x.principal)
		if met == nil {
			x.decision = gatehouse.Decision{Code: "scheme_not_accepted"} // the authenticator refuses it before
			return errDenied
		}
		if missing := lacking(x.principal, met.Scopes); len(missing) > 0 {
			x.decision = gatehouse.Decision{Code: "insufficient_scope", Missing: missing}
			return gatehouse.ErrInsufficientScope
		}
	}
	if len(rt.Roles) > 0 {
		held, err := p.cfg.Decider.Roles(x.ctx, x.principal)
		if err != nil {
			x.decision = gatehouse.Decision{Code: gatehouse.CodeOf(err)}
			if gatehouse.KindOf(err) == gatehouse.Denied {
				return errDenied.With(err)
			}
			return errDecision.With(err)
		}
		if !slices.ContainsFunc(rt.Roles, func(want string) bool { return slices.Contains(held, want) }) {
			x.decision = gatehouse.Decision{Code: "role_required", Missing: rt.Roles}
			return errDenied
		}
	}
	if err := p.assured(x); err != nil {
		return err
	}
	if rt.Action == "" {
		x.decision = gatehouse.Decision{Allowed: true, Code: "permitted", Reasons: rt.reasons}
		x.event.Chain = append(x.event.Chain, gatehouse.Step{Name: "authorize", Outcome: gatehouse.OutcomeSuccess,
			Code: "permitted", Reasons: rt.reasons})
	}
	return nil
}

// policies asks the decision point about the action on the resource.
func (p *Pipeline) policies(x *Exchange, r *http.Request) error {
	rt := x.route
	if rt.Action == "" {
		return nil
	}
	if x.before != nil && rt.Resource.Source == sourceBody {
		x.decision = x.before.decision
		return nil
	}
	x.event.Target = gatehouse.Target{Type: rt.Resource.Type}
	err := p.buildResource(x, r)
	x.event.Target.ID = clip(x.resource.ID, 255)
	if err != nil {
		return err
	}
	d := p.cfg.Decider.Decide(x.ctx, gatehouse.AccessRequest{Principal: x.principal, Action: rt.Action, Resource: x.resource})
	if len(d.Errors) > 0 {
		d.Allowed = false // an error denies, whatever else is said
	}
	x.decision = d
	if !d.Allowed {
		return denial(rt, x.principal, d)
	}
	x.event.Chain = append(x.event.Chain, gatehouse.Step{Name: "authorize", Outcome: gatehouse.OutcomeSuccess,
		Code: d.Code, Reasons: d.Reasons, Note: rt.Action})
	return nil
}

// denial chooses how a refused decision is answered.
func denial(rt *compiled, who *gatehouse.Principal, d gatehouse.Decision) error {
	switch {
	case d.Code == "policy_unavailable" || d.Code == "directory_unavailable":
		return errDecision
	case rt.HideExistence:
		// The same answer as for a resource that does not exist.
		return gatehouse.ErrNotFound
	case !who.Authenticated():
		// A credential might help here, so the caller is told to bring one.
		return rt.missing
	}
	return errDenied
}

func (c *compiled) requiresSomething() bool {
	return c.Anonymous || c.Authenticated || len(c.Scopes) > 0 || len(c.AnyOf) > 0 || len(c.Roles) > 0 || c.Action != ""
}
