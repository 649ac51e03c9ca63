package admin

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/policy"
)

var (
	errRoleMissing   = gatehouse.E(gatehouse.NotFound, "role_not_found", "There is no such role in this realm.")
	errRoleInUse     = gatehouse.E(gatehouse.Conflict, "role_in_use", "The role is held by users or inherited by other roles; take it from them first.")
	errPolicyMissing = gatehouse.E(gatehouse.NotFound, "policy_not_found", "There is no such policy in this realm.")
	errEntityMissing = gatehouse.E(gatehouse.NotFound, "entity_not_found", "There is no such entity in this realm.")
)

// orMissing gives the store's NotFound the code of what was asked for.
func orMissing(err error, missing *gatehouse.Error) error {
	if errors.Is(err, gatehouse.NotFound) {
		return missing
	}
	return err
}

// RoleView is a role with whether Gatehouse itself defines it.
type RoleView struct {
	policy.Role
	BuiltIn bool `json:"built_in" doc:"Defined by Gatehouse: it can be given, but not changed"`
}

// Roles lists the roles of a realm by name, built-in ones included.
func (s *Service) Roles(ctx context.Context, actor *gatehouse.Principal, realm string) ([]RoleView, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminRole, realm, ""); err != nil {
		return nil, err
	}
	if _, err := s.realm(ctx, realm); err != nil {
		return nil, err
	}
	list, err := s.c.Store.Roles(ctx, realm)
	if err != nil {
		return nil, err
	}
	out := make([]RoleView, 0, len(list)+3)
	for _, r := range policy.BuiltinRoles(realm) {
		out = append(out, RoleView{r, true})
	}
	for _, r := range list {
		out = append(out, RoleView{r, false})
	}
	slices.SortFunc(out, func(a, b RoleView) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Role reads one role.
func (s *Service) Role(ctx context.Context, actor *gatehouse.Principal, realm, name string) (RoleView, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminRole, realm, name); err != nil {
		return RoleView{}, err
	}
	for _, r := range policy.BuiltinRoles(realm) {
		if r.Name == name {
			return RoleView{r, true}, nil
		}
	}
	r, err := s.c.Store.Role(ctx, realm, name)
	return RoleView{r, false}, orMissing(err, errRoleMissing)
}

