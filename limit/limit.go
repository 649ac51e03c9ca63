package limit

import (
	"context"
	"errors"
	"hash/maphash"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// Rate allows Limit events per Window, evenly spread, with up to Burst at once.
// The zero Rate does not limit.
type Rate struct {
	Limit  int
	Window time.Duration
	Burst  int // 0: Limit
}

const (
	maxWindow = 31 * 24 * time.Hour
	maxLimit  = 1 << 30
)

// IsZero reports whether r does not limit at all.
func (r Rate) IsZero() bool { return r == Rate{} }

// Validate says what is wrong with r, for configuration. A limiter treats an
// invalid rate as one that allows nothing.
func (r Rate) Validate() error {
	if r.IsZero() {
		return nil
	}
	if _, _, ok := r.gcra(); !ok {
		return errors.New("limit: a rate needs a limit and a window above zero, at most 2^30 events in 31 days, and a burst not below zero")
	}
	return nil
}

// gcra returns the time that one event costs and the most that may be owed, in
// nanoseconds.
func (r Rate) gcra() (interval, tolerance int64, ok bool) {
	burst := r.burst()
	if r.Limit <= 0 || r.Limit > maxLimit || r.Window <= 0 || r.Window > maxWindow || burst <= 0 || burst > maxLimit {
		return 0, 0, false
	}
	interval = int64(r.Window) / int64(r.Limit)
	if interval <= 0 || int64(burst) > math.MaxInt64/4/interval {
		return 0, 0, false
	}
	return interval, interval * int64(burst), true
}

func (r Rate) burst() int {
	if r.Burst == 0 {
		return r.Limit
	}
	return r.Burst
}

// Result of one question to a [Limiter].
type Result struct {
	OK        bool
	Limit     int           // events at once
	Remaining int           // events that would be allowed right now
	Reset     time.Duration // until the whole limit is free again
	// RetryAfter is how long until one more event is allowed; 0 when it is now.
	RetryAfter time.Duration
}

// Config of a [Limiter].
type Config struct {
	// MaxKeys bounds the table: 131,072 keys when 0, about 12 MB when full.
	MaxKeys int
	// Shared counts for all nodes, exactly, while it is there. Otherwise, and without it,
	// each of Nodes counts its share.
	Shared Shared
	// Nodes is how many processes share each limit, this one among them; nil: it has them to
	// itself. It must be quick.
	Nodes func() int
	Now   func() time.Time // nil: time.Now
}

const (
	defaultMaxKeys = 1 << 17
	// overflowBuckets are shared, for each rate, by new keys when the table is full.
	overflowBuckets = 64
	// sweepEvery is how often [Limiter.Run] removes idle keys, and the least
	// time between two sweeps that a full table causes: a sweep visits every
	// key, so a flood of new keys must not be able to ask for one each time.
	sweepEvery     = 10 * time.Second
	sweepEveryFull = 250 * time.Millisecond
)

// clockSlack is more than two goroutines' readings of the clock can be apart when they
// come to the same cell: one that is late must not take the other's count for a debt of
// another rate.
const clockSlack = time.Second

// dead marks a cell that a sweep has taken out of the table; whoever still
// holds it must look the key up again.
const dead = math.MinInt64

// cell is the theoretical arrival time of a key, in nanoseconds since start.
type cell struct {
	tat    atomic.Int64
	untold atomic.Bool // who counts for all does not know of some of it
}

type hashKey [2]uint64

// Limiter counts for any number of named scopes. It is safe for concurrent use
// and takes no lock on the way of a known key.
type Limiter struct {
	now       func() time.Time
	shared    Shared       // nil: nobody counts for all
	countsFor func() int   // nil: one
	nodes     atomic.Int64 // by the last look
	looked    atomic.Int64 // when that was, in nanoseconds since start
	start     time.Time
	seeds     [2]maphash.Seed
	max       int
	size      atomic.Int64
	cells     *xsync.Map[hashKey, *cell]
	overflow  *xsync.Map[overflowKey, *cell]
	lastSweep atomic.Int64
	sweeping  atomic.Bool
	spilled   atomic.Int64
	alone     atomic.Int64
}

type overflowKey struct {
	interval, tolerance int64
	bucket              uint8
}

func overflowOf(key hashKey, interval, tolerance int64) overflowKey {
	return overflowKey{interval, tolerance, uint8(key[0] % overflowBuckets)}
}

// New returns a limiter.
func New(cfg Config) *Limiter {
	if cfg.MaxKeys <= 0 {
		cfg.MaxKeys = defaultMaxKeys
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &Limiter{now: cfg.Now, start: cfg.Now(), max: cfg.MaxKeys, shared: cfg.Shared, countsFor: cfg.Nodes,
		seeds:    [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		cells:    xsync.NewMap[hashKey, *cell](),
		overflow: xsync.NewMap[overflowKey, *cell]()}
	l.countNodes()
	return l
}

// AllowIn asks whether one more event of key may happen now, and counts it if so.
// A refused event costs nothing, so a caller that keeps trying is not locked out
// for longer. The same key in two scopes, such as two routes, is counted apart.
func (l *Limiter) AllowIn(scope, key string, rate Rate) Result {
	if rate.IsZero() {
		return Result{OK: true}
	}
	k := hashKey{l.hash(0, scope, key), l.hash(1, scope, key)}
	if l.shared != nil {
		if res, known := l.ask(k, scope, "key "+key, rate); known {
			return res
		}
	}
	return l.allow(k, rate)
}

// AllowAddress is [Limiter.AllowIn] for a client address. One IPv6 customer
// holds at least a /64, so those count together. The invalid address (a client
// that is not known) is a key like any other.
func (l *Limiter) AllowAddress(scope string, addr netip.Addr, rate Rate) Result {
	if rate.IsZero() {
		return Result{OK: true}
	}
	k := l.addressKey(scope, addr)
	if l.shared != nil {
		if res, known := l.ask(k, scope, "address "+network(addr), rate); known {
			return res
		}
	}
	return l.allow(k, rate)
}

// CountAddress is [Limiter.AllowAddress] where each node counts its share always: nobody is
// asked, so that it costs nothing to ask it of strangers.
func (l *Limiter) CountAddress(scope string, addr netip.Addr, rate Rate) Result {
	if rate.IsZero() {
		return Result{OK: true}
	}
	return l.allow(l.addressKey(scope, addr), rate)
}

// SpentAddress reports whether [Limiter.CountAddress] would refuse an event now,
// and counts none.
func (l *Limiter) SpentAddress(scope string, addr netip.Addr, rate Rate) bool {
	return l.spent(l.addressKey(scope, addr), rate)
}

// CountIn and SpentIn are [Limiter.CountAddress] and [Limiter.SpentAddress] for a key.
func (l *Limiter) CountIn(scope, key string, rate Rate) Result {
	if rate.IsZero() {
		return Result{OK: true}
	}
	return l.allow(hashKey{l.hash(0, scope, key), l.hash(1, scope, key)}, rate)
}

// SpentIn: see CountIn.
func (l *Limiter) SpentIn(scope, key string, rate Rate) bool {
	return l.spent(hashKey{l.hash(0, scope, key), l.hash(1, scope, key)}, rate)
}

func (l *Limiter) spent(key hashKey, rate Rate) bool {
	if rate.IsZero() {
		return false
	}
	interval, tolerance, ok := rate.gcra()
	if !ok {
		return true
	}
	c, ok := l.cells.Load(key)
	if !ok && l.size.Load() >= int64(l.max) {
		c, ok = l.overflow.Load(overflowOf(key, interval, tolerance))
	}
	if !ok {
		return false
	}
	now := int64(l.now().Sub(l.start)) + 1
	interval, tolerance = l.share(now, interval, tolerance)
	return max(c.tat.Load(), now)+interval-now > tolerance
}

func (l *Limiter) addressKey(scope string, addr netip.Addr) (k hashKey) {
	addr = addr.Unmap().WithZone("")
	raw := addr.As16()
	n := 16
	if addr.Is6() {
		n = 8
	}
	for i := range k {
		var h maphash.Hash
		h.SetSeed(l.seeds[i])
		_, _ = h.WriteString(scope)
		_ = h.WriteByte(byte(addr.BitLen())) // ends the scope; tells v4, v6 and none apart
		_, _ = h.Write(raw[:n])
		k[i] = h.Sum64()
	}
	return k
}

// hash frames scope by its length, so that no pair can pass for another.
func (l *Limiter) hash(i int, scope, key string) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seeds[i])
	n := len(scope)
	_ = h.WriteByte(byte(n))
	_ = h.WriteByte(byte(n >> 8))
	_ = h.WriteByte(0xff) // apart from addresses
	_, _ = h.WriteString(scope)
	_, _ = h.WriteString(key)
	return h.Sum64()
}

func (l *Limiter) allow(key hashKey, rate Rate) Result {
	interval, tolerance, ok := rate.gcra()
	if !ok {
		// A rate that makes no sense must not mean "no limit".
		return Result{Limit: rate.burst(), RetryAfter: time.Minute, Reset: time.Minute}
	}
	bucket := overflowOf(key, interval, tolerance)
	now := int64(l.now().Sub(l.start)) + 1 // monotonic: setting the clock back locks nobody out
	interval, tolerance = l.share(now, interval, tolerance)
	for {
		c, own := l.own(key, now)
		if !own {
			l.spilled.Add(1)
			c, _ = l.overflow.LoadOrCompute(bucket, func() (*cell, bool) { return new(cell), false })
		}
		old := c.tat.Load()
		if old == dead {
			continue
		}
		if old-now > tolerance+int64(clockSlack) {
			// By this rate nobody can owe so much: the rate was another one before. What
			// is owed now is the whole limit, or a caller would wait by the old rate.
			if !c.tat.CompareAndSwap(old, now+tolerance) {
				continue
			}
			old = now + tolerance
		}
		base := max(old, now)
		next := base + interval
		if next-now > tolerance {
			return result(false, base-now, interval, tolerance, rate)
		}
		if !c.tat.CompareAndSwap(old, next) {
			continue
		}
		if l.shared != nil && !c.untold.Load() {
			c.untold.Store(true)
		}
		return result(true, next-now, interval, tolerance, rate)
	}
}

// result is what callers are told, of a count and of an answer about one alike: owed is
// what is owed now, the event among it that was counted.
func result(ok bool, owed, interval, tolerance int64, rate Rate) Result {
	res := Result{OK: ok, Limit: rate.burst(), Reset: time.Duration(owed)}
	if ok {
		res.Remaining = int((tolerance - owed) / interval)
	}
	if res.Remaining == 0 {
		res.RetryAfter = time.Duration(owed + interval - tolerance)
	}
	return res
}

// own finds the key's cell, or makes one while there is room.
func (l *Limiter) own(key hashKey, now int64) (*cell, bool) {
	if c, ok := l.cells.Load(key); ok {
		return c, true
	}
	if l.size.Load() >= int64(l.max) {
		l.sweepIfDue(now)
		if l.size.Load() >= int64(l.max) {
			return nil, false
		}
	}
	c, loaded := l.cells.LoadOrCompute(key, func() (*cell, bool) { return new(cell), false })
	if !loaded {
		l.size.Add(1)
	}
	return c, true
}

func (l *Limiter) sweepIfDue(now int64) {
	if now-l.lastSweep.Load() >= int64(sweepEveryFull) || l.lastSweep.Load() == 0 {
		l.sweep()
	}
}

// sweep removes the keys that owe nothing any more, and returns how many. A
// second call at the same time returns at once.
func (l *Limiter) sweep() int {
	if !l.sweeping.CompareAndSwap(false, true) {
		return 0
	}
	defer l.sweeping.Store(false)
	now := int64(l.now().Sub(l.start)) + 1
	l.lastSweep.Store(now)
	n := 0
	for key, c := range l.cells.AllRelaxed() {
		old := c.tat.Load()
		// The mark comes before the removal: an event counted on a removed
		// cell would be forgotten, and one more let through.
		if old <= now && old != dead && old != 0 && c.tat.CompareAndSwap(old, dead) {
			l.cells.Delete(key)
			l.size.Add(-1)
			n++
		}
	}
	return n
}

// Keys returns how many keys are held, and how many events went to the shared
// buckets because the table was full.
func (l *Limiter) Keys() (held int, spilled int64) { return l.cells.Size(), l.spilled.Load() }

// Run sweeps until ctx ends.
func (l *Limiter) Run(ctx context.Context) error {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			l.sweep()
		}
	}
}
