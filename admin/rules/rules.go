package rules

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/policy"
)

var (
	errRoleMissing   = gatehouse.E(gatehouse.NotFound, "role_not_found", "There is no such role in this realm.")
	errPolicyMissing = gatehouse.E(gatehouse.NotFound, "policy_not_found", "There is no such policy in this realm.")
)

// ErrRoleInUse refuses to remove a role that somebody would miss.
var ErrRoleInUse = gatehouse.E(gatehouse.Conflict, "role_in_use", "The role is held by users or inherited by other roles; take it from them first.")

// RoleView is a role with whether Gatehouse itself defines it.
type RoleView struct {
	policy.Role
	BuiltIn bool `json:"built_in" doc:"Defined by Gatehouse: it can be given, but not changed"`
}

// Roles lists the roles of a realm by name, built-in ones included.
func (s *Service) Roles(ctx context.Context, actor *gatehouse.Principal, realm string) ([]RoleView, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminRole, realm, ""); err != nil {
		return nil, err
	}
	if _, err := s.k.Realm(ctx, realm); err != nil {
		return nil, err
	}
	list, err := s.c.Rules.Roles(ctx, realm)
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
	sorted.Slice(out, func(a, b RoleView) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Role reads one role.
func (s *Service) Role(ctx context.Context, actor *gatehouse.Principal, realm, name string) (RoleView, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminRole, realm, name); err != nil {
		return RoleView{}, err
	}
	for _, r := range policy.BuiltinRoles(realm) {
		if r.Name == name {
			return RoleView{r, true}, nil
		}
	}
	r, err := s.c.Rules.Role(ctx, realm, name)
	return RoleView{r, false}, kernel.OrMissing(err, errRoleMissing)
}

// changeRules runs one change of a realm's rules: the candidate is judged before,
// and confirmed inside the transaction that writes it, so that what was committed
// always loads.
func (s *Service) changeRules(ctx context.Context, actor *gatehouse.Principal, typ, realm, id, kind string, c authz.Candidate,
	write func(ctx context.Context, tx Tx, e *gatehouse.Event) error) error {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, typ, realm, id); err != nil {
		return err
	}
	if _, err := s.k.Realm(ctx, realm); err != nil {
		return err
	}
	change, err := s.c.Prepare(realm, c)
	if err != nil {
		return err
	}
	target, _, _ := strings.Cut(kind, ".")
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		// Two changes that fit by themselves need not fit together, and neither transaction
		// sees what the other has not committed.
		if _, err := tx.HoldRealm(ctx, realm); err != nil {
			return kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
		}
		e := s.k.Event(ctx, actor, realm, kind, target, id)
		e.Detail = kernel.Changes(e.Detail)
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
	r.Realm, r.UpdatedAt = realm, s.k.Now()
	f := kernel.Faults{}
	f.Text("description", r.Description, false)
	if err := f.Err(); err != nil {
		return RoleView{}, err
	}
	err := s.changeRules(ctx, actor, policy.AdminRole, realm, r.Name, audit.KindRolePut, authz.Candidate{PutRole: &r},
		func(ctx context.Context, tx Tx, e *gatehouse.Event) error {
			e.Detail["parents"] = strings.Join(r.Parents, " ")
			return tx.PutRole(ctx, r)
		})
	return RoleView{r, false}, err
}

// DeleteRole removes a role that nobody holds and no role inherits.
func (s *Service) DeleteRole(ctx context.Context, actor *gatehouse.Principal, realm, name string) error {
	return s.changeRules(ctx, actor, policy.AdminRole, realm, name, audit.KindRoleDelete, authz.Candidate{DeleteRole: name},
		func(ctx context.Context, tx Tx, _ *gatehouse.Event) error {
			if _, err := tx.Role(ctx, realm, name); err != nil {
				return kernel.OrMissing(err, errRoleMissing)
			}
			if used, err := roleInUse(ctx, tx, realm, name); err != nil {
				return err
			} else if used {
				return ErrRoleInUse
			}
			return tx.DeleteRole(ctx, realm, name)
		})
}

