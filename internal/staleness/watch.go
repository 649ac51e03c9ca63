package staleness

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"
)

const (
	// look is how often the age of a stale view is asked for, first how often at the start, which waits.
	look = 250 * time.Millisecond
	// seldom is how often that of a young one is asked for at least: between, it is asked for in the
	// moment from which on it is stale unless something has come.
	seldom = time.Second
	first  = 2 * time.Millisecond
	// slowly is when the log is told of a start that waits.
	slowly = 5 * time.Second
)

// Config is what a [Watch] needs. Every field without a remark is required.
type Config struct {
	// Age tells how long ago somebody else may have changed something that this process
	// does not know of; without end ([math.MaxInt64]) when it knows nothing yet.
	Age func() time.Duration
	// Now is the clock whose times [Watch.Stale] is asked about.
	Now func() time.Time
	// Sole is the right of this process to go on while it is alone and its database away;
	// nil: it never does.
	Sole *Sole
	// Limit is the age beyond which a view is stale, where nobody names another one.
	Limit  time.Duration
	Logger *slog.Logger
}

// Watch knows how old the view of this process is. A nil Watch is of a process that has
// the database to itself: nothing it knows is ever stale. Safe for concurrent use.
type Watch struct {
	cfg   Config
	limit atomic.Int64
	seen  atomic.Pointer[sight]

	served, asked atomic.Int64
	told          atomic.Bool // that requests are served by a view that is too old
}

// sight is what was seen of the view. The times are those at which it was whole, by both
// clocks of the machine: one stands still while the machine sleeps, the other one may be
// set.
type sight struct {
	whole, wall time.Time
	age         time.Duration // when it was looked at
}

// New returns a watch that has looked once. [Watch.Run] goes on.
func New(cfg Config) *Watch {
	w := &Watch{cfg: cfg}
	w.SetLimit(cfg.Limit)
	w.look()
	return w
}

// SetLimit replaces Config.Limit.
func (w *Watch) SetLimit(limit time.Duration) {
	if w != nil {
		w.limit.Store(int64(limit))
	}
}

// Stale reports whether the view was older than limit at a moment, such as the beginning
// of a request; 0 is the limit of the configuration. Before anything was read it is.
//
// It is also while another process may be going on alone, which does not hear what this one
// changes; and it is not while this one may go on alone.
//
// It goes by the clock and not by what was seen last alone: a process that was stopped
// does not look, and must not take what it saw before for news when it wakes up.
func (w *Watch) Stale(at time.Time, limit time.Duration) bool {
	if w == nil {
		return false
	}
	if limit <= 0 {
		limit = time.Duration(w.limit.Load())
	}
	if sole := w.cfg.Sole; sole != nil {
		if r := sole.rights.Load(); r.barred {
			return true
		}
	}
	s, old := w.old(at, limit)
	return old && !w.cfg.Sole.goesOn(at, s, limit)
}

// Old goes by the age of the view alone, and the limit of the configuration.
func (w *Watch) Old(at time.Time) bool {
	if w == nil {
		return false
	}
	_, old := w.old(at, time.Duration(w.limit.Load()))
	return old
}

// old goes by the age of the view alone, which it returns; nil when nobody has looked yet.
func (w *Watch) old(at time.Time, limit time.Duration) (*sight, bool) {
	s := w.seen.Load()
	if s == nil || !s.older(at, limit) {
		return s, s == nil
	}
	w.look() // something may have come since, or the clock was set
	s = w.seen.Load()
	return s, s.older(at, limit)
}

func (s *sight) older(at time.Time, limit time.Duration) bool {
	return s.age > limit || at.Sub(s.whole) > limit || at.Round(0).Sub(s.wall) > limit
}

// Served notes that a request of a moment was answered by a view that is too old, as its
// route wants it, and tells how old it was. The log says so once each time that it begins.
func (w *Watch) Served(at time.Time) (age time.Duration) {
	w.served.Add(1)
	if s := w.seen.Load(); s != nil && s.age < math.MaxInt64 {
		age = took(s.whole, at)
	}
	if !w.told.Swap(true) {
		w.cfg.Logger.Error("requests are answered by what was known of the database, which is too old: their routes say 'stale: serve'", "age", shown(age))
	}
	return age
}

// Asked notes that a request was answered after its credential was asked about.
func (w *Watch) Asked() { w.asked.Add(1) }

// Counts are how many requests were served and asked about; 0 of a nil Watch.
func (w *Watch) Counts() (served, asked int64) {
	if w == nil {
		return 0, 0
	}
	return w.served.Load(), w.asked.Load()
}

// Run looks at the age of the view until ctx ends, and tells the log when it becomes stale
// and when it no longer is.
func (w *Watch) Run(ctx context.Context) error {
	if w == nil {
		return nil
	}
	var before condition
	for {
		select {
		case <-time.After(w.pause()):
		case <-ctx.Done():
			return nil
		}
		age := w.look()
		if now := w.condition(); now != before {
			w.tell(before, now, age)
			before = now
		}
	}
}

// pause is for how long nothing can become stale that was not.
func (w *Watch) pause() time.Duration {
	s := w.seen.Load()
	if s == nil || s.age == math.MaxInt64 {
		return look
	}
	left := time.Duration(w.limit.Load()) - w.cfg.Now().Sub(s.whole)
	if left <= 0 {
		return look
	}
	return min(left+time.Millisecond, seldom)
}

// condition is what the log is told of.
type condition uint8

const (
	young condition = iota
	refusing
	alone
)

func (w *Watch) condition() condition {
	now, limit := w.cfg.Now(), time.Duration(w.limit.Load())
	switch s, old := w.old(now, limit); {
	case !old:
		return young
	case w.cfg.Sole.goesOn(now, s, limit):
		return alone
	}
	return refusing
}

func (w *Watch) tell(before, now condition, age time.Duration) {
	switch now {
	case refusing:
		w.cfg.Logger.Error("what is known of the database is too old; requests that depend on it are refused", "age", shown(age),
			"max_staleness", time.Duration(w.limit.Load()).String())
	case alone:
		w.cfg.Logger.Warn("the database is away; this node is alone, and goes on by what it knows", "age", shown(age), "for", boundText(w.cfg.Sole.cfg.Claim.Bound))
	case young:
		w.told.Store(false)
		if before == refusing {
			w.cfg.Logger.Info("what is known of the database is young again; requests are answered")
			return
		}
		w.cfg.Logger.Info("the database is back")
	}
}

// Await returns once the view is young, or ctx ends. It tells the log when that takes long.
func (w *Watch) Await(ctx context.Context) error {
	if w == nil {
		return nil
	}
	tick, slow := time.NewTicker(first), time.NewTimer(slowly)
	defer tick.Stop()
	defer slow.Stop()
	for {
		w.look()
		if !w.Old(w.cfg.Now()) {
			return nil
		}
		select {
		case <-tick.C:
		case <-slow.C:
			w.cfg.Logger.Warn("waiting for the database to take a first heartbeat; until then nothing is answered")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look notes how old the view is.
func (w *Watch) look() time.Duration {
	now := w.cfg.Now() // before the age: who is stopped in between must find the view too old, not too young
	age := w.cfg.Age()
	s := &sight{age: age}
	if age < math.MaxInt64 {
		s.whole = now.Add(-age)
		s.wall = s.whole.Round(0)
	}
	w.seen.Store(s)
	return age
}

func shown(age time.Duration) string {
	if age == math.MaxInt64 {
		return "unknown"
	}
	return age.Round(time.Millisecond).String()
}
