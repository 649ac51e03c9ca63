package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/piecewise"
)

// Failures is what the store keeps of the failed attempts at one account from networks
// that it does not know, or at one account from one network that it knows.
type Failures struct {
	Key       []byte // keyed hash, 16 bytes: whose they are
	State     []byte // JSON of this package
	ExpiresAt time.Time
	Version   int64 // compare-and-swap; 0 is not stored yet
}

// FailureTx is the transaction in which attempts are reserved and forgiven.
type FailureTx interface {
	// Failures is gatehouse.NotFound when there is nothing under the key.
	Failures(ctx context.Context, key []byte) (Failures, error)
	// PutFailures is gatehouse.Conflict when what is stored is not of f.Version.
	PutFailures(ctx context.Context, f Failures) error
	// PurgeFailures removes up to limit records that ended before the given time.
	PurgeFailures(ctx context.Context, before time.Time, limit int) (int64, error)
}

const (
	// leaseFor is how long a node may use the attempts that it reserved, leaseKept how
	// long the others believe that it may: clocks differ by less than the rest.
	leaseFor  = 10 * time.Minute
	leaseKept = 12 * time.Minute
	// mostReserved is how many attempts a node reserves at once, at most.
	mostReserved = 5
	// keepKnown is how old the time of a known network may be in the store.
	keepKnown = 24 * time.Hour

	// askEvery is how old what is known of an account's networks may be when somebody is
	// refused, mostAsked how many accounts are asked about in a second.
	askEvery  = 10 * time.Second
	mostAsked = 100

	visitTimeout = 5 * time.Second
	visitTries   = 10
)

var errAttempts = gatehouse.E(gatehouse.Unavailable, "attempts_unavailable", "Passwords cannot be checked at the moment.")

// counterKey is under what a counter is stored.
type counterKey [16]byte

// failureState is the JSON in [Failures].
type failureState struct {
	// Blocks are attempts that nodes have reserved. Each counts as failed, used or not,
	// until who reserved it says otherwise or a success forgives it.
	Blocks []block `json:"blocks,omitempty"`
	Known  []seen  `json:"known,omitempty"` // networks and devices, the latest last
	Last   int64   `json:"last,omitempty"`  // microseconds since 1970, when a block was reserved
}

type block struct {
	ID   string `json:"id"`
	Size int    `json:"n"`
	At   int64  `json:"at"` // microseconds
}

type seen struct {
	Network []byte `json:"net"` // keyed hash, of a device after a byte of its own ([Throttle.placeHash])
	At      int64  `json:"at"`  // microseconds
}

func (s *failureState) count() (n int) {
	for _, b := range s.Blocks {
		n += b.Size
	}
	return n
}

// giveBack takes n attempts out of a block.
func (s *failureState) giveBack(id string, n int) {
	for i := range s.Blocks {
		if s.Blocks[i].ID == id {
			s.Blocks[i].Size -= n
		}
	}
	s.Blocks = slices.DeleteFunc(s.Blocks, func(b block) bool { return b.Size <= 0 })
}

// forgive takes away what failed before now. What another node reserved lately it may
// still use, and fail with after this success.
func (s *failureState) forgive(now time.Time) {
	old := now.Add(-leaseKept).UnixMicro()
	s.Blocks = slices.DeleteFunc(s.Blocks, func(b block) bool { return b.At < old })
}

// merge makes one of the blocks that nobody may use any more.
func (s *failureState) merge(now time.Time) {
	old, sum := now.Add(-leaseKept).UnixMicro(), block{}
	var out []block
	for _, b := range s.Blocks {
		if b.At < old {
			sum.Size += b.Size
			sum.At = b.At
		} else {
			out = append(out, b)
		}
	}
	if sum.Size > 0 {
		out = append(out, sum)
	}
	s.Blocks = out
}

