package authn

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

var errKeyQuota = gatehouse.E(gatehouse.RateLimited, "key_quota_used_up", "The key has been used as often as it may be in this day or month.")

// quotas holds how often the keys with a quota were used. A key is counted in
// memory, where nobody waits; what was counted before the server started comes
// from the stored counts of uses, so at most the uses of one interval of
// [Authenticator.Run] before a crash are not counted. Days and months are UTC.
type quotas struct{ m *xsync.Map[string, *tally] }

func newQuotas() quotas { return quotas{xsync.NewMap[string, *tally]()} }

// tally is the number of uses of one key on a day and in its month.
type tally struct {
	mu               sync.Mutex
	day              int64 // days since 1970
	today, thisMonth int64
	year             int
	month            time.Month
}

// of returns the tally of a key; the first time, from what is stored.
func (q quotas) of(ctx context.Context, a *Authenticator, k *credential.Key) (*tally, error) {
	if t, ok := q.m.Load(k.ID); ok {
		return t, nil
	}
	now := a.cfg.Now().UTC()
	t := &tally{day: now.Unix() / secondsPerDay, year: now.Year(), month: now.Month()}
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	stored, err := a.cfg.Store.KeyUsage(ctx, k.ID, first.Format(time.DateOnly))
	if err != nil {
		return nil, err
	}
	today := now.Format(time.DateOnly)
	for _, u := range stored {
		t.thisMonth += u.Count
		if u.Day == today {
			t.today = u.Count // there is one count a day
		}
	}
	// What is counted and not stored yet: the key had no quota until now.
	for d := first.Unix() / secondsPerDay; d <= t.day; d++ {
		if c, ok := a.usage.m.Load(usageKey{k.ID, d}); ok {
			n := c.count.Load()
			t.thisMonth += n
			if d == t.day {
				t.today += n
			}
		}
	}
	t, _ = q.m.LoadOrStore(k.ID, t)
	return t, nil
}

// take counts one use, unless the key has none left. A refused use is not counted.
func (t *tally) take(now time.Time, perDay, perMonth int64) error {
	now = now.UTC()
	t.mu.Lock()
	defer t.mu.Unlock()
	day := now.Unix() / secondsPerDay
	// A clock that is set back gives no new day and no new month.
	if day > t.day {
		t.day, t.today = day, 0
		if now.Year() != t.year || now.Month() != t.month {
			t.year, t.month, t.thisMonth = now.Year(), now.Month(), 0
		}
	}
	var until time.Time
	switch {
	case perMonth > 0 && t.thisMonth >= perMonth:
		until = time.Date(t.year, t.month+1, 1, 0, 0, 0, 0, time.UTC)
	case perDay > 0 && t.today >= perDay:
		until = time.Unix((t.day+1)*secondsPerDay, 0)
	default:
		t.today++
		t.thisMonth++
		return nil
	}
	e := *errKeyQuota
	e.Cause = fmt.Errorf("at most %s", allowance(perDay, perMonth))
	e.RetryAfter = max(until.Sub(now), time.Second)
	return &e
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
