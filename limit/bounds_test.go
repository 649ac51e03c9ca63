package limit

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each bound of a rate holds on both of its sides, and no rate divides by zero.
func TestRateBounds(t *testing.T) {
	for _, tt := range []struct {
		name string
		rate Rate
		ok   bool
	}{
		{"one in a nanosecond", Rate{1, 1, 0}, true},
		{"most events, longest window", Rate{maxLimit, maxWindow, 0}, true},
		{"one event too many", Rate{maxLimit + 1, maxWindow, 1}, false},
		{"one nanosecond too long", Rate{1, maxWindow + 1, 1}, false},
		{"no events but a burst", Rate{0, time.Second, 1}, false},
		{"no window but a burst", Rate{1, 0, 1}, false},
		{"negative events but a burst", Rate{-1, time.Second, 1}, false},
		{"less than a nanosecond an event", Rate{2, 1, 0}, false},
		{"largest burst", Rate{1, 1, maxLimit}, true},
		{"one more in the burst", Rate{1, 1, maxLimit + 1}, false},
		{"largest debt", Rate{1, 1<<31 - 1, 1 << 30}, true},
		{"a nanosecond more of debt", Rate{1, 1 << 31, 1 << 30}, false},
	} {
		if err := tt.rate.Validate(); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// A refused event says how long until the whole limit is free, also long after the start.
func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{})
		time.Sleep(time.Hour)
		for i, want := range []Result{
			{OK: true, Limit: 2, Remaining: 1, Reset: 500 * time.Millisecond},
			{OK: true, Limit: 2, Reset: time.Second, RetryAfter: 500 * time.Millisecond},
			{Limit: 2, Reset: time.Second, RetryAfter: 500 * time.Millisecond},
		} {
			if got := l.AllowIn("", "k", Rate{2, time.Second, 0}); got != want {
				t.Errorf("ask %d: %+v, want %+v", i, got, want)
			}
		}
	})
}

// A full table is swept at once and then every 250 ms, however many new keys knock: a
// sweep visits every key.
func TestFullTableIsSweptSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{MaxKeys: 2})
		start, rate := time.Now(), Rate{1, 10 * time.Millisecond, 0}
		for i, step := range []struct {
			at      time.Duration
			held    int
			spilled int64
		}{
			{0, 1, 0}, {0, 2, 0}, {0, 2, 1}, // full: swept for the first time, nothing idle
			{200 * time.Millisecond, 2, 2}, // idle, but not due
			{250 * time.Millisecond, 1, 2}, {250 * time.Millisecond, 2, 2},
			{300 * time.Millisecond, 2, 3},
			{500 * time.Millisecond, 1, 3},
		} {
			time.Sleep(step.at - time.Since(start))
			l.AllowIn("", fmt.Sprint(i), rate)
			if held, spilled := l.Keys(); held != step.held || spilled != step.spilled {
				t.Errorf("step %d: %d held, %d spilled, want %+v", i, held, spilled, step)
			}
		}
	})
}

// A key that owes nothing any more goes at that very moment, and is counted.
func TestSweepCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{})
		for i := range 3 {
			l.AllowIn("", fmt.Sprint(i), Rate{1, 10 * time.Millisecond, 0})
		}
		time.Sleep(10*time.Millisecond - 1)
		if n := l.sweep(); n != 0 {
			t.Errorf("%d swept too early", n)
		}
		time.Sleep(time.Nanosecond)
		if n := l.sweep(); n != 3 {
			t.Errorf("%d swept, want 3", n)
		}
	})
}

// The table has room by default, and what spills from a full one is spread over all buckets.
func TestRoomAndBuckets(t *testing.T) {
	l, full := New(Config{}), New(Config{MaxKeys: 1})
	for i := range 5000 {
		l.AllowIn("", fmt.Sprint(i), Rate{1, time.Hour, 0})
		full.AllowIn("", fmt.Sprint(i), Rate{1, time.Hour, 0})
	}
	if held, spilled := l.Keys(); held != 5000 || spilled != 0 {
		t.Errorf("%d held, %d spilled", held, spilled)
	}
	if n := full.overflow.Size(); n != overflowBuckets {
		t.Errorf("%d buckets in use, want %d", n, overflowBuckets)
	}
}

// A scope cannot lend its end to the key, whatever its length.
func TestScopeIsFramed(t *testing.T) {
	for _, n := range []int{1, 255, 256, 257, 512} {
		l, text := New(Config{}), strings.Repeat("a", n)
		if !l.AllowIn(text, "", Rate{1, time.Hour, 0}).OK || !l.AllowIn("", text, Rate{1, time.Hour, 0}).OK {
			t.Errorf("a scope of %d letters and a key of as many are one", n)
		}
	}
}
