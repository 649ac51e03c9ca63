package providers

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Link is an account at a provider that opens the account of a user.
type Link struct {
	ID       string `json:"id"`
	Provider string `json:"provider" doc:"Provider id in the realm"`
	Issuer   string `json:"issuer" doc:"Who the provider was when the link was made"`
	Subject  string `json:"subject" doc:"What the provider calls the account"`
	// Opens: somebody who signs in there is let in here.
	Opens      bool      `json:"opens" doc:"False where the provider was removed or is another one now, or everything of the user was ended"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// Links lists the accounts elsewhere that open the account of a user; everybody may list the own.
func (s *Service) Links(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) ([]Link, error) {
	id := s.c.Users.Resolve(ctx, actor, realm, idOrName)
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRead, policy.AdminSubject, realm, id, id); err != nil {
		return nil, err
	}
	u, err := s.c.Users.Find(ctx, realm, id)
	if err != nil {
		return nil, err
	}
	r, err := s.k.Realm(ctx, realm)
	if err != nil {
		return nil, err
	}
	list, err := s.c.Providers.Links(ctx, realm, u.ID)
	if err != nil {
		return nil, err
	}
	out := make([]Link, len(list))
	for i, l := range list {
		out[i] = Link{ID: l.ID(), Provider: l.Provider, Issuer: l.Issuer, Subject: l.Subject, Opens: l.OpensBy(r.Settings) && !r.CutOff(l.CreatedAt),
			CreatedAt: l.CreatedAt, LastUsedAt: l.UsedAt}
	}
	return out, nil
}

// RemoveLink removes a link of somebody else. The own ones are removed on the page of the account, which makes sure that there is
// another way in. Errors: user_not_found, provider_link_not_found; sign_in_again of the own.
func (s *Service) RemoveLink(ctx context.Context, actor *gatehouse.Principal, realm, idOrName, linkID string) error {
	id := s.c.Users.Resolve(ctx, actor, realm, idOrName)
	if kernel.IsSelf(actor, realm, id) {
		return s.k.Refused(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, id, gatehouse.ErrSignInAgain)
	}
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, id); err != nil {
		return err
	}
	u, err := s.c.Users.Find(ctx, realm, id)
	if err != nil {
		return err
	}
	r, err := s.k.Realm(ctx, realm)
	if err != nil {
		return err
	}
	return s.c.Providers.Remove(ctx, r, actor, u.ID, linkID)
}
