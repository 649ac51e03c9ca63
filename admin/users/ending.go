package users

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// reasonLogins is why a login ended that ended with all others of its user.
const reasonLogins = "logins_ended"

// endLogins ends every token and refresh token of u, twice over: a cut-off for
// all that was issued until now, whoever issued it, and the end of each login
// known here, which it returns, browser sessions among them. The second does not depend on the clock, which may have been set
// back since a token was issued.
func (s *Service) endLogins(ctx context.Context, tx Tx, actor *gatehouse.Principal, u identity.User, now time.Time) (grants []gatehouse.Grant, sessions int, err error) {
	rl, err := kernel.ReadRealm(ctx, tx, u.Realm)
	if err != nil {
		return nil, 0, err
	}
	c := revocation.CutoffNow(u.Realm, revocation.CutoffSubject, u.ID, now)
	// There is one at each change of a password, kept in the memory of each node. The logins are ended below, whatever
	// the settings were when they were opened, so this one need not outlive the longest that there could be.
	c.ExpiresAt = now.Add(rl.Settings.Defaults().GrantTTL + time.Hour)
	if err := tx.PutCutoff(ctx, c); err != nil {
		return nil, 0, err
	}
	if grants, err = tx.EndGrantsOf(ctx, u.Realm, u.ID, now, reasonLogins); err != nil {
		return nil, 0, err
	}
	ended, err := tx.EndSessions(ctx, u.Realm, u.ID, "", now, reasonLogins)
	if err != nil {
		return nil, 0, err
	}
	e := s.k.Event(ctx, actor, u.Realm, audit.KindCutoffSet, "user", u.ID)
	return grants, len(ended), tx.AppendEvents(ctx, e)
}

// endKeys revokes every API key of u, for one who is deleted, and returns the ids of those that it ended.
func (s *Service) endKeys(ctx context.Context, tx Tx, actor *gatehouse.Principal, u identity.User, now time.Time) (ended []string, err error) {
	for after := ""; ; {
		keys, err := tx.Keys(ctx, u.Realm, u.ID, after, 200)
		if err != nil {
			return ended, err
		}
		for _, k := range keys {
			after = k.ID
			if k.Status(now) == credential.KeyLeaked || k.Status(now) == credential.KeyRevoked {
				continue
			}
			k.RevokedAt = now
			ended = append(ended, k.ID)
			if err := tx.UpdateKey(ctx, k); err != nil {
				return ended, err
			}
			if err := tx.AppendEvents(ctx, s.k.Event(ctx, actor, u.Realm, audit.KindKeyRevoke, "key", k.ID)); err != nil {
				return ended, err
			}
		}
		if len(keys) < 200 {
			return ended, nil
		}
	}
}
