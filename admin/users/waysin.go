package users

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
)

// endWaysIn removes the passkeys of u and ends the links with accounts elsewhere, and returns how many of each there were.
// Whoever stole the account may have added them: they must not open it again when it is enabled.
func (s *Service) endWaysIn(ctx context.Context, tx Tx, actor *gatehouse.Principal, u identity.User, now time.Time) (passkeys, links int, err error) {
	passkeys, err = s.endPasskeys(ctx, tx, actor, u)
	if err != nil {
		return 0, 0, err
	}
	links, err = tx.EndProviderLinks(ctx, u.Realm, u.ID, now)
	return passkeys, links, err
}

// endPasskeys removes the passkeys of u, and returns how many there were.
func (s *Service) endPasskeys(ctx context.Context, tx Tx, actor *gatehouse.Principal, u identity.User) (n int, err error) {
	list, err := tx.Passkeys(ctx, u.Realm, u.ID)
	if err != nil {
		return 0, err
	}
	for _, p := range list {
		if err := tx.DeletePasskey(ctx, u.Realm, u.ID, p.ID); err != nil {
			return 0, err
		}
		e := s.k.Event(ctx, actor, u.Realm, audit.KindPasskeyRemove, "user", u.ID)
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["passkey"], e.Detail["name"] = p.ID, p.Name
		if err := tx.AppendEvents(ctx, e); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}
