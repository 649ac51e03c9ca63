package users

import (
	"context"
	"crypto/hmac"
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
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/policy"
)

const (
	// SettingBootstrap holds "<hex SHA-256 of the secret> <end>".
	SettingBootstrap = "bootstrap"
	// BootstrapTTL is how long the one-time secret of a first start is good for.
	BootstrapTTL = 24 * time.Hour
	// bootstrapKeyTTL is how long the first administrator's key lives.
	bootstrapKeyTTL = 30 * 24 * time.Hour
)

// One error for a wrong, a used and an expired secret: which it was helps only
// somebody who guesses.
var errBootstrap = gatehouse.E(gatehouse.Unauthenticated, "bootstrap_refused", "The one-time secret is not valid. It is printed at the first start, works once and for 24 hours.")

// NewBootstrapSecret returns the one-time secret for the first administrator and when it
// ends, or "" when there is an administrator. It makes one unless there is one that has
// not ended: all nodes tell the same secret, so whichever node's somebody reads works, and
// once.
//
// The secret is not stored. It is an HMAC of its end under Config.BootstrapKey, which no
// two secrets have in common.
func (s *Service) NewBootstrapSecret(ctx context.Context) (secret gatehouse.Secret, end time.Time, err error) {
	err = s.c.Bootstraps(ctx, func(ctx context.Context, tx BootstrapTx) error {
		secret, end = "", time.Time{}
		if needed, err := noAdministrator(ctx, tx, ""); err != nil || !needed {
			return err
		}
		value, err := tx.Setting(ctx, SettingBootstrap)
		if errors.Is(err, gatehouse.NotFound) {
			secret, end = s.newSecret()
			err = tx.InsertSetting(ctx, SettingBootstrap, bootstrapValue(secret, end))
			if !errors.Is(err, gatehouse.Conflict) {
				return err
			}
			value, err = tx.Setting(ctx, SettingBootstrap) // another node was first
		}
		if err != nil {
			return err
		}
		if _, end = readBootstrap(value); s.k.Now().Before(end) {
			if secret = s.secretUntil(end); bootstrapValue(secret, end) == value {
				return nil
			}
		}
		// It has ended, or nobody can tell it any more. The row is held: no other node
		// does this at the same time.
		secret, end = s.newSecret()
		_, err = tx.SwapSetting(ctx, SettingBootstrap, value, bootstrapValue(secret, end))
		return err
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return secret, end, nil
}

func (s *Service) newSecret() (gatehouse.Secret, time.Time) {
	end := s.k.Now().Add(BootstrapTTL).UTC()
	return s.secretUntil(end), end
}

// secretUntil is the one secret that ends at that nanosecond.
func (s *Service) secretUntil(end time.Time) gatehouse.Secret {
	mac := hmac.New(sha256.New, s.c.BootstrapKey)
	mac.Write([]byte("gatehouse first administrator\x00" + end.Format(time.RFC3339Nano)))
	return gatehouse.Secret(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

func bootstrapValue(secret gatehouse.Secret, end time.Time) string {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return hex.EncodeToString(sum[:]) + " " + end.Format(time.RFC3339Nano)
}

// readBootstrap takes apart what [bootstrapValue] made; what it did not make has ended.
func readBootstrap(value string) (sum string, end time.Time) {
	sum, text, _ := strings.Cut(value, " ")
	end, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return "", time.Time{}
	}
	return sum, end
}

// Bootstrap makes the first administrator: whoever holds the one-time secret
// chooses a username and a password, and gets an API key, shown once. The
// secret is taken out in the same transaction. Errors: bootstrap_refused; those
// of a new user.
func (s *Service) Bootstrap(ctx context.Context, in NewBootstrap) (Bootstrapped, error) {
	return s.SetUp(ctx, NewFirst{NewBootstrap: in, ID: NewID(gatehouse.KindUser, s.k.Now())})
}

// SetUp is [Service.Bootstrap] for who may bring a passkey in the place of the password; that
// is stored in the same transaction. Errors: those of a new passkey beside.
func (s *Service) SetUp(ctx context.Context, in NewFirst) (Bootstrapped, error) {
	var out Bootstrapped
	if err := s.checkBootstrap(ctx, in.Secret); err != nil {
		return out, err // before the password is hashed: guesses cost us nothing
	}
	now := s.k.Now()
	if _, ok := gatehouse.IDTime(in.ID); !ok || !strings.HasPrefix(in.ID, "usr_") {
		return out, errBootstrap // no page of ours made it up
	}
	u, err := newUser(gatehouse.MainRealm, NewUser{ID: in.ID, Username: in.Username, Email: in.Email, Roles: []string{policy.RoleAdmin}}, now)
	if err != nil {
		return out, err
	}
	actor := &gatehouse.Principal{Realm: u.Realm, Kind: u.Kind, ID: u.ID, Name: u.Username}
	var first *passkey.First
	if in.Passkey != nil {
		if first, err = in.Passkey(ctx, actor); err != nil {
			return out, err
		}
	} else {
		realm, err := s.k.Realm(ctx, gatehouse.MainRealm)
		if err != nil {
			return out, err
		}
		if u.PasswordHash, err = s.c.Passwords.NewPasswordHash(ctx, realm, u, in.Password); err != nil {
			return out, err
		}
		u.PasswordAt = now
	}
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
		events := []gatehouse.Event{s.k.Event(ctx, actor, u.Realm, audit.KindAdminBootstrap, "user", u.ID),
			s.k.Event(ctx, actor, u.Realm, audit.KindKeyCreate, "key", key.ID)}
		if first != nil {
			e, err := first.Store(ctx, tx)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		return tx.AppendEvents(ctx, events...)
	})
	if err != nil {
		return Bootstrapped{}, err
	}
	u.Version = 1
	return Bootstrapped{User: userView(u), APIKey: text}, nil
}

// NoAdministrator reports whether nobody administers yet.
func (s *Service) NoAdministrator(ctx context.Context) (bool, error) {
	return noAdministrator(ctx, s.c.Holders, "")
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
	taken, err := tx.TakeSetting(ctx, SettingBootstrap, value)
	if err == nil && !taken {
		return errBootstrap
	}
	return err
}

// matchBootstrap returns the stored value when secret is the one it was made of.
func (s *Service) matchBootstrap(ctx context.Context, tx BootstrapTx, secret gatehouse.Secret) (string, error) {
	value, err := tx.Setting(ctx, SettingBootstrap)
	if errors.Is(err, gatehouse.NotFound) || err == nil && len(secret) > 256 {
		return "", errBootstrap
	}
	if err != nil {
		return "", err
	}
	stored, end := readBootstrap(value)
	if !s.k.Now().Before(end) {
		return "", errBootstrap
	}
	sum := sha256.Sum256([]byte(secret.Reveal()))
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(stored)) != 1 {
		return "", errBootstrap
	}
	return value, nil
}
