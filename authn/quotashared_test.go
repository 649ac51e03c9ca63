package authn

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/counters"
	"github.com/gatehouse-auth/gatehouse/internal/testredis"
)

// countsOfAll is a server that counts for all nodes, by the clock of the test; counters has
// the test of the true one.
type countsOfAll struct {
	mu    sync.Mutex
	now   func() time.Time
	held  map[string]countOfAll
	asked int
}

type countOfAll struct {
	n       int64
	settled time.Time
}

func (c *countsOfAll) use(u counters.Use) (v counters.Verdict, counts []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	v = counters.Counted
	var next []countOfAll
	for _, p := range u.Of {
		h := c.held[u.Scope+u.ID+p.Name]
		h.n = max(h.n, p.Floor)
		if u.Lacks {
			h.settled = c.now().Add(u.Settle)
		}
		if h.n >= p.Quota {
			v = counters.UsedUp
		} else if v == counters.Counted && c.now().Before(h.settled) && !u.Share {
			v = counters.Unsettled
		}
		next = append(next, h)
	}
	for i, p := range u.Of {
		if v == counters.Counted {
			next[i].n++
		}
		c.held[u.Scope+u.ID+p.Name] = next[i]
		counts = append(counts, next[i].n)
	}
	return v, counts
}

// wayToCounts is how one node reaches them.
type wayToCounts struct {
	*countsOfAll
	away     bool // and known to be
	unheard  bool // what is asked is counted, and the answer lost
	answered int
}

func (w *wayToCounts) Away() bool { return w.away }

func (w *wayToCounts) Use(u counters.Use) (counters.Verdict, []int64, bool) {
	v, counts := w.use(u)
	if w.unheard {
		return counters.UsedUp, nil, false
	}
	w.answered++
	return v, counts, true
}

// newCountingNodes are nodes that count together.
func newCountingNodes(t *testing.T, n int, quotaDay, quotaMonth int64) (*keyNodes, *countsOfAll, []*wayToCounts) {
	t.Helper()
	k := newKeyNodes(t, n, quotaDay, quotaMonth)
	all := &countsOfAll{held: map[string]countOfAll{}, now: k.config().Now}
	var ways []*wayToCounts
	for _, a := range k.nodes {
		w := &wayToCounts{countsOfAll: all}
		a.cfg.Shared = w
		ways = append(ways, w)
	}
	return k, all, ways
}

// TestQuotaTogether: nodes that count together let pass all of a quota and no use more,
// wherever it is used, and nobody is asked about a key that is used up.
func TestQuotaTogether(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		n, quota := 1+rnd.IntN(5), int64(1+rnd.IntN(100))
		perDay, perMonth := quota, int64(0)
		if rnd.IntN(2) == 0 {
			perDay, perMonth = 0, quota
		}
		k, all, _ := newCountingNodes(t, n, perDay, perMonth)
		var total int64
		for step := range 2 * quota {
			if k.use(rnd.IntN(n)) == 0 {
				total++
				if total != step+1 {
					t.Fatalf("seed %d: refused before", seed)
				}
			}
			if rnd.IntN(10) == 0 {
				k.advance(100 * time.Millisecond)
				k.sync(rnd.IntN(n))
			}
		}
		if total != quota {
			t.Errorf("seed %d: %d nodes let pass %d of %d", seed, n, total, quota)
		}
		for i := range n {
			k.use(i)
		}
		asked := all.asked
		for i := range n {
			if wait := k.use(i); wait < time.Hour {
				t.Errorf("seed %d: node %d has it wait %v", seed, i, wait)
			}
		}
		if all.asked != asked {
			t.Errorf("seed %d: asked about what is used up", seed)
		}
	}
}

// TestQuotaOfLostCounts: a server that has lost its counts, or has old ones, gives no quota
// anew: of that one key, what was let pass since uses were last stored and read, at most.
func TestQuotaOfLostCounts(t *testing.T) {
	for name, lose := range map[string]func(*countsOfAll, map[string]countOfAll){
		"nothing left":         func(c *countsOfAll, _ map[string]countOfAll) { clear(c.held) },
		"those of an hour ago": func(c *countsOfAll, old map[string]countOfAll) { c.held = old },
	} {
		k, all, _ := newCountingNodes(t, 2, 100, 1000)
		for range 40 {
			k.use(0)
		}
		old := map[string]countOfAll{}
		for at, c := range all.held {
			old[at] = c
		}
		for range 20 {
			k.use(0)
		}
		// Who was answered himself knows it without the database.
		lose(all, old)
		for range 10 {
			k.use(0)
		}
		k.sync(0)
		k.sync(1)
		lose(all, old)
		if n := k.uses(1); n != 30 {
			t.Errorf("%s: another node lets pass %d of 30", name, n)
		}
		// One that has not used it for some time asks the database first.
		k.sync(1)
		k.advance(time.Minute)
		lose(all, old)
		if wait := k.use(0); wait < time.Hour {
			t.Errorf("%s: used up, and then %v", name, wait)
		}
		// And one that starts.
		lose(all, old)
		cfg := k.nodes[1].cfg
		a, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		k.nodes = append(k.nodes, a)
		if wait := k.use(2); wait < time.Hour {
			t.Errorf("%s: used up, and a node that starts has it wait %v", name, wait)
		}
	}
}