// changeRules runs one change of a realm's rules: the candidate is judged before,
// and confirmed inside the transaction that writes it, so that what was committed
// always loads.
func (s *Service) changeRules(ctx context.Context, actor *gatehouse.Principal, typ, realm, id, kind string, c authz.Candidate,
	write func(ctx context.Context, tx PolicyTx, e *gatehouse.Event) error) error {
	if err := s.authorize(ctx, actor, policy.AdminWrite, typ, realm, id); err != nil {
		return err
	}
	if _, err := s.realm(ctx, realm); err != nil {
		return err
	}
	change, err := s.c.Prepare(realm, c)
	if err != nil {
		return err
	}
	target, _, _ := strings.Cut(kind, ".")
	return s.c.Policies(ctx, func(ctx context.Context, tx PolicyTx) error {
		e := s.event(ctx, actor, realm, kind, target, id)
		e.Detail = changes(e.Detail)
		if err := write(ctx, tx, &e); err != nil {
			return err
		}
		if err := change.Confirm(ctx, tx); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
}

// PutRole makes or replaces a role. Errors: policy_invalid, role_built_in.
func (s *Service) PutRole(ctx context.Context, actor *gatehouse.Principal, realm string, r policy.Role) (RoleView, error) {
	r.Realm, r.UpdatedAt = realm, s.c.Now()
	f := faults{}
	f.text("description", r.Description, false)
	if err := f.err(); err != nil {
		return RoleView{}, err
	}
	err := s.changeRules(ctx, actor, policy.AdminRole, realm, r.Name, audit.KindRolePut, authz.Candidate{PutRole: &r},
		func(ctx context.Context, tx PolicyTx, e *gatehouse.Event) error {
			e.Detail["parents"] = strings.Join(r.Parents, " ")
			return tx.PutRole(ctx, r)
		})
	return RoleView{r, false}, err
}

// DeleteRole removes a role that nobody holds and no role inherits.
func (s *Service) DeleteRole(ctx context.Context, actor *gatehouse.Principal, realm, name string) error {
	return s.changeRules(ctx, actor, policy.AdminRole, realm, name, audit.KindRoleDelete, authz.Candidate{DeleteRole: name},
		func(ctx context.Context, tx PolicyTx, _ *gatehouse.Event) error {
			if _, err := tx.Role(ctx, realm, name); err != nil {
				return orMissing(err, errRoleMissing)
			}
			if used, err := roleInUse(ctx, tx, realm, name); err != nil || used {
				return errOr(err, errRoleInUse)
			}
			return tx.DeleteRole(ctx, realm, name)
		})
}

func errOr(err error, otherwise *gatehouse.Error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func roleInUse(ctx context.Context, tx PolicyTx, realm, name string) (bool, error) {
	roles, err := tx.Roles(ctx, realm)
	if err != nil || slices.ContainsFunc(roles, func(r policy.Role) bool { return slices.Contains(r.Parents, name) }) {
		return true, err
	}
	users, err := tx.RoleHolders(ctx, realm, name, false, 1)
	return len(users) > 0, err
}

// Policies lists the policy documents of a realm by id.
func (s *Service) Policies(ctx context.Context, actor *gatehouse.Principal, realm string) ([]policy.Document, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminPolicy, realm, ""); err != nil {
		return nil, err
	}
	if _, err := s.realm(ctx, realm); err != nil {
		return nil, err
	}
	list, err := s.c.Store.Policies(ctx, realm)
	if list == nil {
		list = []policy.Document{}
	}
	return list, err
}

// Policy reads one policy document.
func (s *Service) Policy(ctx context.Context, actor *gatehouse.Principal, realm, id string) (policy.Document, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminPolicy, realm, id); err != nil {
		return policy.Document{}, err
	}
	d, err := s.c.Store.Policy(ctx, realm, id)
	return d, orMissing(err, errPolicyMissing)
}

// PutPolicy makes or replaces a policy document. Errors: policy_invalid.
func (s *Service) PutPolicy(ctx context.Context, actor *gatehouse.Principal, realm string, d policy.Document) (policy.Document, error) {
	d.Realm, d.UpdatedAt = realm, s.c.Now()
	if !policy.ValidName(d.ID) {
		f := faults{}
		f.add("id", "may have letters, digits and . _ - only, not begin with . or -, and have at most 128 characters")
		return d, f.err()
	}
	return d, s.changeRules(ctx, actor, policy.AdminPolicy, realm, d.ID, audit.KindPolicyPut, authz.Candidate{PutPolicy: &d},
		func(ctx context.Context, tx PolicyTx, _ *gatehouse.Event) error { return tx.PutPolicy(ctx, d) })
}

// DeletePolicy removes a policy document.
func (s *Service) DeletePolicy(ctx context.Context, actor *gatehouse.Principal, realm, id string) error {
	return s.changeRules(ctx, actor, policy.AdminPolicy, realm, id, audit.KindPolicyDelete, authz.Candidate{DeletePolicy: id},
		func(ctx context.Context, tx PolicyTx, _ *gatehouse.Event) error {
			if _, err := tx.Policy(ctx, realm, id); err != nil {
				return orMissing(err, errPolicyMissing)
			}
			return tx.DeletePolicy(ctx, realm, id)
		})
}

// Schema reads the realm's schema; an empty text means that there is none.
func (s *Service) Schema(ctx context.Context, actor *gatehouse.Principal, realm string) (policy.Schema, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminPolicy, realm, "schema"); err != nil {
		return policy.Schema{}, err
	}
	if _, err := s.realm(ctx, realm); err != nil {
		return policy.Schema{}, err
	}
	sc, err := s.c.Store.Schema(ctx, realm)
	if errors.Is(err, gatehouse.NotFound) {
		return policy.Schema{Realm: realm}, nil
	}
	return sc, err
}

