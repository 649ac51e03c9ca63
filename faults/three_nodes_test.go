//go:build unix

package faults_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// maxStaleness is that of deploy/three-nodes/gatehouse.yaml.
const maxStaleness = 5 * time.Second

// TestThreeNodes runs the installation of deploy/three-nodes under load and breaks one part
// after another. What was acknowledged stays, whose end was acknowledged is not let in beyond
// max_staleness, the log verifies, and everything recovers by itself.
func TestThreeNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	if !long {
		t.Parallel()
	}
	clock := clockOff(t)
	var way *network // of the third node to the databases
	h := newHouse(t, func(h *house, i int, n *node) {
		switch {
		case i == 1:
			n.program, n.env = clock, append(n.env, "CLOCK_OFF=30s")
		case i == 2 && long:
			n.program, n.env = clock, append(n.env, "CLOCK_OFF=-30s")
			databases := []string{h.at("10.0.0.21:5432"), h.at("10.0.0.22:5432")}
			var ways []string
			way, ways = newNetwork(t, databases...)
			n.cfg.dsn = strings.NewReplacer(databases[0], ways[0], databases[1], ways[1]).Replace(h.dsn)
		}
	})
	h.truth.person(t, h.front)
	if off := []int{1, 2}; long {
		h.clocks(t, off...)
	} else {
		h.clocks(t, off[:1]...)
	}
	patrol, histories := h.patrol(t), h.redeemers(t, 2)
	asleep := maxStaleness + 2*time.Second
	if long {
		asleep = 20 * time.Second
	}
	for round := 0; round == 0 || long && round < 3; round++ {
		h.during(t, "kill -9 of a node", func(t *testing.T) {
			n := h.nodes[rand.IntN(3)]
			n.kill()
			n.start(t)
		})
		h.during(t, "a stop of a node", func(t *testing.T) {
			n := h.nodes[rand.IntN(3)]
			n.signal(t, syscall.SIGSTOP)
			testwait.Outlast(asleep)
			n.signal(t, syscall.SIGCONT)
		})
		if !long {
			break
		}
		h.during(t, "a rolling restart", h.roll)
		h.during(t, "a network that swallows everything", func(t *testing.T) {
			mend := way.spoil(t, "timeout", map[string]any{"timeout": 0})
			h.without(t, 2)
			mend()
		})
		h.during(t, "a crash of PostgreSQL", func(t *testing.T) { h.restart(t, h.db1.Crash) })
		h.during(t, "a restart of PostgreSQL", func(t *testing.T) { h.restart(t, h.db1.Down) })
		h.during(t, "a slow network", func(t *testing.T) {
			mend := way.spoil(t, "latency", map[string]any{"latency": 100, "jitter": 50})
			h.goesOn(t, "a slow network")
			mend()
		})
		h.during(t, "a network too slow to be of use", func(t *testing.T) {
			mend := way.spoil(t, "latency", map[string]any{"latency": 3000})
			h.without(t, 2)
			mend()
		})
		h.during(t, "a cut network", func(t *testing.T) {
			way.cut(t)
			h.without(t, 2)
			way.join(t)
		})
	}
	h.during(t, "a failover", func(t *testing.T) {
		if err := h.db1.Freeze(); err != nil { // it takes connections and says nothing
			t.Fatal(err)
		}
		h.promote(t, h.db2)
	})
	h.during(t, "two primaries", func(t *testing.T) {
		h.db1.Thaw() // with the requests that were sent to it
		if long {
			h.goesOn(t, "the return of a primary that can commit nothing")
			h.restart(t, h.db1.Down)
			h.goesOn(t, "its restart")
		}
		// The worst of what an operator can do: it waits for nobody, and takes changes.
		for _, statement := range []string{`ALTER SYSTEM SET synchronous_standby_names = ''`, `SELECT pg_reload_conf()`} {
			sql(t, h.db1.Local("postgres"), statement)
		}
		n := h.nodes[rand.IntN(3)]
		n.kill() // who starts anew remembers nothing, and is told of db1 first
		n.start(t)
		h.goesOn(t, "the presence of two primaries")
		eventually(t, 15*time.Second, "nobody stays with the old one", func() bool {
			return query[int](t, h.db1.Local("postgres"), `SELECT count(*) FROM pg_stat_activity WHERE usename='gatehouse'`) == 0
		})
	})
	if long {
		h.during(t, "a new standby and another failover", func(t *testing.T) {
			if err := h.db1.Down(); err != nil {
				t.Fatal(err)
			}
			h.db1 = h.follow(t, "10.0.0.22", "db1", h.settings("standby.conf", "10.0.0.22", "10.0.0.21"))
			h.commands(t, h.db2, "have db2 wait for it:", "")
			h.waitedFor(t, h.db2)
			h.goesOn(t, "the presence of a new standby")
			if err := h.db2.Freeze(); err != nil {
				t.Fatal(err)
			}
			h.promote(t, h.db1)
		})
	}
	histories()
	patrol()
}

// promote makes a standby the primary, and waits until each node has noticed.
func (h *house) promote(t *testing.T, s *testpg.Server) {
	t.Helper()
	const anew = "another server answers, or a standby was promoted"
	var before [3]int
	for i, n := range h.nodes {
		before[i] = strings.Count(n.logged(), anew)
	}
	if err := s.Promote(); err != nil {
		t.Fatal(err)
	}
	for i, n := range h.nodes { // ids of transactions mean something else now
		eventually(t, 40*time.Second, "a node loads everything anew", func() bool { return strings.Count(n.logged(), anew) > before[i] })
	}
}

