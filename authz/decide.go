package authz

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Codes of decisions that are made here, beside those of package policy.
const (
	CodePolicyUnavailable = "policy_unavailable"    // the realm's policies could not be loaded
	CodeDirectory         = "directory_unavailable" // the subject could not be looked up
	CodeRealmDisabled     = "realm_disabled"
	CodeSubjectDisabled   = "subject_disabled" // or gone
	CodeUnauthenticated   = "unauthenticated"
	CodeInsufficientScope = "insufficient_scope"
	codeRealmUnknown      = "realm_unknown"
)

// Decide answers whether the principal may do the action on the resource. The
// answer is a value in every case; whatever goes wrong is a denial with a code.
//
// A resource without attributes and parents is looked up among the entities
// pushed to Gatehouse; one with attributes is taken as given.
func (d *Decider) Decide(ctx context.Context, r gatehouse.AccessRequest) gatehouse.Decision {
	start := d.now()
	dec := d.decide(ctx, &r)
	d.count(r.Principal, dec, start)
	return dec
}

// decide recalls the answer, or finds and remembers it.
func (d *Decider) decide(ctx context.Context, r *gatehouse.AccessRequest) gatehouse.Decision {
	snap, subj, denial := d.asker(ctx, r.Principal)
	if subj == nil {
		return denial
	}
	keep := memorable(snap, r)
	if keep {
		if dec, ok := subj.answers.recall(r); ok {
			return dec
		}
	}
	q, dec := d.question(ctx, snap, subj, r)
	if q == nil {
		return dec
	}
	dec = q.set.Evaluate(q.Request)
	if keep && !q.source.asked && len(dec.Errors) == 0 {
		d.keep(&subj.answers, r, dec)
	}
	return dec
}

// Explain decides like [Decider.Decide] and tells how. With documents it decides
// as if they were stored, in place of those of the same names; what does not
// compile is the error of [Decider.Prepare].
func (d *Decider) Explain(ctx context.Context, r gatehouse.AccessRequest, documents ...policy.Document) (policy.Explanation, error) {
	nothing := func(dec gatehouse.Decision) policy.Explanation {
		return policy.Explanation{Action: r.Action, Resource: r.Resource.Type + "::" + r.Resource.ID, Decision: dec}
	}
	snap, subj, dec := d.asker(ctx, r.Principal)
	if subj == nil {
		return nothing(dec), nil
	}
	set := snap.set
	for i := range documents {
		var err error
		if set, err = set.Replace(documents[i].ID, &documents[i], nil, false); err != nil {
			return policy.Explanation{}, invalid(err)
		}
	}
	q, dec := d.question(ctx, &snapshot{realm: snap.realm, set: set}, subj, &r)
	if q == nil {
		return nothing(dec), nil
	}
	return set.Explain(q.Request), nil
}

func (d *Decider) count(p *gatehouse.Principal, dec gatehouse.Decision, start time.Time) {
	if d.metrics == nil {
		return
	}
	realm := ""
	if p != nil {
		realm = p.Realm
	}
	d.metrics.Decided(realm, dec.Code, dec.Allowed, d.now().Sub(start))
}

// question is a request ready to be evaluated.
type question struct {
	policy.Request
	set    *policy.Set
	source *source
}

func deny(code string, errs ...error) gatehouse.Decision {
	dec := gatehouse.Decision{Code: code}
	for _, err := range errs {
		dec.Errors = append(dec.Errors, err.Error())
	}
	return dec
}

// asker finds the rules and the subject of a principal; without a subject the
// decision is a denial that tells why.
func (d *Decider) asker(ctx context.Context, p *gatehouse.Principal) (*snapshot, *subject, gatehouse.Decision) {
	if p == nil || p.Kind == "" || (p.Kind != gatehouse.KindAnonymous && p.ID == "") {
		return nil, nil, deny(CodeUnauthenticated)
	}
	snap, fault := d.snapshot(ctx, p.Realm)
	if fault != "" {
		return nil, nil, deny(fault)
	}
	subj, code, err := d.resolve(ctx, snap, p)
	if code != "" {
		return nil, nil, denyErr(code, err)
	}
	return snap, subj, gatehouse.Decision{}
}

