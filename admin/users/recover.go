package users

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Recovery makes an administrator without being asked by one. It belongs into the
// hands of whoever has the machine: it asks nobody for permission.
type Recovery struct {
	Run       gatehouse.Runner[Tx]
	KeyPrefix string // of API keys; "" is credential.PrefixKey
	Now       func() time.Time
}

// Recovered is the account of a recovery and its key.
type Recovered struct {
	User User `json:"user"`
	// APIKey is shown this once.
	APIKey    gatehouse.Secret `json:"api_key"`
	ExpiresAt time.Time        `json:"expires_at"`
	// Created: the account is new. Otherwise its password, second factors and passkeys are gone, its
	// logins and its other keys are ended, and what kept it from administering is undone.
	Created bool `json:"created"`
}

// Administrator makes username an enabled administrator of realm main with an API
// key for 30 days as its only credential, all or nothing. An account of that name
// that exists is taken over: whoever held its password, factors, passkeys, links, logins or keys holds nothing
// afterwards, since nobody knows why the account was lost. The event admin.recover is
// in the same transaction. Errors: those of a username,
// password_in_directory.
func (r Recovery) Administrator(ctx context.Context, username string) (Recovered, error) {
	prefix := r.KeyPrefix
	if prefix == "" {
		prefix = credential.PrefixKey
	}
	s := &Service{k: &kernel.Kernel{Now: r.Now}} // for the steps that it shares with the other use cases
	now := r.Now()
	var out Recovered
	err := r.Run(ctx, func(ctx context.Context, tx Tx) error {
		u, err := findUser(ctx, tx, gatehouse.MainRealm, username)
		out.Created = errors.Is(err, gatehouse.NotFound)
		if out.Created {
			if u, err = newUser(gatehouse.MainRealm, NewUser{Username: username, Roles: []string{policy.RoleAdmin}}, now); err == nil {
				err = tx.InsertUser(ctx, u)
			}
		} else if err == nil && u.DirectoryID != "" {
			err = errElsewhere // whoever has the password there would administer
		} else if err == nil {
			_, _, logins := s.endLogins(ctx, tx, nil, u, now)
			_, keys := s.endKeys(ctx, tx, nil, u, now)
			_, _, ways := s.endWaysIn(ctx, tx, nil, u, now)
			if err = errors.Join(logins, keys, ways, s.endFactors(ctx, tx, nil, u)); err == nil {
				u.Disabled, u.PasswordHash, u.SecondFactor, u.UpdatedAt = false, "", false, now
				if !slices.Contains(u.Roles, policy.RoleAdmin) {
					u.Roles = append(slices.Clone(u.Roles), policy.RoleAdmin)
				}
				err = tx.UpdateUser(ctx, u)
			}
		}
		if err != nil {
			return err
		}
		text, id, hash := credential.MintKey(prefix, gatehouse.EnvironmentLive)
		key := credential.Key{ID: id, Realm: u.Realm, Name: "recovered administrator", Hash: hash, OwnerID: u.ID,
			Scopes: []string{gatehouse.ScopeAll}, Environment: gatehouse.EnvironmentLive,
			CreatedAt: now, ExpiresAt: now.Add(bootstrapKeyTTL), Version: 1}
		if err := tx.InsertKey(ctx, key); err != nil {
			return err
		}
		out.User, out.APIKey, out.ExpiresAt = userView(u), text, key.ExpiresAt
		recovered := s.k.Event(ctx, nil, u.Realm, audit.KindAdminRecover, "user", u.ID)
		recovered.Detail = kernel.Changes(recovered.Detail)
		recovered.Detail["username"] = u.Username
		return tx.AppendEvents(ctx, recovered, s.k.Event(ctx, nil, u.Realm, audit.KindKeyCreate, "key", key.ID))
	})
	if err != nil {
		return Recovered{}, err
	}
	return out, nil
}

// endFactors removes every second factor of u: an app may be lost, or somebody else's.
func (s *Service) endFactors(ctx context.Context, tx Tx, actor *gatehouse.Principal, u identity.User) error {
	list, err := tx.Factors(ctx, u.Realm, u.ID)
	if err != nil {
		return err
	}
	for _, f := range list {
		if err := tx.DeleteFactor(ctx, u.Realm, u.ID, f.ID); err != nil {
			return err
		}
		e := s.k.Event(ctx, actor, u.Realm, audit.KindFactorRemove, "user", u.ID)
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["factor"], e.Detail["kind"] = f.ID, string(f.Kind)
		if f.Name != "" {
			e.Detail["name"] = f.Name
		}
		if err := tx.AppendEvents(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
