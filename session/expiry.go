package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/piecewise"
)

// keepOver is how long sessions stay after their end, so that a person who looks at his
// sessions, or an operator who is asked "why was I signed out", still finds them.
const keepOver = 24 * time.Hour

// PurgeTx is what the expiry job writes: it removes up to limit records.
type PurgeTx interface {
	PurgeSessions(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Expiry removes sessions a day after they were over. What has been removed is refused as
// unknown.
type Expiry struct {
	Run    gatehouse.Runner[PurgeTx]
	Logger *slog.Logger
	Now    func() time.Time
}

// every is how often the job runs.
const every = 10 * time.Minute

// Work purges at every interval until ctx ends. A round that fails is logged and tried again
// at the next.
func (e *Expiry) Work(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := e.round(ctx); err != nil && ctx.Err() == nil {
			e.Logger.ErrorContext(ctx, "sessions that are over could not be purged", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// round purges once, in transactions that hold up nobody.
func (e *Expiry) round(ctx context.Context) error {
	before := e.Now().Add(-keepOver)
	_, err := piecewise.Do(ctx, func(ctx context.Context, limit int) (n int64, err error) {
		err = e.Run(ctx, func(ctx context.Context, tx PurgeTx) error {
			n, err = tx.PurgeSessions(ctx, before, limit)
			return err
		})
		return n, err
	})
	return err
}
