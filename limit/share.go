package limit

import (
	"net/netip"
	"time"
)

const (
	// lookEvery is how long a limiter goes by the number of nodes that it has seen to share its
	// limits. It looks again when it is asked: a node that nobody asks anything has no work of it.
	lookEvery = time.Second / 2
	// maxNodes bounds what a share is divided by, so that no product overflows.
	maxNodes = 1024
)

// countNodes notes how many nodes share the limits.
func (l *Limiter) countNodes() {
	n := 1
	if l.countsFor != nil {
		n = min(max(l.countsFor(), 1), maxNodes)
	}
	l.nodes.Store(int64(n))
}

// share is a rate as one of the nodes counts it: each event costs as much as one at each of
// them, and no more may be owed than before. So what all let through together stays within
// the whole rate, and what a caller owes keeps its meaning when their number changes. A
// burst of less than one for each node is one: over any longer time it makes no difference.
func (l *Limiter) share(now, interval, tolerance int64) (int64, int64) {
	if looked := l.looked.Load(); now-looked >= int64(lookEvery) && l.looked.CompareAndSwap(looked, now) {
		l.countNodes()
	}
	interval *= l.nodes.Load()
	return interval, max(tolerance, interval)
}

// Shared counts for all nodes; *counters.Server is one.
type Shared interface {
	// GCRA asks whether one more event of id may happen now within scope, where each costs
	// interval and at most tolerance may be owed, and counts it if so; floor is what is owed
	// at least. owed is what is owed then. Without known nothing is: each node counts its share.
	GCRA(scope, id string, interval, tolerance, floor time.Duration) (owed time.Duration, allowed, known bool)
	// Away reports that GCRA would know nothing now.
	Away() bool
}

// floorSlack is longer than a question takes to be answered: what is owed falls meanwhile.
const floorSlack = time.Second

// ask has the event counted for all nodes. What is owed there is noted in the key's cell as
// well: a caller who owes the whole limit is refused by it without a question until the time
// comes when that could be different, and when the shared counts are lost nobody begins anew,
// neither here nor there. What this node counted by its share is told first.
func (l *Limiter) ask(key hashKey, scope, id string, rate Rate) (Result, bool) {
	interval, tolerance, ok := rate.gcra()
	if !ok {
		return Result{}, false
	}
	if l.shared.Away() {
		l.alone.Add(1)
		return Result{}, false
	}
	// Before the question: what is owed by the answer is owed at a later time, so that the
	// note never has somebody wait longer.
	now := int64(l.now().Sub(l.start)) + 1
	var floor time.Duration
	if c, held := l.cells.Load(key); held {
		owed, told := max(c.tat.Load(), now)-now, !c.untold.Load()
		if told && owed+interval > tolerance && owed <= tolerance && owed > 0 {
			return result(false, owed, interval, tolerance, rate), true
		}
		floor = max(time.Duration(min(owed, tolerance))-floorSlack, 0)
	}
	owed, allowed, known := l.shared.GCRA(scope, id, time.Duration(interval), time.Duration(tolerance), floor)
	if !known {
		l.alone.Add(1)
		return Result{}, false
	}
	if c, own := l.own(key, now); own {
		if old := c.tat.Load(); old != dead && c.tat.CompareAndSwap(old, now+int64(owed)) {
			c.untold.Store(false)
		}
	}
	return result(allowed, int64(owed), interval, tolerance, rate), true
}

// Alone returns how many events this node judged by its share although there are shared
// counts: those were away.
func (l *Limiter) Alone() int64 { return l.alone.Load() }

// network is what of an address is counted together: of IPv6 a /64.
func network(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		p, _ := addr.Prefix(64)
		return p.String()
	}
	return addr.String()
}
