package enforce

import (
	"reflect"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
)

// alternatives are the ways in which a caller can meet what a route asks of
// schemes and scopes. There is one at least.
func (r *Route) alternatives() []Requirement {
	if len(r.AnyOf) == 0 {
		return []Requirement{{Schemes: r.Schemes, Scopes: r.Scopes}}
	}
	out := make([]Requirement, 0, len(r.AnyOf))
	for _, a := range r.AnyOf {
		if schemes, ok := narrow(r.Schemes, a.Schemes); ok {
			out = append(out, Requirement{Schemes: schemes, Scopes: slices.Concat(r.Scopes, a.Scopes)})
		}
	}
	return out
}

// AcceptsSessions reports whether browser sessions are named among what r accepts.
func (r *Route) AcceptsSessions() bool {
	return slices.ContainsFunc(r.alternatives(), func(w Requirement) bool { return slices.Contains(w.Schemes, gatehouse.SchemeSession) })
}

// narrow returns the schemes that both lists accept; an empty list accepts all. ok
// is false when they have none in common.
func narrow(a, b []gatehouse.Scheme) (out []gatehouse.Scheme, ok bool) {
	if len(a) == 0 || len(b) == 0 {
		return slices.Concat(a, b), true
	}
	for _, s := range a {
		if slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out, len(out) > 0
}

// acceptedBy returns the schemes that one of the ways accepts; empty is all.
func acceptedBy(ways []Requirement) []gatehouse.Scheme {
	var out []gatehouse.Scheme
	for _, w := range ways {
		if len(w.Schemes) == 0 {
			return nil
		}
		for _, s := range w.Schemes {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// nearest returns, of the ways that accept the scheme by which p was verified, the
// first that lacks the fewest scopes; nil when none accepts it.
func (c *compiled) nearest(p *gatehouse.Principal) *Requirement {
	var best *Requirement
	fewest := 0
	for i := range c.ways {
		w := &c.ways[i]
		if len(w.Schemes) > 0 && !slices.Contains(w.Schemes, p.Scheme) {
			continue
		}
		n := 0
		for _, s := range w.Scopes {
			if !p.HasScope(s) {
				n++
			}
		}
		if best == nil || n < fewest {
			best, fewest = w, n
		}
	}
	return best
}

// scopesAsked returns the scopes that would let p in.
func (c *compiled) scopesAsked(p *gatehouse.Principal) []string {
	if w := c.nearest(p); w != nil {
		return w.Scopes
	}
	return nil
}

// lacking returns the scopes that p does not hold.
func lacking(p *gatehouse.Principal, scopes []string) []string {
	var out []string
	for _, s := range scopes {
		if !p.HasScope(s) {
			out = append(out, s)
		}
	}
	return out
}

// asksAsMuchAs reports whether everybody whom c lets in would be let in by o too,
// and no faster. When in doubt it says no.
func (c *compiled) asksAsMuchAs(o *compiled) bool {
	switch {
	case c.Closed:
		return true
	case o.Closed:
		return false
	case !o.RateAddress.IsZero() && c.RateAddress != o.RateAddress,
		!o.RatePrincipal.IsZero() && c.RatePrincipal != o.RatePrincipal,
		o.MaxBodyBytes > 0 && (c.MaxBodyBytes == 0 || c.MaxBodyBytes > o.MaxBodyBytes),
		len(o.ContentTypes) > 0 && (len(c.ContentTypes) == 0 || !containsAll(o.ContentTypes, c.ContentTypes)),
		proves(c.Proof) < proves(o.Proof), tolerance(c.Stale) > tolerance(o.Stale) || c.MaxStaleness != o.MaxStaleness,
		o.Filter != nil && !reflect.DeepEqual(c.Filter, o.Filter),
		!c.assurance().asksAsMuchAs(o.assurance()),
		o.Action != "" && (c.Action != o.Action || c.Realm != o.Realm || !c.sameResource(o)):
		return false
	case o.Anonymous:
		return true
	}
	if c.Anonymous || c.Realm != o.Realm || c.Audience != o.Audience || c.Environment != o.Environment ||
		len(o.Roles) > 0 && (len(c.Roles) == 0 || !containsAll(o.Roles, c.Roles)) {
		return false
	}
	theirs := o.alternatives()
	for _, mine := range c.alternatives() {
		if !slices.ContainsFunc(theirs, func(their Requirement) bool {
			return containsAll(mine.Scopes, their.Scopes) &&
				(len(their.Schemes) == 0 || len(mine.Schemes) > 0 && containsAll(their.Schemes, mine.Schemes))
		}) {
			return false
		}
	}
	return true
}

// sameResource reports whether both rules say the same of the same parameters.
func (c *compiled) sameResource(o *compiled) bool {
	return reflect.DeepEqual(c.Resource, o.Resource) && slices.Equal(c.wildcards, o.wildcards)
}

func containsAll[T comparable](all, some []T) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}
