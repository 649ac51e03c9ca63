package staleness

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestClock: the time is the database's, by the machine's monotonic clock between two
// measurements, however far off the machine's own is, and whoever sets it.
func TestClock(t *testing.T) {
	w := new(world)
	real := time.Now()
	off := 30 * time.Second
	c := NewClock(func() time.Time { return real.Add(off) })
	c.Tell(slog.New(slog.NewTextHandler(w, nil)))
	if got := c.Now(); !got.Equal(real.Add(off)) || c.Offset() != 0 {
		t.Errorf("before anything was measured: %v", got.Sub(real))
	}
	measure := func(took time.Duration) {
		asked := c.own()
		database := real.Add(took / 2)
		real = real.Add(took)
		c.measured(asked, c.own(), database)
	}
	near := func(what string, within time.Duration) {
		t.Helper()
		if got := c.Now().Round(0).Sub(real.Round(0)); got.Abs() > within {
			t.Errorf("%s: off by %v", what, got)
		}
	}
	measure(4 * time.Millisecond)
	near("ahead by 30 s", time.Millisecond)
	if c.Offset() != off || !strings.Contains(w.said(), "ahead=30s") {
		t.Errorf("offset %v", c.Offset())
	}
	real = real.Add(time.Hour)
	near("an hour later", time.Millisecond)
	before := c.set.Load()
	measure(4 * time.Millisecond)
	if c.set.Load() != before || w.said() != "" {
		t.Error("it was set anew, or told again, for nothing")
	}
	off = -time.Minute // both clocks of the machine
	measure(2 * time.Millisecond)
	near("behind by a minute", time.Millisecond)
	// What took long says little: it is set no more exactly than it was measured.
	asked := c.own()
	real = real.Add(time.Second)
	c.measured(asked, c.own(), real.Add(-100*time.Millisecond)) // an honest answer that was slow on its way back
	near("a slow answer", time.Second/2)
	// The process was stopped in the middle: nothing is known.
	asked = c.own()
	database := real
	real = real.Add(20 * time.Second)
	before = c.set.Load()
	c.measured(asked, c.own(), database)
	if c.set.Load() != before {
		t.Error("set by a measurement in the middle of which the process was stopped")
	}
	w.said()
	off = 0
	measure(time.Millisecond)
	if got := w.said(); c.Offset().Abs() > time.Millisecond || !strings.Contains(got, "right again") {
		t.Errorf("offset %v: %q", c.Offset(), got)
	}
}

// TestClockIsNotSet: that somebody sets the machine's time of day changes nothing, not for
// a moment.
func TestClockIsNotSet(t *testing.T) {
	began := time.Now()
	var own time.Time
	c := NewClock(func() time.Time { return own })
	own = began
	c.measured(own, own, began.Round(0))
	own = began.Add(time.Second) // by the monotonic clock; its wall clock cannot be set apart from it here
	if got := c.Now(); !got.Equal(began.Round(0).Add(time.Second)) || strings.Contains(got.String(), "m=") {
		t.Errorf("%v", got)
	}
}
