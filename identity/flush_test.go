package identity

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// other begins an attempt at one of many accounts, from an address, and has it fail.
func (f *fleet) other(node, account int, address string) bool {
	k, err := f.nodes[node].begin(context.Background(), from(accountID{byte(account), byte(account >> 8), 9}, address))
	if err == nil {
		k.fail()
	}
	return err == nil
}

func (f *fleet) flush() {
	f.t.Helper()
	for _, n := range f.nodes {
		if err := n.flush(context.Background()); err != nil {
			f.t.Fatal(err)
		}
	}
}

// plain makes the nodes of a fleet with the usual numbers.
func (f *fleet) plain(change func(*ThrottleConfig)) *fleet {
	for i := range f.nodes {
		cfg := ThrottleConfig{Now: f.clock.Now, Run: f.ledger.run, Key: make([]byte, 32)}
		if change != nil {
			change(&cfg)
		}
		th, err := NewThrottle(cfg)
		if err != nil {
			f.t.Fatal(err)
		}
		f.nodes[i] = th
	}
	return f
}

// TestStuffingOverAllNodes: who tries many accounts from one address, at four nodes in turn
// and over restarts, gets no more than at one, but for what comes between two flushes.
//
// ASVS: 6.3.1
func TestStuffingOverAllNodes(t *testing.T) {
	tries := func(nodes int) (n int) {
		f := newFleet(t, nodes).plain(nil)
		for second := range 3600 {
			for i := range nodes { // one at each node, in each second
				if f.other(i, second*nodes+i, "192.0.2.1") {
					n++
				}
			}
			f.flush()
			if second%600 == 599 {
				f.plain(nil) // all of them begin anew
				f.flush()
			}
			f.clock.advance(flushEvery)
		}
		return n
	}
	one, four := tries(1), tries(4)
	// After each wait, and each restart, every node may let one more through.
	if one < 30 || four > 4*one/2 || four > 30+4*24 {
		t.Errorf("%d tries in an hour at one node, %d at four", one, four)
	}
}

// TestStrangersOverAllNodes: from very many addresses, the nodes let through together what
// one does, within a second.
func TestStrangersOverAllNodes(t *testing.T) {
	f := newFleet(t, 4).plain(nil)
	n := 0
	for second := range 60 {
		for i := range 80 {
			if f.other(i%4, second*80+i, addr(second*80+i)) {
				n++
			}
		}
		f.flush()
		f.clock.advance(flushEvery)
	}
	if most := 300 + 60*5 + 4*(80+5); n < 500 || n > most {
		t.Errorf("%d in a minute, want at most %d", n, most)
	}
}

// TestFlushAway: what could not be stored is stored later, and a success takes its attempt
// back at all nodes.
func TestFlushAway(t *testing.T) {
	f := newFleet(t, 2).plain(nil)
	for i := range 10 {
		f.other(0, i, "192.0.2.1")
	}
	f.ledger.fail = errors.New("connection refused")
	if f.nodes[0].flush(t.Context()) == nil {
		t.Fatal("stored")
	}
	f.ledger.fail = nil
	for i := range 10 {
		f.other(1, 100+i, "192.0.2.1")
	}
	k, err := f.nodes[1].begin(t.Context(), from(accountID{1}, "192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	k.success(t.Context())
	f.flush()
	f.nodes[0].count("", network("192.0.2.1"), 0) // nothing, and asks for the sum
	f.flush()
	for i, th := range f.nodes {
		if c := th.networks.get(network("192.0.2.1")); c == nil || c.n != 20 {
			t.Errorf("node %d counts %+v", i, c)
		}
		if th.bucket("").level != 20 {
			t.Errorf("node %d counts %v in all", i, th.bucket("").level)
		}
	}
}

// TestNoAddressIsNotEverywhere: callers without a known address are one network, and not all
// of them.
func TestNoAddressIsNotEverywhere(t *testing.T) {
	f := newFleet(t, 1).plain(nil)
	f.other(0, 1, "")
	f.other(0, 2, "192.0.2.1")
	f.flush()
	if c := f.nodes[0].networks.get(network("")); c.n != 1 || f.nodes[0].bucket("").level != 2 {
		t.Errorf("%d without an address, %v in all", c.n, f.nodes[0].bucket("").level)
	}
}

// TestThrottleWork: the sums are stored each second and at the end; what is over is purged
// each hour.
func TestThrottleWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{kept: map[string]Failures{}}
		th, err := NewThrottle(ThrottleConfig{Now: time.Now, Run: l.run, Key: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- th.AddUp(ctx) }()
		go func() { ended <- th.Purge(ctx) }()
		attempt := func(address string) {
			k, err := th.begin(t.Context(), from(accountID{1}, address))
			if err != nil {
				t.Fatal(err)
			}
			k.fail()
		}
		has := func(address string) bool {
			key := th.hashed("gatehouse address", network(address).String())
			l.mu.Lock()
			defer l.mu.Unlock()
			_, ok := l.kept[string(key[:])]
			return ok
		}
		attempt("192.0.2.1")
		time.Sleep(flushEvery + time.Millisecond)
		synctest.Wait()
		if !has("192.0.2.1") {
			t.Error("not stored after a second")
		}
		time.Sleep(26 * time.Hour)
		synctest.Wait()
		if has("192.0.2.1") {
			t.Error("not purged")
		}
		attempt("192.0.2.2")
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil || !has("192.0.2.2") {
			t.Errorf("not stored at the end: %v", err)
		}
	})
}
