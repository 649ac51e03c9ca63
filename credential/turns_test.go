package credential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

func newTurns(t *testing.T, cfg HasherConfig) *Hasher {
	t.Helper()
	h, err := NewHasher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// evaluates is an evaluation that takes so long, and nothing of the machine.
func evaluates(h *Hasher, ctx context.Context, d time.Duration) error {
	return h.run(ctx, func() { time.Sleep(d) })
}

// TestKnownGoFirst: those who go first have the next turns, in the order of their coming, and then the
// others in theirs; a lane that is full keeps nobody of the other one out.
func TestKnownGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTurns(t, HasherConfig{Slots: 1, Queue: 3})
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		come := func(name string, ctx context.Context) {
			all.Go(func() {
				err := h.run(ctx, func() {
					time.Sleep(40 * time.Millisecond)
					mu.Lock()
					order = append(order, name)
					mu.Unlock()
				})
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
			synctest.Wait()
		}
		first := GoFirst(t.Context())
		come("runs", t.Context())
		for i := range 3 {
			come(fmt.Sprint("other ", i), t.Context())
		}
		for i := range 3 {
			come(fmt.Sprint("known ", i), first)
		}
		for what, ctx := range map[string]context.Context{"one more": t.Context(), "one more who is known": first} {
			if err := evaluates(h, ctx, 0); gatehouse.CodeOf(err) != "password_queue_full" {
				t.Errorf("%s: %v", what, err)
			}
		}
		if n := h.Stats().Waiting; n != 6 {
			t.Errorf("%d wait", n)
		}
		all.Wait()
		if want := []string{"runs", "known 0", "known 1", "known 2", "other 0", "other 1", "other 2"}; !slices.Equal(order, want) {
			t.Errorf("in the order %q", order)
		}
	})
}

// TestLongestWait: nobody waits for longer than it is said, and whoever is refused is told when those who
// wait now will have had their turn: then there is room.
func TestLongestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTurns(t, HasherConfig{Slots: 2, Queue: 64})
		_ = evaluates(h, t.Context(), 100*time.Millisecond) // it is known how long one takes
		var all sync.WaitGroup
		var in, refused atomic.Int64
		began := time.Now()
		for range 200 {
			all.Go(func() {
				came := time.Now()
				err := h.run(context.Background(), func() {
					if waited := time.Since(came); waited > 5*time.Second {
						t.Errorf("waited for %s", waited)
					}
					time.Sleep(100 * time.Millisecond)
				})
				var e *gatehouse.Error
				switch {
				case err == nil:
					in.Add(1)
				case errors.As(err, &e) && e.Code == "password_queue_full" && time.Since(came) == 0:
					refused.Add(1)
					if e.RetryAfter != 4*time.Second { // 66 of them, two at once
						t.Errorf("told to come again in %s", e.RetryAfter)
					}
					time.Sleep(e.RetryAfter - time.Since(began))
					if n := h.Stats().Waiting; n != 0 {
						t.Errorf("%d wait when it was said that there is room", n)
					}
				default:
					t.Errorf("%v after %s", err, time.Since(came))
				}
			})
		}
		all.Wait()
		if in.Load() != 66 || refused.Load() != 134 {
			t.Errorf("%d let in, %d refused", in.Load(), refused.Load())
		}
	})
}

// TestLeftTheQueue: whoever leaves, or waited too long, takes nobody's turn.
func TestLeftTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTurns(t, HasherConfig{Slots: 1, Queue: 8, QueueTimeout: time.Second})
		var all sync.WaitGroup
		all.Go(func() { _ = evaluates(h, context.Background(), time.Minute) })
		synctest.Wait()
		left, leave := context.WithCancel(t.Context())
		all.Go(func() {
			if err := evaluates(h, left, 0); !errors.Is(err, context.Canceled) {
				t.Errorf("who left: %v", err)
			}
		})
		began := time.Now()
		all.Go(func() {
			if err := evaluates(h, GoFirst(context.Background()), 0); gatehouse.CodeOf(err) != "password_queue_full" || time.Since(began) != time.Second {
				t.Errorf("who waited: %v after %s", err, time.Since(began))
			}
		})
		synctest.Wait()
		leave()
		all.Wait()
		if s := h.Stats(); s.Waiting != 0 || s.Refused != 1 || h.turns.busy != 0 {
			t.Errorf("%+v, %d at work", s, h.turns.busy)
		}
		for range 3 {
			if err := evaluates(h, context.Background(), time.Millisecond); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestTurnsUnderLoad: however many come, leave and wait too long at once, no more run than may, and every
// turn is given back.
func TestTurnsUnderLoad(t *testing.T) {
	turns := &turns{slots: 2, room: 5, longest: time.Millisecond}
	var running, most atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for n := range 200 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n%5)*time.Millisecond/2+time.Microsecond)
				if i%2 == 0 {
					ctx = GoFirst(ctx)
				}
				if turns.take(ctx) == nil {
					now := running.Add(1)
					for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
					}
					running.Add(-1)
					turns.give(time.Microsecond)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if turns.busy != 0 || turns.waiting() != 0 || most.Load() > 2 {
		t.Errorf("%d at work, %d wait, at most %d ran", turns.busy, turns.waiting(), most.Load())
	}
}

// TestTurnForWhoHasLeft: a turn that comes to somebody who has just left goes on to the next.
func TestTurnForWhoHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := &turns{slots: 1, room: 5, longest: time.Second}
		_ = turns.take(t.Context())
		left, leave := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- turns.take(left) }()
		synctest.Wait()
		go func() { ended <- turns.take(t.Context()) }()
		synctest.Wait()
		turns.mu.Lock()
		leave()
		turns.next() // to who has left, and does not know of it yet
		turns.mu.Unlock()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the next: %v", err)
		}
		turns.give(time.Millisecond)
		if turns.busy != 0 {
			t.Error("a turn is lost")
		}
	})
}
