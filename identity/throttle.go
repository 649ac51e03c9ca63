package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

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
	// GlobalBurst failures of unknown networks may happen at once in one realm (300),
	// and GlobalRate each second (5).
	GlobalBurst, GlobalRate float64
	// KnownFor is how long a network stays known for an account after the last
	// success from it (30 days), KnownNetworks how many an account has (16).
	KnownFor      time.Duration
	KnownNetworks int
	// Entries bounds each of the tables (100,000).
	Entries int
	Now     func() time.Time // required
	// Run keeps the failures of accounts in the store, for all nodes and over restarts;
	// nil keeps them in this process alone.
	Run gatehouse.Runner[FailureTx]
	// Key keys the hashes under which networks are stored: 32 bytes or more, the same on
	// all nodes and over restarts; nil makes one for this process.
	Key    []byte
	Logger *slog.Logger // nil discards
}

// Throttle slows down password guessing without letting the guesser lock the
// owner out. See the package documentation for its exact rules. It is safe for
// concurrent use; its memory is bounded. What bounds the guesses at one account is in the
// store; a restart forgets the rest.
type Throttle struct {
	cfg ThrottleConfig

	mu       sync.Mutex
	pairs    *lru[pairKey, *counter]
	accounts *lru[accountID, *counter]
	networks *lru[netip.Prefix, *counter]
	known    *lru[accountID, []knownNetwork]
	leases   *lru[counterKey, *lease]
	homes    *lru[accountID, homes]
	realms   *lru[string, *bucket]
	asked    int // in the second that began at askedAt
	askedAt  time.Time
	visits   singleflight.Group
	unsent   pending       // what the store was not told yet
	counted  chan struct{} // holds one while there is some of it that AddUp was not told of
}

// caller is who tries, as far as the throttle tells callers apart.
type caller struct {
	realm   string
	account accountID
	network netip.Prefix
}

func (c caller) pair() pairKey { return pairKey{c.account, c.network} }

type pairKey struct {
	account accountID
	network netip.Prefix
}

type knownNetwork struct {
	network netip.Prefix
	last    time.Time
	kept    time.Time // when the store was last told
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
	realm   string
	pair    pairKey
	known   bool
	charges []charge
	lease   *lease // that the attempt is of; nil without a store
	ended   bool
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
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Key == nil {
		cfg.Key = make([]byte, 32)
		_, _ = rand.Read(cfg.Key)
	}
	if len(cfg.Key) < 32 {
		return nil, errors.New("identity: the throttle's key has less than 32 bytes")
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
		leases: newLRU[counterKey, *lease](cfg.Entries), homes: newLRU[accountID, homes](cfg.Entries),
		realms: newLRU[string, *bucket](cfg.Entries), unsent: pending{}, counted: make(chan struct{}, 1)}, nil
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
func (t *Throttle) peek(ctx context.Context, c caller) error {
	pair := c.pair()
	look := func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		now := t.cfg.Now()
		return t.refusal(c.realm, pair, t.isKnown(pair, now), now)
	}
	err := look()
	if err != nil && t.asks(ctx, pair) {
		err = look()
	}
	return err
}

// begin lets an attempt through and counts it as a failure for the time being,
// or refuses it. A refused attempt counts for nothing and prolongs nothing.
// Errors: too_many_attempts, the same for accounts that exist and that do not;
// attempts_unavailable when the store cannot be asked and nothing is reserved.
func (t *Throttle) begin(ctx context.Context, c caller) (*ticket, error) {
	pair := c.pair()
	// Each visit brings attempts, which others may use first, or a wait.
	for range maxVisits {
		k, known, err := t.enter(c)
		if err != nil && t.asks(ctx, pair) {
			continue
		}
		if k != nil || err != nil {
			return k, err
		}
		if err := t.visit(ctx, pair, known); err != nil {
			return nil, err
		}
	}
	return nil, errAttempts.With(errors.New("others used up what was reserved, many times"))
}

// maxVisits is more than there are attempts that cost no wait.
const maxVisits = 200