func roleInUse(ctx context.Context, tx Tx, realm, name string) (bool, error) {
	roles, err := tx.Roles(ctx, realm)
	if err != nil || slices.ContainsFunc(roles, func(r policy.Role) bool { return slices.Contains(r.Parents, name) }) {
		return true, err
	}
	users, err := tx.RoleHolders(ctx, realm, name, false, 1)
	return len(users) > 0, err
}

// Policies lists the policy documents of a realm by id.
func (s *Service) Policies(ctx context.Context, actor *gatehouse.Principal, realm string) ([]policy.Document, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminPolicy, realm, ""); err != nil {
		return nil, err
	}
	if _, err := s.k.Realm(ctx, realm); err != nil {
		return nil, err
	}
	list, err := s.c.Rules.Policies(ctx, realm)
	if list == nil {
		list = []policy.Document{}
	}
	return list, err
}

// Policy reads one policy document.
func (s *Service) Policy(ctx context.Context, actor *gatehouse.Principal, realm, id string) (policy.Document, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminPolicy, realm, id); err != nil {
		return policy.Document{}, err
	}
	d, err := s.c.Rules.Policy(ctx, realm, id)
	return d, kernel.OrMissing(err, errPolicyMissing)
}

// PutPolicy makes or replaces a policy document. Errors: policy_invalid.
func (s *Service) PutPolicy(ctx context.Context, actor *gatehouse.Principal, realm string, d policy.Document) (policy.Document, error) {
	d.Realm, d.UpdatedAt = realm, s.k.Now()
	if !policy.ValidName(d.ID) {
		f := kernel.Faults{}
		f.Add("id", "may have letters, digits and . _ - only, not begin with . or -, and have at most 128 characters")
		return d, f.Err()
	}
	return d, s.changeRules(ctx, actor, policy.AdminPolicy, realm, d.ID, audit.KindPolicyPut, authz.Candidate{PutPolicy: &d},
		func(ctx context.Context, tx Tx, _ *gatehouse.Event) error { return tx.PutPolicy(ctx, d) })
}

// DeletePolicy removes a policy document.
func (s *Service) DeletePolicy(ctx context.Context, actor *gatehouse.Principal, realm, id string) error {
	return s.changeRules(ctx, actor, policy.AdminPolicy, realm, id, audit.KindPolicyDelete, authz.Candidate{DeletePolicy: id},
		func(ctx context.Context, tx Tx, _ *gatehouse.Event) error {
			if _, err := tx.Policy(ctx, realm, id); err != nil {
				return kernel.OrMissing(err, errPolicyMissing)
			}
			return tx.DeletePolicy(ctx, realm, id)
		})
}

// Schema reads the realm's schema; an empty text means that there is none.
func (s *Service) Schema(ctx context.Context, actor *gatehouse.Principal, realm string) (policy.Schema, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminPolicy, realm, "schema"); err != nil {
		return policy.Schema{}, err
	}
	if _, err := s.k.Realm(ctx, realm); err != nil {
		return policy.Schema{}, err
	}
	sc, err := s.c.Rules.Schema(ctx, realm)
	if errors.Is(err, gatehouse.NotFound) {
		return policy.Schema{Realm: realm}, nil
	}
	return sc, err
}

// PutSchema replaces the schema. All policies and roles must fit it: errors
// policy_invalid.
func (s *Service) PutSchema(ctx context.Context, actor *gatehouse.Principal, realm, text string) (policy.Schema, error) {
	sc := policy.Schema{Realm: realm, Text: text, UpdatedAt: s.k.Now()}
	return sc, s.changeRules(ctx, actor, policy.AdminPolicy, realm, "schema", audit.KindSchemaPut, authz.Candidate{PutSchema: &sc},
		func(ctx context.Context, tx Tx, _ *gatehouse.Event) error { return tx.PutSchema(ctx, sc) })
}
