package limit

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestShares: what n nodes let through of one rate, each by its share, is in no stretch of
// time more than the rate itself lets through; where it has less than one at once for each
// node, that much more; and a node that is asked often enough lets through its part.
func TestShares(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "nodes")
		rate := Rate{rapid.IntRange(1, 50).Draw(rt, "limit"), time.Duration(rapid.IntRange(1, 1e6).Draw(rt, "window")) * 60, 0}
		interval, tolerance, _ := rate.gcra()
		now := time.Unix(1_700_000_000, 0)
		nodes := make([]*Limiter, n)
		for i := range nodes {
			nodes[i] = New(Config{Now: func() time.Time { return now }, Nodes: func() int { return n }})
		}
		bonus := max(0, int64(n)*interval-tolerance)
		start, admitted := now, int64(0)
		for range 150 {
			now = now.Add(time.Duration(rapid.Int64Range(0, interval).Draw(rt, "gap")))
			if nodes[rapid.IntRange(0, n-1).Draw(rt, "node")].AllowIn("", "k", rate).OK {
				admitted++
			}
			if earned := (int64(now.Sub(start)) + tolerance + bonus) / interval; admitted > earned {
				rt.Fatalf("%d admitted by %d nodes, %d earned", admitted, n, earned)
			}
		}
		// All that a whole limit gives in a time, all nodes together give in it as well.
		for range n {
			now = now.Add(time.Duration(interval))
		}
		if !nodes[0].AllowIn("", "k", rate).OK {
			rt.Fatal("a node lets through none of its part")
		}
	})
}

// TestShareChanges: a limiter follows the count of nodes, and what was owed keeps its meaning.
func TestShareChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		n.Store(2)
		l := New(Config{Nodes: func() int { return int(n.Load()) }})
		ctx := t.Context()
		go func() { _ = l.Run(ctx) }()
		rate := Rate{10, 10 * time.Hour, 0}
		allowed := func() (k int) {
			for l.AllowIn("", "k", rate).OK {
				k++
			}
			return k
		}
		if k := allowed(); k != 5 {
			t.Errorf("half of 10 is %d", k)
		}
		n.Store(1)
		time.Sleep(lookEvery + time.Millisecond)
		if k := allowed(); k != 0 {
			t.Errorf("%d more at once, when the other node ended", k)
		}
		time.Sleep(5 * time.Hour)
		if k := allowed(); k != 5 {
			t.Errorf("%d in five hours by the whole rate", k)
		}
		n.Store(20)
		time.Sleep(lookEvery + 10*time.Hour)
		if k := allowed(); k != 1 {
			t.Errorf("%d at once where each has half a request", k)
		}
		time.Sleep(19 * time.Hour)
		if k := allowed(); k != 0 {
			t.Errorf("%d more", k)
		}
		time.Sleep(time.Hour + time.Millisecond)
		if k := allowed(); k != 1 {
			t.Errorf("%d by a twentieth of the rate in 20 hours", k)
		}
		for _, odd := range []int64{0, -1, 1 << 40} {
			n.Store(odd)
			l.countNodes()
			if r := l.AllowIn("", fmt.Sprint(odd), Rate{1, maxWindow, 0}); !r.OK || l.AllowIn("", fmt.Sprint(odd), Rate{1, maxWindow, 0}).OK {
				t.Errorf("%d nodes: %+v", odd, r)
			}
		}
	})
}

// TestSharedAddress: who asks whether an address has spent its rate hears of the share.
func TestSharedAddress(t *testing.T) {
	l := New(Config{Nodes: func() int { return 3 }, Shared: &counting{}})
	a, rate := netip.MustParseAddr("192.0.2.1"), Rate{6, time.Hour, 0}
	for i := range 3 {
		if spent, ok := l.SpentAddress("s", a, rate), l.CountAddress("s", a, rate).OK; spent != (i == 2) || ok == spent {
			t.Errorf("%d: spent %v, counted %v", i, spent, ok)
		}
	}
	if l.CountAddress("s", a, Rate{}) != (Result{OK: true}) {
		t.Error("no rate limits")
	}
}

// counting counts for all, as counters.Server does.
type counting struct {
	mu    sync.Mutex
	away  bool
	lost  bool // the next question gets no answer
	asked []string
	owed  map[string]time.Time // until when something is owed
}

func (c *counting) Away() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.away
}

