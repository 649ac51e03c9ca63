package authn

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

var errKeyQuota = gatehouse.E(gatehouse.RateLimited, "key_quota_used_up", "The key has been used as often as it may be in this day or month.")

const (
	// quotaEvery is how often a node stores its uses of keys with a quota and reads those of
	// all, where there are several.
	quotaEvery = time.Second
	// quotaHot is how long after its last use that is done for a key.
	quotaHot = 10 * time.Second
	// quotaStale is how old a reading may be by which a use is counted: after that the key was
	// in use by others alone, if at all, and the database is asked.
	quotaStale = 3 * quotaEvery
	// quotaAsk bounds that question, and quotaRest is the pause after one without an answer.
	quotaAsk, quotaRest = 250 * time.Millisecond, 10 * time.Second
	// maxNodes bounds what a rest is divided by.
	maxNodes = 1024
)

// quotas holds how often the keys with a quota were used. A key is counted in
// memory, where nobody waits; what was counted before the server started, and what others
// count, comes from the stored counts of uses, so at most the uses of one interval of
// [Authenticator.Run] before a crash are not counted. Days and months are UTC.
type quotas struct {
	m      *xsync.Map[string, *tally]
	failed *atomic.Int64 // when the database gave no answer, in nanoseconds
	alone  *atomic.Int64 // uses judged here although there is a server that counts for all
}

func newQuotas() quotas {
	return quotas{xsync.NewMap[string, *tally](), new(atomic.Int64), new(atomic.Int64)}
}

// tally is the number of uses of one key on a day and in its month.
type tally struct {
	reading sync.Mutex // held while the database is read for a use

	mu               sync.Mutex
	day              int64 // days since 1970
	year             int
	month            time.Month
	today, thisMonth uses
	readAt, usedAt   time.Time
	writing          bool  // some uses are being stored
	writes           int64 // how often that was done
	// alone is how many uses were judged by this node's share; of those the server that counts
	// for all has heard that there were told.
	alone, told int64
}

// uses are those of a key in a day or a month.
type uses struct {
	stored  int64    // by all nodes, as last read
	earlier [3]int64 // as read before, the newest first
	own     int64    // by this node since its start
	written int64    // of those, what was stored
	known   int64    // of those, what is among stored
	asked   int64    // of which the server that counts for all has not answered yet
	heard   int64    // by all nodes, as that server said
	heardAt int64    // own uses that may be among those
}

// all are the uses that this node knows of, and never more than there were.
func (u *uses) all() int64 { return max(u.stored+u.own-u.known, u.heard+max(u.own-u.heardAt, 0)) }

// hear notes what the server that counts for all nodes says.
func (u *uses) hear(n int64) {
	if n > u.all() {
		u.heard, u.heardAt = n, u.own+u.asked
	}
}

// left is how many more uses of a quota this node may let pass by itself. What others may
// let pass meanwhile is theirs: each has its part of what was left by its own reading, and
// none of those is older than the oldest here.
func (u *uses) left(quota, nodes int64) int64 {
	others := max(quota-u.earlier[len(u.earlier)-1], 0) * (nodes - 1) / nodes
	return quota - u.all() - u.asked - others
}

// read notes what is stored; known are own uses that had been written when the reading began.
func (u *uses) read(stored, known int64, first bool) {
	u.earlier[2], u.earlier[1], u.earlier[0] = u.earlier[1], u.earlier[0], u.stored
	if first {
		u.earlier = [3]int64{stored, stored, stored}
	}
	u.stored, u.known = stored, known
}

