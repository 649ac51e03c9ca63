package staleness

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// ledger is a register whose answer the test gives.
type ledger struct {
	mu      sync.Mutex
	answer  Standing
	err     error
	slow    time.Duration
	asked   int
	yielded []string
	before  func() // of a yield
}

func (l *ledger) Sole(ctx context.Context, _ Claim) (Standing, error) {
	l.mu.Lock()
	st, err, slow := l.answer, l.err, l.slow
	l.asked++
	l.mu.Unlock()
	if slow > 0 {
		late := time.NewTimer(slow)
		defer late.Stop()
		<-late.C
	}
	return st, err
}

func (l *ledger) YieldSole(_ context.Context, node string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.before != nil {
		l.before()
	}
	l.yielded = append(l.yielded, node)
	return l.err
}

func (l *ledger) answers(st Standing, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer, l.err = st, err
}

// takes has each question take that long from now on.
func (l *ledger) takes(slow time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow = slow
}

// beforeYielding has fn called before the right is given up, by the node's own work.
func (l *ledger) beforeYielding(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = fn
}

// given returns who gave the right up.
func (l *ledger) given() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.yielded)
}

var errAway = errors.New("away")

// aloneWorld is a node with a view, in a bubble of fake time.
type aloneWorld struct {
	*world
	*ledger
	sole *Sole
	view *Watch
}

func newAlone(t *testing.T, bound time.Duration, st Standing) *aloneWorld {
	t.Helper()
	a := &aloneWorld{world: new(world), ledger: &ledger{answer: st}}
	log := slog.New(slog.NewTextHandler(a.world, nil))
	a.sole = NewSole(SoleConfig{Register: a.ledger, Claim: Claim{Node: "me", Bound: bound}, Clock: NewClock(time.Now), Logger: log})
	began := time.Now()
	a.view = New(Config{Age: func() time.Duration { return time.Since(began) + time.Duration(a.age.Load()) }, Now: time.Now, Sole: a.sole, Limit: 5 * time.Second, Logger: log})
	a.sole.Join(t.Context(), time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _ = a.sole.Run(ctx) }()
	t.Cleanup(cancel)
	return a
}

// young has the view follow, as if a heartbeat came at this moment.
func (a *aloneWorld) stale() bool { return a.view.Stale(time.Now(), 0) }

// TestAloneGoesOn: a node that is alone goes on while its database is away, for as long as
// its bound says and no longer; any other one does not.
func TestAloneGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		bound  time.Duration
		answer Standing
		after  time.Duration
		want   bool // it goes on
	}{
		"alone":                 {5 * time.Minute, Standing{Sole: true}, 4*time.Minute + 55*time.Second, true},
		"alone for too long":    {5 * time.Minute, Standing{Sole: true}, 5*time.Minute + 2*time.Second, false},
		"without end":           {Forever, Standing{Sole: true}, 10 * time.Hour, true},
		"one of several":        {5 * time.Minute, Standing{}, 6 * time.Second, false},
		"another one may":       {5 * time.Minute, Standing{Holder: "other", Left: time.Hour}, time.Second, false},
		"one of several, young": {5 * time.Minute, Standing{}, 4 * time.Second, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAlone(t, c.bound, c.answer)
			a.answers(Standing{}, errAway)
			time.Sleep(c.after)
			if a.stale() == c.want {
				t.Errorf("%s: after %v it goes on: %v", name, c.after, !c.want)
			}
		})
	}
}

// TestAloneComesBack: when the database is there again and confirms that nobody else came,
// a node that was alone goes on while it reads its view anew, and no longer; when somebody
// came, it does not.
func TestAloneComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		answer Standing
		after  time.Duration
		want   bool // it goes on
	}{
		"still alone":         {Standing{Sole: true}, 2 * time.Second, true},
		"and never reads":     {Standing{Sole: true}, 5 * time.Second, false},
		"somebody has come":   {Standing{Sole: true, Asked: true}, 2 * time.Second, false},
		"somebody took it":    {Standing{}, 2 * time.Second, false},
		"somebody goes on so": {Standing{Holder: "other", Left: time.Hour}, 2 * time.Second, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAlone(t, Forever, Standing{Sole: true})
			a.answers(Standing{}, errAway)
			time.Sleep(10 * time.Second)
			a.answers(c.answer, nil)
			time.Sleep(c.after)
			if a.stale() == c.want {
				t.Errorf("%s: after %v it goes on: %v", name, c.after, !c.want)
			}
		})
	}
}

