package identity

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// ledger keeps failures for several throttles, as the store does for several nodes.
type ledger struct {
	mu     sync.Mutex
	kept   map[string]Failures
	writes int
	fail   error
	race   func() // runs once, between a read and its write
}

type ledgerTx struct{ l *ledger }

func (l *ledger) run(ctx context.Context, fn func(context.Context, FailureTx) error) error {
	l.mu.Lock()
	fail, before := l.fail, maps.Clone(l.kept)
	l.mu.Unlock()
	if fail != nil {
		return fail
	}
	err := fn(ctx, ledgerTx{l})
	if err != nil && !errors.Is(err, gatehouse.Conflict) {
		l.mu.Lock()
		l.kept = before
		l.mu.Unlock()
	}
	return err
}

func (t ledgerTx) Failures(_ context.Context, key []byte) (Failures, error) {
	t.l.mu.Lock()
	f, ok := t.l.kept[string(key)]
	race := t.l.race
	t.l.race = nil
	t.l.mu.Unlock()
	if race != nil {
		race()
	}
	if !ok {
		return f, gatehouse.ErrNotFound
	}
	return f, nil
}

func (t ledgerTx) PutFailures(_ context.Context, f Failures) error {
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	if t.l.kept[string(f.Key)].Version != f.Version {
		return gatehouse.ErrVersionConflict
	}
	f.Version++
	t.l.kept[string(f.Key)] = f
	t.l.writes++
	return nil
}

func (t ledgerTx) PurgeFailures(_ context.Context, before time.Time, _ int) (n int64, err error) {
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	for key, f := range t.l.kept {
		if f.ExpiresAt.Before(before) {
			delete(t.l.kept, key)
			n++
		}
	}
	return n, nil
}

// fleet is nodes with one store.
type fleet struct {
	t      testing.TB
	clock  *clock
	ledger *ledger
	nodes  []*Throttle
}

func newFleet(t testing.TB, n int) *fleet {
	f := &fleet{t: t, clock: newClock(), ledger: &ledger{kept: map[string]Failures{}}}
	for range n {
		f.nodes = append(f.nodes, nil)
		f.restart(len(f.nodes) - 1)
	}
	return f
}