// of returns the tally of a key; the first time, from what is stored.
func (q quotas) of(ctx context.Context, a *Authenticator, k *credential.Key) (*tally, error) {
	if t, ok := q.m.Load(k.ID); ok {
		return t, nil
	}
	now := a.cfg.Now().UTC()
	t := &tally{day: now.Unix() / secondsPerDay, year: now.Year(), month: now.Month(), readAt: now, usedAt: now}
	today, thisMonth, err := a.storedUses(ctx, k.ID, now)
	if err != nil {
		return nil, err
	}
	t.today.read(today, 0, true)
	t.thisMonth.read(thisMonth, 0, true)
	// What is counted and not stored yet: the key had no quota until now.
	for d := firstOfMonth(now).Unix() / secondsPerDay; d <= t.day; d++ {
		if c, ok := a.usage.m.Load(usageKey{k.ID, d}); ok {
			n := c.count.Load()
			t.thisMonth.own += n
			if d == t.day {
				t.today.own += n
			}
		}
	}
	t, _ = q.m.LoadOrStore(k.ID, t)
	return t, nil
}

func firstOfMonth(now time.Time) time.Time {
	return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// storedUses reads how often a key was used on the day of now, and in its month until then.
func (a *Authenticator) storedUses(ctx context.Context, id string, now time.Time) (today, thisMonth int64, err error) {
	now = now.UTC()
	stored, err := a.cfg.Store.KeyUsage(ctx, id, firstOfMonth(now).Format(time.DateOnly))
	for _, u := range stored {
		thisMonth += u.Count
		if u.Day == now.Format(time.DateOnly) {
			today = u.Count // there is one count a day
		}
	}
	return today, thisMonth, err
}

// nodes is how many processes use keys of the same database.
func (a *Authenticator) nodes() int64 {
	if a.cfg.Nodes == nil {
		return 1
	}
	return int64(min(max(a.cfg.Nodes(), 1), maxNodes))
}

// useQuota counts one use of a key, unless it has none left.
func (a *Authenticator) useQuota(ctx context.Context, k *keyEntry, now time.Time) error {
	nodes := a.nodes()
	if nodes > 1 {
		a.quotas.freshen(ctx, a, k.id, k.quota.tally, now)
	}
	if a.cfg.Shared != nil {
		if known, err := k.quota.ask(a.cfg.Shared, k.realm, k.id, now, nodes); known {
			return err
		}
		a.quotas.alone.Add(1)
	}
	return k.quota.take(now, nodes, k.quota.perDay, k.quota.perMonth)
}

// QuotaAlone returns how many uses of keys this node judged by its share although there is a
// server that counts for all: that was away.
func (a *Authenticator) QuotaAlone() int64 { return a.quotas.alone.Load() }

// freshen reads what is stored of a key that this node has not used for some seconds. Where
// the database gives no answer, the key goes on by what is known.
func (q quotas) freshen(ctx context.Context, a *Authenticator, id string, t *tally, now time.Time) {
	if !t.stale(now) || now.UnixNano()-q.failed.Load() < int64(quotaRest) {
		return
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	if !t.stale(now) {
		return // somebody else has read it meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, quotaAsk)
	defer cancel()
	if err := t.reread(ctx, a, id, now, true); err != nil {
		q.failed.Store(now.UnixNano())
	}
}

func (t *tally) stale(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return now.Sub(t.readAt) > quotaStale
}

// reread takes in what is stored; first after a time in which it was not read. What was read
// while own uses were being stored is not: nobody could tell whether they are among it.
func (t *tally) reread(ctx context.Context, a *Authenticator, id string, now time.Time, first bool) error {
	t.mu.Lock()
	t.turn(now)
	day, ofDay, ofMonth := t.day, t.today.written, t.thisMonth.written
	writing, writes := t.writing, t.writes
	t.mu.Unlock()
	today, thisMonth, err := a.storedUses(ctx, id, time.Unix(day*secondsPerDay, 0))
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.day == day && !writing && t.writes == writes { // else it is about another day, or unclear
		t.today.read(today, ofDay, first)
		t.thisMonth.read(thisMonth, ofMonth, first)
		t.readAt = now
	}
	return nil
}

// turn begins a new day or month. A clock that is set back gives none.
func (t *tally) turn(now time.Time) {
	now = now.UTC()
	if day := now.Unix() / secondsPerDay; day > t.day {
		t.day, t.today = day, uses{}
		if now.Year() != t.year || now.Month() != t.month {
			t.year, t.month, t.thisMonth = now.Year(), now.Month(), uses{}
		}
	}
}

// writes notes that uses of a key are about to be stored.
func (q quotas) writes(id string) {
	if t, ok := q.m.Load(id); ok {
		t.mu.Lock()
		t.writing, t.writes = true, t.writes+1
		t.mu.Unlock()
	}
}

// wrote notes that so many uses which this node counted on a day are stored.
func (q quotas) wrote(id string, day, n int64) {
	t, ok := q.m.Load(id)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writing = false
	if day == t.day {
		t.today.written += n
	}
	if d := time.Unix(day*secondsPerDay, 0).UTC(); d.Year() == t.year && d.Month() == t.month {
		t.thisMonth.written += n
	}
}

// take counts one use by this node's share, unless the key has none left. A refused use is not
// counted.
func (t *tally) take(now time.Time, nodes, perDay, perMonth int64) error {
	now = now.UTC()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	t.usedAt = now
	if until := t.spent(perDay, perMonth); !until.IsZero() {
		return usedUp(until.Sub(now), perDay, perMonth)
	}
	if t.left(nodes, perDay, perMonth) <= 0 {
		return usedUp(quotaEvery, perDay, perMonth) // the rest is for the others, until they are heard of
	}
	t.today.own++
	t.thisMonth.own++
	t.alone++
	return nil
}

// spent is until when a key is used up by what this node knows; zero where it is not.
func (t *tally) spent(perDay, perMonth int64) (until time.Time) {
	switch {
	case perMonth > 0 && t.thisMonth.all() >= perMonth:
		return time.Date(t.year, t.month+1, 1, 0, 0, 0, 0, time.UTC)
	case perDay > 0 && t.today.all() >= perDay:
		return time.Unix((t.day+1)*secondsPerDay, 0)
	}
	return until
}

// left is how many more uses this node may let pass by itself.
func (t *tally) left(nodes, perDay, perMonth int64) int64 {
	n := int64(math.MaxInt64)
	if perMonth > 0 {
		n = t.thisMonth.left(perMonth, nodes)
	}
	if perDay > 0 {
		n = min(n, t.today.left(perDay, nodes))
	}
	return n
}

func usedUp(wait time.Duration, perDay, perMonth int64) error {
	e := *errKeyQuota
	e.Cause = fmt.Errorf("at most %s", allowance(perDay, perMonth))
	e.RetryAfter = max(wait, time.Second)
	return &e
}

// syncQuotas stores the uses of keys with a quota that are in use, and reads those of all nodes.
func (a *Authenticator) syncQuotas(ctx context.Context, run gatehouse.Runner[UsageTx]) error {
	now := a.cfg.Now()
	hot := map[string]*tally{}
	for id, t := range a.quotas.m.AllRelaxed() {
		t.mu.Lock()
		if now.Sub(t.usedAt) <= quotaHot {
			hot[id] = t
		}
		t.mu.Unlock()
	}
	if len(hot) == 0 {
		return nil
	}
	if err := a.flush(ctx, run, func(id string) bool { return hot[id] != nil }); err != nil {
		return err
	}
	for id, t := range hot {
		if err := t.reread(ctx, a, id, now, false); err != nil {
			return err
		}
	}
	return nil
}

func allowance(perDay, perMonth int64) string {
	switch {
	case perMonth <= 0:
		return fmt.Sprintf("%d uses a day", perDay)
	case perDay <= 0:
		return fmt.Sprintf("%d uses a month", perMonth)
	}
	return fmt.Sprintf("%d uses a day and %d a month", perDay, perMonth)
}

// sweep forgets keys that were not used for two days; what is stored has them.
func (q quotas) sweep(today int64) {
	for id, t := range q.m.AllRelaxed() {
		t.mu.Lock()
		old := t.day < today-1
		t.mu.Unlock()
		if old {
			q.m.Delete(id)
		}
	}
}
