package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Scopes that a credential needs for administration.
const (
	ScopeAdminRead  = "admin:read"
	ScopeAdminWrite = "admin:write"
	// ScopeRevocations is for following revocations, and for nothing else: a key of a
	// program that checks tokens reads nothing but those.
	ScopeRevocations = "admin:revocations"
)

// AdminScopes are the scopes that every realm has without naming them.
func AdminScopes() []string { return []string{ScopeAdminRead, ScopeAdminWrite, ScopeRevocations} }

// DecideAdmin decides whether p may do one of policy.Admin… to something of a
// realm. resourceType is one of the policy.Admin… types; id may be empty for a
// collection or what does not exist yet. For policy.AdminSubject and
// policy.AdminKey, id must be the subject's id (the owner's, for a key), so that
// changing somebody with an administrative role can be told apart; an id that
// is not in the directory is treated as such a one.
//
// Two things must hold: the credential has scope admin:read (to read), admin:revocations
// (to read revocations) or admin:write (for all else), and the built-in administration policies permit
// it. The realm's own roles and policies have no say in it; roles are those that
// the directory assigns directly, narrowed by the credential's limit. Giving
// roles to somebody is policy.AdminGrant on the subject: only gatehouse-admin and,
// in its own realm, realm-admin have it.
func (d *Decider) DecideAdmin(ctx context.Context, p *gatehouse.Principal, action, resourceType, realm, id string) gatehouse.Decision {
	start := d.now()
	dec := d.decideAdmin(ctx, p, action, resourceType, realm, id)
	d.count(p, dec, start)
	return dec
}

func (d *Decider) decideAdmin(ctx context.Context, p *gatehouse.Principal, action, resourceType, realm, id string) gatehouse.Decision {
	if !p.Authenticated() {
		return deny(CodeUnauthenticated)
	}
	need := ScopeAdminWrite
	switch {
	case action == policy.AdminRead && resourceType == policy.AdminRevocations:
		need = ScopeRevocations
	case action == policy.AdminRead:
		need = ScopeAdminRead
	}
	if !p.HasScope(need) {
		return gatehouse.Decision{Code: CodeInsufficientScope, Missing: []string{need}}
	}
	if p.Foreign || p.Kind == gatehouse.KindClient {
		return gatehouse.Decision{Code: policy.CodeForbidden, Reasons: []gatehouse.Reason{{
			PolicyID: "gatehouse:administration#local-subjects-only", Effect: "forbid", Note: "subjects of foreign issuers do not administer Gatehouse"}}}
	}
	// Policies that do not load must not lock out those who could mend them;
	// a realm that is switched off must.
	if _, fault := d.snapshot(ctx, p.Realm); fault == CodeRealmDisabled || fault == codeRealmUnknown {
		return deny(fault)
	}
	// Whoever follows what was revoked would take the silence about a realm that is switched off for "nothing was".
	if need == ScopeRevocations {
		if _, fault := d.snapshot(ctx, realm); fault == CodeRealmDisabled {
			return deny(fault)
		}
	}
	acc, err := d.directory.Subject(ctx, p.Realm, p.ID)
	switch {
	case errors.Is(err, gatehouse.NotFound) || err == nil && acc.Disabled:
		return deny(CodeSubjectDisabled)
	case err != nil:
		return deny(CodeDirectory, err)
	}
	privileged, err := d.privileged(ctx, action, resourceType, realm, id)
	if err != nil {
		return deny(CodeDirectory, err)
	}
	q, err := adminRequest(p, acc, action, resourceType, realm, id, privileged)
	if err != nil {
		return deny(policy.CodeEvaluationError, err)
	}
	dec := d.admin.Evaluate(q)
	if dec.Code == policy.CodeNoPermit {
		dec.Missing = []string{action + " on " + resourceType}
	}
	return dec
}

// adminRequest builds the question from nothing but the directory and the
// arguments: no attribute of an account or a request reaches it.
func adminRequest(p *gatehouse.Principal, acc gatehouse.Subject, action, resourceType, realm, id string, privileged bool) (policy.Request, error) {
	var parents []gatehouse.EntityRef
	for _, r := range policy.BuiltinRolesOf(p.Realm, acc.Roles) {
		if p.RoleLimit == nil || slices.Contains(p.RoleLimit, r) {
			parents = append(parents, gatehouse.EntityRef{Type: policy.TypeRole, ID: r})
		}
	}
	who, err := policy.NewEntity(gatehouse.EntityRef{Type: typeOf(acc.Kind), ID: p.ID},
		map[string]any{"realm": p.Realm, "foreign": false}, parents)
	if err != nil {
		return policy.Request{}, fmt.Errorf("principal: %w", err)
	}
	what, err := policy.NewEntity(gatehouse.EntityRef{Type: resourceType, ID: realm + "/" + id},
		map[string]any{"realm": realm, "privileged": privileged}, nil)
	if err != nil {
		return policy.Request{}, fmt.Errorf("resource: %w", err)
	}
	return policy.Request{Principal: who, Action: action, Resource: what}, nil
}

// privileged tells whether the target is somebody with an administrative role.
// Changing such a person (a new password, say) is as good as being them.
func (d *Decider) privileged(ctx context.Context, action, resourceType, realm, id string) (bool, error) {
	if id == "" || action == policy.AdminRead || action == policy.AdminRevoke {
		return false, nil
	}
	if resourceType != policy.AdminSubject && resourceType != policy.AdminKey {
		return false, nil
	}
	acc, err := d.directory.Subject(ctx, realm, id)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return true, nil
	case err != nil:
		return false, err
	}
	return len(policy.BuiltinRolesOf(realm, acc.Roles)) > 0, nil
}
