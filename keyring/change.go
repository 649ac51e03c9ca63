package keyring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Command is a change of keys that somebody asked for.
type Command struct {
	Realm     string
	KID       string // not for Rotate
	Actor     gatehouse.Actor
	RequestID string
	Reason    string // short code for the audit log, optional
	// Now, for Rotate, activates the new key at once instead of after the
	// propagation time; for Retire, refuses the key's tokens at once, as Remove.
	Now bool
}

var (
	errKeyNotFound = gatehouse.E(gatehouse.NotFound, "signing_key_not_found", "There is no such signing key.")
	errRetired     = gatehouse.E(gatehouse.Conflict, "signing_key_retired", "The signing key is retired already.")
	// errNeedKey asks for another attempt with a key made beforehand.
	errNeedKey = errors.New("keyring: a new key is needed")
)

// maxAttempts bounds how often a change is planned anew because the keys changed
// between planning and transaction.
const maxAttempts = 8 // keys of several algorithms may be due at once

// EnsureRealm does what is due for a realm; a new realm gets its first key.
func (r *Ring) EnsureRealm(ctx context.Context, realm string) error {
	_, err := r.change(ctx, Command{Realm: realm}, func(c *changeset) error { return c.plan() })
	return err
}

// Rotate publishes a new key, which replaces the active one after the propagation
// time, or at once when cmd.Now. A key that is published already is used instead
// of making another. It returns the kid.
func (r *Ring) Rotate(ctx context.Context, cmd Command) (kid string, err error) {
	return r.change(ctx, cmd, func(c *changeset) (err error) {
		next := c.find(func(k *token.StoredKey) bool {
			return k.State == token.KeyPublished && k.Use == token.UseAll && k.Algorithm == string(c.schedule.Algorithm)
		})
		if cmd.Now {
			if err := c.retireActive(); err != nil {
				return err
			}
		}
		switch {
		case next == nil && cmd.Now:
			next, err = c.generate(token.KeyActive, token.UseAll, c.schedule.Algorithm)
		case next == nil:
			next, err = c.generate(token.KeyPublished, token.UseAll, c.schedule.Algorithm)
		case cmd.Now:
			err = c.activate(next)
		}
		if err != nil {
			return err
		}
		c.kid = next.KID
		return nil
	})
}

// Retire ends signing with a key; its tokens stay valid until they expire, unless
// cmd.Now. When it was the active key, another takes over at once.
func (r *Ring) Retire(ctx context.Context, cmd Command) error {
	if cmd.Now {
		return r.Remove(ctx, cmd)
	}
	_, err := r.change(ctx, cmd, func(c *changeset) error {
		k := c.byKID(cmd.KID)
		switch {
		case k == nil:
			return errKeyNotFound
		case k.State == token.KeyRetired:
			return errRetired
		case k.State == token.KeyPublished:
			return c.remove(k) // it never signed
		}
		if err := c.retire(k); err != nil {
			return err
		}
		return c.plan()
	})
	return err
}

// Remove deletes a key: every token it signed is refused when Remove returns. It
// is the answer to a compromised key. When it was the active key, another takes
// over at once.
func (r *Ring) Remove(ctx context.Context, cmd Command) error {
	_, err := r.change(ctx, cmd, func(c *changeset) error {
		k := c.byKID(cmd.KID)
		if k == nil {
			return errKeyNotFound
		}
		if err := c.remove(k); err != nil {
			return err
		}
		return c.plan()
	})
	return err
}

// change runs do in a transaction. A new key is made before the transaction,
// since it may take a second (RSA) and writers wait for each other.
func (r *Ring) change(ctx context.Context, cmd Command, do func(*changeset) error) (string, error) {
	ready := map[token.Algorithm]*token.Key{}
	for range maxAttempts {
		var kid string
		var alg token.Algorithm
		err := r.cfg.Run(ctx, func(ctx context.Context, tx Tx) error {
			c, err := r.begin(ctx, tx, cmd, ready)
			if err != nil {
				return err
			}
			err = do(c)
			if alg = c.lacks; err != nil {
				return err
			}
			kid = c.kid
			if len(c.events) == 0 {
				return nil
			}
			return tx.AppendEvents(ctx, c.events...)
		})
		if errors.Is(err, errNeedKey) {
			if ready[alg], err = token.GenerateKey(alg); err != nil {
				return "", err
			}
			continue
		}
		if err != nil {
			return "", err
		}
		// The store's feed has done this already when it is wired; a removed key
		// must be out of memory in any case.
		return kid, r.reload(ctx, cmd.Realm)
	}
	return "", gatehouse.E(gatehouse.Conflict, "signing_keys_changed", "The signing keys changed meanwhile; try again.")
}

// changeset is one transaction's view of a realm's keys.
type changeset struct {
	ring     *Ring
	ctx      context.Context
	tx       Tx
	cmd      Command
	schedule token.Schedule
	now      time.Time
	keys     []token.StoredKey
	ready    map[token.Algorithm]*token.Key
	lacks    token.Algorithm // of the key with which to try again, see errNeedKey
	events   []gatehouse.Event
	kid      string
}