// enter lets an attempt through by what this node has reserved. Without a ticket and an
// error, more must be reserved first.
func (t *Throttle) enter(c caller) (k *ticket, known bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pair, now := c.pair(), t.cfg.Now()
	known = t.isKnown(pair, now)
	if err := t.refusal(c.realm, pair, known, now); err != nil {
		return nil, known, err
	}
	k = &ticket{t: t, realm: c.realm, pair: pair, known: known}
	if t.cfg.Run != nil {
		key, _ := t.counterOf(pair, known)
		l := t.leases.get(key)
		if l == nil || l.left == 0 || !now.Before(l.until) {
			return nil, known, nil
		}
		l.left--
		l.failed++
		l.flying++
		k.lease = l
	}
	k.charge(take(t.pairs, pair), t.cfg.Pair, now)
	if !known {
		k.charge(take(t.accounts, pair.account), t.cfg.Account, now)
		k.charge(take(t.networks, pair.network), t.cfg.Address, now)
		b := t.bucket(c.realm)
		t.drain(b, now)
		b.level++
		t.count(c.realm, pair.network, 1)
	}
	return k, known, nil
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
func (k *ticket) success(ctx context.Context) {
	k.t.mu.Lock()
	k.refund()
	k.t.pairs.drop(k.pair)
	if !k.known {
		k.t.accounts.drop(k.pair.account)
	}
	k.t.mu.Unlock()
	if k.t.cfg.Run != nil {
		k.settle(ctx)
	}
	k.t.mu.Lock()
	defer k.t.mu.Unlock()
	now := k.t.cfg.Now()
	k.t.remember(k.pair, now, now)
}

// fail says that the attempt was wrong, as it counts since its beginning.
func (k *ticket) fail() {
	k.t.mu.Lock()
	defer k.t.mu.Unlock()
	k.land()
}

// land notes that it is known how the attempt ended. A second call does nothing.
func (k *ticket) land() (first bool) {
	first, k.ended = !k.ended, true
	if first && k.lease != nil {
		k.lease.flying--
	}
	return first
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
	if k.land() && k.lease != nil {
		k.lease.failed--
		k.lease.left++
	}
	for _, ch := range k.charges {
		ch.c.n = max(0, ch.c.n-1)
		if ch.c.until.Equal(ch.myWait) {
			ch.c.until = ch.prevUntil
		}
	}
	if !k.known && len(k.charges) > 0 {
		b := k.t.bucket(k.realm)
		b.level = max(0, b.level-1)
		k.t.count(k.realm, k.pair.network, -1)
	}
	k.charges = nil // a second call does nothing
}

// refusal is the error for a pair that has to wait, or nil.
func (t *Throttle) refusal(realm string, pair pairKey, known bool, now time.Time) error {
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
		wait = max(wait, t.full(t.bucket(realm), now))
	}
	if wait <= 0 {
		return nil
	}
	// Whole seconds, upwards: Retry-After has no smaller unit.
	wait = (wait + time.Second - 1).Truncate(time.Second)
	return &gatehouse.Error{Kind: gatehouse.RateLimited, Code: "too_many_attempts",
		Public: "There were too many failed attempts. Wait before trying again.", RetryAfter: wait}
}

func (t *Throttle) isKnown(pair pairKey, now time.Time) bool {
	return slices.ContainsFunc(t.known.get(pair.account), func(k knownNetwork) bool {
		return k.network == pair.network && now.Sub(k.last) < t.cfg.KnownFor
	}) || t.knownElsewhere(pair, now)
}

// unkept reports whether the store has to be told that the network is known.
func (t *Throttle) unkept(pair pairKey, now time.Time) bool {
	return !slices.ContainsFunc(t.known.get(pair.account), func(k knownNetwork) bool {
		return k.network == pair.network && now.Sub(k.kept) < keepKnown
	})
}

// remember notes the network as the account's latest, dropping the oldest. kept is when the
// store was told, at the latest. Callers without a known address are strangers always.
func (t *Throttle) remember(pair pairKey, last, kept time.Time) {
	if !pair.network.IsValid() {
		return
	}
	next := knownNetwork{network: pair.network, last: last}
	list := slices.DeleteFunc(slices.Clone(t.known.get(pair.account)), func(k knownNetwork) bool {
		if k.network == pair.network {
			next.kept = k.kept
		}
		return k.network == pair.network
	})
	if kept.Sub(next.kept) >= keepKnown {
		next.kept = kept
	}
	list = append(list, next)
	t.known.put(pair.account, list[max(0, len(list)-t.cfg.KnownNetworks):])
}
