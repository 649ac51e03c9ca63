package users

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/policy"
)

const (
	// bootstrapSetting holds "<hex SHA-256 of the secret> <end>".
	bootstrapSetting = "bootstrap"
	// BootstrapTTL is how long the one-time secret of a first start is good for.
	BootstrapTTL = 24 * time.Hour
	// bootstrapKeyTTL is how long the first administrator's key lives.
	bootstrapKeyTTL = 30 * 24 * time.Hour
)

// One error for a wrong, a used and an expired secret: which it was helps only
// somebody who guesses.
var errBootstrap = gatehouse.E(gatehouse.Unauthenticated, "bootstrap_refused", "The one-time secret is not valid. It is printed at the first start, works once and for 24 hours.")

// NewBootstrapSecret makes the one-time secret for the first administrator, or
// returns "" when there is an administrator. It replaces an earlier secret.
func (s *Service) NewBootstrapSecret(ctx context.Context) (gatehouse.Secret, error) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	secret := gatehouse.Secret(base64.RawURLEncoding.EncodeToString(raw[:]))
	needed := false
	err := s.c.Bootstraps(ctx, func(ctx context.Context, tx BootstrapTx) error {
		var err error
		if needed, err = noAdministrator(ctx, tx, ""); err != nil || !needed {
			return err
		}
		return tx.PutSetting(ctx, bootstrapSetting, bootstrapValue(secret, s.k.Now().Add(BootstrapTTL)))
	})
	if err != nil || !needed {
		return "", err
	}
	return secret, nil
}

func bootstrapValue(secret gatehouse.Secret, end time.Time) string {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return hex.EncodeToString(sum[:]) + " " + end.UTC().Format(time.RFC3339)
}

// Bootstrap makes the first administrator: whoever holds the one-time secret
// chooses a username and a password, and gets an API key, shown once. The
// secret is taken out in the same transaction. Errors: bootstrap_refused; those
// of a new user.
func (s *Service) Bootstrap(ctx context.Context, in NewBootstrap) (Bootstrapped, error) {
	var out Bootstrapped
	if err := s.checkBootstrap(ctx, in.Secret); err != nil {
		return out, err // before the password is hashed: guesses cost us nothing
	}
	now := s.k.Now()
	u, err := newUser(gatehouse.MainRealm, NewUser{Username: in.Username, Roles: []string{policy.RoleAdmin}}, now)
	if err != nil {
		return out, err
	}
	realm, err := s.k.Realm(ctx, gatehouse.MainRealm)
	if err != nil {
		return out, err
	}
	if u.PasswordHash, err = s.c.Passwords.NewPasswordHash(ctx, realm, u, in.Password); err != nil {
		return out, err
	}
	u.PasswordAt = now
	text, id, hash := credential.MintKey(s.c.KeyPrefix, gatehouse.EnvironmentLive)
	key := credential.Key{ID: id, Realm: u.Realm, Name: "first administrator", Hash: hash, OwnerID: u.ID,
		Scopes: []string{gatehouse.ScopeAll}, Environment: gatehouse.EnvironmentLive,
		CreatedAt: now, ExpiresAt: now.Add(bootstrapKeyTTL), Version: 1}
	err = s.c.Bootstraps(ctx, func(ctx context.Context, tx BootstrapTx) error {
		if err := s.takeBootstrap(ctx, tx, in.Secret); err != nil {
			return err
		}
		if none, err := noAdministrator(ctx, tx, ""); err != nil {
			return err
		} else if !none {
			return errBootstrap
		}
		if err := tx.InsertUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, errUserTaken)
		}
		if err := tx.InsertKey(ctx, key); err != nil {
			return err
		}
		actor := &gatehouse.Principal{Realm: u.Realm, Kind: u.Kind, ID: u.ID, Name: u.Username}
		return tx.AppendEvents(ctx,
			s.k.Event(ctx, actor, u.Realm, audit.KindAdminBootstrap, "user", u.ID),
			s.k.Event(ctx, actor, u.Realm, audit.KindKeyCreate, "key", key.ID))
	})
	if err != nil {
		return Bootstrapped{}, err
	}
	u.Version = 1
	return Bootstrapped{User: userView(u), APIKey: text}, nil
}

// checkBootstrap looks at the secret before anything costly is done for it.
func (s *Service) checkBootstrap(ctx context.Context, secret gatehouse.Secret) error {
	err := s.c.Bootstraps(ctx, func(ctx context.Context, tx BootstrapTx) error {
		_, err := s.matchBootstrap(ctx, tx, secret)
		return err
	})
	if err != nil && errors.Is(err, gatehouse.Unauthenticated) {
		e := s.k.Event(ctx, nil, gatehouse.MainRealm, audit.KindAdminBootstrap, "", "")
		e.Outcome, e.Reason = gatehouse.OutcomeFailure, gatehouse.CodeOf(err)
		s.k.Record(&e)
	}
	return err
}

func (s *Service) takeBootstrap(ctx context.Context, tx BootstrapTx, secret gatehouse.Secret) error {
	value, err := s.matchBootstrap(ctx, tx, secret)
	if err != nil {
		return err
	}
	taken, err := tx.TakeSetting(ctx, bootstrapSetting, value)
	if err == nil && !taken {
		return errBootstrap
	}
	return err
}

// matchBootstrap returns the stored value when secret is the one it was made of.
func (s *Service) matchBootstrap(ctx context.Context, tx BootstrapTx, secret gatehouse.Secret) (string, error) {
	value, err := tx.Setting(ctx, bootstrapSetting)
	if errors.Is(err, gatehouse.NotFound) || err == nil && len(secret) > 256 {
		return "", errBootstrap
	}
	if err != nil {
		return "", err
	}
	stored, end, _ := strings.Cut(value, " ")
	until, err := time.Parse(time.RFC3339, end)
	if err != nil || !s.k.Now().Before(until) {
		return "", errBootstrap
	}
	sum := sha256.Sum256([]byte(secret.Reveal()))
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(stored)) != 1 {
		return "", errBootstrap
	}
	return value, nil
}
