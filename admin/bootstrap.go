package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
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

// Prepare makes the realm main if it is not there, and its first signing key.
// The server calls it at every start, before it listens.
func (s *Service) Prepare(ctx context.Context) error {
	err := s.c.Realms(ctx, func(ctx context.Context, tx RealmTx) error {
		_, err := tx.Realm(ctx, gatehouse.MainRealm)
		if !errors.Is(err, gatehouse.NotFound) {
			return err
		}
		now := s.c.Now()
		r := gatehouse.Realm{Name: gatehouse.MainRealm, Title: "Main", CreatedAt: now, UpdatedAt: now}
		if err := tx.InsertRealm(ctx, r); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.event(ctx, nil, r.Name, audit.KindRealmCreate, "realm", r.Name))
	})
	if err != nil && !errors.Is(err, gatehouse.Conflict) { // another node was first
		return err
	}
	return s.c.Signing.EnsureRealm(ctx, gatehouse.MainRealm)
}

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
		return tx.PutSetting(ctx, bootstrapSetting, bootstrapValue(secret, s.c.Now().Add(BootstrapTTL)))
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
	now := s.c.Now()
	u, err := newUser(gatehouse.MainRealm, NewUser{Username: in.Username, Roles: []string{policy.RoleAdmin}}, now)
	if err != nil {
		return out, err
	}
	realm, err := s.c.Store.Realm(ctx, gatehouse.MainRealm)
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
			return conflictAs(err, errUserTaken)
		}
		if err := tx.InsertKey(ctx, key); err != nil {
			return err
		}
		actor := &gatehouse.Principal{Realm: u.Realm, Kind: u.Kind, ID: u.ID, Name: u.Username}
		return tx.AppendEvents(ctx,
			s.event(ctx, actor, u.Realm, audit.KindAdminBootstrap, "user", u.ID),
			s.event(ctx, actor, u.Realm, audit.KindKeyCreate, "key", key.ID))
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
		e := s.event(ctx, nil, gatehouse.MainRealm, audit.KindAdminBootstrap, "", "")
		e.Outcome, e.Reason = gatehouse.OutcomeFailure, gatehouse.CodeOf(err)
		s.c.Record(&e)
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
	if err != nil || !s.c.Now().Before(until) {
		return "", errBootstrap
	}
	sum := sha256.Sum256([]byte(secret.Reveal()))
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(stored)) != 1 {
		return "", errBootstrap
	}
	return value, nil
}

// holders is what counting administrators takes.
type holders interface {
	RoleHolders(ctx context.Context, realm, role string, enabled bool, limit int) ([]string, error)
}

// noAdministrator reports whether no enabled account other than except holds
// gatehouse-admin.
func noAdministrator(ctx context.Context, tx holders, except string) (bool, error) {
	ids, err := tx.RoleHolders(ctx, gatehouse.MainRealm, policy.RoleAdmin, true, 2)
	return err == nil && !slices.ContainsFunc(ids, func(id string) bool { return id != except }), err
}

// conflictAs gives a duplicate its own code.
func conflictAs(err error, as *gatehouse.Error) error {
	if errors.Is(err, gatehouse.Conflict) {
		return as.With(err)
	}
	return err
}
