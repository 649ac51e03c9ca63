package users

import (
	"context"
	"maps"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// mayGive checks that actor may give and take roles, if any change.
func (s *Service) mayGive(ctx context.Context, actor *gatehouse.Principal, realm, id string, changed []string) error {
	if len(changed) == 0 || s.mayGrant(ctx, actor, realm, id) {
		return nil
	}
	return s.k.Refused(ctx, actor, policy.AdminGrant, policy.AdminSubject, realm, id, kernel.Refusal(policy.AdminGrant, gatehouse.Decision{}))
}

func (s *Service) mayGrant(ctx context.Context, actor *gatehouse.Principal, realm, id string) bool {
	return s.k.Decide(ctx, actor, policy.AdminGrant, policy.AdminSubject, realm, id).Allowed
}

// difference is what is in exactly one of a and b, sorted.
func difference(a, b []string) []string {
	in := map[string]bool{}
	for _, x := range a {
		if !slices.Contains(b, x) {
			in[x] = true
		}
	}
	for _, x := range b {
		if !slices.Contains(a, x) {
			in[x] = true
		}
	}
	return slices.Sorted(maps.Keys(in))
}

// knownRoles checks that roles exist in realm, in the transaction that gives
// them: none can be deleted meanwhile.
func knownRoles(ctx context.Context, tx RoleReader, realm string, roles []string) error {
	if len(roles) == 0 {
		return nil
	}
	have, err := tx.Roles(ctx, realm)
	if err != nil {
		return err
	}
	have = append(have, policy.BuiltinRoles(realm)...)
	for _, r := range roles {
		if !slices.ContainsFunc(have, func(h policy.Role) bool { return h.Name == r }) {
			return kernel.Naming(errRoleUnknown, "roles", r)
		}
	}
	return nil
}

func isAdmin(u identity.User) bool {
	return u.Realm == gatehouse.MainRealm && !u.Disabled && slices.Contains(u.Roles, policy.RoleAdmin)
}

// keepOne refuses a change that would leave no administrator.
func keepOne(ctx context.Context, tx Holders, leaving string) error {
	none, err := noAdministrator(ctx, tx, leaving)
	if err == nil && none {
		return ErrLastAdministrator
	}
	return err
}

// noAdministrator reports whether no enabled account other than except holds
// gatehouse-admin.
func noAdministrator(ctx context.Context, tx Holders, except string) (bool, error) {
	ids, err := tx.RoleHolders(ctx, gatehouse.MainRealm, policy.RoleAdmin, true, 2)
	return err == nil && !slices.ContainsFunc(ids, func(id string) bool { return id != except }), err
}