// question builds the entities and the context; without a question the decision
// is a denial that tells why.
func (d *Decider) question(ctx context.Context, snap *snapshot, subj *subject, r *gatehouse.AccessRequest) (*question, gatehouse.Decision) {
	src := &source{ctx: ctx, d: d, snap: snap}
	res, err := d.resource(src, r.Resource)
	if err != nil {
		return nil, deny(policy.CodeEvaluationError, fmt.Errorf("resource: %w", err))
	}
	return &question{set: snap.set, source: src, Request: policy.Request{
		Principal: subj.entity, Action: r.Action, Resource: res, Context: d.context(ctx, snap.set, r.Principal, r.Simulated), Source: src,
	}}, gatehouse.Decision{}
}

func denyErr(code string, err error) gatehouse.Decision {
	if err == nil {
		return deny(code)
	}
	return deny(code, err)
}

func (d *Decider) resource(src *source, r gatehouse.Resource) (policy.Entity, error) {
	ref := gatehouse.EntityRef{Type: r.Type, ID: r.ID}
	if r.ID != "" && r.Attributes == nil && r.Parents == nil {
		if e, ok, err := src.Entity(ref); ok || err != nil {
			return e, err
		}
	}
	return policy.NewEntity(ref, r.Attributes, r.Parents)
}

// context returns the facts that policies read: those of the credential and the
// request, unless they are simulated.
func (d *Decider) context(ctx context.Context, set *policy.Set, p *gatehouse.Principal, simulated map[string]any) map[string]any {
	names, known := set.ContextNames()
	if !known {
		for _, f := range policy.Facts() {
			names = append(names, f.Name)
		}
	}
	var out map[string]any
	for _, name := range names {
		v, given := simulated[name]
		if !given {
			v = d.fact(ctx, p, name)
		}
		if v == nil {
			continue
		}
		if out == nil {
			out = make(map[string]any, len(names))
		}
		out[name] = v
	}
	return out
}

// fact returns one of [policy.Facts]; nil when there is no such fact about p or the
// request.
func (d *Decider) fact(ctx context.Context, p *gatehouse.Principal, name string) any {
	text := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	switch name {
	case "authenticated":
		return p.Authenticated()
	case "scheme":
		return string(p.Scheme)
	case "scopes":
		return p.Scopes
	case "time":
		return d.now().UTC()
	case "method":
		return text(gatehouse.RequestFrom(ctx).Method)
	case "path":
		return text(gatehouse.RequestFrom(ctx).Path)
	case "environment":
		return text(string(p.Environment))
	case "acr":
		return text(p.ACR)
	case "client_id":
		return text(p.ClientID)
	case "actor":
		return text(p.Act.Actor())
	case "amr":
		if len(p.AMR) > 0 {
			return p.AMR
		}
	case "auth_time":
		if !p.AuthTime.IsZero() {
			return p.AuthTime.UTC()
		}
	case "address":
		if a, err := netip.ParseAddr(gatehouse.AddressFrom(ctx)); err == nil {
			return a
		}
	}
	return nil
}

// Roles returns the roles that the principal holds now, sorted: for a local
// subject what the directory assigned, for a foreign one what its claims were
// mapped to, with what these inherit, narrowed by the credential's limit.
// A subject that is disabled or gone is an error of kind Denied, a directory or
// policies that cannot be read one of kind Unavailable.
func (d *Decider) Roles(ctx context.Context, p *gatehouse.Principal) ([]string, error) {
	if !p.Authenticated() {
		return nil, nil
	}
	snap, fault := d.snapshot(ctx, p.Realm)
	if fault != "" {
		return nil, errorOf(fault, nil)
	}
	s, code, err := d.resolve(ctx, snap, p)
	if code != "" {
		return nil, errorOf(code, err)
	}
	return slices.Clone(s.roles), nil
}

func errorOf(code string, cause error) error {
	var e *gatehouse.Error
	switch code {
	case CodePolicyUnavailable, CodeDirectory:
		e = gatehouse.E(gatehouse.Unavailable, code, "The decision cannot be made at the moment.")
	default:
		e = gatehouse.E(gatehouse.Denied, code, "This account may not be used.")
	}
	return e.With(cause)
}