// TestAloneOnlyWhileAway: a node that is alone goes by its view's age while the database
// answers, and does not go on by a view that was old when the database was last heard from.
func TestAloneOnlyWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlone(t, Forever, Standing{Sole: true})
		time.Sleep(7500 * time.Millisecond)
		if !a.stale() {
			t.Error("the database answers, the view is too old, and it goes on")
		}
		a.answers(Standing{}, errAway)
		time.Sleep(2 * time.Second)
		if !a.stale() {
			t.Error("it goes on by a view that was too old when the database was last heard from")
		}
	})
}

// TestAloneAfterAStop: what a process knew before it was stopped says nothing of the
// database when it wakes up; nor does an attempt in the middle of which it was stopped.
func TestAloneAfterAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlone(t, Forever, Standing{Sole: true})
		a.answers(Standing{}, errAway)
		time.Sleep(10 * time.Second)
		if a.stale() {
			t.Fatal("it does not go on")
		}
		at := time.Now().Add(20 * time.Second) // it wakes up, and nobody has tried again
		if !a.view.Stale(at, 0) {
			t.Error("it goes on by an attempt of before it was stopped")
		}
		a.takes(20 * time.Second) // stopped in the middle of an attempt
		time.Sleep(30 * time.Second)
		if !a.stale() {
			t.Error("it goes on by an attempt that was no attempt")
		}
		a.takes(0)
		time.Sleep(15 * time.Second)
		if a.stale() {
			t.Error("it has tried again, and does not go on")
		}
	})
}

// TestAloneGivesUp: the right ends before the database, and with it the other node, can know.
func TestAloneGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlone(t, Forever, Standing{Sole: true})
		if !a.sole.Holds() {
			t.Fatal("it is not alone")
		}
		var held atomic.Bool
		a.beforeYielding(func() { held.Store(a.sole.Holds()) })
		a.answers(Standing{Sole: true, Asked: true}, nil)
		time.Sleep(2 * time.Second)
		if given := a.given(); len(given) == 0 || given[0] != "me" || held.Load() || a.sole.Holds() {
			t.Errorf("given up: %v; held at that moment: %v, now: %v", given, held.Load(), a.sole.Holds())
		}
		a.answers(Standing{}, errAway) // and not again by an answer that was lost
		time.Sleep(10 * time.Second)
		if !a.stale() {
			t.Error("it gave the right up, and goes on")
		}
	})
}

// TestJoinWaits: who comes answers nothing while another node may be going on, says so once
// a minute, and goes on as soon as that one cannot any more.
func TestJoinWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		a := newAlone(t, time.Minute, Standing{Holder: "node_1", Host: "other.example", Left: 90 * time.Second})
		if time.Since(began) != time.Second || !a.sole.Waits() || !a.stale() {
			t.Errorf("joined after %v: waits %v, stale %v", time.Since(began), a.sole.Waits(), a.stale())
		}
		time.Sleep(89 * time.Second)
		if got := a.said(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "node=node_1 host=other.example longest=1m30s") {
			t.Errorf("it says %q", got)
		}
		a.age.Store(-int64(time.Since(began)))
		a.answers(Standing{Sole: true, Ended: "node_1", Why: "its time is over"}, nil)
		time.Sleep(time.Second)
		if a.sole.Waits() || a.stale() || !a.sole.Holds() {
			t.Error("the other node cannot be going on, and this one waits")
		}
		if got := a.said(); !strings.Contains(got, `node=node_1 why="its time is over"`) {
			t.Errorf("it says %q", got)
		}
		a.sole.Leave(t.Context())
		if !a.sole.Waits() || len(a.given()) != 1 {
			t.Error("it stopped, and has the right still")
		}
	})
}
