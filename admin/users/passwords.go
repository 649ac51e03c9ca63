package users

import (
	"context"
	"crypto/rand"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/policy"
)

var (
	errNotChosen  = gatehouse.E(gatehouse.Unprocessable, "password_not_chosen_here", "Other people's passwords are not chosen by administrators; leave the member new out to get a random one.")
	errElsewhere  = gatehouse.E(gatehouse.Unprocessable, "password_in_directory", "The password of this account is in the organization's directory, and is changed there.")
	errNoPassword = gatehouse.E(gatehouse.Unprocessable, "service_has_no_password", "Services have no password; give them an API key.")
)

// SetPassword changes one's own password (Current and New), or resets somebody
// else's to a random one that is shown once. Either way every login of the
// account ends in the same transaction. Errors: invalid_credentials for a wrong
// current password, those of a new password.
func (s *Service) SetPassword(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string, in PasswordChange) (PasswordChanged, error) {
	id := s.Resolve(ctx, actor, realm, idOrName)
	own := kernel.IsSelf(actor, realm, id) && in.New != ""
	var u identity.User
	var err error
	if own {
		u, err = s.ownPassword(ctx, actor, in)
	} else {
		u, err = s.touch(ctx, actor, policy.AdminWrite, realm, id)
		if err == nil && in.New != "" {
			err = errNotChosen
		}
	}
	if err != nil {
		return PasswordChanged{}, err
	}
	if err := kept(u); err != nil {
		return PasswordChanged{}, err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err != nil {
		return PasswordChanged{}, err
	}
	var shown gatehouse.Secret
	if !own {
		shown = generatePassword()
		in.New = shown
	}
	hash, err := s.c.Passwords.NewPasswordHash(ctx, rl, u, in.New)
	if err != nil {
		return PasswordChanged{}, err
	}
	if err := s.storePassword(ctx, actor, u, hash, own); err != nil {
		return PasswordChanged{}, err
	}
	return PasswordChanged{Password: shown}, nil
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
	return u, s.c.Passwords.CheckPassword(ctx, u, in.Current)
}

func (s *Service) storePassword(ctx context.Context, actor *gatehouse.Principal, u identity.User, hash string, own bool) error {
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		was := u.PasswordHash
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		if own && u.PasswordHash != was {
			return gatehouse.ErrVersionConflict // the current password that was checked is not the current one
		}
		u.PasswordHash, u.PasswordAt, u.UpdatedAt = hash, now, now
		if err := tx.UpdateUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		if _, _, err := s.endLogins(ctx, tx, actor, u, now); err != nil {
			return err
		}
		e := s.k.Event(ctx, actor, u.Realm, audit.KindUserPassword, "user", u.ID)
		if !own {
			e.Reason = "reset"
		}
		kind := mail.KindPasswordChanged
		if !own {
			kind = mail.KindPasswordReset
		}
		if err := s.tell(ctx, tx, actor, u, kind, now); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
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
