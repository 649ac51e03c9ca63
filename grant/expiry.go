package grant

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/piecewise"
)

// keepEnded is how long grants and opaque tokens stay after their end, so that
// an operator who is asked "why was I logged out" still finds them.
const keepEnded = 24 * time.Hour

// PurgeTx is what the expiry job writes: each removes up to limit records.
type PurgeTx interface {
	PurgeGrants(ctx context.Context, before time.Time, limit int) (int64, error)
	PurgeOpaqueTokens(ctx context.Context, before time.Time, limit int) (int64, error)
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
	// Whoever logs in or out meanwhile writes to the same tables, and must not wait.
	if grants, err = e.purge(ctx, before, PurgeTx.PurgeGrants); err != nil {
		return grants, 0, err
	}
	tokens, err = e.purge(ctx, before, PurgeTx.PurgeOpaqueTokens)
	return grants, tokens, err
}

func (e *Expiry) purge(ctx context.Context, before time.Time, some func(PurgeTx, context.Context, time.Time, int) (int64, error)) (int64, error) {
	return piecewise.Do(ctx, func(ctx context.Context, limit int) (n int64, err error) {
		err = e.Run(ctx, func(ctx context.Context, tx PurgeTx) error {
			n, err = some(tx, ctx, before, limit)
			return err
		})
		return n, err
	})
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
