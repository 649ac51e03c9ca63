package piecewise_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/piecewise"
)

// TestDo: whatever a record costs, all of them are done, no piece holds the
// writer for long once the pace is found, and others get as much of it.
func TestDo(t *testing.T) {
	for _, each := range []time.Duration{10 * time.Nanosecond, 10 * time.Microsecond, 500 * time.Microsecond} {
		synctest.Test(t, func(t *testing.T) {
			const all = 100_000
			left, pieces, begun, busy := int64(all), 0, time.Now(), time.Duration(0)
			n, err := piecewise.Do(t.Context(), func(_ context.Context, limit int) (int64, error) {
				n := min(left, int64(limit))
				left -= n
				took := time.Duration(n) * each
				time.Sleep(took) // the fake clock's
				busy += took
				if pieces++; pieces > 6 && took > 20*time.Millisecond {
					t.Errorf("piece %d of %d records took %v", pieces, n, took)
				}
				return n, nil
			})
			if err != nil || n != all || left != 0 {
				t.Errorf("%d done, %d left, %v", n, left, err)
			}
			if took := time.Since(begun); took < busy*36/10 {
				t.Errorf("busy for %v of %v", busy, took)
			}
		})
	}
}

func TestDoEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		n, err := piecewise.Do(t.Context(), func(_ context.Context, limit int) (int64, error) { return 0, broken })
		if n != 0 || !errors.Is(err, broken) {
			t.Errorf("%d, %v", n, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n, err = piecewise.Do(ctx, func(_ context.Context, limit int) (int64, error) {
			time.Sleep(time.Millisecond)
			return int64(limit), nil
		})
		if n == 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d, %v", n, err)
		}
	})
}
