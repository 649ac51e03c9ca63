package users

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/session"
)

// Delete removes a user; logins, tokens and keys end with him.
func (s *Service) Delete(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) error {
	u, err := s.touch(ctx, actor, policy.AdminWrite, realm, idOrName)
	if err != nil {
		return err
	}
	return s.remove(ctx, actor, realm, u)
}

// DeleteOwn removes the account of who is signed in, by a session of a moment ago: with a stolen one
// nobody's account is ended. Errors: address_needs_sign_in, last_administrator.
func (s *Service) DeleteOwn(ctx context.Context, who *gatehouse.Principal) error {
	if !kernel.IsSelf(who, who.Realm, who.ID) || who.Kind != gatehouse.KindUser || kernel.SelfMay(who, policy.AdminWrite) != nil {
		return errStale
	}
	u, err := findUser(ctx, s.c.Users, who.Realm, who.ID)
	if err != nil {
		return err
	}
	if !session.Fresh(who, u.SecondFactor, s.k.Now()) {
		return errStale
	}
	return s.remove(ctx, who, who.Realm, u)
}

func (s *Service) remove(ctx context.Context, actor *gatehouse.Principal, realm string, u identity.User) error {
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		if isAdmin(u) {
			if err := keepOne(ctx, tx, u.ID); err != nil {
				return err
			}
		}
		if _, _, err := s.endLogins(ctx, tx, actor, u, now); err != nil {
			return err
		}
		if _, err := s.endKeys(ctx, tx, actor, u, now); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, actor, u, mail.KindAccountDeleted, now); err != nil {
			return err
		}
		if err := tx.DeleteUser(ctx, realm, u.ID); err != nil {
			return err
		}
		e := s.k.Event(ctx, actor, realm, audit.KindUserDelete, "user", u.ID)
		if u.Kind == gatehouse.KindService { // of a person nothing is told any more
			e.Detail = kernel.Changes(e.Detail)
			e.Detail["username"] = u.Username
		}
		return tx.AppendEvents(ctx, e)
	})
}