// add puts n more attempts into a block, and returns how many there are in it.
func (s *failureState) add(id string, n int, now time.Time) int {
	at := slices.IndexFunc(s.Blocks, func(b block) bool { return b.ID == id })
	if at < 0 {
		s.Blocks, at = append(s.Blocks, block{ID: id}), len(s.Blocks)
	}
	s.Blocks[at].Size += n
	s.Blocks[at].At = now.UnixMicro()
	s.Last = now.UnixMicro()
	return s.Blocks[at].Size
}

// homes are the networks and devices of an account that the nodes know.
type homes struct {
	list []seen
	read time.Time
}

func (s *failureState) remember(place []byte, now time.Time, most int) {
	s.Known = slices.DeleteFunc(s.Known, func(k seen) bool { return hmac.Equal(k.Network, place) })
	s.Known = latest(append(s.Known, seen{place, now.UnixMicro()}), most, func(k seen) bool { return len(k.Network) == deviceHashSize })
}

// lease is attempts of one counter that this node reserved: a block in the store, which
// grows until a success gives it back.
type lease struct {
	key    counterKey
	block  string
	size   int // of the block
	left   int // not used
	failed int // used, and not taken back or forgiven
	flying int // used, and nobody knows yet how they end
	others int // what the counter stood at without them
	until  time.Time
}

// hashed is a keyed hash, so that the store does not tell who logs in from where.
func (t *Throttle) hashed(parts ...string) (out counterKey) {
	mac := hmac.New(sha256.New, t.cfg.Key)
	mac.Write(frame(parts...))
	copy(out[:], mac.Sum(nil))
	return out
}

// deviceHashSize tells the hash of a device from that of a network.
const deviceHashSize = 1 + len(counterKey{})

// placeHash is under what a network or device is stored.
func (t *Throttle) placeHash(pair pairKey) []byte {
	if pair.device != (deviceID{}) {
		return append([]byte{'d'}, pair.device[:]...)
	}
	h := t.hashed("gatehouse network", string(pair.account[:]), pair.network.String())
	return h[:]
}

// counterOf is the counter that an attempt is reserved of, and its steps: of the account
// where neither network nor device is known, else of the account and what is known. One of
// them bounds every guesser to a hundred.
func (t *Throttle) counterOf(pair pairKey, known bool) (counterKey, Steps) {
	switch {
	case !known:
		return counterKey(pair.account), t.cfg.Account
	case pair.device != deviceID{}:
		return t.hashed("gatehouse pair of a device", string(pair.account[:]), string(pair.device[:])), t.cfg.Device
	}
	return t.hashed("gatehouse pair", string(pair.account[:]), pair.network.String()), t.cfg.Pair
}

// pairSteps are those of an account with a network, or with a device.
func (t *Throttle) pairSteps(pair pairKey) Steps {
	_, steps := t.counterOf(pair, true)
	return steps
}

// visited is what a visit of the store found out.
type visited struct {
	count  int // failures, without the new block
	last   time.Time
	until  time.Time // callers wait until then
	block  string    // reserved; "" for none
	size   int       // how many were added to it
	whole  int       // how many are in it
	others int       // count, without those in it
}

