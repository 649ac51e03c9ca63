package admin

import (
	"context"
	"maps"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Scopes that a credential needs for administration; [gatehouse.ScopeAll]
// implies both. They open the door only together with a role.
const (
	ScopeRead  = "admin:read"
	ScopeWrite = "admin:write"
)

var (
	errNoActor    = gatehouse.E(gatehouse.Unauthenticated, "credential_required", "A credential is required here.")
	errScope      = gatehouse.E(gatehouse.Denied, "insufficient_scope", "The credential lacks the scope that this needs.")
	errDenied     = gatehouse.E(gatehouse.Denied, "admin_denied", "Your roles do not allow this.")
	errPrivileged = gatehouse.E(gatehouse.Denied, "admin_role_required", "Only an administrator may change an account with administrative roles.")
	errGive       = gatehouse.E(gatehouse.Denied, "admin_grant_denied", "Your roles do not allow giving or taking roles.")
	errScopeGrant = gatehouse.E(gatehouse.Denied, "scope_not_held", "You cannot give a scope that your own credential does not carry.")
	errLogin      = gatehouse.E(gatehouse.Denied, "login_required", "Managing your own account takes a login with your password or a token from it, not an API key.")
)

// authorize asks whether actor may do action; every use case begins with it. A
// refusal is recorded.
func (s *Service) authorize(ctx context.Context, actor *gatehouse.Principal, action, typ, realm, id string) error {
	if !actor.Authenticated() {
		return errNoActor
	}
	scope := ScopeWrite
	if action == policy.AdminRead {
		scope = ScopeRead
	}
	if !actor.HasScope(scope) {
		return s.refused(ctx, actor, action, typ, realm, id, errScope)
	}
	if d := s.c.Decide(ctx, actor, action, typ, realm, id); !d.Allowed {
		return s.refused(ctx, actor, action, typ, realm, id, errDenied)
	}
	return nil
}

// isSelf reports whether actor acts on his own account with the whole of his
// authority: a local login, not a delegated or foreign credential.
func isSelf(actor *gatehouse.Principal, realm, userID string) bool {
	return actor.Authenticated() && !actor.Foreign && actor.Realm == realm && actor.ID == userID &&
		(actor.Kind == gatehouse.KindUser || actor.Kind == gatehouse.KindService)
}

// authorizeSelf allows what everybody may do with the own account: to read it
// with any credential that carries all scopes, to change it only with a login.
// A leaked API key must not be able to make itself a successor.
func (s *Service) authorizeSelf(ctx context.Context, actor *gatehouse.Principal, action, typ, id string) error {
	switch {
	case !actor.HasScope(gatehouse.ScopeAll):
		return s.refused(ctx, actor, action, typ, actor.Realm, id, errScope)
	case action != policy.AdminRead && actor.Scheme == gatehouse.SchemeAPIKey:
		return s.refused(ctx, actor, action, typ, actor.Realm, id, errLogin)
	}
	return nil
}

// refused records a refusal and returns it.
func (s *Service) refused(ctx context.Context, actor *gatehouse.Principal, action, typ, realm, id string, err *gatehouse.Error) error {
	e := s.event(ctx, actor, realm, audit.KindAdminDenied, typ, id)
	e.Outcome, e.Reason = gatehouse.OutcomeFailure, err.Code
	e.Detail = map[string]string{"action": action}
	s.c.Record(&e)
	return err
}

// mayTouch refuses to change an account with administrative roles for anybody
// but those who may give such roles: an operator who could reset that password
// would be an administrator.
func (s *Service) mayTouch(ctx context.Context, actor *gatehouse.Principal, u identity.User) error {
	if len(policy.BuiltinRolesOf(u.Realm, u.Roles)) == 0 || s.mayGrant(ctx, actor, u.Realm, u.ID) {
		return nil
	}
	return s.refused(ctx, actor, policy.AdminWrite, policy.AdminSubject, u.Realm, u.ID, errPrivileged)
}

// mayGive checks that actor may give and take roles, if any change.
func (s *Service) mayGive(ctx context.Context, actor *gatehouse.Principal, realm, id string, changed []string) error {
	if len(changed) == 0 || s.mayGrant(ctx, actor, realm, id) {
		return nil
	}
	return s.refused(ctx, actor, policy.AdminGrant, policy.AdminSubject, realm, id, errGive)
}

func (s *Service) mayGrant(ctx context.Context, actor *gatehouse.Principal, realm, id string) bool {
	return s.c.Decide(ctx, actor, policy.AdminGrant, policy.AdminSubject, realm, id).Allowed
}

// mayScope checks that actor hands out no scope that his own credential lacks.
func (s *Service) mayScope(ctx context.Context, actor *gatehouse.Principal, realm string, scopes []string) error {
	for _, sc := range scopes {
		if !actor.HasScope(sc) {
			return s.refused(ctx, actor, policy.AdminWrite, policy.AdminKey, realm, "", errScopeGrant)
		}
	}
	return nil
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

// event describes what actor did. Its outcome is success until changed.
func (s *Service) event(ctx context.Context, actor *gatehouse.Principal, realm, kind, typ, id string) gatehouse.Event {
	e := gatehouse.Event{
		Time: s.c.Now(), Realm: realm, Kind: kind, Outcome: gatehouse.OutcomeSuccess,
		Target:    gatehouse.Target{Type: typ, ID: id},
		RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx),
	}
	if actor.Authenticated() {
		e.Actor = gatehouse.Actor{Kind: actor.Kind, ID: actor.ID, Name: actor.Name, Credential: actor.CredentialID, Scheme: actor.Scheme}
		if actor.Realm != realm {
			e.Detail = map[string]string{"actor_realm": actor.Realm}
		}
	}
	return e
}

// realmOf is the actor's own realm, "" for nobody.
func realmOf(actor *gatehouse.Principal) string {
	if actor == nil {
		return ""
	}
	return actor.Realm
}
