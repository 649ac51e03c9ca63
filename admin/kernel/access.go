package kernel

import (
	"context"
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
	errLogin      = gatehouse.E(gatehouse.Denied, "login_required", "Managing your own account takes a login with your password or a token from it, not an API key.")
)

// Authorize asks whether actor may do action; every use case begins with it. A
// refusal is recorded.
func (k *Kernel) Authorize(ctx context.Context, actor *gatehouse.Principal, action, typ, realm, id string) error {
	return k.authorizeAbout(ctx, actor, action, typ, realm, id, id)
}

// authorizeAbout decides about one thing, such as the owner of a key, and names another in the record of a refusal.
func (k *Kernel) authorizeAbout(ctx context.Context, actor *gatehouse.Principal, action, typ, realm, about, id string) error {
	if !actor.Authenticated() {
		return authn.ErrNone
	}
	d := k.Decide(ctx, actor, action, typ, realm, about)
	if !d.Allowed {
		return k.Refused(ctx, actor, action, typ, realm, id, Refusal(action, d))
	}
	weak, err := k.unassured(ctx, actor)
	if err == nil && weak != nil {
		err = k.Refused(ctx, actor, action, typ, realm, id, weak)
	}
	return err
}

// Refusal is the error of a decision that denies action.
func Refusal(action string, d gatehouse.Decision) *gatehouse.Error {
	switch {
	case action == policy.AdminGrant:
		return errGive
	case d.Code == authz.CodeInsufficientScope:
		return gatehouse.ErrInsufficientScope
	case slices.ContainsFunc(d.Reasons, func(r gatehouse.Reason) bool { return strings.HasSuffix(r.PolicyID, privilegedPolicy) }):
		return errPrivileged
	}
	return errDenied
}

// IsSelf reports whether actor acts on his own account with the whole of his
// authority: a local login, not a delegated or foreign credential.
func IsSelf(actor *gatehouse.Principal, realm, userID string) bool {
	return actor.Authenticated() && !actor.Foreign && actor.Realm == realm && actor.ID == userID &&
		(actor.Kind == gatehouse.KindUser || actor.Kind == gatehouse.KindService)
}

// SelfMay tells what everybody may do with the own account: read it with any
// credential that carries all scopes, change it only with a login, or the session of one. A leaked API
// key must not be able to make itself a successor.
func SelfMay(actor *gatehouse.Principal, action string) *gatehouse.Error {
	if !actor.HasScope(gatehouse.ScopeAll) {
		return gatehouse.ErrInsufficientScope
	}
	kind, _ := authn.KindOf(actor.Scheme)
	if action != policy.AdminRead && !kind.FromLogin() && actor.Scheme != gatehouse.SchemeSession && actor.Scheme != gatehouse.SchemeProvider {
		return errLogin
	}
	return nil
}

// AuthorizeOwn allows what concerns the account owner to himself, and to others
// by their administrative roles. id names what is acted on in the record; the
// decision is about the owner, whose roles may ask for more.
func (k *Kernel) AuthorizeOwn(ctx context.Context, actor *gatehouse.Principal, action, typ, realm, owner, id string) error {
	if !IsSelf(actor, realm, owner) {
		if id == "" {
			id = owner // a list, or what is not made yet: its owner is all there is to name
		}
		return k.authorizeAbout(ctx, actor, action, typ, realm, owner, id)
	}
	own := SelfMay(actor, action)
	if own == nil && (action == policy.AdminRead || !k.administers(ctx, actor, typ)) {
		return nil
	}
	if own == nil { // a key of an administrator administers: it must not be had for a password alone
		return k.assured(ctx, actor)
	}
	if k.Decide(ctx, actor, action, typ, realm, owner).Allowed {
		return k.assured(ctx, actor) // by the right to administer
	}
	return k.Refused(ctx, actor, action, typ, realm, id, own)
}

// administers reports whether actor has rights over more than the own account.
func (k *Kernel) administers(ctx context.Context, actor *gatehouse.Principal, typ string) bool {
	return k.Decide(ctx, actor, policy.AdminRead, typ, actor.Realm, actor.ID).Allowed ||
		k.Decide(ctx, actor, policy.AdminManage, policy.AdminBackup, gatehouse.MainRealm, "").Allowed
}

var errScopeGrant = gatehouse.E(gatehouse.Denied, "scope_not_held", "You cannot give a scope that your own credential does not carry.")

// MayGive refuses that actor gives to somebody, by a member of the input, a scope that the own credential lacks.
func (k *Kernel) MayGive(ctx context.Context, actor *gatehouse.Principal, typ, realm, member string, scopes []string) error {
	for _, scope := range scopes {
		if !actor.HasScope(scope) {
			return k.Refused(ctx, actor, policy.AdminWrite, typ, realm, "", Naming(errScopeGrant, member, scope))
		}
	}
	return nil
}

// Refused records a refusal and returns it.
func (k *Kernel) Refused(ctx context.Context, actor *gatehouse.Principal, action, typ, realm, id string, err *gatehouse.Error) error {
	e := k.Event(ctx, actor, realm, audit.KindAdminDenied, typ, id)
	e.Outcome, e.Reason = gatehouse.OutcomeFailure, err.Code
	e.Detail = map[string]string{"action": action}
	k.Record(&e)
	return err
}
