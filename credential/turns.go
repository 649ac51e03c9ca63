package credential

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

type firstKey struct{}

// GoFirst has the evaluations for ctx go before those of all others that wait: for people who
// are known, so that those who only try do not keep them waiting.
func GoFirst(ctx context.Context) context.Context {
	return context.WithValue(ctx, firstKey{}, true)
}

// turns gives out turns to evaluate: so many at once, in the order of coming, those who go
// first before the others. Each of the two lanes has room for so many; when one is full, the
// other goes on.
type turns struct {
	slots, room int
	longest     time.Duration // that somebody waits

	mu    sync.Mutex
	busy  int
	lanes [2][]chan struct{} // closed when it is one's turn; those who go first stand in the first
	mean  time.Duration      // of the last evaluations
}

// take waits for a turn; [turns.give] ends it. Errors: password_queue_full, with the time in
// which those who wait now had their turn, and those of ctx.
func (t *turns) take(ctx context.Context) error {
	lane := 1
	if first, _ := ctx.Value(firstKey{}).(bool); first {
		lane = 0
	}
	t.mu.Lock()
	if t.busy < t.slots { // then nobody waits
		t.busy++
		t.mu.Unlock()
		return nil
	}
	if len(t.lanes[lane]) >= t.room {
		defer t.mu.Unlock()
		return t.full()
	}
	mine := make(chan struct{})
	t.lanes[lane] = append(t.lanes[lane], mine)
	t.mu.Unlock()
	timer := time.NewTimer(t.longest)
	defer timer.Stop()
	select {
	case <-mine:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(t.lanes[lane], mine)
	switch {
	case at >= 0:
		t.lanes[lane] = slices.Delete(t.lanes[lane], at, at+1)
	case ctx.Err() == nil: // it came at the last moment
		return nil
	default:
		t.next()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return t.full()
}

// give ends a turn that took so long.
func (t *turns) give(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const weight = 8
	if t.mean == 0 {
		t.mean = took
	}
	t.mean += (took - t.mean) / weight
	t.next()
}

// next gives a turn that is over to who waits.
func (t *turns) next() {
	for i, lane := range t.lanes {
		if len(lane) > 0 {
			close(lane[0])
			t.lanes[i] = slices.Delete(lane, 0, 1)
			return
		}
	}
	t.busy--
}

func (t *turns) waiting() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(len(t.lanes[0]) + len(t.lanes[1]))
}

// full is the answer to who has no place, or waited for too long.
func (t *turns) full() error {
	ahead := len(t.lanes[0]) + len(t.lanes[1]) + t.slots
	e := *errQueueFull
	e.RetryAfter = max(min(time.Duration(ahead)*t.mean/time.Duration(t.slots), t.longest), time.Second)
	e.RetryAfter = (e.RetryAfter + time.Second - 1).Truncate(time.Second) // it has no smaller unit
	return &e
}

var errQueueFull = gatehouse.E(gatehouse.Unavailable, "password_queue_full",
	"Too many passwords are being checked at the moment. Try again shortly.")
