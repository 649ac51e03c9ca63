package keys

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/session"
)

// recent challenges people who make a key of their own without having signed in within [session.FreshFor], by two
// factors where the account has them (RFC 9470): such a key outlives the login, so a token that was stolen, or a screen
// that was left open, must not come to one. Who may write keys anyway and shows an API key has not signed in, and is asked
// by [kernel.Kernel.AuthorizeOwn] alone.
func (s *Service) recent(ctx context.Context, actor *gatehouse.Principal, realm, ownerID, id string) error {
	if !kernel.IsSelf(actor, realm, ownerID) || kernel.SelfMay(actor, policy.AdminWrite) != nil {
		return nil
	}
	owner, err := s.c.Owners.Find(ctx, realm, ownerID)
	if err != nil {
		return err
	}
	asked := enforce.Assurance{MaxAge: session.FreshFor}
	if owner.SecondFactor {
		asked.ACR = gatehouse.AAL2
	}
	if asked.Met(actor, s.k.Now()) {
		return nil
	}
	return s.k.Refused(ctx, actor, policy.AdminWrite, policy.AdminKey, realm, id, authn.StepUp(asked.ACR, asked.MaxAge))
}