// visit reserves attempts of the counter of an attempt, or finds out why not. When the
// store does not answer, there are none: an unbounded guesser would be worse.
func (t *Throttle) visit(ctx context.Context, c caller, pair pairKey, known bool) error {
	key, steps := t.counterOf(pair, known)
	_, err, _ := t.visits.Do(string(key[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(ctx, visitTimeout)
		defer cancel()
		t.mu.Lock()
		now := t.cfg.Now()
		var mine lease
		if l := t.leases.get(key); l != nil {
			if l.left > 0 && now.Before(l.until) {
				t.mu.Unlock()
				return nil, nil // somebody was here a moment ago
			}
			mine = *l
			l.size -= l.left // given back below
			l.left = 0
		}
		t.mu.Unlock()
		var v visited
		err := t.change(ctx, key[:], func(s *failureState, now time.Time) bool {
			if !known && t.welcome(c, s.Known, now) {
				v = visited{count: -1} // it is at home after all: its own counter decides
				return false
			}
			if v = reserve(s, steps, mine, now); v.size == 0 {
				return false
			}
			v.whole = s.add(v.block, v.size, now)
			s.merge(now)
			return true
		})
		if err != nil {
			return nil, errAttempts.With(err)
		}
		t.learn(pair, known, key, v, now)
		return nil, nil
	})
	return err
}

// reserve decides about a new block, and takes out of s what is over.
func reserve(s *failureState, steps Steps, mine lease, now time.Time) (v visited) {
	v.last = time.UnixMicro(s.Last)
	if s.Last == 0 || now.Sub(v.last) >= steps.Forget {
		s.Blocks = nil
	}
	s.giveBack(mine.block, mine.left)
	v.count = s.count()
	if v.count > 0 {
		v.until = v.last.Add(steps.wait(v.count))
	}
	v.others = v.count
	for _, b := range s.Blocks {
		if b.ID == mine.block {
			v.others -= b.Size
		}
	}
	if now.Before(v.until) {
		return v
	}
	// As long as failures cost nothing, some at once; then each is judged by what all
	// nodes know.
	v.size = min(max((steps.Free-v.count)/2, 1), mostReserved)
	if v.block = mine.block; v.block == "" {
		v.block = rand.Text()
	}
	return v
}

// learn takes over what the store knows.
func (t *Throttle) learn(pair pairKey, known bool, key counterKey, v visited, began time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v.count < 0 {
		return
	}
	c := t.counter(pair, known)
	c.n, c.until = v.count, v.until
	if c.last.Before(v.last) {
		c.last = v.last
	}
	if v.size == 0 {
		return
	}
	l := t.leases.get(key)
	if l == nil || l.block != v.block {
		l = &lease{key: key, block: v.block}
		t.leases.put(key, l)
		v.whole = v.size // a success gives back the rest
	}
	l.size = v.whole
	l.left += v.size
	l.others, l.until = v.others, began.Add(leaseFor)
}

// welcome notes what the nodes know of an account, and reports whether its caller is to be
// judged as one who is known.
func (t *Throttle) welcome(c caller, list []seen, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.homes.put(c.account, homes{list, now})
	_, known, _ := t.way(c, now)
	return known
}

// knownElsewhere reports whether another node knows the network or device, as far as this one was told.
func (t *Throttle) knownElsewhere(pair pairKey, since, now time.Time) bool {
	h := t.homes.get(pair.account)
	if len(h.list) == 0 || !pair.place() {
		return false
	}
	hash := t.placeHash(pair)
	return slices.ContainsFunc(h.list, func(k seen) bool {
		at := time.UnixMicro(k.At)
		return hmac.Equal(k.Network, hash) && at.After(since) && now.Sub(at) < t.cfg.KnownFor
	})
}

// asks tells whether it was worth while to ask the store for the networks and devices of an
// account before somebody is refused, and does so: he may be at home, as another node knows.
// That is done for an account now and then, and for all of them so often that those who are
// refused cost the store little; those who show a device cookie are not crowded out by those
// who have none.
func (t *Throttle) asks(ctx context.Context, c caller) bool {
	cookie := 0
	if c.device != (deviceID{}) {
		cookie = 1
	}
	if t.cfg.Run == nil || !c.network.IsValid() && cookie == 0 {
		return false
	}
	t.mu.Lock()
	now := t.cfg.Now()
	if now.Sub(t.askedAt) >= time.Second {
		t.asked, t.askedAt = [2]int{}, now
	}
	old := now.Sub(t.homes.get(c.account).read) >= askEvery
	unknown := !t.isKnown(c.atNetwork(), c.since, now) || cookie == 1 && !t.isKnown(c.atDevice(), c.since, now)
	ask := old && t.asked[cookie] < mostAsked && unknown
	if ask {
		t.asked[cookie]++
		t.homes.put(c.account, homes{t.homes.get(c.account).list, now}) // others need not ask now
	}
	t.mu.Unlock()
	if !ask {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	home := false
	err := t.change(ctx, c.account[:], func(s *failureState, now time.Time) bool {
		home = t.welcome(c, s.Known, now)
		return false
	})
	return err == nil && home
}

func (t *Throttle) counter(pair pairKey, known bool) *counter {
	if known {
		return take(t.pairs, pair)
	}
	return take(t.accounts, pair.account)
}

// change reads, changes and writes one record, unless fn says that nothing changed. It
// runs again when another node was faster.
func (t *Throttle) change(ctx context.Context, key []byte, fn func(s *failureState, now time.Time) bool) error {
	for n := 1; ; n++ {
		err := t.cfg.Run(ctx, func(ctx context.Context, tx FailureTx) error {
			f, err := tx.Failures(ctx, key)
			if err != nil && !errors.Is(err, gatehouse.NotFound) {
				return err
			}
			var s failureState
			if err == nil {
				if err := exactjson.Unmarshal(f.State, &s); err != nil {
					return gatehouse.ErrInternal.With(err)
				}
			}
			now := t.cfg.Now()
			if !fn(&s, now) {
				return nil
			}
			f.Key = key
			f.ExpiresAt = time.UnixMicro(s.Last).Add(max(t.cfg.Account.Forget, t.cfg.Pair.Forget))
			for _, k := range s.Known {
				if end := time.UnixMicro(k.At).Add(t.cfg.KnownFor); end.After(f.ExpiresAt) {
					f.ExpiresAt = end
				}
			}
			if f.State, err = json.Marshal(&s); err != nil {
				return gatehouse.ErrInternal.With(err)
			}
			return tx.PutFailures(ctx, f)
		})
		if !errors.Is(err, gatehouse.Conflict) || n == visitTries {
			return err
		}
	}
}

// settle tells the store of a success: what failed before is forgiven, what is reserved and
// not used is given back, and the network is known to all nodes. Should it fail, more
// counts as failed than did.
func (k *ticket) settle(ctx context.Context) {
	t := k.t
	t.mu.Lock()
	now, l := t.cfg.Now(), k.lease
	var places [][]byte
	for _, pair := range []pairKey{k.caller.atNetwork(), k.pair} { // one, when it was judged by its network
		if t.unkept(pair, k.caller.since, now) {
			places = append(places, t.placeHash(pair))
		}
	}
	refresh := len(places) > 0
	release := l != nil && (l.others > 0 || l.failed > 0 || refresh && !k.known)
	back := 0
	if release {
		back = l.size - l.flying // those under way may still fail
		if t.leases.get(l.key) == l {
			t.leases.drop(l.key)
		}
	}
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	remember := func(s *failureState, now time.Time) {
		for _, place := range places {
			s.remember(place, now, t.cfg.KnownNetworks)
		}
	}
	var err error
	if release {
		err = t.change(ctx, l.key[:], func(s *failureState, now time.Time) bool {
			s.giveBack(l.block, back)
			s.forgive(now)
			if !k.known {
				remember(s, now)
			}
			return true
		})
	}
	if err == nil && refresh && (k.known || !release) {
		err = t.change(ctx, k.pair.account[:], func(s *failureState, now time.Time) bool {
			remember(s, now)
			return true
		})
	}
	if err != nil {
		t.cfg.Logger.WarnContext(ctx, "that a password was right could not be stored; failures before it still count", "cause", err)
	}
}

// Purge removes from the store what is over, each hour, until ctx ends.
func (t *Throttle) Purge(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		before := t.cfg.Now().Add(-leaseKept)
		_, err := piecewise.Do(ctx, func(ctx context.Context, limit int) (n int64, err error) {
			err = t.cfg.Run(ctx, func(ctx context.Context, tx FailureTx) error {
				n, err = tx.PurgeFailures(ctx, before, limit)
				return err
			})
			return n, err
		})
		if err != nil && ctx.Err() == nil {
			t.cfg.Logger.ErrorContext(ctx, "failed attempts of long ago could not be purged", "cause", err)
		}
	}
}
