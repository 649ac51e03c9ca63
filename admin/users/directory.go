package users

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
)

// Members lists the accounts that belong to entries of a realm's directory.
type Members interface {
	DirectoryUsers(ctx context.Context, realm, after string, limit int) ([]identity.User, error)
}

// Followed is what came of asking a directory about its people.
type Followed struct{ Asked, Out, Back int }

// FollowDirectory asks the directory of a realm about all of its people who have an account, batch
// by batch, and disables the accounts of those whom it has no more or says are disabled: with their
// logins, as an administrator would. Those whom it had left out and has again are enabled; what an
// administrator disabled stays so. ask returns of each id whether the person may come in.
//
// Where the directory gives no answer, what was done by then stays, and nothing more is concluded.
func (s *Service) FollowDirectory(ctx context.Context, realm string, members Members, batch int, ask func(context.Context, []identity.User) (map[string]bool, error)) (f Followed, err error) {
	for after := ""; ; {
		list, err := members.DirectoryUsers(ctx, realm, after, batch)
		if err != nil || len(list) == 0 {
			return f, err
		}
		in, err := ask(ctx, list)
		if err != nil {
			return f, err
		}
		f.Asked += len(list)
		for _, u := range list {
			after = u.ID
			if in[u.DirectoryID] != u.DirectoryOut {
				continue // as it is, or disabled by an administrator and in
			}
			if err := s.follow(ctx, u, &f); err != nil {
				return f, err
			}
		}
	}
}

// follow has u be the other way round, unless something of the account changed since it was asked about.
func (s *Service) follow(ctx context.Context, was identity.User, f *Followed) error {
	if !was.DirectoryOut && was.Disabled {
		return nil // an administrator's word, which does not end with the directory's
	}
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		u, err := tx.User(ctx, was.Realm, was.ID)
		if err != nil {
			return err
		}
		if u.Version != was.Version {
			return gatehouse.ErrVersionConflict
		}
		e := s.k.Event(ctx, nil, u.Realm, audit.KindUserUpdate, "user", u.ID)
		e.Reason, e.Detail = "directory", kernel.Changes(e.Detail)
		u.DirectoryOut = !u.DirectoryOut
		u.Disabled, u.UpdatedAt = u.DirectoryOut, e.Time
		e.Detail["disabled"] = "false"
		if u.Disabled {
			e.Detail["disabled"] = "true"
			if _, _, err := s.endLogins(ctx, tx, nil, u, e.Time); err != nil {
				return err
			}
		}
		if err := tx.UpdateUser(ctx, u); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
	switch {
	case errors.Is(err, gatehouse.Conflict), errors.Is(err, gatehouse.NotFound):
		return nil // the next round sees
	case err != nil:
		return err
	case was.DirectoryOut:
		f.Back++
	default:
		f.Out++
	}
	return nil
}
