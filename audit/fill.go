package audit

import (
	"context"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// FilterFill makes the filters of batches that were taken into the log before there
// were any. Until it is done, searches read those batches.
type FilterFill struct {
	Reader Reader
	Run    gatehouse.Runner[FilterWriter]
	Realms func(ctx context.Context) ([]gatehouse.Realm, error)
	Logger *slog.Logger
}

// Work fills realm after realm and ends. What fails is logged and done at the next
// start.
func (f *FilterFill) Work(ctx context.Context) error {
	realms, err := f.Realms(ctx)
	for i := 0; err == nil && i < len(realms); i++ {
		err = f.Fill(ctx, realms[i].Name)
	}
	if err != nil && ctx.Err() == nil {
		f.Logger.Error("filters for searches of the audit log could not be made", "error", err)
	}
	return nil
}

// Fill makes filters from the oldest one of the realm down to its first batch. Each
// is a transaction of its own, and is computed before that begins; in between it
// rests for as long as that took.
func (f *FilterFill) Fill(ctx context.Context, realm string) error {
	oldest, err := f.Reader.SearchFilters(ctx, realm, FilterQuery{Limit: 1})
	if err != nil {
		return err
	}
	below := int64(0) // filters are made for positions below it; 0: for all
	if len(oldest) > 0 {
		below = oldest[0].First
	}
	for {
		begun := time.Now()
		made, err := f.next(ctx, realm, below)
		if err != nil || made == nil {
			return err
		}
		if err := f.Run(ctx, func(ctx context.Context, tx FilterWriter) error { return tx.PutSearchFilter(ctx, *made) }); err != nil {
			return err
		}
		below = made.First
		rest := time.NewTimer(min(time.Since(begun), time.Second))
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return ctx.Err()
		}
	}
}

// next makes one filter of the newest sequenced batches below a position; nil when
// there are none.
func (f *FilterFill) next(ctx context.Context, realm string, below int64) (*SearchFilter, error) {
	if below == 1 {
		return nil, nil
	}
	var m filterMaker
	for {
		batches, err := f.Reader.Batches(ctx, realm, BatchQuery{Descending: true, After: below, Limit: fillPage})
		if err != nil {
			return nil, err
		}
		for i := range batches {
			b := &batches[i]
			below = b.Position
			switch {
			case b.FirstIndex >= 0:
				m.add(b)
			case len(m.made) > 0: // nothing that waits is older than what is in the log
				return &m.made[0], nil
			}
			if len(m.made) > 1 { // the first one takes no more
				return &m.made[0], nil
			}
		}
		if len(batches) < fillPage {
			break
		}
	}
	if len(m.made) == 0 {
		return nil, nil
	}
	return &m.made[0], nil
}

// fillPage is how many batches are read at once: one may be of half a MiB.
const fillPage = 8
