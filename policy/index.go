package policy

import (
	"errors"
	"iter"
	"slices"

	"github.com/cedar-policy/cedar-go"
)

// index finds the policies whose scope can match a request without looking at
// the others. Every policy lies in one bucket per action it names, keyed by what
// its principal and resource scopes are tied to: nothing, a type, or an entity.
// A request looks into the buckets of its principal, everything that principal
// is in, its type, and "any"; likewise for resource and action.
//
// Leaving a policy out is sound because a scope that does not match is false,
// never an error, and is tested before any condition. A scope of a kind that is
// not known here lands in "any", where it is always evaluated.
type index struct {
	schema                        *compiledSchema
	principals, resources         interner
	actions                       layered[cedar.EntityUID, uint32]
	nextAction                    uint32
	buckets                       layered[uint64, []*compiled]
	own                           map[uint64]bool // buckets that no older version shares; nil: all
	climbPrincipal, climbResource bool            // some scope uses `in`, or did
}

// interner gives small numbers to the types and entities that scopes name.
// Zero means "any".
type interner struct {
	next  uint32
	types layered[cedar.EntityType, uint32]
	uids  layered[cedar.EntityUID, uint32]
}

const indexBits = 21 // three numbers in one uint64 key

func (n *interner) id(k scopeKey) uint32 {
	switch k.kind {
	case scopeType:
		return intern(&n.types, k.typ, &n.next)
	case scopeEntity:
		return intern(&n.uids, k.uid, &n.next)
	}
	return 0
}

func intern[K comparable](m *layered[K, uint32], k K, next *uint32) uint32 {
	id, ok := m.get(k)
	if !ok {
		*next++
		id = *next
		m.set(k, id)
	}
	return id
}

func newInterner() interner {
	return interner{types: newLayered[cedar.EntityType, uint32](0), uids: newLayered[cedar.EntityUID, uint32](0)}
}

func (n *interner) fork() interner {
	return interner{next: n.next, types: n.types.fork(), uids: n.uids.fork()}
}

func bucket(principal, action, resource uint32) uint64 {
	return uint64(principal)<<(2*indexBits) | uint64(action)<<indexBits | uint64(resource)
}

func newIndex(schema *compiledSchema) *index {
	return &index{schema: schema, principals: newInterner(), resources: newInterner(),
		actions: newLayered[cedar.EntityUID, uint32](0), buckets: newLayered[uint64, []*compiled](0)}
}

// fork returns an index that can be changed without changing x. Names that no
// policy uses any more stay interned; they match nothing.
func (x *index) fork() *index {
	next := *x
	next.principals, next.resources = x.principals.fork(), x.resources.fork()
	next.actions, next.buckets, next.own = x.actions.fork(), x.buckets.fork(), map[uint64]bool{}
	return &next
}

