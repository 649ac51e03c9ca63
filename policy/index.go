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
	policies                      []compiled
	principals, resources         interner
	actions                       map[cedar.EntityUID]uint32
	buckets                       map[uint64][]int32
	climbPrincipal, climbResource bool // some scope uses `in`
}

// interner gives small numbers to the types and entities that scopes name.
// Zero means "any".
type interner struct {
	next  uint32
	types map[cedar.EntityType]uint32
	uids  map[cedar.EntityUID]uint32
}

const indexBits = 21 // three numbers in one uint64 key

func (n *interner) id(k scopeKey) uint32 {
	switch k.kind {
	case scopeType:
		return intern(n.types, k.typ, &n.next)
	case scopeEntity:
		return intern(n.uids, k.uid, &n.next)
	}
	return 0
}

func intern[K comparable](m map[K]uint32, k K, next *uint32) uint32 {
	id, ok := m[k]
	if !ok {
		*next++
		id = *next
		m[k] = id
	}
	return id
}

func newInterner() interner {
	return interner{types: map[cedar.EntityType]uint32{}, uids: map[cedar.EntityUID]uint32{}}
}

func bucket(principal, action, resource uint32) uint64 {
	return uint64(principal)<<(2*indexBits) | uint64(action)<<indexBits | uint64(resource)
}

func newIndex(policies []compiled, schema *compiledSchema) (*index, error) {
	x := &index{policies: policies, principals: newInterner(), resources: newInterner(),
		actions: map[cedar.EntityUID]uint32{}, buckets: make(map[uint64][]int32, len(policies))}
	var nextAction uint32
	for i, c := range policies {
		pk, rk, actions, inP, inR := scopes(c.policy)
		x.climbPrincipal = x.climbPrincipal || inP
		x.climbResource = x.climbResource || inR
		p, r := x.principals.id(pk), x.resources.id(rk)
		if actions == nil {
			key := bucket(p, 0, r)
			x.buckets[key] = append(x.buckets[key], int32(i))
			continue
		}
		if schema != nil && !actionScopeIsEq(c.policy) {
			for _, a := range slices.Clone(actions) { // a group stands for its members
				actions = append(actions, schema.below[a]...)
			}
		}
		seen := make(map[uint32]bool, len(actions))
		for _, a := range actions {
			id := intern(x.actions, a, &nextAction)
			if seen[id] {
				continue
			}
			seen[id] = true
			key := bucket(p, id, r)
			x.buckets[key] = append(x.buckets[key], int32(i))
		}
	}
	const limit = 1<<indexBits - 1
	if x.principals.next > limit || x.resources.next > limit || nextAction > limit {
		return nil, errors.New("too many different names in the scopes of policies")
	}
	return x, nil
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
	c.action = x.actions[r.Action]
	c.resources, err = x.resources.keys(c.rbuf[:0], g, r.Resource, x.climbResource)
	return err
}

// keys appends the numbers under which policies about uid may lie.
func (n *interner) keys(out []uint32, g cedar.EntityGetter, uid cedar.EntityUID, climb bool) ([]uint32, error) {
	out = append(out, 0)
	if id, ok := n.types[uid.Type]; ok {
		out = append(out, id)
	}
	if len(n.uids) == 0 {
		return out, nil
	}
	if id, ok := n.uids[uid]; ok {
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
			if id, named := n.uids[p]; named && !slices.Contains(out, id) {
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
	for _, i := range c.x.buckets[key] {
		if p := &c.x.policies[i]; !yield(p.id, p.policy) {
			return false
		}
	}
	return true
}

// everything yields all policies: the reference that tests compare the index with.
type everything []compiled

// All implements cedar.PolicyIterator.
func (e everything) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for i := range e {
			if !yield(e[i].id, e[i].policy) {
				return
			}
		}
	}
}