// TestQuotaWhileCountsAreAway: each node counts its share, and is not told of a key that is
// used up that it had more; when the server is back, shares hold until all uses are known.
func TestQuotaWhileCountsAreAway(t *testing.T) {
	k, _, ways := newCountingNodes(t, 2, 100, 0)
	away := func(is bool) {
		for _, w := range ways {
			w.away = is
		}
	}
	away(true)
	for i := range k.nodes {
		if n := k.uses(i); n != 50 {
			t.Errorf("%d are half of 100", n)
		}
	}
	// It blinks: nothing of that is stored.
	away(false)
	for i := range k.nodes {
		if n := k.uses(i); n != 0 {
			t.Errorf("node %d lets pass %d more", i, n)
		}
	}
	if n := k.nodes[0].QuotaAlone() + k.nodes[1].QuotaAlone(); n != 102 {
		t.Errorf("%d were judged by shares", n)
	}
	for range 4 {
		k.advance(quotaEvery)
		for i := range k.nodes {
			k.sync(i)
		}
	}
	for i := range k.nodes {
		if wait := k.use(i); wait < time.Hour {
			t.Errorf("node %d has it wait %v", i, wait)
		}
	}

	// Uses from before count, of others too as far as the node heard.
	k, _, ways = newCountingNodes(t, 2, 100, 0)
	for range 30 {
		k.use(0)
		k.use(1)
	}
	away(true)
	if n := k.uses(0) + k.uses(1); n != 0 {
		t.Errorf("%d let pass by who knows that more than his share is gone", n)
	}
	n := 0
	for range 40 {
		k.advance(quotaEvery)
		for i := range k.nodes {
			k.sync(i)
			n += k.uses(i)
		}
	}
	if n < 40 || n > 41 {
		t.Errorf("%d of 40 let pass in the end", n)
	}

	// Shares end, and it is exact again.
	k, _, ways = newCountingNodes(t, 2, 100, 0)
	away(true)
	k.use(0)
	away(false)
	n = k.uses(0)
	if n < 48 || n > 50 {
		t.Errorf("%d let pass at once", n)
	}
	for range 4 {
		k.advance(quotaEvery)
		k.sync(0)
		k.sync(1)
	}
	if more := k.uses(0); 1+n+more != 100 {
		t.Errorf("%d of 100 in the end", 1+n+more)
	}
}

// TestQuotaOfLostAnswers: a use whose answer was lost is judged by the node's share, and is
// not taken for two.
func TestQuotaOfLostAnswers(t *testing.T) {
	k, _, ways := newCountingNodes(t, 1, 10, 20)
	for i := range 10 {
		ways[0].unheard = i%2 == 0
		if wait := k.use(0); wait != 0 {
			t.Errorf("use %d waits %v", i, wait)
		}
	}
	ways[0].unheard = false
	if wait := k.use(0); wait < time.Hour {
		t.Errorf("the eleventh of ten: %v", wait)
	}
}

// TestQuotaWhenCountsFlap: whatever goes wrong with the server and when, no more is let pass
// than the quota and what was let pass in the last seconds before something went wrong.
func TestQuotaWhenCountsFlap(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		n, quota := 1+rnd.IntN(4), int64(200+rnd.IntN(400))
		k, all, ways := newCountingNodes(t, n, quota, 0)
		const each = 4 // uses in a step of 100 ms
		var total, refused int64
		for step := 0; refused < 5*int64(n); step++ {
			k.advance(100 * time.Millisecond)
			for i := range k.nodes {
				if (step+3*i)%10 == 0 {
					k.sync(i)
				}
			}
			switch rnd.IntN(12) {
			case 0:
				clear(all.held)
			case 1:
				ways[rnd.IntN(n)].away = true
			case 2:
				ways[rnd.IntN(n)].unheard = true
			case 3, 4, 5:
				for _, w := range ways {
					w.away, w.unheard = false, false
				}
			}
			for range rnd.IntN(each + 1) {
				switch wait := k.use(rnd.IntN(n)); {
				case wait == 0:
					total, refused = total+1, 0
				case wait > time.Minute:
					refused++
				}
			}
			if step > 20_000 {
				t.Fatalf("seed %d: %d of %d were let pass, and then none", seed, total, quota)
			}
		}
		// Uses are stored and read within two seconds.
		if lost := int64(20 * each); total > quota+lost+int64(n) || total < quota-lost {
			t.Errorf("seed %d: %d nodes let pass %d of %d", seed, n, total, quota)
		}
	}
}

