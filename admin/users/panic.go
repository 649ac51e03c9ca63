package users

import (
	"context"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Panic ends everything that a user or service holds, in one transaction: logins and tokens,
// API keys, passkeys, links with accounts elsewhere, the password; and disables the account. To enable it again brings nothing of it
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
	var asked []peers.Question
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
		grants, sessions, err := s.endLogins(ctx, tx, actor, u, now)
		if err != nil {
			return err
		}
		keys, err := s.endKeys(ctx, tx, actor, u, now)
		if err != nil {
			return err
		}
		passkeys, links, err := s.endWaysIn(ctx, tx, actor, u, now)
		if err != nil {
			return err
		}
		password := u.PasswordHash != ""
		// Somebody may have stolen it: it is dead until a new one is set.
		u.PasswordHash, u.PasswordAt, u.Disabled, u.DirectoryOut, u.UpdatedAt = "", time.Time{}, true, false, now
		if err := tx.UpdateUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		out = Panicked{ID: u.ID, Username: u.Username, Grants: len(grants), Sessions: sessions, Keys: len(keys), Passkeys: passkeys, Links: links, Password: password}
		asked = questions(u, now, keys, grants)
		e := s.k.Event(ctx, actor, realm, audit.KindUserPanic, "user", u.ID)
		e.Time = now
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["grants"], e.Detail["sessions"], e.Detail["keys"] = strconv.Itoa(len(grants)), strconv.Itoa(sessions), strconv.Itoa(len(keys))
		e.Detail["passkeys"], e.Detail["provider_links"] = strconv.Itoa(passkeys), strconv.Itoa(links)
		if err := s.tell(ctx, tx, actor, u, mail.KindLoginsEnded, now); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
	if err == nil {
		kernel.Ask(ctx, asked...)
	}
	return out, err
}

// maxAskedKeys leaves room for the logins among what the nodes are asked about.
const maxAskedKeys = peers.MaxQuestions / 2

// questions ask about what was ended: whatever was issued to u, then some of his keys, and
// as many of his logins as there is room for.
func questions(u identity.User, now time.Time, keys []string, grants []gatehouse.Grant) []peers.Question {
	out := []peers.Question{{Realm: u.Realm, Kind: "user", ID: u.ID, Subject: u.ID, Issued: now.UnixMilli()}}
	for _, id := range keys[:min(len(keys), maxAskedKeys)] {
		out = append(out, peers.Question{Realm: u.Realm, Kind: peers.KindKey, ID: id})
	}
	for _, g := range grants {
		out = append(out, peers.Question{Realm: u.Realm, Kind: "grant", ID: g.ID, Subject: u.ID, Client: g.ClientID,
			HasStatus: true, List: g.StatusList, Index: g.StatusIdx, Issued: now.UnixMilli()})
	}
	return out
}
