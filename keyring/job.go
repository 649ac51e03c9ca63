package keyring

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Run does what is due for every realm, now and then at each interval, until ctx
// ends. A failure for one realm is logged and tried again at the next interval;
// it keeps nobody else waiting. Any number of nodes may run it: the transaction
// decides who was first.
func (r *Ring) Run(ctx context.Context) error {
	ticker := time.NewTicker(r.cfg.Interval)
	defer ticker.Stop()
	for {
		r.once(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (r *Ring) once(ctx context.Context) {
	realms, err := r.cfg.Store.Realms(ctx)
	if err != nil {
		r.cfg.Logger.Error("reading realms for key rotation failed", "error", err)
		return
	}
	for _, realm := range realms {
		if ctx.Err() != nil {
			return
		}
		if err := r.tend(ctx, realm); err != nil && ctx.Err() == nil {
			if errors.Is(err, gatehouse.Conflict) {
				continue // another node was first
			}
			r.cfg.Logger.Error("key rotation failed", "realm", realm.Name, "error", err)
		}
	}
}

// tend looks outside a transaction whether anything is due, so that an idle
// system writes nothing, and heals a realm whose keys could not be read.
func (r *Ring) tend(ctx context.Context, realm gatehouse.Realm) error {
	if r.snapshot(realm.Name) == nil {
		if err := r.reload(ctx, realm.Name); err != nil {
			return err
		}
	}
	keys, err := r.cfg.Store.SigningKeys(ctx, realm.Name)
	if err != nil {
		return err
	}
	schedule, err := r.schedule(realm)
	if err != nil {
		return err
	}
	if len(token.PlanKeys(keys, r.cfg.Now(), schedule)) == 0 {
		return nil
	}
	return r.EnsureRealm(ctx, realm.Name)
}
