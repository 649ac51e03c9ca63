package staleness

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// world is a database that a view follows, with the clock of the process.
type world struct {
	age atomic.Int64
	mu  sync.Mutex
	log bytes.Buffer
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.log.Reset()
	return w.log.String()
}

func (w *world) watch(now func() time.Time) *Watch {
	return New(Config{Age: func() time.Duration { return time.Duration(w.age.Load()) }, Now: now, Limit: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(w, nil))})
}

// TestStale: a view is stale once it is older than the limit, at the moment that is asked
// about, whether or not anybody has looked since.
func TestStale(t *testing.T) {
	began := time.Now()
	wall := began.Round(0) // a clock without a monotonic reading
	for name, now := range map[string]time.Time{"both clocks": began, "wall clock": wall} {
		w := new(world)
		w.age.Store(int64(time.Second))
		view := w.watch(func() time.Time { return now })
		for _, c := range []struct {
			after, limit time.Duration
			want         bool
		}{
			{0, 0, false}, {4 * time.Second, 0, false}, {4*time.Second + 1, 0, true}, {time.Hour, 0, true},
			{time.Second, 2 * time.Second, false}, {time.Second + 1, 2 * time.Second, true}, {0, time.Second, false}, {0, time.Second - 1, true},
			{58 * time.Second, time.Minute, false}, {-time.Hour, 0, false},
		} {
			if got := view.Stale(now.Add(c.after), c.limit); got != c.want {
				t.Errorf("%s: %v after it was looked at, limit %v: %v", name, c.after, c.limit, got)
			}
		}
		view.SetLimit(time.Second)
		if !view.Stale(now.Add(1), 0) || view.Stale(now, 0) {
			t.Errorf("%s: another limit changes nothing", name)
		}
	}
}

// TestStaleByEitherClock: a machine that slept has a monotonic clock that stood still, and
// one whose time of day was set back has a wall clock that did.
func TestStaleByEitherClock(t *testing.T) {
	began := time.Now()
	for name, seen := range map[string]sight{
		"it slept":                     {whole: began, wall: began.Add(-6 * time.Second).Round(0)},
		"its time of day was set back": {whole: began.Add(-6 * time.Second), wall: began.Add(time.Hour).Round(0)},
	} {
		w := new(world)
		view := w.watch(func() time.Time { return began })
		w.age.Store(int64(6 * time.Second)) // which nobody has looked at since
		view.seen.Store(&seen)
		if !view.Stale(began, 0) {
			t.Errorf("%s, and it is not stale", name)
		}
		w.age.Store(int64(time.Second)) // it was only the clock
		view.seen.Store(&seen)
		if view.Stale(began, 0) {
			t.Errorf("%s, and what came since is not seen", name)
		}
	}
}

// TestNothingIsKnown: before anything was read nothing may be answered, however large the
// limit; and a process that has the database to itself is never asked to wait.
func TestNothingIsKnown(t *testing.T) {
	w := new(world)
	w.age.Store(math.MaxInt64)
	for _, limit := range []time.Duration{0, time.Hour, math.MaxInt64 - 1} {
		if !w.watch(time.Now).Stale(time.Now(), limit) {
			t.Errorf("limit %v: nothing was read, and it is not stale", limit)
		}
	}
	if !new(Watch).Stale(time.Now(), time.Hour) {
		t.Error("a watch that never looked says that the view is young")
	}
	var alone *Watch
	if alone.SetLimit(time.Second); alone.Stale(time.Now(), 0) || alone.Run(t.Context()) != nil {
		t.Error("who is alone has a stale view")
	}
}

// TestStoppedWhileLooking: a process that is stopped between its look at the clock and its
// question for the age, and one that is stopped before, takes the view for older than it
// is and never for younger.
func TestStoppedWhileLooking(t *testing.T) {
	began := time.Now()
	now, stopped := began, time.Duration(0)
	after := func() { now, stopped = now.Add(stopped), 0 } // each question may be the last one before
	view := New(Config{Limit: 5 * time.Second, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { defer after(); return now },
		Age: func() time.Duration { defer after(); return now.Sub(began) + time.Second }})
	if view.Stale(now, 0) {
		t.Fatal("stale from the beginning")
	}
	stopped = time.Minute
	view.look()
	if seen := view.seen.Load(); !seen.older(now, 5*time.Second) {
		t.Errorf("stopped for a minute in the middle, and the view is %v old", now.Sub(seen.whole))
	}
}

// TestTold: the log says once that requests are refused, and once that they no longer are.
func TestTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		view := w.watch(time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- view.Run(ctx) }()
		for range 3 {
			w.age.Store(int64(time.Second))
			time.Sleep(time.Minute)
			if got := w.said(); got != "" {
				t.Errorf("while it is young: %s", got)
			}
			w.age.Store(int64(6 * time.Second))
			time.Sleep(time.Minute)
			if got := w.said(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "age=6s max_staleness=5s") {
				t.Errorf("when it gets old: %q", got)
			}
			w.age.Store(int64(time.Second))
			time.Sleep(time.Second)
			if got := w.said(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=INFO") {
				t.Errorf("when it is young again: %q", got)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestAwait: a start waits until the view is young, tells once that it waits for long, and
// ends when it is told to.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		w.age.Store(math.MaxInt64)
		view := w.watch(time.Now)
		began := time.Now()
		time.AfterFunc(time.Minute, func() { w.age.Store(int64(time.Second)) })
		if err := view.Await(t.Context()); err != nil || time.Since(began).Round(time.Second) != time.Minute || view.Stale(time.Now(), 0) {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if got := w.said(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") {
			t.Errorf("it says %q", got)
		}
		if err := view.Await(t.Context()); err != nil || time.Since(began).Round(time.Second) != time.Minute || w.said() != "" {
			t.Errorf("a young view is waited for: %v", err)
		}
		w.age.Store(math.MaxInt64)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := view.Await(ctx); err == nil {
			t.Error("it never became young, and the start goes on")
		}
		var alone *Watch
		if err := alone.Await(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestAskingCostsNothing: the question that every request asks allocates nothing.
func TestAskingCostsNothing(t *testing.T) {
	view, at := new(world).watch(time.Now), time.Now()
	if n := testing.AllocsPerRun(100, func() { view.Stale(at, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkStale(b *testing.B) {
	view, at := new(world).watch(time.Now), time.Now()
	for b.Loop() {
		view.Stale(at, 0)
	}
}
