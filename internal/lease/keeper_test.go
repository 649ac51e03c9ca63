package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/lease"
)

// table is the database of these tests.
type table struct {
	mu    sync.Mutex
	rows  map[string]row
	down  error
	calls []string
}

type row struct {
	lease.Lease
	ends time.Time // zero: never
}

func newTable() *table { return &table{rows: map[string]row{}} }

func (s *table) call(name string) error {
	s.calls = append(s.calls, name)
	return s.down
}

func (s *table) AcquireLease(_ context.Context, name, holder string, term time.Duration) (lease.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call("acquire"); err != nil {
		return lease.Lease{}, err
	}
	r := s.rows[name]
	if r.Holder != "" && term > 0 && (r.ends.IsZero() || r.ends.After(time.Now())) {
		return lease.Lease{}, lease.ErrHeld
	}
	r.Lease = lease.Lease{Name: name, Holder: holder, Epoch: r.Epoch + 1}
	if r.ends = time.Now().Add(term); term == 0 {
		r.ends = time.Time{}
	}
	s.rows[name] = r
	return r.Lease, nil
}

func (s *table) LeasesOfOthers(_ context.Context, holder string) (names []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range s.rows {
		if r.Holder != "" && r.Holder != holder && (r.ends.IsZero() || r.ends.After(time.Now())) {
			names = append(names, name)
		}
	}
	return names, s.call("look")
}

func (s *table) RenewLeases(ctx context.Context, holder string, term time.Duration) (out []lease.Lease, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call("renew"); err != nil {
		return nil, err
	}
	for name, r := range s.rows {
		if r.Holder == holder {
			r.ends = time.Now().Add(term)
			s.rows[name] = r
			out = append(out, r.Lease)
		}
	}
	return out, nil
}

func (s *table) ReleaseLease(_ context.Context, l lease.Lease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call("release"); err != nil {
		return err
	}
	if r := s.rows[l.Name]; r.Lease == l {
		r.Holder = ""
		s.rows[l.Name] = r
	}
	return nil
}

func (s *table) set(down error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *table) count(call string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c == call {
			n++
		}
	}
	return n
}

func (s *table) holder(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[name].Holder
}

// ends is when the lease of a name ends unless it is renewed.
func (s *table) ends(name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[name].ends
}

func keeper(s lease.Store, holder string, term time.Duration) *lease.Keeper {
	return lease.NewKeeper(lease.Config{Store: s, Holder: holder, Term: term, Logger: slog.New(slog.DiscardHandler)})
}

var errDown = errors.New("the database is away")

// node is a process that does the work "w" whenever it has the lease.
type node struct {
	stop  context.CancelFunc
	ended chan error

	mu      sync.Mutex
	working bool
	spells  []int64 // the epochs under which it worked
	causes  []error
}

func begin(ctx context.Context, s lease.Store, name string, term time.Duration) *node {
	n := &node{ended: make(chan error, 1)}
	ctx, n.stop = context.WithCancel(ctx)
	go func() { n.ended <- keeper(s, name, term).Hold(ctx, "w", n.work) }()
	return n
}

func (n *node) work(ctx context.Context) error {
	n.set(true, lease.From(ctx).Epoch, nil)
	<-ctx.Done()
	n.set(false, 0, context.Cause(ctx))
	return nil
}

func (n *node) set(working bool, epoch int64, cause error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.working = working; working {
		n.spells = append(n.spells, epoch)
	} else {
		n.causes = append(n.causes, cause)
	}
}

func (n *node) works() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.working
}

// TestOneHolds: of several processes one does the work, for as long as it lives, and the
// next one soon after it has stopped: at once when it ended well, after the term when it died.
func TestOneHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		a := begin(t.Context(), s, "a", lease.Term)
		synctest.Wait()
		b := begin(t.Context(), s, "b", lease.Term)
		time.Sleep(time.Hour)
		if !a.works() || b.works() || len(a.spells) != 1 {
			t.Fatalf("a works %v, b works %v, %v", a.works(), b.works(), a.spells)
		}
		a.stop()
		if err := <-a.ended; err != nil {
			t.Error(err)
		}
		time.Sleep(3 * time.Second)
		if !b.works() || s.holder("w") != "b" {
			t.Error("nobody took what was given back")
		}
		// The row of somebody who died is as it was.
		s.mu.Lock()
		s.rows["w"] = row{lease.Lease{Name: "w", Holder: "dead", Epoch: 7}, time.Now().Add(lease.Term)}
		s.mu.Unlock()
		time.Sleep(lease.Term / 2)
		if b.works() {
			t.Error("b works on, and has lost the lease")
		}
		time.Sleep(lease.Term)
		if !b.works() || !slices.Equal(b.spells, []int64{2, 8}) || !errors.Is(b.causes[0], lease.ErrLost) {
			t.Errorf("b works %v under %v, %v", b.works(), b.spells, b.causes)
		}
		b.stop()
		<-b.ended
	})
}

