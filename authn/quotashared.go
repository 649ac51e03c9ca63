package authn

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/counters"
)

// Shared counts the uses of keys for all nodes; *counters.Server is one.
type Shared interface {
	// Use asks whether something may be used once more, and counts it if so. Without known
	// nothing is: each node counts its share.
	Use(u counters.Use) (v counters.Verdict, counts []int64, known bool)
	// Away reports that Use would know nothing now.
	Away() bool
}

const (
	// quotaSettle is how long shares hold after uses that the server was not told of: until
	// each node has stored its own and read those of all.
	quotaSettle = 3 * quotaEvery
	// keepCount is how long a count stays after its day or month: another node's clock may
	// be late.
	keepCount = time.Hour
)

// ask has one use counted for all nodes. What this node knows goes along, so that a quota
// holds although the server lost its counts. Without known the use is for this node's share.
func (q *keyQuota) ask(shared Shared, realm, id string, now time.Time, nodes int64) (known bool, err error) {
	if shared.Away() {
		return false, nil
	}
	now = now.UTC()
	use := counters.Use{Scope: "quota\x00" + realm, ID: id, Settle: quotaSettle}
	q.mu.Lock()
	q.turn(now)
	q.usedAt = now
	if until := q.spent(q.perDay, q.perMonth); !until.IsZero() {
		q.mu.Unlock()
		return true, usedUp(until.Sub(now), q.perDay, q.perMonth)
	}
	day, alone := q.day, q.alone
	use.Lacks, use.Share = q.alone != q.told, q.left(nodes, q.perDay, q.perMonth) > 0
	at := time.Unix(day*secondsPerDay, 0).UTC()
	period := func(name string, u *uses, quota int64, end time.Time) {
		use.Of = append(use.Of, counters.Period{Name: name, Floor: u.all(), Quota: quota, Keep: end.Sub(now) + keepCount})
	}
	if q.perDay > 0 {
		period(at.Format(time.DateOnly), &q.today, q.perDay, at.AddDate(0, 0, 1))
	}
	if q.perMonth > 0 {
		period(at.Format("2006-01"), &q.thisMonth, q.perMonth, firstOfMonth(at).AddDate(0, 1, 0))
	}
	q.today.asked++
	q.thisMonth.asked++
	q.mu.Unlock()

	verdict, counts, known := shared.Use(use)

	q.mu.Lock()
	defer q.mu.Unlock()
	sameDay, sameMonth := q.day == day, q.year == at.Year() && q.month == at.Month()
	if sameDay {
		q.today.asked--
	}
	if sameMonth {
		q.thisMonth.asked--
	}
	if !known {
		return false, nil
	}
	q.told = max(q.told, alone)
	if verdict == counters.Counted && sameDay {
		q.today.own++
	}
	if verdict == counters.Counted && sameMonth {
		q.thisMonth.own++
	}
	if q.perDay > 0 {
		if sameDay {
			q.today.hear(counts[0])
		}
		counts = counts[1:]
	}
	if q.perMonth > 0 && sameMonth {
		q.thisMonth.hear(counts[0])
	}
	if verdict == counters.Counted {
		return true, nil
	}
	wait := quotaEvery // until it is known what others let pass
	if until := q.spent(q.perDay, q.perMonth); !until.IsZero() {
		wait = until.Sub(now)
	}
	return true, usedUp(wait, q.perDay, q.perMonth)
}
