package grant

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// Open opens a grant for a subject who has just proved who he is, and returns its
// first tokens. p carries realm, subject, amr, acr and auth_time, and, if he did it with a
// password, when that was set; it is a user, or the client that asks. Without scopes the tokens are the subject's own
// ([gatehouse.ScopeAll]); asked scopes must be in the realm's catalogue (code
// invalid_scope), an asked resource among its audiences (code invalid_target).
func (s *Service) Open(ctx context.Context, o Order, p *gatehouse.Principal) (Tokens, error) {
	if !p.Authenticated() || p.Foreign || p.Realm != o.Realm || p.Kind == gatehouse.KindClient && p.ID != o.Client {
		return Tokens{}, credential.ErrInvalidCredentials
	}
	if p.Kind == gatehouse.KindClient {
		o.By = p
	}
	return s.run(ctx, o, opening{s, p})
}

// opening is the kind of grant that begins.
type opening struct {
	s *Service
	p *gatehouse.Principal
}

func (k opening) who() string {
	if k.p.Kind == gatehouse.KindClient {
		return ""
	}
	return k.p.ID
}

func (k opening) begins() bool { return true }

func (k opening) origin(_ context.Context, _ Tx, i *issue) error {
	settings := i.realm.Settings.Defaults()
	i.kind, i.opener = audit.KindTokenIssue, k.p
	i.available = []string{gatehouse.ScopeAll}
	i.audiences = k.s.Audiences(i.realm)
	i.grant = gatehouse.Grant{
		ID:        gatehouse.NewID("grt", i.now),
		Realm:     i.realm.Name,
		Subject:   k.p.ID,
		ClientID:  i.order.Client,
		SessionID: k.p.SessionID,
		AuthTime:  k.p.AuthTime,
		AMR:       k.p.AMR,
		ACR:       k.p.ACR,
		CreatedAt: i.now,
		ExpiresAt: i.now.Add(settings.GrantTTL),
	}
	if i.order.Public {
		i.grant.Confirmation = i.order.Confirmation
	}
	if i.own = i.grant.OfClient(); i.own { // it ends with its one token: the client asks again
		i.grant.ExpiresAt = i.now.Add(settings.AccessTokenTTL)
		i.available = i.client.Metadata.OwnScopes(i.realm.Settings)
		if i.order.Details != "" && len(i.order.Scopes) == 0 { // it says what it wants, and no scope is of that
			i.available = nil
		}
	}
	if i.grant.AuthTime.IsZero() {
		i.grant.AuthTime = i.now
	}
	i.grant.StatusList, i.grant.StatusIdx = k.s.c.NewStatus(i.grant.ExpiresAt)
	return nil
}

// Audiences are all that a realm's tokens can be for, the default one first.
func (s *Service) Audiences(rl gatehouse.Realm) []string {
	return rl.Settings.AudiencesOf(s.c.Issuer(rl.Name))
}

func (k opening) issue(ctx context.Context, tx Tx, i *issue) error {
	i.grant.Scopes, i.grant.Audience, i.grant.Details = i.scopes, []string{i.audience}, i.details
	made := Issued{Grant: &i.grant}
	if !i.grant.OfClient() {
		made.Refresh = k.s.newRefresh(i, mint(credential.PrefixRefresh), 0)
	}
	err := k.s.store(ctx, tx, i, made)
	if errors.Is(err, gatehouse.Conflict) {
		return errStatusTaken
	}
	return err
}
