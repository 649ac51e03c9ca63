package identity

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// accountID stands for one account of one realm, existing or not: a keyed hash
// of realm and folded username. It is of fixed size whatever the caller sent.
type accountID [16]byte

// Steps says how one kind of counter slows its callers down.
type Steps struct {
	// Free failures cost nothing. The next one makes the caller wait Base, and
	// each further one twice as long, up to Cap.
	Free      int
	Base, Cap time.Duration
	// From Hard failures on each one costs HardWait. 0: no such step.
	Hard     int
	HardWait time.Duration
	// Decay forgives one failure each such time; 0: none is forgiven so. Forget
	// forgives all of them when there was none for so long.
	Decay, Forget time.Duration
}

// ThrottleConfig configures a [Throttle]. Zero fields take the defaults, which
// the table in the package documentation gives.
type ThrottleConfig struct {
	Pair, Account, Address Steps
	// GlobalBurst failures of unknown networks may happen at once in the whole
	// installation (300), and GlobalRate each second (5).
	GlobalBurst, GlobalRate float64
	// KnownFor is how long a network stays known for an account after the last
	// success from it (30 days), KnownNetworks how many an account has (16).
	KnownFor      time.Duration
	KnownNetworks int
	// Entries bounds each of the tables (100,000).
	Entries int
	Now     func() time.Time // required
}

// Throttle slows down password guessing without letting the guesser lock the
// owner out. See the package documentation for its exact rules. It is safe for
// concurrent use; its memory is bounded; a restart forgets everything.
type Throttle struct {
	cfg ThrottleConfig

	mu       sync.Mutex
	pairs    *lru[pairKey, *counter]
	accounts *lru[accountID, *counter]
	networks *lru[netip.Prefix, *counter]
	known    *lru[accountID, []knownNetwork]
	global   float64 // level of the leaky bucket at globalAt
	globalAt time.Time
}

type pairKey struct {
	account accountID
	network netip.Prefix
}

type knownNetwork struct {
	network netip.Prefix
	last    time.Time
}

// counter counts failures. n is as it was at last, the time of the last failure
// or, where failures decay, up to one Decay before it.
type counter struct {
	n     int
	last  time.Time
	until time.Time // callers wait until then
}

// ticket is one attempt that was let through. It counts as a failure until
// success or abort is called, so that many attempts at once cannot all pass
// before the first has failed.
type ticket struct {
	t       *Throttle
	pair    pairKey
	known   bool
	charges []charge
}

type charge struct {
	c                 *counter
	prevUntil, myWait time.Time
}

// NewThrottle returns a Throttle, or an error when cfg is not usable.
func NewThrottle(cfg ThrottleConfig) (*Throttle, error) {
	if cfg.Now == nil {
		return nil, errors.New("identity: the throttle needs a clock")
	}
	set := func(s *Steps, def Steps) {
		if *s == (Steps{}) {
			*s = def
		}
	}
	set(&cfg.Pair, Steps{Free: 5, Base: time.Second, Cap: 15 * time.Minute, Hard: 100, HardWait: time.Hour, Forget: 24 * time.Hour})
	set(&cfg.Account, Steps{Free: 20, Base: time.Second, Cap: 15 * time.Minute, Hard: 100, HardWait: 24 * time.Hour, Forget: 30 * 24 * time.Hour})
	set(&cfg.Address, Steps{Free: 30, Base: time.Second, Cap: 15 * time.Minute, Decay: 5 * time.Minute, Forget: 24 * time.Hour})
	if cfg.GlobalBurst == 0 {
		cfg.GlobalBurst = 300
	}
	if cfg.GlobalRate == 0 {
		cfg.GlobalRate = 5
	}
	if cfg.KnownFor == 0 {
		cfg.KnownFor = 30 * 24 * time.Hour
	}
	if cfg.KnownNetworks == 0 {
		cfg.KnownNetworks = 16
	}
	if cfg.Entries == 0 {
		cfg.Entries = 100_000
	}
	for _, s := range []Steps{cfg.Pair, cfg.Account, cfg.Address} {
		// NIST SP 800-63B-4 §3.2.2: no more than 100 consecutive failures.
		if s.Free < 0 || s.Free > 100 || s.Hard > 100 || s.Base <= 0 || s.Cap < s.Base || s.Forget < max(s.Cap, s.HardWait) || s.Hard > 0 && s.HardWait < s.Cap {
			return nil, errors.New("identity: the steps of the throttle do not slow anybody down")
		}
	}
	if cfg.GlobalBurst < 1 || cfg.GlobalRate <= 0 || cfg.KnownFor < 0 || cfg.KnownNetworks < 1 || cfg.Entries < 1 {
		return nil, errors.New("identity: the bounds of the throttle must be positive")
	}
	return &Throttle{cfg: cfg, pairs: newLRU[pairKey, *counter](cfg.Entries), accounts: newLRU[accountID, *counter](cfg.Entries),
		networks: newLRU[netip.Prefix, *counter](cfg.Entries), known: newLRU[accountID, []knownNetwork](cfg.Entries),
		globalAt: cfg.Now()}, nil
}