// keys returns the buckets that p lies in.
func (x *index) keys(p *compiled) []uint64 {
	pk, rk, actions, inP, inR := scopes(p.policy)
	x.climbPrincipal = x.climbPrincipal || inP
	x.climbResource = x.climbResource || inR
	pr, r := x.principals.id(pk), x.resources.id(rk)
	if actions == nil {
		return []uint64{bucket(pr, 0, r)}
	}
	if x.schema != nil && !actionScopeIsEq(p.policy) {
		for _, a := range slices.Clone(actions) { // a group stands for its members
			actions = append(actions, x.schema.below[a]...)
		}
	}
	out := make([]uint64, 0, len(actions))
	for _, a := range actions {
		out = append(out, bucket(pr, intern(&x.actions, a, &x.nextAction), r))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (x *index) add(p *compiled) {
	for _, key := range x.keys(p) {
		list, _ := x.buckets.get(key)
		x.buckets.set(key, append(x.owned(key, list), p))
	}
}

// owned returns a list of the bucket that may be written to.
func (x *index) owned(key uint64, list []*compiled) []*compiled {
	if x.own == nil || x.own[key] {
		return list
	}
	x.own[key] = true
	return append(make([]*compiled, 0, len(list)+4), list...)
}

// remove takes the policies of one document out.
func (x *index) remove(policies []*compiled) {
	gone := make(map[*compiled]bool, len(policies))
	touched := map[uint64]bool{}
	for _, p := range policies {
		gone[p] = true
		for _, key := range x.keys(p) {
			touched[key] = true
		}
	}
	for key := range touched {
		list, _ := x.buckets.get(key)
		x.buckets.set(key, slices.DeleteFunc(x.owned(key, list), func(p *compiled) bool { return gone[p] }))
	}
}

// full reports that there are more names than the keys of buckets can tell apart.
func (x *index) full() bool {
	const limit = 1<<indexBits - 1
	return x.principals.next > limit || x.resources.next > limit || x.nextAction > limit
}

// maxAncestors bounds how far a request's hierarchy is climbed.
const maxAncestors = 4_096

var errAncestors = errors.New("the hierarchy above an entity is too large")

// candidates yields the policies whose scope may match; it implements
// cedar.PolicyIterator.
type candidates struct {
	x          *index
	principals []uint32
	resources  []uint32
	action     uint32 // 0: no policy names it
	pbuf, rbuf [12]uint32
}

// find prepares c for a request.
func (x *index) find(c *candidates, g cedar.EntityGetter, r cedar.Request) error {
	if err := x.findPrincipal(c, g, r); err != nil {
		return err
	}
	return x.findOthers(c, g, r)
}

func (x *index) findPrincipal(c *candidates, g cedar.EntityGetter, r cedar.Request) (err error) {
	c.principals, err = x.principals.keys(c.pbuf[:0], g, r.Principal, x.climbPrincipal)
	return err
}

func (x *index) findOthers(c *candidates, g cedar.EntityGetter, r cedar.Request) (err error) {
	c.x = x
	c.action, _ = x.actions.get(r.Action)
	c.resources, err = x.resources.keys(c.rbuf[:0], g, r.Resource, x.climbResource)
	return err
}

// keys appends the numbers under which policies about uid may lie.
func (n *interner) keys(out []uint32, g cedar.EntityGetter, uid cedar.EntityUID, climb bool) ([]uint32, error) {
	out = append(out, 0)
	if id, ok := n.types.get(uid.Type); ok {
		out = append(out, id)
	}
	if n.uids.empty() {
		return out, nil
	}
	if id, ok := n.uids.get(uid); ok {
		out = append(out, id)
	}
	if !climb {
		return out, nil
	}
	first, ok := g.Get(uid)
	if !ok || first.Parents.Len() == 0 {
		return out, nil
	}
	// Most entities have their whole ancestry as parents; only parents that have
	// parents of their own need another round.
	var seen map[cedar.EntityUID]bool
	todo := make([]cedar.Entity, 1, 4)
	todo[0] = first
	count := 0
	for len(todo) > 0 {
		e := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for p := range e.Parents.All() {
			if p == uid || seen[p] {
				continue
			}
			if count++; count > maxAncestors {
				return nil, errAncestors
			}
			if id, named := n.uids.get(p); named && !slices.Contains(out, id) {
				out = append(out, id)
			}
			if above, ok := g.Get(p); ok && above.Parents.Len() > 0 {
				if seen == nil {
					seen = map[cedar.EntityUID]bool{}
				}
				seen[p] = true
				todo = append(todo, above)
			}
		}
	}
	return out, nil
}

// All implements cedar.PolicyIterator.
func (c *candidates) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, p := range c.principals {
			for _, r := range c.resources {
				if !c.bucket(bucket(p, 0, r), yield) {
					return
				}
				if c.action != 0 && !c.bucket(bucket(p, c.action, r), yield) {
					return
				}
			}
		}
	}
}

func (c *candidates) bucket(key uint64, yield func(cedar.PolicyID, *cedar.Policy) bool) bool {
	list, _ := c.x.buckets.get(key)
	for _, p := range list {
		if !yield(p.id, p.policy) {
			return false
		}
	}
	return true
}

// everything yields all policies: the reference that tests compare the index with.
type everything struct{ s *Set }

// All implements cedar.PolicyIterator.
func (e everything) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for p := range e.s.policies {
			if !yield(p.id, p.policy) {
				return
			}
		}
	}
}
