package authz

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// answers are the last decisions about one subject. They belong to one *subject,
// which is dropped when its account or the realm's rules change, and hold only
// what follows from that subject, the rules and the question: no decision is
// kept that read the clock, the caller's address, another entity, or attributes
// that may change.
type answers [4]atomic.Pointer[answer]

type answer struct {
	action   string
	resource gatehouse.Resource
	facts    *facts // shared by all that are alike
	decision gatehouse.Decision
}

// facts is everything that [Decider.fact] reads of a principal and that is not
// already in its subject.
type facts struct {
	scheme, environment, acr, clientID, actor string

	hasAuthTime bool // 1970 is a time too
	authTime    int64
	scopes, amr []string
}

func factsOf(p *gatehouse.Principal) facts {
	f := facts{scheme: string(p.Scheme), environment: string(p.Environment), acr: p.ACR, clientID: p.ClientID, actor: p.Act.Actor(), scopes: p.Scopes, amr: p.AMR}
	if !p.AuthTime.IsZero() {
		f.hasAuthTime, f.authTime = true, p.AuthTime.Unix()
	}
	return f
}

func (f *facts) equal(g *facts) bool {
	return f.scheme == g.scheme && f.environment == g.environment && f.acr == g.acr && f.clientID == g.clientID && f.actor == g.actor &&
		f.hasAuthTime == g.hasAuthTime && f.authTime == g.authTime && slices.Equal(f.scopes, g.scopes) && slices.Equal(f.amr, g.amr)
}

// fleeting are the facts that differ from one request of a credential to the next.
var fleeting = [...]string{"time", "address", "method", "path"}

// passing reports whether decisions under set may depend on something that
// differs from one request of a credential to the next.
func passing(set *policy.Set) bool {
	names, known := set.ContextNames()
	return !known || slices.ContainsFunc(names, func(name string) bool {
		return slices.Contains(fleeting[:], name)
	})
}

// memorable reports whether the same question asked again has the same answer as
// long as subject and rules stay.
func memorable(snap *snapshot, r *gatehouse.AccessRequest) bool {
	p := r.Principal
	return !snap.passing && p.Authenticated() && !p.Foreign && p.Kind != gatehouse.KindClient && // whose subject lives for one question
		r.Resource.Constant && r.Resource.Attributes != nil && r.Resource.Parents == nil && r.Simulated == nil
}

// slot is where the answer to r is kept.
func (a *answers) slot(r *gatehouse.AccessRequest) *atomic.Pointer[answer] {
	return &a[hash2(r.Action, r.Resource.ID)%uint64(len(a))]
}

// recall returns the decision about the same question.
func (a *answers) recall(r *gatehouse.AccessRequest) (gatehouse.Decision, bool) {
	k := a.slot(r).Load()
	if k == nil || k.action != r.Action || k.resource.Type != r.Resource.Type || k.resource.ID != r.Resource.ID ||
		identity(k.resource.Attributes) != identity(r.Resource.Attributes) {
		return gatehouse.Decision{}, false
	}
	f := factsOf(r.Principal)
	if !f.equal(k.facts) {
		return gatehouse.Decision{}, false
	}
	return k.decision, true
}

// keep remembers a decision. The answer holds the attributes, so that no other
// map can come to lie at their address, and copies what callers may write into.
// The id is a piece of the request's path, which must not be kept with it.
func (d *Decider) keep(a *answers, r *gatehouse.AccessRequest, dec gatehouse.Decision) {
	k := &answer{r.Action, r.Resource, d.shared(factsOf(r.Principal)), dec}
	k.resource.ID = strings.Clone(r.Resource.ID)
	a.slot(r).Store(k)
}

// shared returns facts like f that may be kept. Most credentials have the same.
func (d *Decider) shared(f facts) *facts {
	key := fmt.Sprintf("%+v", f) // may be the same for others, so what is found is compared
	if known, ok := d.facts.Get(key); ok && known.equal(&f) {
		return known
	}
	f.scopes, f.amr = slices.Clone(f.scopes), slices.Clone(f.amr)
	d.facts.Set(key, &f)
	return &f
}

// identity tells maps apart without looking into them.
func identity(m map[string]any) uintptr { return reflect.ValueOf(m).Pointer() }
