package records

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// ownKinds are what a person is shown of the own account: sign-ins, tries, and changes. What the account did with APIs is not
// among them.
var ownKinds = []string{"login.", "session.", "factor.", "passkey.", "key.", "user.", audit.KindProviderLink, audit.KindProviderUnlink, audit.KindTokenIssue}

// Own lists what the actor did with the own account, and others did to it, newest first. Of somebody else who did something,
// only the kind of caller is left: neither name nor address is the person's business.
func (s *Service) Own(ctx context.Context, actor *gatehouse.Principal, after string, limit int) (kernel.Page[audit.Entry], error) {
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRead, policy.AdminAudit, actor.Realm, actor.ID, actor.ID); err != nil {
		return kernel.Page[audit.Entry]{}, err
	}
	log := &audit.Log{Reader: s.c.Audit}
	p, err := log.List(ctx, actor.Realm, audit.Query{About: actor.ID, Kinds: ownKinds, Cursor: after, Limit: kernel.Limit(limit)})
	if err == nil {
		err = audit.OpenPersonal(ctx, p.Entries, s.c.Persons)
	}
	for i := range p.Entries {
		if e := &p.Entries[i]; e.Actor.ID != "" && e.Actor.ID != actor.ID {
			e.Actor, e.Address, e.RequestID = gatehouse.Actor{Kind: e.Actor.Kind}, "", ""
		}
	}
	return kernel.Page[audit.Entry]{Items: p.Entries, Next: p.Next}, err
}