// TestQuotaTogetherTurns: a count is of its day and its month.
func TestQuotaTogetherTurns(t *testing.T) {
	k, all, _ := newCountingNodes(t, 2, 10, 14)
	k.now = time.Date(2026, 3, 30, 23, 59, 59, 0, time.UTC)
	if n := k.uses(0) + k.uses(1); n != 10 {
		t.Errorf("%d on the first day", n)
	}
	k.advance(2 * time.Second) // 31 March
	if n := k.uses(1) + k.uses(0); n != 4 {
		t.Errorf("%d of four that the month leaves", n)
	}
	k.advance(24 * time.Hour) // April
	if n := k.uses(0) + k.uses(1); n != 10 {
		t.Errorf("%d in April", n)
	}
	want := map[string]int64{"2026-03-30": 10, "2026-03-31": 4, "2026-04-01": 10,
		"2026-03": 14, "2026-04": 10}
	for name, n := range want {
		if got := all.held["quota\x00main"+k.key.Key.ID+name].n; got != n {
			t.Errorf("%q: %d, want %d", name, got, n)
		}
	}
	if len(all.held) != len(want) {
		t.Errorf("%v", all.held)
	}
}

// TestQuotaFloorWhileStoring: what is read while uses are being stored may hold them, so that
// they must not be counted twice: a count that is too high stays so.
func TestQuotaFloorWhileStoring(t *testing.T) {
	k, _, _ := newCountingNodes(t, 2, 100, 0)
	for range 10 {
		k.use(0)
	}
	k.advance(quotaStale + time.Second)
	err := k.nodes[0].FlushUsage(t.Context(), func(ctx context.Context, fn func(context.Context, UsageTx) error) error {
		err := fn(ctx, k) // it can be read, and is not answered yet
		k.use(0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := k.uses(0) + k.uses(1); n != 89 {
		t.Errorf("%d of 89", n)
	}
	// What could not be stored is read again, too.
	for range 2 {
		k.advance(24 * time.Hour)
		k.use(0)
		lost := errors.New("connection refused")
		if err := k.nodes[0].FlushUsage(t.Context(), func(context.Context, func(context.Context, UsageTx) error) error { return lost }); !errors.Is(err, lost) {
			t.Error(err)
		}
	}
	k.used = append(k.used, k.used[0])
	k.used[len(k.used)-1].Day, k.used[len(k.used)-1].Count = "2026-03-19", 50
	k.advance(quotaStale + time.Second)
	if n := k.uses(0); n != 49 {
		t.Errorf("%d, when another node has used it fifty times", n)
	}
}

// TestQuotaOnRedis: many at once on several nodes let pass a quota exactly.
func TestQuotaOnRedis(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	k := newKeyNodes(t, 3, 200, 1000)
	var using sync.WaitGroup
	var passed atomic.Int64
	for _, a := range k.nodes {
		s := counters.New(counters.Config{Address: r.Address, Prefix: "gatehouse:", Secret: []byte("0123456789abcdef0123456789abcdef"), Timeout: 5 * time.Second,
			Logger: slog.New(slog.DiscardHandler)})
		if !s.Connect(t.Context()) {
			t.Fatal("it is away")
		}
		a.cfg.Shared = s
		for range 10 {
			using.Go(func() {
				for range 20 {
					_, err := a.Authenticate(t.Context(), "main", k.key, secure)
					var e *gatehouse.Error
					switch {
					case err == nil:
						passed.Add(1)
					case !errors.As(err, &e) || e.Code != "key_quota_used_up" || e.RetryAfter < time.Hour:
						t.Error(err)
					}
				}
			})
		}
	}
	using.Wait()
	if n := passed.Load(); n != 200 {
		t.Errorf("%d of 200", n)
	}
	for _, a := range k.nodes {
		if a.QuotaAlone() != 0 {
			t.Error("judged by its share")
		}
	}
}

// TestCountWith: what is counted with another's counts is taken from the same quota.
func TestCountWith(t *testing.T) {
	k := newKeyNodes(t, 1, 3, 0)
	cfg := k.nodes[0].cfg
	cfg.CountWith = k.nodes[0]
	for range 2 {
		a, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		k.nodes = append(k.nodes, a)
	}
	for i := range 4 {
		if wait := k.use(i % 3); (wait == 0) != (i < 3) {
			t.Errorf("use %d of three: %v", i, wait)
		}
	}
	k.sync(0)
	if len(k.used) != 1 || k.used[0].Count != 3 {
		t.Errorf("stored: %v", k.used)
	}
}
