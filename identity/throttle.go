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
	// Device is for one known device of one account.
	Device Steps
	// GlobalBurst failures of unknown networks may happen at once in one realm (300),
	// and GlobalRate each second (5).
	GlobalBurst, GlobalRate float64
	// KnownFor is how long a network or a device stays known for an account after the
	// last success from it (30 days), KnownNetworks how many networks an account has
	// (16), and how many devices.
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
	known    *lru[accountID, []knownPlace]
	leases   *lru[counterKey, *lease]
	homes    *lru[accountID, homes]
	realms   *lru[string, *bucket]
	asked    [2]int // in the second that began at askedAt, for those without a device cookie and with one
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
	device  deviceID // of the device cookie; zero without one
	// since is when the account's password was set, if that is known by now: networks and devices
	// from which it was used before are known no more. Whoever had the password may have been
	// there.
	since time.Time
}

// atNetwork is the counter of the caller's network, atDevice that of the device.
func (c caller) atNetwork() pairKey { return pairKey{account: c.account, network: c.network} }
func (c caller) atDevice() pairKey  { return pairKey{account: c.account, device: c.device} }

// pairKey is an account with a network or with a device.
type pairKey struct {
	account accountID
	network netip.Prefix
	device  deviceID
}

// place reports whether there is a network or a device that can be known.
func (p pairKey) place() bool { return p.network.IsValid() || p.device != deviceID{} }

type knownPlace struct {
	pair pairKey
	last time.Time
	kept time.Time // when the store was last told
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
	caller  caller
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
	set(&cfg.Device, Steps{Free: 5, Base: time.Second, Cap: 15 * time.Minute, Hard: 20, HardWait: 24 * time.Hour, Forget: 30 * 24 * time.Hour})
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
	for _, s := range []Steps{cfg.Pair, cfg.Account, cfg.Address, cfg.Device} {
		// NIST SP 800-63B-4 §3.2.2: no more than 100 consecutive failures.
		if s.Free < 0 || s.Free > 100 || s.Hard > 100 || s.Base <= 0 || s.Cap < s.Base || s.Forget < max(s.Cap, s.HardWait) || s.Hard > 0 && s.HardWait < s.Cap {
			return nil, errors.New("identity: the steps of the throttle do not slow anybody down")
		}
	}
	if cfg.GlobalBurst < 1 || cfg.GlobalRate <= 0 || cfg.KnownFor < 0 || cfg.KnownNetworks < 1 || cfg.Entries < 1 {
		return nil, errors.New("identity: the bounds of the throttle must be positive")
	}
	return &Throttle{cfg: cfg, pairs: newLRU[pairKey, *counter](cfg.Entries), accounts: newLRU[accountID, *counter](cfg.Entries),
		networks: newLRU[netip.Prefix, *counter](cfg.Entries), known: newLRU[accountID, []knownPlace](cfg.Entries),
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
	look := func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		_, _, wait := t.way(c, t.cfg.Now())
		return refusal(wait)
	}
	err := look()
	if err != nil && t.asks(ctx, c) {
		err = look()
	}
	return err
}

// begin lets an attempt through and counts it as a failure for the time being,
// or refuses it. A refused attempt counts for nothing and prolongs nothing.
// Errors: too_many_attempts, the same for accounts that exist and that do not;
// attempts_unavailable when the store cannot be asked and nothing is reserved.
func (t *Throttle) begin(ctx context.Context, c caller) (*ticket, error) {
	// Each visit brings attempts, which others may use first, or a wait.
	for range maxVisits {
		k, pair, known, err := t.enter(c)
		if err != nil && t.asks(ctx, c) {
			continue
		}
		if k != nil || err != nil {
			return k, err
		}
		if err := t.visit(ctx, c, pair, known); err != nil {
			return nil, err
		}
	}
	return nil, errAttempts.With(errors.New("others used up what was reserved, many times"))
}

// maxVisits is more than there are attempts that cost no wait.
const maxVisits = 200

// enter lets an attempt through by what this node has reserved. Without a ticket and an
// error, more must be reserved first.
func (t *Throttle) enter(c caller) (k *ticket, pair pairKey, known bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.cfg.Now()
	pair, known, wait := t.way(c, now)
	if wait > 0 {
		return nil, pair, known, refusal(wait)
	}
	k = &ticket{t: t, caller: c, pair: pair, known: known}
	if t.cfg.Run != nil {
		key, _ := t.counterOf(pair, known)
		l := t.leases.get(key)
		if l == nil || l.left == 0 || !now.Before(l.until) {
			return nil, pair, known, nil
		}
		l.left--
		l.failed++
		l.flying++
		k.lease = l
	}
	k.charge(take(t.pairs, pair), t.pairSteps(pair), now)
	if !known {
		k.charge(take(t.accounts, pair.account), t.cfg.Account, now)
		k.charge(take(t.networks, pair.network), t.cfg.Address, now)
		b := t.bucket(c.realm)
		t.drain(b, now)
		b.level++
		t.count(c.realm, pair.network, 1)
	}
	return k, pair, known, nil
}

