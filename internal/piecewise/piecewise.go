// Package piecewise does work on many records in short transactions, so that
// nobody who also writes waits long: SQLite has one writer, and PostgreSQL's row
// locks last until the commit.
package piecewise

import (
	"context"
	"time"
)

const (
	// goal is how long one piece should take.
	goal    = 5 * time.Millisecond
	fewest  = 16
	initial = 64
	most    = 1 << 14
)

// Do calls piece until it has done fewer records than it was allowed to, and
// returns how many there were in all. Each call is one transaction of its own; how
// many records it may do follows from how long the last one took. Between two
// pieces Do rests three times as long as the piece took, so that at least three
// quarters of the writer, and of the disk, are left for others. It ends with ctx, and with the first error.
func Do(ctx context.Context, piece func(ctx context.Context, limit int) (int64, error)) (done int64, err error) {
	limit := initial
	for {
		begun := time.Now()
		n, err := piece(ctx, limit)
		done += n
		if err != nil || n < int64(limit) {
			return done, err
		}
		took := time.Since(begun)
		switch {
		case took < goal/2:
			limit = min(limit*2, most)
		case took > goal:
			limit = max(limit/2, fewest)
		}
		rest := time.NewTimer(min(3*took, time.Second))
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return done, ctx.Err()
		}
	}
}