func (r *Ring) begin(ctx context.Context, tx Tx, cmd Command, ready map[token.Algorithm]*token.Key) (*changeset, error) {
	realm, err := tx.HoldRealm(ctx, cmd.Realm)
	if err != nil {
		return nil, err
	}
	keys, err := tx.SigningKeys(ctx, cmd.Realm)
	if err != nil {
		return nil, err
	}
	schedule, err := r.schedule(realm)
	if err != nil {
		return nil, err
	}
	return &changeset{ring: r, ctx: ctx, tx: tx, cmd: cmd, schedule: schedule, now: r.cfg.Now(),
		keys: slices.Clone(keys), ready: maps.Clone(ready)}, nil
}

// schedule reads the times and the algorithm out of a realm's settings.
func (r *Ring) schedule(realm gatehouse.Realm) (token.Schedule, error) {
	set := realm.Settings.Defaults()
	alg, ok := token.ParseAlgorithm(set.SigningAlgorithm)
	if !ok {
		return token.Schedule{}, fmt.Errorf("realm %s: unknown signing algorithm", realm.Name)
	}
	return token.Schedule{Algorithm: alg, Rotate: set.KeyRotation, Propagate: max(set.KeyPropagation, KeyLead),
		// Not the present setting: tokens may have been issued under a longer one.
		TokenTTL: max(set.AccessTokenTTL, maxTokenTTL)}, nil
}

// plan does all that is due.
func (c *changeset) plan() error {
	for _, step := range token.PlanKeys(c.keys, c.now, c.schedule) {
		var err error
		switch step.Action {
		case token.ActionGenerate:
			_, err = c.generate(token.KeyPublished, step.Use, step.Algorithm)
		case token.ActionGenerateActive:
			_, err = c.generate(token.KeyActive, step.Use, step.Algorithm)
		case token.ActionActivate:
			err = c.activate(c.byKID(step.KID))
		case token.ActionRetire:
			err = c.retire(c.byKID(step.KID))
		case token.ActionRemove:
			err = c.remove(c.byKID(step.KID))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *changeset) find(match func(*token.StoredKey) bool) *token.StoredKey {
	for i := range c.keys {
		if match(&c.keys[i]) {
			return &c.keys[i]
		}
	}
	return nil
}

func (c *changeset) byKID(kid string) *token.StoredKey {
	return c.find(func(k *token.StoredKey) bool { return k.KID == kid })
}

func (c *changeset) generate(state token.KeyState, use token.KeyUse, alg token.Algorithm) (*token.StoredKey, error) {
	k := c.ready[alg]
	if k == nil {
		c.lacks = alg
		return nil, errNeedKey
	}
	delete(c.ready, alg) // one key, one row
	raw, err := k.MarshalPrivate()
	if err != nil {
		return nil, err
	}
	sealed, err := c.ring.cfg.Box.Seal(raw, place(c.cmd.Realm, k.KID))
	clear(raw)
	if err != nil {
		return nil, err
	}
	sk := token.StoredKey{Realm: c.cmd.Realm, KID: k.KID, Algorithm: string(k.Algorithm), PublicJWK: k.PublicJWK(),
		Private: sealed, State: state, Use: use, CreatedAt: c.now}
	if state == token.KeyActive {
		sk.ActivatedAt = c.now
	}
	if err := c.tx.InsertSigningKey(c.ctx, sk); err != nil {
		return nil, err
	}
	c.keys = append(c.keys, sk)
	c.record(audit.KindSigningKeyCreate, &sk)
	if state == token.KeyActive {
		c.record(audit.KindSigningKeyActivate, &sk)
	}
	return &c.keys[len(c.keys)-1], nil
}

func (c *changeset) update(k *token.StoredKey, kind string) error {
	if err := c.tx.UpdateSigningKey(c.ctx, *k); err != nil {
		return err
	}
	k.Version++ // the store counts too; a second update in this transaction needs it
	c.record(kind, k)
	return nil
}

func (c *changeset) activate(k *token.StoredKey) error {
	k.State, k.ActivatedAt = token.KeyActive, c.now
	return c.update(k, audit.KindSigningKeyActivate)
}

func (c *changeset) retire(k *token.StoredKey) error {
	k.State, k.RetiredAt = token.KeyRetired, c.now
	return c.update(k, audit.KindSigningKeyRetire)
}

func (c *changeset) remove(k *token.StoredKey) error {
	gone := *k
	if err := c.tx.DeleteSigningKey(c.ctx, c.cmd.Realm, gone.KID); err != nil {
		return err
	}
	c.keys = slices.DeleteFunc(c.keys, func(o token.StoredKey) bool { return o.KID == gone.KID })
	c.record(audit.KindSigningKeyRemove, &gone)
	return nil
}

// retireActive retires every key that signs all; the caller puts another in place.
func (c *changeset) retireActive() error {
	for i := range c.keys {
		if c.keys[i].State == token.KeyActive && c.keys[i].Use == token.UseAll {
			if err := c.retire(&c.keys[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *changeset) record(kind string, k *token.StoredKey) {
	actor := c.cmd.Actor
	if actor == (gatehouse.Actor{}) {
		actor = gatehouse.Actor{Kind: gatehouse.KindService, ID: "keyring"}
	}
	c.events = append(c.events, gatehouse.Event{
		Time: c.now, Realm: c.cmd.Realm, Kind: kind, Actor: actor,
		Target:  gatehouse.Target{Type: "signing_key", ID: k.KID},
		Outcome: gatehouse.OutcomeSuccess, Reason: c.cmd.Reason, RequestID: c.cmd.RequestID,
		Detail: map[string]string{"algorithm": k.Algorithm, "state": string(k.State)},
	})
}