func (c *counting) GCRA(scope, id string, interval, tolerance, floor time.Duration) (owed time.Duration, allowed, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, scope+" "+id)
	if c.away || c.lost {
		return 0, false, false
	}
	if c.owed == nil {
		c.owed = map[string]time.Time{}
	}
	key := scope + " " + id
	owed = min(max(time.Until(c.owed[key]), floor), tolerance)
	if allowed = owed+interval <= tolerance; allowed {
		owed += interval
	}
	c.owed[key] = time.Now().Add(owed)
	return owed, allowed, true
}

// TestSharedCounts: with shared counts two nodes let through one limit, and the fields of an
// answer are those of a limiter that has it to itself.
func TestSharedCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, alone := &counting{}, New(Config{})
		nodes := [2]*Limiter{New(Config{Shared: all, Nodes: func() int { return 2 }}), New(Config{Shared: all, Nodes: func() int { return 2 }})}
		rate := Rate{5, time.Hour, 0}
		for i := range 8 {
			got, want := nodes[i%2].AllowIn("s", "k", rate), alone.AllowIn("s", "k", rate)
			if got != want {
				t.Errorf("%d: %+v, want %+v", i, got, want)
			}
			h, h2 := http.Header{}, http.Header{}
			SetHeader(h, Item{"principal", rate, got})
			SetHeader(h2, Item{"principal", rate, want})
			if h.Get("RateLimit") != h2.Get("RateLimit") || h.Get("RateLimit-Policy") != `"principal";q=5;w=3600` {
				t.Errorf("%v", h)
			}
		}
		if nodes[0].Alone()+nodes[1].Alone() != 0 {
			t.Error("counted as alone")
		}
	})
}

// TestWhoIsAsked: nobody is asked about a rate that does not limit, about one that makes no
// sense, about strangers, and again about a caller who owes everything.
func TestWhoIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &counting{}
		l := New(Config{Shared: all})
		rate := Rate{2, time.Hour, 0}
		addr := netip.MustParseAddr("2001:db8::1")
		l.AllowIn("s", "k", Rate{})
		l.AllowAddress("s", addr, Rate{})
		if l.AllowIn("s", "k", Rate{Limit: -1}).OK || l.AllowAddress("s", addr, Rate{Limit: -1}).OK {
			t.Error("a rate that makes no sense lets through")
		}
		l.CountAddress("s", addr, rate)
		l.SpentAddress("s", addr, rate)
		if len(all.asked) != 0 {
			t.Errorf("%q", all.asked)
		}
		for range 5 {
			l.AllowIn("s", "k", rate)
		}
		if len(all.asked) != 2 {
			t.Errorf("%d questions about a caller who owes everything after two", len(all.asked))
		}
		r := l.AllowIn("s", "k", rate)
		if r.OK || r.RetryAfter != 30*time.Minute || r.Reset != time.Hour {
			t.Errorf("%+v", r)
		}
		time.Sleep(r.RetryAfter - time.Nanosecond)
		l.AllowIn("s", "k", rate)
		if len(all.asked) != 2 {
			t.Error("asked too early")
		}
		time.Sleep(time.Nanosecond)
		l.AllowIn("s", "k", rate)
		if len(all.asked) != 3 {
			t.Error("not asked once another event could be let through")
		}
		for _, a := range []string{"2001:db8::2", "2001:db8:0:1::1", "::ffff:192.0.2.1", "192.0.2.1"} {
			l.AllowAddress("s", netip.MustParseAddr(a), rate)
		}
		want := []string{"s address 2001:db8::/64", "s address 2001:db8:0:1::/64", "s address 192.0.2.1", "s address 192.0.2.1"}
		if got := all.asked[3:]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q", got)
		}
	})
}

