package grant

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// keepEnded is how long grants and opaque tokens stay after their end, so that
// an operator who is asked "why was I logged out" still finds them.
const keepEnded = 24 * time.Hour

// PurgeTx is what the expiry job writes.
type PurgeTx interface {
	PurgeGrants(ctx context.Context, before time.Time) (int64, error)
	PurgeOpaqueTokens(ctx context.Context, before time.Time) (int64, error)
}

// Expiry removes grants (with their refresh tokens) and opaque tokens a day
// after their last possible use. A refresh token that has been removed is
// refused as unknown, so nothing becomes valid by it.
type Expiry struct {
	Run    gatehouse.Runner[PurgeTx]
	Every  time.Duration // 0 is 10 minutes
	Logger *slog.Logger
	Now    func() time.Time
}

// Purge does one round and returns how many records went.
func (e *Expiry) Purge(ctx context.Context) (grants, tokens int64, err error) {
	if e.Run == nil || e.Now == nil {
		return 0, 0, errors.New("grant: Expiry needs Run and Now")
	}
	before := e.Now().Add(-keepEnded)
	err = e.Run(ctx, func(ctx context.Context, tx PurgeTx) (err error) {
		if grants, err = tx.PurgeGrants(ctx, before); err != nil {
			return err
		}
		tokens, err = tx.PurgeOpaqueTokens(ctx, before)
		return err
	})
	return grants, tokens, err
}

// Loop purges at every interval until ctx ends. A round that fails is logged
// and tried again at the next.
func (e *Expiry) Loop(ctx context.Context) error {
	every := e.Every
	if every <= 0 {
		every = 10 * time.Minute
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if _, _, err := e.Purge(ctx); err != nil && ctx.Err() == nil && e.Logger != nil {
			e.Logger.ErrorContext(ctx, "purge of expired grants failed", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
