package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// subject is a principal ready for decisions: what it holds now, and its entity.
type subject struct {
	snap     *snapshot // the roles that the closure was computed with
	roles    []string  // effective, sorted, built-in ones included
	disabled bool
	entity   policy.Entity
	answers  answers
}

type subjectKey struct{ realm, id, limit string }

type entityKey struct{ realm, typ, id string }

type entityValue struct {
	e  policy.Entity
	ok bool
}

// anonymousID is the id of the one anonymous principal.
const anonymousID = "anonymous"

// resolve tells who p is now. A code means denial.
func (d *Decider) resolve(ctx context.Context, snap *snapshot, p *gatehouse.Principal) (*subject, string, error) {
	switch {
	case p.Kind == gatehouse.KindAnonymous:
		e, err := policy.NewEntity(gatehouse.EntityRef{Type: policy.TypeAnonymous, ID: anonymousID}, nil, nil)
		if err != nil {
			return nil, policy.CodeEvaluationError, err
		}
		return &subject{entity: e}, "", nil
	case p.Foreign || p.Kind == gatehouse.KindClient:
		// Not in the directory: the verified claims, as the realm maps them.
		s, err := d.build(snap, p.Realm, p.ID, p.RoleLimit, gatehouse.Subject{Kind: p.Kind, Name: p.Name,
			Roles: p.Roles, Groups: p.Groups, Attributes: p.Attributes})
		if err != nil {
			return nil, policy.CodeEvaluationError, err
		}
		return s, "", nil
	}
	s, err := d.local(ctx, snap, p.Realm, p.ID, p.RoleLimit)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return nil, CodeSubjectDisabled, nil
	case err != nil:
		return nil, CodeDirectory, err
	case s.disabled:
		return nil, CodeSubjectDisabled, nil
	}
	return s, "", nil
}

// local returns a subject of the directory, from the cache when nothing changed.
func (d *Decider) local(ctx context.Context, snap *snapshot, realm, id string, limit []string) (*subject, error) {
	key := subjectKey{realm: realm, id: id}
	if limit != nil {
		key.limit = "\x00" + strings.Join(limit, "\x00")
	}
	h := hash2(realm, id)
	if s, ok := d.subjects.get(key, h); ok && s.snap == snap {
		return s, nil
	}
	gen := d.subjects.generation(h)
	acc, err := d.directory.Subject(ctx, realm, id)
	if err != nil {
		return nil, err
	}
	s := &subject{snap: snap, disabled: true}
	if !acc.Disabled {
		if s, err = d.build(snap, realm, id, limit, acc); err != nil {
			return nil, err
		}
	}
	d.subjects.put(key, s, gen)
	return s, nil
}

// build computes the effective roles and the entity of an account.
func (d *Decider) build(snap *snapshot, realm, id string, limit []string, acc gatehouse.Subject) (*subject, error) {
	roles := withBuiltin(snap.set, realm, acc.Roles)
	if limit != nil {
		// The limit's closure, not its names: a key limited to "user" keeps what
		// user inherits; a role beside it, or above it, is gone.
		allowed := withBuiltin(snap.set, realm, limit)
		roles = slices.DeleteFunc(roles, func(r string) bool { return !slices.Contains(allowed, r) })
	}
	m, err := d.membership(roles, acc.Groups)
	if err != nil {
		return nil, err
	}
	attrs := make(map[string]any, len(acc.Attributes)+3)
	for k, v := range acc.Attributes {
		attrs[k] = v
	}
	delete(attrs, "email") // reserved even when empty
	delete(attrs, "roles")
	delete(attrs, "groups")
	attrs["username"] = acc.Name
	attrs["realm"] = realm
	if acc.Email != "" {
		attrs["email"] = acc.Email
	}
	s := &subject{snap: snap, roles: m.Roles}
	s.entity, err = policy.NewPrincipal(gatehouse.EntityRef{Type: typeOf(acc.Kind), ID: id}, attrs, m)
	return s, err
}

// membership returns what all principals with these roles and groups share.
func (d *Decider) membership(roles, groups []string) (*policy.Membership, error) {
	key := fmt.Sprintf("%q %q", roles, groups)
	if m, ok := d.memberships.Get(key); ok {
		return m, nil
	}
	m, err := policy.NewMembership(roles, slices.Clone(groups))
	if err == nil {
		d.memberships.Set(key, m)
	}
	return m, err
}

// withBuiltin adds the built-in roles, which stand outside the realm's
// hierarchy, to the closure of the assigned ones.
func withBuiltin(set *policy.Set, realm string, assigned []string) []string {
	out := append(set.AuthorizedRoles(assigned), policy.BuiltinRolesOf(realm, assigned)...)
	slices.Sort(out)
	return slices.Compact(out)
}

func typeOf(k gatehouse.PrincipalKind) string {
	switch k {
	case gatehouse.KindService:
		return policy.TypeService
	case gatehouse.KindClient:
		return policy.TypeClient
	}
	return policy.TypeUser
}

// source looks entities up for one decision.
type source struct {
	ctx   context.Context
	d     *Decider
	snap  *snapshot
	asked bool // the decision rests on more than subject, rules and question
}

// Entity implements policy.Source. Accounts come from the directory, everything
// else from the entities that were pushed.
func (s *source) Entity(ref gatehouse.EntityRef) (policy.Entity, bool, error) {
	s.asked = true
	if ref.Type == policy.TypeUser || ref.Type == policy.TypeService {
		subj, err := s.d.local(s.ctx, s.snap, s.snap.realm, ref.ID, nil)
		switch {
		case errors.Is(err, gatehouse.NotFound):
			return s.stored(ref)
		case err != nil:
			return policy.Entity{}, false, err
		case subj.entity.Ref() != ref: // of the other kind, or disabled, which has no entity
			return policy.Entity{}, false, nil
		}
		return subj.entity, true, nil
	}
	return s.stored(ref)
}

func (s *source) stored(ref gatehouse.EntityRef) (policy.Entity, bool, error) {
	key := entityKey{realm: s.snap.realm, typ: ref.Type, id: ref.ID}
	h := hash2(key.realm, key.id)
	if v, ok := s.d.entities.get(key, h); ok {
		return v.e, v.ok, nil
	}
	gen := s.d.entities.generation(h)
	rec, err := s.d.store.Entity(s.ctx, key.realm, key.typ, key.id)
	var v entityValue
	switch {
	case err == nil:
		if v.e, err = policy.StoredEntity(rec); err != nil {
			return policy.Entity{}, false, err
		}
		v.ok = true
	case !errors.Is(err, gatehouse.NotFound):
		return policy.Entity{}, false, err
	}
	s.d.entities.put(key, v, gen)
	return v.e, v.ok, nil
}