// goesOn sees the load go on.
func (h *house) goesOn(t *testing.T, during string) {
	t.Helper()
	before := h.truth.count()
	eventually(t, 20*time.Second, "the load goes on during "+during, func() bool { return h.truth.count() > before+20 })
}

// without sees a node that hears nothing of its database refuse what needs it, and the
// load go on at the others.
func (h *house) without(t *testing.T, node int) {
	t.Helper()
	n := h.nodes[node]
	eventually(t, maxStaleness+10*time.Second, "a node without a database refuses", func() bool {
		return n.private(n.adminKey).code() == "stale_view"
	})
	eventually(t, 20*time.Second, "HAProxy has noticed", func() bool { return h.up(t) == 2 })
	h.goesOn(t, "the absence of one node's database")
}

func (h *house) restart(t *testing.T, down func() error) {
	t.Helper()
	if err := down(); err != nil {
		t.Fatal(err)
	}
	if err := h.db1.Up(); err != nil {
		t.Fatal(err)
	}
}

// during does something to the house under load, and sees it recover and whole.
func (h *house) during(t *testing.T, what string, fault func(t *testing.T)) {
	if t.Failed() {
		return
	}
	t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
		w := &h.truth
		stop, done := make(chan struct{}), make(chan struct{})
		ended := sync.OnceFunc(func() { close(stop); <-done })
		defer ended()
		before := w.count()
		go func() { w.load(h.front, stop); close(done) }()
		eventually(t, 20*time.Second, "the load is on", func() bool { return w.count() > before+20 })
		fault(t)
		h.whole(t, what, 40*time.Second)
		h.goesOn(t, what)
		ended()
		w.lost = nil // the grace for a lost answer is shorter than most of what happens here
		h.saved = append(h.saved, h.front.checkpoint(t))
		for _, n := range h.nodes {
			h.knows(t, n)
			w.check(t, n, 20)
			h.saved = append(h.saved, n.checkpoint(t))
		}
		h.nodes[rand.IntN(3)].verify(t, h.saved[max(0, len(h.saved)-16):]...)
		t.Logf("%d acknowledged in all", w.count())
	})
}

// knows waits until a node knows what others ended a moment ago.
func (h *house) knows(t *testing.T, n *node) {
	t.Helper()
	var recent []ending
	h.truth.note(func() { recent = append(recent, h.truth.ends[max(0, len(h.truth.ends)-20):]...) })
	for _, e := range recent {
		eventually(t, maxStaleness, "a node knows what ended", func() bool { return n.private(e.credential).status == 401 })
	}
}

// patrol asks each node, again and again, to let in whose end was acknowledged longer ago
// than a view may be old. The function that it returns ends that.
func (h *house) patrol(t *testing.T) (end func()) {
	stop := make(chan struct{})
	var running sync.WaitGroup
	var asked, let, latest atomic.Int64
	w := &h.truth
	for i, n := range h.nodes {
		running.Go(func() {
			pace := time.NewTicker(10 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				var e ending
				w.note(func() {
					if recent := w.ends[max(0, len(w.ends)-200):]; len(recent) > 0 {
						e = recent[rand.IntN(len(recent))]
					}
				})
				if e.credential == "" {
					continue
				}
				late := time.Since(e.at)
				if n.private(e.credential).status != 200 {
					asked.Add(1)
					continue
				}
				let.Add(1)
				latest.Store(max(latest.Load(), int64(late)))
				if late > maxStaleness {
					t.Errorf("node %d let in %.24s… %v after its end was acknowledged", i+1, e.credential, late)
				}
			}
		})
	}
	end = sync.OnceFunc(func() {
		close(stop)
		running.Wait()
		t.Logf("patrol: %d times not let in, %d times let in before the bound, %v after the end at most", asked.Load(), let.Load(), time.Duration(latest.Load()).Round(time.Millisecond))
		if asked.Load() < 100 {
			t.Errorf("the patrol asked %d times only", asked.Load())
		}
	})
	t.Cleanup(end)
	return end
}

// roll restarts the nodes one after the other, as an upgrade does: no caller notices.
func (h *house) roll(t *testing.T) {
	t.Helper()
	stop := make(chan struct{})
	var running sync.WaitGroup
	var served atomic.Int64
	ask := func(f func(serial int64) answer, want int) {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				serial := served.Add(1)
				if a := f(serial); a.status != want {
					t.Errorf("a request is lost: %d %s %v", a.status, a.body, a.err)
					return
				}
			}
		})
	}
	for range 4 {
		ask(func(int64) answer { return h.front.private(h.front.adminKey) }, 200)
	}
	mark := rand.Int64()
	for range 2 {
		ask(func(serial int64) answer {
			return h.front.manage("POST", "/users", fmt.Sprintf(`{"username":"roll-%d-%d","kind":"service"}`, mark, serial))
		}, 201)
	}
	nodes := h.nodes[:]
	if !long {
		nodes = nodes[:1]
	}
	for _, n := range nodes {
		n.stop(t)
		n.start(t)
		h.whole(t, "one restart", 20*time.Second)
	}
	close(stop)
	running.Wait()
	t.Logf("%d requests meanwhile", served.Load())
}