// TestWithoutTheDatabase: who cannot renew stops before the lease can be another's, and
// goes on when it can.
func TestWithoutTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		a := begin(t.Context(), s, "a", lease.Term)
		time.Sleep(lease.Term * 7 / 8) // renewed at three quarters
		s.set(errDown)
		time.Sleep(lease.Term / 2)
		if !a.works() {
			t.Error("a short absence ended the work")
		}
		time.Sleep(lease.Term*3/8 - time.Millisecond)
		if a.works() {
			t.Error("the work goes on after the end of the lease")
		}
		s.set(nil)
		time.Sleep(lease.Term / 2)
		if !a.works() || !slices.Equal(a.spells, []int64{1}) && len(a.spells) != 2 {
			t.Errorf("works %v, %v", a.works(), a.spells)
		}
		a.stop()
		<-a.ended
	})
}

// TestAlone: a process that has the database to itself takes its leases at once from
// whoever had them, asks once, and never again.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		s.rows["w"] = row{Lease: lease.Lease{Name: "w", Holder: "killed", Epoch: 4}}
		a := begin(t.Context(), s, "a", 0)
		synctest.Wait()
		if !a.works() || a.spells[0] != 5 {
			t.Fatal("it waits for the dead")
		}
		time.Sleep(24 * time.Hour)
		a.stop()
		<-a.ended
		if got := strings.Join(s.calls, " "); got != "acquire release" || s.holder("w") != "" {
			t.Errorf("calls: %s", got)
		}
	})
}

// TestWorkThatEnds: what work returned comes back, and others have the lease. While a
// process ends, its lease stays until its work is done.
func TestWorkThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		ctx, stop := context.WithCancel(t.Context())
		for _, want := range []error{nil, errDown} {
			if err := keeper(s, "a", lease.Term).Hold(ctx, "w", func(context.Context) error { return want }); !errors.Is(err, want) || err != want {
				t.Errorf("%v, not %v", err, want)
			}
			if s.holder("w") != "" {
				t.Error("the lease was kept")
			}
		}
		err := keeper(s, "a", lease.Term).Hold(ctx, "w", func(inner context.Context) error {
			stop()
			<-inner.Done()
			time.Sleep(3 * lease.Term) // a last round
			if s.holder("w") != "a" || !s.ends("w").After(time.Now()) || lease.From(context.WithoutCancel(inner)) == nil {
				t.Error("the lease went before the work had ended")
			}
			return nil
		})
		if err != nil || s.holder("w") != "" {
			t.Errorf("%v, held by %q", err, s.holder("w"))
		}
		synctest.Wait()
		calls := s.count("renew")
		time.Sleep(lease.Term)
		if s.count("renew") != calls {
			t.Error("nothing is held, and it is renewed")
		}
		if err := keeper(s, "b", lease.Term).Hold(ctx, "w", func(context.Context) error { t.Error("worked"); return nil }); err != nil {
			t.Error(err)
		}
	})
}

// TestLostInATransaction: who finds out first tells the work.
func TestLostInATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		a := begin(t.Context(), s, "a", 0)
		synctest.Wait()
		spells := 0
		ctx, stop := context.WithCancel(t.Context())
		err := keeper(s, "b", 0).Hold(ctx, "w", func(inner context.Context) error {
			if spells++; spells == 2 {
				stop()
				return nil
			}
			lease.From(inner).Lost()
			<-inner.Done()
			if !errors.Is(context.Cause(inner), lease.ErrLost) {
				t.Errorf("ended for %v", context.Cause(inner))
			}
			return nil
		})
		if err != nil || spells != 2 {
			t.Errorf("%d spells, %v", spells, err)
		}
		a.stop()
		<-a.ended
	})
}

func TestNoLease(t *testing.T) {
	if h := lease.From(t.Context()); h != nil {
		t.Errorf("%v", h)
	}
}

// TestOneLooksForAll: a process that waits for many leases asks for all of them at once, and
// takes each when it is free.
func TestOneLooksForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		names := []string{"u", "v", "w"}
		for _, name := range names {
			s.rows[name] = row{Lease: lease.Lease{Name: name, Holder: "a", Epoch: 1}}
		}
		ctx, stop := context.WithCancel(t.Context())
		k := keeper(s, "b", lease.Term)
		var ended sync.WaitGroup
		for _, name := range names {
			ended.Go(func() {
				_ = k.Hold(ctx, name, func(ctx context.Context) error { <-ctx.Done(); return nil })
			})
		}
		time.Sleep(lease.Term)
		if looks, tries := s.count("look"), s.count("acquire"); looks < 4 || looks > 8 || tries != 0 || k.Held() != 0 {
			t.Errorf("in a term it looked %d times, tried %d times and holds %d", looks, tries, k.Held())
		}
		s.mu.Lock()
		delete(s.rows, "v")
		s.mu.Unlock()
		time.Sleep(lease.Term / 3)
		if k.Held() != 1 || s.holder("v") != "b" {
			t.Errorf("of one that is free and two that are not it holds %d", k.Held())
		}
		stop()
		ended.Wait()
	})
}