// restart makes a node anew: its memory is gone.
func (f *fleet) restart(i int) {
	th, err := NewThrottle(ThrottleConfig{Now: f.clock.Now, Run: f.ledger.run, Key: make([]byte, 32), GlobalBurst: 1e6,
		Address: Steps{Free: 100, Base: time.Second, Cap: time.Second, Decay: time.Second, Forget: time.Minute}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.nodes[i] = th
}

func (f *fleet) begin(node int, address string) (*ticket, time.Duration) {
	k, err := f.nodes[node].begin(context.Background(), from(accountID{1}, address))
	var e *gatehouse.Error
	switch {
	case err == nil:
		return k, 0
	case errors.As(err, &e) && e.Code == "too_many_attempts":
		return nil, e.RetryAfter
	}
	f.t.Fatal(err)
	return nil, 0
}

func (f *fleet) fails(node int, address string) (wait time.Duration) {
	k, wait := f.begin(node, address)
	if k != nil {
		k.fail()
	}
	return wait
}

func (f *fleet) succeeds(node int, address string) {
	k, wait := f.begin(node, address)
	if k == nil {
		f.t.Helper()
		f.t.Fatalf("node %d has %s wait for %v", node, address, wait)
	}
	k.success(context.Background())
}

// NIST SP 800-63B-4 §3.2.2: from anywhere, at whichever node, with nodes that are killed
// and begin anew all the time, at most 100 failures in a row; then one a day.
//
// ASVS: 6.3.1
func TestHundredOverAllNodes(t *testing.T) {
	for _, nodes := range []int{1, 2, 5} {
		f := newFleet(t, nodes)
		begun, tries, after := f.clock.now, 0, 0
		for i := 0; f.clock.now.Sub(begun) < 5*24*time.Hour && tries < 1000; i++ {
			if i%7 == 0 {
				f.restart(i / 7 % nodes)
			}
			wait := f.fails(i%nodes, addr(i))
			if wait == 0 {
				if tries++; tries > 100 {
					after++
				}
				continue
			}
			if i%nodes == nodes-1 { // nobody lets him try
				f.clock.advance(wait)
			}
		}
		if tries < 80 || after > 5 {
			t.Errorf("%d nodes: %d tries in five days", nodes, tries)
		}
	}
}

// TestHundredFromAKnownNetwork: a neighbour behind the owner's address has as many, and
// then one an hour.
func TestHundredFromAKnownNetwork(t *testing.T) {
	f := newFleet(t, 4)
	f.succeeds(0, "192.0.2.1")
	tries := 0
	for i := range 100_000 {
		if i%11 == 0 {
			f.restart(i / 11 % 4)
		}
		wait := f.fails(i%4, "192.0.2.1")
		if wait == 0 {
			tries++
		}
		if wait > 15*time.Minute || tries > 1000 {
			break
		}
		if wait > 0 && i%4 == 3 {
			f.clock.advance(wait)
		}
	}
	if tries < 80 || tries > 100 {
		t.Errorf("%d tries before each costs an hour", tries)
	}
}

// TestHomeIsKnownToAllNodes: an owner who logged in at one node is not locked out at
// another, nor after a restart, by those who guess at his account; others are.
func TestHomeIsKnownToAllNodes(t *testing.T) {
	f := newFleet(t, 3)
	f.succeeds(0, "192.0.2.1")
	for i := 0; ; i++ {
		if wait := f.fails(i%3, addr(i)); wait > time.Hour {
			break
		} else if i%3 == 2 {
			f.clock.advance(wait)
		}
	}
	for i := range 3 { // all of them refuse strangers, from memory
		f.fails(i, addr(7000+i))
	}
	f.restart(1)
	f.clock.advance(askEvery)
	for i := range 3 {
		f.succeeds(i, "192.0.2.1")
		if f.fails(i, addr(5000+i)) == 0 {
			t.Errorf("node %d lets a stranger try", i)
		}
	}
	f.clock.advance(29 * 24 * time.Hour)
	f.succeeds(2, "192.0.2.1")
	f.clock.advance(29 * 24 * time.Hour)
	f.restart(0)
	if _, _, known, _ := f.nodes[0].enter(from(accountID{1}, "192.0.2.1")); known {
		t.Error("known before the store was asked")
	}
	f.succeeds(0, "192.0.2.1") // as of the last success
}

// TestSuccessForgivesOverNodes: failures before a success do not count, for whichever node:
// those of its own node at once, those of others when they can be of no later time.
func TestSuccessForgivesOverNodes(t *testing.T) {
	f := newFleet(t, 2)
	for range 30 { // 4 and a success, as often as somebody likes
		for range 4 {
			if wait := f.fails(0, "192.0.2.1"); wait != 0 {
				t.Fatalf("waits %v", wait)
			}
		}
		f.succeeds(0, "192.0.2.1")
	}
	for i := range 15 {
		f.fails(1, addr(i))
	}
	f.clock.advance(leaseKept + time.Second)
	f.succeeds(0, addr(900))
	for i := range 20 {
		if wait := f.fails(i%2, addr(1000+i)); wait != 0 {
			t.Fatalf("failure %d after the success waits %v", i, wait)
		}
	}
}

// TestSuccessesDoNotAddUp: log-ins that succeed cost no node an attempt, however many there
// are and wherever; most are not written down.
func TestSuccessesDoNotAddUp(t *testing.T) {
	f := newFleet(t, 8)
	for i := range 400 {
		f.succeeds(i%8, "192.0.2.1")
		if i%50 == 0 {
			f.clock.advance(11 * time.Minute)
		}
	}
	one := newFleet(t, 1)
	for range 400 {
		one.succeeds(0, "192.0.2.1")
	}
	if one.ledger.writes > 4 {
		t.Errorf("%d writes for 400 successes at one node", one.ledger.writes)
	}
}

// TestStoreAway: what was reserved can be used; beyond it nobody is let through.
func TestStoreAway(t *testing.T) {
	f := newFleet(t, 1)
	f.fails(0, addr(0)) // reserves five
	f.ledger.fail = errors.New("connection refused")
	tries := 1
	for i := range 20 {
		k, err := f.nodes[0].begin(t.Context(), from(accountID{1}, addr(i+1)))
		if err == nil {
			tries++
			k.fail()
			continue
		}
		if gatehouse.KindOf(err) != gatehouse.Unavailable || gatehouse.CodeOf(err) != "attempts_unavailable" {
			t.Fatal(err)
		}
	}
	if tries != mostReserved {
		t.Errorf("%d tries of %d reserved", tries, mostReserved)
	}
	f.ledger.fail = nil
	if f.fails(0, addr(99)) != 0 {
		t.Error("it does not recover")
	}
	// A success that cannot be stored is one all the same.
	k, _ := f.begin(0, addr(100))
	f.ledger.fail = errors.New("connection refused")
	k.success(t.Context())
	// What nobody can read denies.
	f.ledger.fail = nil
	f.restart(0)
	for key, v := range f.ledger.kept {
		v.State = []byte("{")
		f.ledger.kept[key] = v
	}
	if _, err := f.nodes[0].begin(t.Context(), from(accountID{1}, addr(101))); gatehouse.CodeOf(err) != "attempts_unavailable" {
		t.Error(err)
	}
}

// TestReservedAtOnce: of two nodes that reserve the first attempts at once, both count.
func TestReservedAtOnce(t *testing.T) {
	f := newFleet(t, 2)
	f.ledger.race = func() { f.fails(1, addr(1)) }
	f.fails(0, addr(0))
	var s failureState
	key := accountID{1}
	if err := f.nodes[0].change(t.Context(), key[:], func(got *failureState, _ time.Time) bool { s = *got; return false }); err != nil {
		t.Fatal(err)
	}
	if len(s.Blocks) != 2 || s.count() != 2*mostReserved {
		t.Errorf("%+v", s)
	}
}

// TestFailuresArePurged: a record goes when neither its failures nor its networks count.
func TestFailuresArePurged(t *testing.T) {
	f := newFleet(t, 1)
	f.fails(0, addr(0))
	for _, c := range []struct {
		after time.Duration
		left  int
	}{{30*24*time.Hour + leaseKept - time.Second, 1}, {2 * time.Second, 0}} {
		f.clock.advance(c.after)
		if err := f.ledger.run(t.Context(), func(ctx context.Context, tx FailureTx) error {
			_, err := tx.PurgeFailures(ctx, f.clock.now.Add(-leaseKept), 10)
			return err
		}); err != nil || len(f.ledger.kept) != c.left {
			t.Errorf("%d are left, %v", len(f.ledger.kept), err)
		}
	}
}

// TestNeverMoreThanHundred: whatever the order of attempts, answers, successes and restarts
// at three nodes, no more than a hundred failures follow one another, as long as nobody
// waits for the day that the next one costs.
func TestNeverMoreThanHundred(t *testing.T) {
	most := 0
	for seed := range uint64(60) {
		draw := rand.New(rand.NewPCG(seed, 1)).IntN
		f := newFleet(t, 3)
		var open []*ticket
		row := 0
		for range 1200 {
			switch n := draw(20); {
			case n == 0:
				// Whoever it was answering never hears; whether they were right nobody knows.
				f.restart(draw(3))
			case n == 1:
				f.clock.advance(time.Duration(draw(900)) * time.Second)
			case n > 9:
				k, wait := f.begin(draw(3), addr(draw(1e6)))
				if k != nil {
					open = append(open, k)
				} else if wait <= 15*time.Minute {
					f.clock.advance(wait)
				}
			case len(open) > 0:
				i := draw(len(open))
				k := open[i]
				open = slices.Delete(open, i, i+1)
				switch draw(150) {
				case 0:
					k.success(context.Background())
					row = 0
				case 1:
					k.abort()
				default:
					k.fail()
					row++
				}
			}
			if most = max(most, row); row > 100 {
				t.Fatalf("seed %d: %d failures in a row", seed, row)
			}
		}
	}
	if most < 80 {
		t.Errorf("no more than %d failures in a row: it shows nothing", most)
	}
}

// TestUnderWay: an attempt that was under way when another one of its node succeeded, and
// then failed, counts; so many at once are bounded, too.
func TestUnderWay(t *testing.T) {
	f := newFleet(t, 1)
	var open []*ticket
	for i := range 10 {
		k, wait := f.begin(0, addr(i))
		if k == nil {
			t.Fatal(wait)
		}
		open = append(open, k)
	}
	open[0].success(t.Context())
	for _, k := range open[1:] {
		k.fail()
	}
	f.restart(0)
	key, n := accountID{1}, 0
	if err := f.nodes[0].change(t.Context(), key[:], func(s *failureState, _ time.Time) bool { n = s.count(); return false }); err != nil {
		t.Fatal(err)
	}
	if n != 9 {
		t.Errorf("%d of nine failures count", n)
	}
}

// TestReservedForAWhile: what was reserved is used for ten minutes, as others believe for
// twelve; then the node asks again, and gives back what it did not use.
func TestReservedForAWhile(t *testing.T) {
	f := newFleet(t, 1)
	f.fails(0, addr(0))
	for _, c := range []struct {
		after  time.Duration
		writes int
	}{{leaseFor - time.Microsecond, 1}, {time.Microsecond, 2}} {
		f.clock.advance(c.after)
		f.fails(0, addr(1))
		if f.ledger.writes != c.writes {
			t.Errorf("%d writes %v later", f.ledger.writes, c.after)
		}
	}
	key, n := accountID{1}, 0
	if err := f.nodes[0].change(t.Context(), key[:], func(s *failureState, _ time.Time) bool { n = s.count(); return false }); err != nil {
		t.Fatal(err)
	}
	if n != 2+mostReserved { // two that failed, and the new ones
		t.Errorf("the store counts %d", n)
	}
	if leaseKept-leaseFor < time.Minute {
		t.Error("clocks of nodes may differ by less than a minute only")
	}
}

// TestForgivenLater: what another node has reserved and may still fail with counts after a
// success, until it can be used no more.
func TestForgivenLater(t *testing.T) {
	f := newFleet(t, 2)
	f.fails(0, addr(0)) // reserves five
	f.succeeds(1, addr(1))
	count := func() (n int) {
		t.Helper()
		key := accountID{1}
		if err := f.nodes[1].change(t.Context(), key[:], func(s *failureState, _ time.Time) bool { n = s.count(); return false }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != mostReserved {
		t.Errorf("%d count while the other node may use five", n)
	}
	f.clock.advance(leaseKept + time.Second)
	f.succeeds(1, addr(2))
	if n := count(); n != 0 {
		t.Errorf("%d count when it may use none", n)
	}
}

// TestHomeIsAskedFor: a node that refuses strangers, whatever they try, finds out that
// somebody is at home as another node knows; those who are not cost the store little.
func TestHomeIsAskedFor(t *testing.T) {
	f := newFleet(t, 2)
	f.succeeds(0, "192.0.2.1")
	th, err := NewThrottle(ThrottleConfig{Now: f.clock.Now, Run: f.ledger.run, Key: make([]byte, 32), GlobalBurst: 5})
	if err != nil {
		t.Fatal(err)
	}
	f.nodes[1] = th
	for i := range 5 {
		if _, err := th.begin(t.Context(), from(accountID{byte(i), 2}, addr(i))); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody has asked about the account before: what is known of it is asked for now.
	if err := th.peek(t.Context(), from(accountID{1}, "192.0.2.1")); err != nil {
		t.Errorf("before the password is looked at: %v", err)
	}
	if f.fails(1, addr(7)) == 0 {
		t.Fatal("strangers are let in")
	}
	f.succeeds(1, "192.0.2.1")
	f.clock.advance(askEvery) // what was asked counts no more
	th.drain(th.bucket(""), f.clock.now)
	th.bucket("").level = 5
	reads := 0
	for i := range 1000 {
		f.ledger.race = func() { reads++ }
		_, _ = th.begin(t.Context(), from(accountID{byte(i), byte(i >> 8), 3}, addr(i)))
	}
	if reads != mostAsked {
		t.Errorf("%d reads for those who are refused", reads)
	}
}