// PutSchema replaces the schema. All policies and roles must fit it: errors
// policy_invalid.
func (s *Service) PutSchema(ctx context.Context, actor *gatehouse.Principal, realm, text string) (policy.Schema, error) {
	sc := policy.Schema{Realm: realm, Text: text, UpdatedAt: s.c.Now()}
	return sc, s.changeRules(ctx, actor, policy.AdminPolicy, realm, "schema", audit.KindSchemaPut, authz.Candidate{PutSchema: &sc},
		func(ctx context.Context, tx PolicyTx, _ *gatehouse.Event) error { return tx.PutSchema(ctx, sc) })
}

// Entities lists pushed entities of one type.
func (s *Service) Entities(ctx context.Context, actor *gatehouse.Principal, realm, typ, after string, limit int) (Page[policy.EntityRecord], error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminEntity, realm, typ); err != nil {
		return Page[policy.EntityRecord]{}, err
	}
	if _, err := s.realm(ctx, realm); err != nil {
		return Page[policy.EntityRecord]{}, err
	}
	limit = limitOf(limit)
	list, err := s.c.Store.Entities(ctx, realm, typ, after, limit+1)
	if err != nil {
		return Page[policy.EntityRecord]{}, err
	}
	same := func(e policy.EntityRecord) policy.EntityRecord { return e }
	return paged(list, limit, func(e policy.EntityRecord) string { return e.ID }, same), nil
}

// Entity reads one pushed entity.
func (s *Service) Entity(ctx context.Context, actor *gatehouse.Principal, realm, typ, id string) (policy.EntityRecord, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminEntity, realm, typ+"/"+id); err != nil {
		return policy.EntityRecord{}, err
	}
	e, err := s.c.Store.Entity(ctx, realm, typ, id)
	return e, orMissing(err, errEntityMissing)
}

// PutEntity makes or replaces an entity.
func (s *Service) PutEntity(ctx context.Context, actor *gatehouse.Principal, realm string, e policy.EntityRecord) (policy.EntityRecord, error) {
	name := e.Type + "/" + e.ID
	if err := s.authorize(ctx, actor, policy.AdminWrite, policy.AdminEntity, realm, name); err != nil {
		return e, err
	}
	if _, err := s.realm(ctx, realm); err != nil {
		return e, err
	}
	f := faults{}
	f.text("type", e.Type, true)
	f.text("id", e.ID, true)
	if len(e.Parents) > maxList {
		f.add("parents", "has more than %d entries", maxList)
	}
	for _, p := range e.Parents {
		f.text("parents", p.Type, true)
		f.text("parents", p.ID, true)
	}
	if err := f.err(); err != nil {
		return e, err
	}
	attributes, err := identity.NormalizeAttributes(e.Attributes)
	if err != nil {
		return e, err
	}
	e.Realm, e.Attributes, e.UpdatedAt = realm, attributes, s.c.Now()
	if isPrincipalType(e.Type) { // a pushed one must not shadow the directory
		f.add("type", "is kept by Gatehouse itself")
		return e, f.err()
	}
	return e, s.c.Policies(ctx, func(ctx context.Context, tx PolicyTx) error {
		if err := tx.PutEntity(ctx, e); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.event(ctx, actor, realm, audit.KindEntityPut, "entity", name))
	})
}

// isPrincipalType tells the entity types whose truth is the directory.
func isPrincipalType(typ string) bool {
	return slices.Contains([]string{"User", "Service", "Client", "Anonymous", "Role", "Action"}, typ)
}

// DeleteEntity removes a pushed entity.
func (s *Service) DeleteEntity(ctx context.Context, actor *gatehouse.Principal, realm, typ, id string) error {
	name := typ + "/" + id
	if err := s.authorize(ctx, actor, policy.AdminWrite, policy.AdminEntity, realm, name); err != nil {
		return err
	}
	return s.c.Policies(ctx, func(ctx context.Context, tx PolicyTx) error {
		if _, err := tx.Entity(ctx, realm, typ, id); err != nil {
			return orMissing(err, errEntityMissing)
		}
		if err := tx.DeleteEntity(ctx, realm, typ, id); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.event(ctx, actor, realm, audit.KindEntityDelete, "entity", name))
	})
}
