package policy

import (
	"errors"
	"fmt"

	"github.com/cedar-policy/cedar-go"

	"github.com/gatehouse-auth/gatehouse"
)

// Membership is what principals have in common that hold the same roles and groups:
// the two attributes that list them, and the parents. It is never changed and may
// be shared by any number of entities, each of which would hold 800 bytes more.
type Membership struct {
	Roles         []string // as given; not to be changed
	parents       cedar.EntityUIDSet
	roles, groups cedar.Value
	alone         cedar.Record // both, for who has no further attributes
}

// NewMembership prepares roles and groups, at most [MaxParents] together.
func NewMembership(roles, groups []string) (*Membership, error) {
	if len(roles)+len(groups) > MaxParents {
		return nil, fmt.Errorf("more than %d parents", MaxParents)
	}
	m := &Membership{Roles: roles}
	uids := make([]cedar.EntityUID, 0, len(roles)+len(groups))
	for _, list := range []struct {
		typ string
		ids []string
	}{{TypeRole, roles}, {TypeGroup, groups}} {
		for _, id := range list.ids {
			uid, err := entityUID(gatehouse.EntityRef{Type: list.typ, ID: id})
			if err != nil {
				return nil, fmt.Errorf("parent: %w", err)
			}
			uids = append(uids, uid)
		}
	}
	if len(uids) > 0 {
		m.parents = cedar.NewEntityUIDSet(uids...)
	}
	c := converter{}
	var err error
	if m.roles, err = c.value(roles, 1); err != nil {
		return nil, fmt.Errorf("roles: %w", err)
	}
	if m.groups, err = c.value(groups, 1); err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	m.alone = cedar.NewRecord(cedar.RecordMap{"roles": m.roles, "groups": m.groups})
	return m, nil
}

// NewPrincipal is [NewEntity] for a principal, whose attributes "roles" and
// "groups" and whose parents are those of m. What a [Set] works out about it is
// remembered with it, see [Entity.Keep].
func NewPrincipal(ref gatehouse.EntityRef, attributes map[string]any, m *Membership) (Entity, error) {
	uid, err := entityUID(ref)
	if err != nil {
		return Entity{}, err
	}
	if len(attributes) > MaxValues { // before the allocation below
		return Entity{}, fmt.Errorf("more than %d values", MaxValues)
	}
	if len(attributes) == 0 {
		e := Entity{e: cedar.Entity{UID: uid, Parents: m.parents, Attributes: m.alone}}
		return e.keep(), nil
	}
	c := converter{}
	out := make(cedar.RecordMap, len(attributes)+2)
	for name, v := range attributes {
		if name == "roles" || name == "groups" {
			return Entity{}, errors.New("roles and groups are given as a membership")
		}
		if err := c.member(out, name, v, 1); err != nil {
			return Entity{}, err
		}
	}
	out["roles"], out["groups"] = m.roles, m.groups
	e := Entity{e: cedar.Entity{UID: uid, Parents: m.parents, Attributes: cedar.NewRecord(out)}}
	return e.keep(), nil
}