func take[K comparable](l *lru[K, *counter], key K) *counter {
	c := l.get(key)
	if c == nil {
		c = &counter{}
		l.put(key, c)
	}
	return c
}

// success takes the count back and notes the network as known for the account, and
// the device anew that was known.
// The failures of this network or device for this account are forgotten. Those of all
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
	k.t.remember(k.caller.atNetwork(), k.caller.since, now)
	if k.pair.device != (deviceID{}) {
		k.t.remember(k.pair, k.caller.since, now)
	}
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
		b := k.t.bucket(k.caller.realm)
		b.level = max(0, b.level-1)
		k.t.count(k.caller.realm, k.pair.network, -1)
	}
	k.charges = nil // a second call does nothing
}

// way is the counter that an attempt is judged by, whether it is of a known network or
// device, and how long the caller waits. A known device goes first, as nobody else has
// it. One that has to wait is no better than none: so whoever has stolen it keeps its
// owner from nothing.
func (t *Throttle) way(c caller, now time.Time) (pair pairKey, known bool, wait time.Duration) {
	device := c.atDevice()
	own := c.device != deviceID{} && t.isKnown(device, c.since, now)
	if own {
		if wait = t.pairs.get(device).wait(now); wait <= 0 {
			return device, true, 0
		}
	}
	pair = c.atNetwork()
	known = t.isKnown(pair, c.since, now)
	other := t.pairs.get(pair).wait(now)
	if !known {
		other = max(other, t.accounts.get(pair.account).wait(now), t.networks.get(pair.network).wait(now), t.full(t.bucket(c.realm), now))
	}
	if !own || other < wait {
		wait = other
	}
	return pair, known, wait
}

// wait is how long callers have to wait; nil counts nothing.
func (c *counter) wait(now time.Time) time.Duration {
	if c == nil {
		return 0
	}
	return c.until.Sub(now)
}

// refusal is the error for who has to wait, or nil.
func refusal(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	// Whole seconds, upwards: Retry-After has no smaller unit.
	wait = (wait + time.Second - 1).Truncate(time.Second)
	return &gatehouse.Error{Kind: gatehouse.RateLimited, Code: "too_many_attempts",
		Public: "There were too many failed attempts. Wait before trying again.", RetryAfter: wait}
}

// isKnown reports whether a network or device is known for its account, by a success after since.
func (t *Throttle) isKnown(pair pairKey, since, now time.Time) bool {
	return slices.ContainsFunc(t.known.get(pair.account), func(k knownPlace) bool {
		return k.pair == pair && k.last.After(since) && now.Sub(k.last) < t.cfg.KnownFor
	}) || t.knownElsewhere(pair, since, now)
}

// stranger reports whether neither network nor device of a caller is known for the account.
func (t *Throttle) stranger(c caller) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.cfg.Now()
	return !t.isKnown(c.atNetwork(), c.since, now) && (c.device == deviceID{} || !t.isKnown(c.atDevice(), c.since, now))
}

// unkept reports whether the store has to be told that a network or device is known, as it was not lately, or not since.
func (t *Throttle) unkept(pair pairKey, since, now time.Time) bool {
	return pair.place() && !slices.ContainsFunc(t.known.get(pair.account), func(k knownPlace) bool {
		return k.pair == pair && k.kept.After(since) && now.Sub(k.kept) < keepKnown
	})
}

// remember notes a network or device as the account's latest, dropping the oldest of its
// kind. The store is told wherever it has to be ([Throttle.unkept]). Callers without a known
// address are strangers always.
func (t *Throttle) remember(pair pairKey, since, now time.Time) {
	if !pair.place() {
		return
	}
	next := knownPlace{pair: pair, last: now}
	list := slices.DeleteFunc(slices.Clone(t.known.get(pair.account)), func(k knownPlace) bool {
		if k.pair == pair {
			next.kept = k.kept
		}
		return k.pair == pair
	})
	if !next.kept.After(since) || now.Sub(next.kept) >= keepKnown {
		next.kept = now
	}
	t.known.put(pair.account, latest(append(list, next), t.cfg.KnownNetworks, func(k knownPlace) bool { return k.pair.device != deviceID{} }))
}

// latest are the last most networks of a list, and the last most devices.
func latest[T any](list []T, most int, device func(T) bool) []T {
	count := [2]int{}
	out := make([]T, 0, len(list))
	for _, one := range slices.Backward(list) {
		kind := 0
		if device(one) {
			kind = 1
		}
		if count[kind]++; count[kind] <= most {
			out = append(out, one)
		}
	}
	slices.Reverse(out)
	return out
}
