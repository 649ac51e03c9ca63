package revocation

import (
	"context"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/piecewise"
)

// Purger is the transaction of [Purge].
type Purger interface {
	// PurgeRevocations deletes up to limit status bits and cut-offs with ExpiresAt
	// before the given time and returns how many.
	PurgeRevocations(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Purge is the background job that forgets what has expired by itself and, with a
// Store, loads a view anew that lost its certainty.
type Purge struct {
	View     *View
	Store    Store // may be nil
	Run      gatehouse.Runner[Purger]
	Interval time.Duration // 1 hour by default
	Now      func() time.Time
	Logger   *slog.Logger
}

// reloadEvery is how often it is tried to load a view that is not whole.
const reloadEvery = time.Second

// Work purges at each interval until ctx ends. A failure is logged and tried
// again at the next; records that stay too long do no harm.
func (p *Purge) Work(ctx context.Context) error {
	interval := p.Interval
	if interval <= 0 {
		interval = time.Hour
	}
	t := time.NewTicker(interval)
	defer t.Stop()
	var again <-chan time.Time // nil while the view is whole
	if !p.View.Loaded() {
		again = time.After(reloadEvery)
	}
	load := func() {
		if again = nil; !p.load(ctx) || !p.View.Loaded() {
			again = time.After(reloadEvery)
		}
	}
	for {
		select {
		case <-p.View.behind:
			load()
		case <-again:
			load()
		case <-t.C:
			if _, err := p.once(ctx); err != nil && ctx.Err() == nil {
				p.Logger.Error("expired revocations could not be purged", "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// load reads the store again and reports whether that worked. What the view knew
// before stays in it either way.
func (p *Purge) load(ctx context.Context) bool {
	if p.Store == nil {
		return true
	}
	err := p.View.Load(ctx, p.Store)
	if err != nil && ctx.Err() == nil {
		p.Logger.Error("revocations could not be loaded; trying again", "everything_refused", !p.View.Loaded(), "error", err)
	}
	return err == nil
}

// once purges the store, in transactions that hold up nobody, then the view, and
// returns how many records the store had to forget.
func (p *Purge) once(ctx context.Context) (int64, error) {
	now := p.Now()
	done, err := piecewise.Do(ctx, func(ctx context.Context, limit int) (n int64, err error) {
		err = p.Run(ctx, func(ctx context.Context, tx Purger) error {
			n, err = tx.PurgeRevocations(ctx, now, limit)
			return err
		})
		return n, err
	})
	if err != nil {
		return done, err
	}
	p.View.Purge(now)
	return done, nil
}
