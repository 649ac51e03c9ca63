package users

import (
	"context"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Panic ends everything that a user or service holds, in one transaction: logins and tokens,
// API keys, the password; and disables the account. To enable it again brings nothing of it
// back. Errors: panic_including_me.
//
// It takes the right to delete the account, which ends as much.
func (s *Service) Panic(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string, in kernel.PanicOrder) (Panicked, error) {
	u, err := s.touch(ctx, actor, policy.AdminWrite, realm, idOrName)
	if err != nil {
		return Panicked{}, err
	}
	if err := in.Refuse(actor.Realm == realm && actor.ID == u.ID); err != nil {
		return Panicked{}, err
	}
	var out Panicked
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		if isAdmin(u) && !in.IncludingMe {
			none, err := noAdministrator(ctx, tx, u.ID)
			if err != nil {
				return err
			}
			if err := in.Refuse(none); err != nil {
				return err
			}
		}
		grants, err := s.endLogins(ctx, tx, actor, u, now)
		if err != nil {
			return err
		}
		keys, err := s.endKeys(ctx, tx, actor, u, now)
		if err != nil {
			return err
		}
		password := u.PasswordHash != ""
		// Somebody may have stolen it: it is dead until a new one is set.
		u.PasswordHash, u.PasswordAt, u.Disabled, u.UpdatedAt = "", time.Time{}, true, now
		if err := tx.UpdateUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		out = Panicked{ID: u.ID, Username: u.Username, Grants: grants, Keys: keys, Password: password}
		e := s.k.Event(ctx, actor, realm, audit.KindUserPanic, "user", u.ID)
		e.Time = now
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["grants"], e.Detail["keys"] = strconv.Itoa(grants), strconv.Itoa(keys)
		return tx.AppendEvents(ctx, e)
	})
	return out, err
}