// network is what an address counts as: itself for IPv4, its /64 for IPv6, of
// which every subscriber has at least one. An address that is not known is one
// network that all such callers share.
func network(address string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// peek tells whether an attempt would be let through now, and counts nothing.
// Error: too_many_attempts.
func (t *Throttle) peek(account accountID, address string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	pair := pairKey{account, network(address)}
	now := t.cfg.Now()
	return t.refusal(pair, t.isKnown(pair, now), now)
}

// begin lets an attempt through and counts it as a failure for the time being,
// or refuses it. A refused attempt counts for nothing and prolongs nothing.
// Error: too_many_attempts, the same for accounts that exist and that do not.
func (t *Throttle) begin(account accountID, address string) (*ticket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pair := pairKey{account, network(address)}
	now := t.cfg.Now()
	known := t.isKnown(pair, now)
	if err := t.refusal(pair, known, now); err != nil {
		return nil, err
	}
	k := &ticket{t: t, pair: pair, known: known}
	k.charge(take(t.pairs, pair), t.cfg.Pair, now)
	if !known {
		k.charge(take(t.accounts, account), t.cfg.Account, now)
		k.charge(take(t.networks, pair.network), t.cfg.Address, now)
		t.drain(now)
		t.global++
	}
	return k, nil
}

func take[K comparable](l *lru[K, *counter], key K) *counter {
	c := l.get(key)
	if c == nil {
		c = &counter{}
		l.put(key, c)
	}
	return c
}

// success takes the count back and notes the network as known for the account.
// The failures of this network for this account are forgotten. Those of all
// unknown networks together are forgotten only when this was one of them:
// otherwise an owner who calls each second would give a guesser a fresh start
// each second.
func (k *ticket) success() {
	k.t.mu.Lock()
	defer k.t.mu.Unlock()
	k.refund()
	k.t.pairs.drop(k.pair)
	if !k.known {
		k.t.accounts.drop(k.pair.account)
	}
	k.t.remember(k.pair)
}

// abort takes the count back: the attempt was neither right nor wrong, because
// something broke.
func (k *ticket) abort() {
	k.t.mu.Lock()
	defer k.t.mu.Unlock()
	k.refund()
}

func (k *ticket) charge(c *counter, s Steps, now time.Time) {
	idle := max(0, now.Sub(c.last))
	c.last = now
	switch {
	case idle >= s.Forget:
		c.n = 0
	case s.Decay > 0:
		c.n = max(0, c.n-int(idle/s.Decay))
		c.last = now.Add(-(idle % s.Decay)) // the rest counts towards the next
	}
	c.n++
	prev := c.until
	c.until = now.Add(s.wait(c.n)) // it is over, or the attempt would not be here
	k.charges = append(k.charges, charge{c, prev, c.until})
}

// wait is how long the caller waits after its n-th failure.
func (s Steps) wait(n int) time.Duration {
	if s.Hard > 0 && n >= s.Hard {
		return s.HardWait
	}
	if n <= s.Free {
		return 0
	}
	w := s.Base
	for range n - s.Free - 1 {
		if w *= 2; w >= s.Cap {
			break
		}
	}
	return min(w, s.Cap)
}

func (k *ticket) refund() {
	for _, ch := range k.charges {
		ch.c.n = max(0, ch.c.n-1)
		if ch.c.until.Equal(ch.myWait) {
			ch.c.until = ch.prevUntil
		}
	}
	if !k.known && len(k.charges) > 0 {
		k.t.global = max(0, k.t.global-1)
	}
	k.charges = nil // a second call does nothing
}

// refusal is the error for a pair that has to wait, or nil.
func (t *Throttle) refusal(pair pairKey, known bool, now time.Time) error {
	var wait time.Duration
	check := func(c *counter) {
		if c != nil {
			wait = max(wait, c.until.Sub(now))
		}
	}
	check(t.pairs.get(pair))
	if !known {
		check(t.accounts.get(pair.account))
		check(t.networks.get(pair.network))
		t.drain(now)
		if over := t.global + 1 - t.cfg.GlobalBurst; over > 0 {
			wait = max(wait, time.Duration(over/t.cfg.GlobalRate*float64(time.Second)))
		}
	}
	if wait <= 0 {
		return nil
	}
	// Whole seconds, upwards: Retry-After has no smaller unit.
	wait = (wait + time.Second - 1).Truncate(time.Second)
	return &gatehouse.Error{Kind: gatehouse.RateLimited, Code: "too_many_attempts",
		Public: "There were too many failed attempts. Wait before trying again.", RetryAfter: wait}
}

// drain lets the global bucket leak up to now.
func (t *Throttle) drain(now time.Time) {
	if d := now.Sub(t.globalAt); d > 0 {
		t.global = max(0, t.global-d.Seconds()*t.cfg.GlobalRate)
		t.globalAt = now
	}
}

func (t *Throttle) isKnown(pair pairKey, now time.Time) bool {
	return slices.ContainsFunc(t.known.get(pair.account), func(k knownNetwork) bool {
		return k.network == pair.network && now.Sub(k.last) < t.cfg.KnownFor
	})
}

// remember notes the network as the account's latest, dropping the oldest.
// Callers without a known address are strangers always.
func (t *Throttle) remember(pair pairKey) {
	if !pair.network.IsValid() {
		return
	}
	list := slices.DeleteFunc(slices.Clone(t.known.get(pair.account)), func(k knownNetwork) bool { return k.network == pair.network })
	list = append(list, knownNetwork{pair.network, t.cfg.Now()})
	t.known.put(pair.account, list[max(0, len(list)-t.cfg.KnownNetworks):])
}
