package faults_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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
	h := newHouse(t, nil)
	h.truth.person(t, h.front)
	patrol := h.patrol(t)
	rounds, asleep := 1, 7*time.Second
	if long {
		rounds, asleep = 3, 20*time.Second
	}
	for range rounds {
		h.during(t, "a rolling restart", func() { h.roll(t) })
		h.during(t, "kill -9 of a node", func() {
			n := h.nodes[rand.IntN(3)]
			n.kill()
			n.start(t)
		})
		h.during(t, "a stop of a node", func() {
			n := h.nodes[rand.IntN(3)]
			n.signal(t, syscall.SIGSTOP)
			testwait.Outlast(asleep)
			n.signal(t, syscall.SIGCONT)
		})
		h.during(t, "a restart of PostgreSQL", func() { h.restart(t, h.db1.Down) })
		h.during(t, "a crash of PostgreSQL", func() { h.restart(t, h.db1.Crash) })
	}
	h.during(t, "a failover", func() {
		if err := h.db1.Crash(); err != nil { // and it never comes back
			t.Fatal(err)
		}
		if err := h.db2.Promote(); err != nil {
			t.Fatal(err)
		}
	})
	patrol()
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
func (h *house) during(t *testing.T, what string, fault func()) {
	t.Helper()
	began := time.Now()
	w := &h.truth
	stop, done := make(chan struct{}), make(chan struct{})
	ended := sync.OnceFunc(func() { close(stop); <-done })
	defer ended()
	before := w.count()
	go func() { w.load(h.front, stop); close(done) }()
	eventually(t, 20*time.Second, "the load is on", func() bool { return w.count() > before+20 })
	fault()
	h.whole(t, what, 40*time.Second)
	before = w.count()
	eventually(t, 20*time.Second, "the load goes on after "+what, func() bool { return w.count() > before+20 })
	ended()
	w.lost = nil // the grace for a lost answer is shorter than most of what happens here
	h.saved = append(h.saved, h.front.checkpoint(t))
	for _, n := range h.nodes {
		w.check(t, n, 20)
		h.saved = append(h.saved, n.checkpoint(t))
	}
	h.nodes[rand.IntN(3)].verify(t, h.saved[max(0, len(h.saved)-16):]...)
	t.Logf("%s: %v, %d acknowledged", what, time.Since(began).Round(100*time.Millisecond), w.count())
	if t.Failed() {
		t.Fatal(what)
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
		nodes = nodes[:2]
	}
	for _, n := range nodes {
		n.stop(t)
		n.start(t)
		h.whole(t, "the restart of one", 20*time.Second)
	}
	close(stop)
	running.Wait()
	t.Logf("%d requests while nodes were restarted", served.Load())
}
