package clients

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// Unused finds clients that nobody looked at and that nobody uses.
type Unused interface {
	UnusedClients(ctx context.Context, before time.Time, limit int) ([]client.Client, error)
}

// TokenPurger removes tokens by which nobody registers any more.
type TokenPurger interface {
	PurgeInitialTokens(ctx context.Context, before time.Time) error
}

// unusedFor is how long a client that registered itself stays without a grant. It can register again.
const unusedFor = 30 * aDay

// Expiry removes what is left of clients that registered themselves, or are described by a document.
type Expiry struct {
	Service *Service
	Unused  Unused
	Run     gatehouse.Runner[TokenPurger]
	Logger  *slog.Logger
	Now     func() time.Time
}

// Purge takes one turn.
func (e *Expiry) Purge(ctx context.Context) error {
	before := e.Now().Add(-unusedFor)
	for {
		list, err := e.Unused.UnusedClients(ctx, before, 100)
		if err != nil {
			return err
		}
		for _, c := range list {
			err := e.Service.remove(ctx, nil, c.Realm, c.ID, audit.KindClientExpire, func(now client.Client) error {
				if !now.Unverified() || now.Disabled && !now.Dynamic() || !now.UpdatedAt.Before(before) {
					return errUnknown // it came back to life
				}
				return nil
			})
			if err != nil && !errors.Is(err, gatehouse.NotFound) {
				return err
			}
		}
		if len(list) < 100 {
			break
		}
	}
	return e.Run(ctx, func(ctx context.Context, tx TokenPurger) error { return tx.PurgeInitialTokens(ctx, e.Now().Add(-aDay)) })
}

// Loop takes a turn every few hours until ctx ends.
func (e *Expiry) Loop(ctx context.Context) error {
	tick := time.NewTicker(6 * time.Hour)
	defer tick.Stop()
	for {
		if err := e.Purge(ctx); err != nil && ctx.Err() == nil {
			e.Logger.ErrorContext(ctx, "clients that nobody uses could not be removed", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