// TestSharedCountsLost: while they are away each node counts its share, and goes on from what
// it last heard; when they are back they count, and what was counted by shares counts on.
func TestSharedCountsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &counting{}
		l := New(Config{Shared: all, Nodes: func() int { return 2 }})
		rate := Rate{10, 10 * time.Hour, 0}
		for range 4 {
			l.AllowIn("s", "k", rate)
		}
		all.lost = true // found out by a question
		k := 0
		if l.AllowIn("s", "k", rate).OK {
			k++
		}
		all.lost, all.away = false, true
		for l.AllowIn("s", "k", rate).OK {
			k++
		}
		if k != 3 {
			t.Errorf("%d of what six leave to each of two", k)
		}
		if len(all.asked) != 5 {
			t.Errorf("%d questions, and it was known to be away", len(all.asked))
		}
		if l.Alone() != 4 {
			t.Errorf("%d were told as judged alone", l.Alone())
		}
		k = 0
		for l.AllowIn("s", "other", rate).OK {
			k++
		}
		if k != 5 {
			t.Errorf("%d are half of ten", k)
		}
		all.away = false
		// He who owes the whole share is not let through, and that is told.
		for range 2 {
			if r := l.AllowIn("s", "other", rate); r.OK {
				t.Errorf("back: %+v", r)
			}
		}
		if len(all.asked) != 6 {
			t.Errorf("%d questions", len(all.asked))
		}
		if r := New(Config{Shared: all}).AllowIn("s", "other", rate); r.OK {
			t.Errorf("back, at another node: %+v", r)
		}
		time.Sleep(time.Hour)
		if r := l.AllowIn("s", "k", rate); !r.OK || r.Remaining != 0 {
			t.Errorf("back: %+v", r)
		}
		if r := New(Config{Shared: all}).AllowIn("s", "k", rate); r.OK {
			t.Errorf("back, at another node: %+v", r)
		}
		// Counts that are lost have nobody begin anew.
		clear(all.owed)
		time.Sleep(time.Hour)
		for _, want := range []bool{true, false} {
			if r := l.AllowIn("s", "k", rate); r.OK != want {
				t.Errorf("lost: %+v", r)
			}
		}
	})
}

// way is how one node reaches shared counts: others may reach them while it does not.
type way struct {
	*counting
	away, lost bool
}

func (w *way) Away() bool { return w.away }

func (w *way) GCRA(scope, id string, interval, tolerance, floor time.Duration) (time.Duration, bool, bool) {
	owed, allowed, known := w.counting.GCRA(scope, id, interval, tolerance, floor)
	return owed, allowed && !w.lost, known && !w.lost
}

// TestSharedCountsFlap: who asks every node, all the time, while the counts come and go for
// some of them and for all, gets no more than twice the rate: each node that does not reach
// them lets through its share, and tells of it once it does. When they come and go for all at
// once, it is the rate, and two requests for each node.
func TestSharedCountsFlap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n, together := rapid.IntRange(1, 5).Draw(rt, "nodes"), rapid.Bool().Draw(rt, "together")
		var gaps, flips []int
		for range 120 {
			gaps, flips = append(gaps, rapid.IntRange(0, 240).Draw(rt, "gap")), append(flips, rapid.IntRange(0, 9*n).Draw(rt, "flip"))
		}
		wrong := ""
		synctest.Test(t, func(*testing.T) {
			all, rate := &counting{}, Rate{50, time.Hour, 0}
			interval, tolerance, _ := rate.gcra()
			var ways []*way
			var nodes []*Limiter
			for range n {
				w := &way{counting: all}
				ways = append(ways, w)
				nodes = append(nodes, New(Config{Shared: w, Nodes: func() int { return n }}))
			}
			start, admitted := time.Now(), int64(0)
			for i, gap := range gaps {
				time.Sleep(time.Duration(gap) * time.Second)
				w, kind := ways[flips[i]%n], flips[i]/n
				for _, o := range ways {
					if o != w && !together {
						continue
					}
					switch kind {
					case 0, 1, 2:
						o.away = !o.away
					case 3:
						o.lost = !o.lost
					}
				}
				for _, l := range nodes {
					for l.AllowIn("", "k", rate).OK {
						admitted++
					}
				}
				earned := (int64(time.Since(start)) + tolerance) / interval
				most := 2*earned + int64(n)
				if together {
					most = earned + 2*int64(n)
				}
				if admitted > most {
					wrong = fmt.Sprintf("%d admitted by %d nodes, %d earned", admitted, n, earned)
					return
				}
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// TestSharedRateChanges: the new rate counts at once for who owes more than it by an old one.
func TestSharedRateChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &counting{}
		l := New(Config{Shared: all})
		l.AllowIn("s", "k", Rate{1, 10 * time.Hour, 0})
		l.AllowIn("s", "k", Rate{1, time.Hour, 0})
		if len(all.asked) != 2 {
			t.Errorf("%d questions", len(all.asked))
		}
	})
}
