package staleness

import (
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// clockStep is how far this node's time may be from the database's before it is set
	// anew, or more where the database took long to answer.
	clockStep = 10 * time.Millisecond
	// ClockOff is how far the machine's clock may be off before somebody is told.
	ClockOff = 2 * time.Second
)

// Clock is the time of all nodes: the database's. Credentials are issued by one node and
// cut off by another ("nothing issued until now"), so a node whose own clock is ahead would
// issue what such an end does not reach, and one whose clock is behind would leave
// something alive that was issued a moment before it ended.
//
// Between two measurements it goes on by the machine's monotonic clock: that somebody sets
// the time of day changes nothing. Until the first one, and where there is no other node,
// it is the machine's own clock. Safe for concurrent use.
type Clock struct {
	own    func() time.Time
	logger *slog.Logger
	set    atomic.Pointer[anchor]
	off    atomic.Int64 // how far the machine's clock is ahead of the database's
	told   atomic.Bool
}

// anchor is one moment by both clocks.
type anchor struct{ own, database time.Time }

// NewClock makes a clock of the machine's.
func NewClock(own func() time.Time) *Clock {
	return &Clock{own: own, logger: slog.New(slog.DiscardHandler)}
}

// Tell has the clock tell a log when the machine's is off.
func (c *Clock) Tell(logger *slog.Logger) { c.logger = logger }

// Now is the time.
func (c *Clock) Now() time.Time {
	now := c.own()
	if a := c.set.Load(); a != nil {
		return a.database.Add(now.Sub(a.own))
	}
	return now
}

// Offset is how far the machine's clock is ahead of the database's; negative when behind.
func (c *Clock) Offset() time.Duration { return time.Duration(c.off.Load()) }

// measured notes what the database's clock was at a moment between two of the machine's.
// A measurement that took long says little, and one in the middle of which the process was
// stopped nothing: it counts only as far as it could not have been otherwise.
func (c *Clock) measured(asked, answered, database time.Time) {
	took := answered.Sub(asked)
	if took < 0 || took > soleWait {
		return
	}
	middle := asked.Add(took / 2)
	c.off.Store(int64(middle.Round(0).Sub(database)))
	is := middle
	if a := c.set.Load(); a != nil {
		is = a.database.Add(middle.Sub(a.own))
	}
	if off := is.Round(0).Sub(database); off.Abs() > max(clockStep, took/2) || c.set.Load() == nil {
		c.set.Store(&anchor{middle, database.Round(0)})
	}
	switch off := c.Offset(); {
	case off.Abs() > ClockOff && !c.told.Swap(true):
		c.logger.Warn("the clock of this machine is off; the database's counts", "ahead", off.Round(time.Millisecond).String())
	case off.Abs() <= ClockOff && c.told.Swap(false):
		c.logger.Info("the clock of this machine is right again")
	}
}
