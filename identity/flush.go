package identity

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// What failed from an address, and in a realm, is counted in memory, where
// nobody waits, and added up in the store each second: all nodes together let through what
// one would, and what comes within one second at most more.

const (
	flushEvery = time.Second
	// flushAtOnce is how many addresses are written in one transaction.
	flushAtOnce = 50
	// whole is how much of a tally one failure is.
	whole = 1000
)

// tally is what is stored of an address, or of all of them together in a realm.
type tally struct {
	N    int64 `json:"n"`  // thousandths of a failure
	Last int64 `json:"at"` // microseconds since 1970
}

// sumOf is whose failures are added up: a network's in all realms, or a realm's from all
// unknown networks. Of a realm network is [everywhere], since no caller has that.
type sumOf struct {
	realm   string
	network netip.Prefix
}

// pending is what this node has counted and not stored.
type pending map[sumOf]int

// everywhere stands for all unknown networks together. No caller has it, nor those without
// a known address.
func everywhere() netip.Prefix { return netip.PrefixFrom(netip.IPv4Unspecified(), 0) }

// count notes what has to be added in the store.
func (t *Throttle) count(realm string, network netip.Prefix, n int) {
	if t.cfg.Run == nil {
		return
	}
	t.unsent[sumOf{network: network}] += n
	t.unsent[sumOf{realm, everywhere()}] += n
	t.wake()
}

// sumKey is under what a sum is stored.
func (t *Throttle) sumKey(of sumOf) counterKey {
	if of.network == everywhere() {
		return t.hashed("gatehouse realm", of.realm)
	}
	return t.hashed("gatehouse address", of.network.String())
}

// wake has [Throttle.AddUp] know that there is something to tell.
func (t *Throttle) wake() {
	select {
	case t.counted <- struct{}{}:
	default:
	}
}

// stored is what the store counts after a flush.
type stored struct {
	of    sumOf
	tally tally
}

// AddUp tells the store within a second what this node has counted, and learns what all have,
// until ctx ends. It is every node's own work; one that counts nothing sleeps.
func (t *Throttle) AddUp(ctx context.Context) error {
	away := false
	var due <-chan time.Time // nil while nothing was counted
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), visitTimeout)
			defer cancel()
			_ = t.flush(last) // a second's count is all that a restart may forget
			return nil
		case <-t.counted:
			if due == nil {
				due = time.After(flushEvery)
			}
			continue
		case <-due:
			due = nil
		}
		err := t.flush(ctx)
		if err != nil { // what was not told is told next time
			t.wake()
		}
		if err != nil && !away && ctx.Err() == nil { // once, not each second
			t.cfg.Logger.WarnContext(ctx, "failed attempts by address are not added up; each node counts for itself", "cause", err)
		}
		away = err != nil
	}
}

// flush adds to the store what was counted since the last one, and takes over the sums.
func (t *Throttle) flush(ctx context.Context) error {
	t.mu.Lock()
	unsent := t.unsent
	t.unsent = pending{}
	t.mu.Unlock()
	keys := map[sumOf]counterKey{}
	for of := range unsent {
		keys[of] = t.sumKey(of)
	}
	// In the order of the keys, so that two nodes never wait for each other.
	order := sorted.Collect(maps.Keys(unsent), func(a, b sumOf) int {
		ka, kb := keys[a], keys[b]
		return bytes.Compare(ka[:], kb[:])
	})
	for piece := range slices.Chunk(order, flushAtOnce) {
		sums, err := t.send(ctx, piece, keys, unsent)
		t.mu.Lock()
		if err != nil { // the next flush has them
			for of, n := range unsent {
				t.unsent[of] += n
			}
			t.mu.Unlock()
			return err
		}
		for _, s := range sums {
			delete(unsent, s.of)
			t.takeOver(s)
		}
		t.mu.Unlock()
	}
	return nil
}

// send adds up some of it in one transaction.
func (t *Throttle) send(ctx context.Context, piece []sumOf, keys map[sumOf]counterKey, unsent pending) (sums []stored, err error) {
	for n := 1; ; n++ {
		err = t.cfg.Run(ctx, func(ctx context.Context, tx FailureTx) error {
			sums = sums[:0]
			for _, of := range piece {
				key := keys[of]
				f, err := tx.Failures(ctx, key[:])
				if err != nil && !errors.Is(err, gatehouse.NotFound) {
					return err
				}
				var s tally
				if err == nil {
					if err := exactjson.Unmarshal(f.State, &s); err != nil {
						return gatehouse.ErrInternal.With(err)
					}
				}
				s = t.sum(of.network, s, unsent[of], t.cfg.Now())
				sums = append(sums, stored{of, s})
				f.Key, f.ExpiresAt = key[:], time.UnixMicro(s.Last).Add(t.cfg.Address.Forget)
				if f.State, err = json.Marshal(&s); err != nil {
					return gatehouse.ErrInternal.With(err)
				}
				if err := tx.PutFailures(ctx, f); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, gatehouse.Conflict) || n == visitTries {
			return sums, err
		}
	}
}

// sum adds n to what is stored, as far as that is not forgiven by now.
func (t *Throttle) sum(network netip.Prefix, s tally, n int, now time.Time) tally {
	steps, idle := t.cfg.Address, max(0, now.Sub(time.UnixMicro(s.Last)))
	switch {
	case s.Last == 0 || idle >= steps.Forget:
		s = tally{Last: now.UnixMicro()}
	case network == everywhere():
		s = tally{max(0, s.N-int64(idle.Seconds()*t.cfg.GlobalRate*whole)), now.UnixMicro()}
	case steps.Decay > 0:
		s.N = max(0, s.N-int64(idle/steps.Decay)*whole)
		s.Last = now.Add(-(idle % steps.Decay)).UnixMicro() // the rest counts towards the next
	default:
		s.Last = now.UnixMicro()
	}
	s.N = max(0, s.N+int64(n)*whole)
	return s
}

// takeOver puts a sum, and what was counted here meanwhile, in the place of what this node
// had counted alone.
func (t *Throttle) takeOver(s stored) {
	if s.of.network == everywhere() {
		b := t.bucket(s.of.realm)
		b.level, b.at = max(0, float64(s.tally.N)/whole+float64(t.unsent[s.of])), time.UnixMicro(s.tally.Last)
		return
	}
	c := take(t.networks, s.of.network)
	c.n, c.last = max(0, int(s.tally.N/whole)+t.unsent[s.of]), time.UnixMicro(s.tally.Last)
	if until := c.last.Add(t.cfg.Address.wait(c.n)); until.After(c.until) {
		c.until = until
	}
}
