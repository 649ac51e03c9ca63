package users

import (
	"context"
	"crypto/rand"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/session"
)

var (
	errNotChosen  = gatehouse.E(gatehouse.Unprocessable, "password_not_chosen_here", "Nobody sets somebody else's password; start a reset, and the person chooses one.")
	errElsewhere  = gatehouse.E(gatehouse.Unprocessable, "password_in_directory", "The password of this account is in the organization's directory, and is changed there.")
	errNoPassword = gatehouse.E(gatehouse.Unprocessable, "service_has_no_password", "Services have no password; give them an API key.")
)

// SetPassword changes one's own password. Every login of the account ends in the same
// transaction. Nobody sets another one's, nor makes a random one that two would know
// (ASVS 6.4.6): [Service.StartReset]. Errors: password_not_chosen_here,
// insufficient_user_authentication where there is a second factor that was not proved within [session.FreshFor],
// invalid_credentials for a wrong current password, those of a new password.
func (s *Service) SetPassword(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string, in PasswordChange) error {
	id := s.Resolve(ctx, actor, realm, idOrName)
	if !kernel.IsSelf(actor, realm, id) {
		if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, id); err != nil {
			return err
		}
		return errNotChosen
	}
	u, err := s.ownPassword(ctx, actor, in)
	if err != nil {
		return err
	}
	if err := kept(u); err != nil {
		return err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err != nil {
		return err
	}
	hash, err := s.c.Passwords.NewPasswordHash(ctx, rl, u, in.New)
	if err != nil {
		return err
	}
	return s.storePassword(ctx, actor, u, hash)
}

// kept refuses accounts that have no password here.
func kept(u identity.User) error {
	switch {
	case u.Kind != gatehouse.KindUser:
		return errNoPassword
	case u.DirectoryID != "":
		return errElsewhere
	}
	return nil
}

// ownPassword checks that the actor is who he is with his current password: a
// stolen token alone must not be able to take the account over (ASVS 6.2.3).
func (s *Service) ownPassword(ctx context.Context, actor *gatehouse.Principal, in PasswordChange) (identity.User, error) {
	if err := kernel.SelfMay(actor, policy.AdminWrite); err != nil {
		return identity.User{}, s.k.Refused(ctx, actor, policy.AdminWrite, policy.AdminSubject, actor.Realm, actor.ID, err)
	}
	u, err := findUser(ctx, s.c.Users, actor.Realm, actor.ID)
	if err == nil {
		err = kept(u)
	}
	if err != nil {
		return u, err
	}
	if again := (enforce.Assurance{ACR: gatehouse.AAL2, MaxAge: session.FreshFor}); u.SecondFactor && !again.Met(actor, s.k.Now()) {
		// Whoever has a token of before and has seen the password being typed must not be able to change it.
		return u, s.k.Refused(ctx, actor, policy.AdminWrite, policy.AdminSubject, actor.Realm, actor.ID, authn.StepUp(again.ACR, again.MaxAge))
	}
	return u, s.c.Passwords.CheckPassword(ctx, u, in.Current)
}

func (s *Service) storePassword(ctx context.Context, actor *gatehouse.Principal, u identity.User, hash string) error {
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		was := u.PasswordHash
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		if u.PasswordHash != was {
			return gatehouse.ErrVersionConflict // the current password that was checked is not the current one
		}
		u.PasswordHash, u.PasswordAt, u.UpdatedAt = hash, now, now
		if err := tx.UpdateUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		if _, _, err := s.endLogins(ctx, tx, actor, u, now); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, actor, u, mail.KindPasswordChanged, now); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.k.Event(ctx, actor, u.Realm, audit.KindUserPassword, "user", u.ID))
	})
}

// generatePassword makes a password of 20 letters and digits in groups of five,
// without those that look alike: more than 98 random bits.
func generatePassword() gatehouse.Secret {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789x" // x stands twice, to make 32
	var raw [20]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	out := make([]byte, 0, 23)
	for i, b := range raw {
		if i > 0 && i%5 == 0 {
			out = append(out, '-')
		}
		out = append(out, letters[b%32])
	}
	return gatehouse.Secret(out)
}
