package admin

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// privilegedPolicy ends the id of the administration policy that protects
// accounts with administrative roles.
const privilegedPolicy = "#privileged-subjects"

var (
	errDenied     = gatehouse.E(gatehouse.Denied, "admin_denied", "Your roles do not allow this.")
	errPrivileged = gatehouse.E(gatehouse.Denied, "admin_role_required", "Only an administrator may change an account with administrative roles.")
	errGive       = gatehouse.E(gatehouse.Denied, "admin_grant_denied", "Your roles do not allow giving or taking roles.")
	errScopeGrant = gatehouse.E(gatehouse.Denied, "scope_not_held", "You cannot give a scope that your own credential does not carry.")
	errLogin      = gatehouse.E(gatehouse.Denied, "login_required", "Managing your own account takes a login with your password or a token from it, not an API key.")
)

// authorize asks whether actor may do action; every use case begins with it. A
// refusal is recorded.
func (s *Service) authorize(ctx context.Context, actor *gatehouse.Principal, action, typ, realm, id string) error {
	return s.authorizeAbout(ctx, actor, action, typ, realm, id, id)
}

// authorizeAbout decides about one thing, such as the owner of a key, and names another in the record of a refusal.
func (s *Service) authorizeAbout(ctx context.Context, actor *gatehouse.Principal, action, typ, realm, about, id string) error {
	if !actor.Authenticated() {
		return authn.ErrNone
	}
	d := s.c.Decide(ctx, actor, action, typ, realm, about)
	if d.Allowed {
		return nil
	}
	return s.refused(ctx, actor, action, typ, realm, id, refusal(d))
}

// refusal is the error of a decision that denies.
func refusal(d gatehouse.Decision) *gatehouse.Error {
	switch {
	case d.Code == authz.CodeInsufficientScope:
		return gatehouse.ErrInsufficientScope
	case slices.ContainsFunc(d.Reasons, func(r gatehouse.Reason) bool { return strings.HasSuffix(r.PolicyID, privilegedPolicy) }):
		return errPrivileged
	}
	return errDenied
}

// isSelf reports whether actor acts on his own account with the whole of his
// authority: a local login, not a delegated or foreign credential.
func isSelf(actor *gatehouse.Principal, realm, userID string) bool {
	return actor.Authenticated() && !actor.Foreign && actor.Realm == realm && actor.ID == userID &&
		(actor.Kind == gatehouse.KindUser || actor.Kind == gatehouse.KindService)
}

// selfMay tells what everybody may do with the own account: read it with any
// credential that carries all scopes, change it only with a login. A leaked API
// key must not be able to make itself a successor.
func selfMay(actor *gatehouse.Principal, action string) *gatehouse.Error {
	if !actor.HasScope(gatehouse.ScopeAll) {
		return gatehouse.ErrInsufficientScope
	}
	if kind, _ := authn.KindOf(actor.Scheme); action != policy.AdminRead && !kind.FromLogin() {
		return errLogin
	}
	return nil
}

// authorizeOwn allows what concerns the account owner to himself, and to others
// by their administrative roles. id names what is acted on in the record; the
// decision is about the owner, whose roles may ask for more.
func (s *Service) authorizeOwn(ctx context.Context, actor *gatehouse.Principal, action, typ, realm, owner, id string) error {
	if !isSelf(actor, realm, owner) {
		if id == "" {
			id = owner // a list, or what is not made yet: its owner is all there is to name
		}
		return s.authorizeAbout(ctx, actor, action, typ, realm, owner, id)
	}
	own := selfMay(actor, action)
	if own == nil || s.c.Decide(ctx, actor, action, typ, realm, owner).Allowed {
		return nil
	}
	return s.refused(ctx, actor, action, typ, realm, id, own)
}

// refused records a refusal and returns it.
func (s *Service) refused(ctx context.Context, actor *gatehouse.Principal, action, typ, realm, id string, err *gatehouse.Error) error {
	e := s.event(ctx, actor, realm, audit.KindAdminDenied, typ, id)
	e.Outcome, e.Reason = gatehouse.OutcomeFailure, err.Code
	e.Detail = map[string]string{"action": action}
	s.c.Record(&e)
	return err
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
			return s.refused(ctx, actor, policy.AdminWrite, policy.AdminKey, realm, "", naming(errScopeGrant, "scopes", sc))
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
