package identity

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func newClock() *clock { return &clock{time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

// from is a caller of the realm "".
func from(account accountID, address string) caller {
	return caller{account: account, network: network(address)}
}

func newThrottle(t *testing.T, c *clock, change func(*ThrottleConfig)) *Throttle {
	t.Helper()
	cfg := ThrottleConfig{Now: c.Now}
	if change != nil {
		change(&cfg)
	}
	th, err := NewThrottle(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return th
}

// retry returns how long the caller must wait, or 0 when let through (and then
// counted as a failure).
func retry(t *testing.T, th *Throttle, account byte, address string) time.Duration {
	t.Helper()
	peek := th.peek(t.Context(), from(accountID{account}, address))
	_, err := th.begin(t.Context(), from(accountID{account}, address))
	if (peek == nil) != (err == nil) {
		t.Fatalf("Peek says %v, Begin %v", peek, err)
	}
	if err == nil {
		return 0
	}
	var e *gatehouse.Error
	if !errors.As(err, &e) || e.Code != "too_many_attempts" || e.Kind != gatehouse.RateLimited || e.RetryAfter < time.Second || e.RetryAfter%time.Second != 0 {
		t.Fatalf("refused with %v", err)
	}
	return e.RetryAfter
}

func succeed(t *testing.T, th *Throttle, account byte, address string) {
	t.Helper()
	k, err := th.begin(t.Context(), from(accountID{account}, address))
	if err != nil {
		t.Fatal(err)
	}
	k.success(t.Context())
}

func addr(i int) string {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()
}

// ASVS: 6.3.1
func TestPairBacksOff(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, func(cfg *ThrottleConfig) { // the pair alone
		cfg.Account = Steps{Free: 100, Base: time.Second, Cap: time.Minute, Forget: time.Hour}
	})
	for i := range 5 {
		if w := retry(t, th, 1, "192.0.2.1"); w != 0 {
			t.Fatalf("failure %d: wait %v", i+1, w)
		}
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900}
	for i, s := range want {
		if w := retry(t, th, 1, "192.0.2.1"); w != 0 {
			t.Fatalf("step %d: refused for %v", i, w)
		}
		if w := retry(t, th, 1, "192.0.2.1"); w != s*time.Second {
			t.Fatalf("step %d: wait %v, want %v s", i, w, int(s))
		}
		c.advance(s*time.Second - time.Millisecond)
		if w := retry(t, th, 1, "192.0.2.1"); w != time.Second { // the refusal before prolonged nothing
			t.Fatalf("step %d: wait %v just before the end", i, w)
		}
		c.advance(time.Millisecond)
	}
	// Another account from there, and this one from elsewhere, go on.
	if retry(t, th, 2, "192.0.2.1") != 0 || retry(t, th, 1, "192.0.2.2") != 0 {
		t.Error("the pair slows others")
	}
	c.advance(24 * time.Hour)
	for i := range 5 {
		if w := retry(t, th, 1, "192.0.2.1"); w != 0 {
			t.Fatalf("after a day, failure %d: wait %v", i+1, w)
		}
	}
}

func TestSuccessForgivesThePair(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, nil)
	for range 10 {
		for range 4 {
			if w := retry(t, th, 1, "192.0.2.1"); w != 0 {
				t.Fatal("wait", w)
			}
		}
		succeed(t, th, 1, "192.0.2.1")
	}
}

// NIST SP 800-63B-4 §3.2.2: from anywhere, at most 100 failures in a row; then
// one a day.
//
// ASVS: 6.3.1
func TestAccountStopsAtHundred(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, func(cfg *ThrottleConfig) { cfg.GlobalBurst = 1e6 })
	tries := 0
	for i := range 100_000 { // from a new address each time, as fast as allowed, for 3 days
		w := retry(t, th, 1, addr(i))
		if w == 0 {
			tries++
			continue
		}
		if c.advance(w); c.now.Sub(newClock().now) > 72*time.Hour {
			break
		}
	}
	if tries < 100 || tries > 103 {
		t.Errorf("%d tries in three days", tries)
	}
}

func TestKnownNetworkIsNotLockedOut(t *testing.T) {
	for _, burst := range []float64{300, 1e6} { // with the global counter full, and without it
		knownNetworkIsNotLockedOut(t, burst)
	}
}

func knownNetworkIsNotLockedOut(t *testing.T, burst float64) {
	c := newClock()
	th := newThrottle(t, c, func(cfg *ThrottleConfig) { cfg.GlobalBurst = burst })
	const home, homeToo = "2001:db8:1:2::3", "2001:db8:1:2:ffff::9" // one /64
	succeed(t, th, 1, home)
	for i := range 2000 { // the account from everywhere, and everything from everywhere
		retry(t, th, 1, addr(i))
		retry(t, th, byte(i%200)+2, addr(i))
		retry(t, th, byte(i%200)+2, home)
	}
	if retry(t, th, 1, addr(77777)) == 0 {
		t.Fatal("the attack is not slowed")
	}
	for range 3 {
		succeed(t, th, 1, homeToo)
	}
	if retry(t, th, 2, home) == 0 {
		t.Error("the owner's network passes for another account")
	}
	// The owner's success must not give the guesser a fresh start.
	if retry(t, th, 1, addr(77777)) == 0 {
		t.Error("a success of the owner freed the guesser")
	}
	// What is wrong from there is counted for the pair all the same.
	for range 5 {
		retry(t, th, 1, home)
	}
	retry(t, th, 1, home)
	if retry(t, th, 1, homeToo) == 0 {
		t.Error("a known network may guess without end")
	}
}

func TestKnownNetworkExpires(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, func(cfg *ThrottleConfig) { cfg.KnownNetworks = 2 })
	known := func(a string) bool {
		return th.isKnown(from(accountID{1}, a).atNetwork(), time.Time{}, c.now)
	}
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"} {
		succeed(t, th, 1, a)
	}
	if !known("192.0.2.1") || known("192.0.2.2") || !known("192.0.2.3") {
		t.Error("not the two latest are known")
	}
	c.advance(30*24*time.Hour - time.Second)
	if !known("192.0.2.1") {
		t.Error("forgotten before its 30 days are over")
	}
	succeed(t, th, 1, "192.0.2.3")
	c.advance(time.Second)
	if known("192.0.2.1") || !known("192.0.2.3") {
		t.Error("a network is known for 30 days after its last success")
	}
	succeed(t, th, 1, "nonsense")
	if known("nonsense") || known("") {
		t.Error("callers without an address are known")
	}
}

func TestAccountSuccessFromUnknownNetwork(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, nil)
	for i := range 20 {
		retry(t, th, 1, addr(i))
	}
	succeed(t, th, 1, addr(500))
	for i := range 20 {
		if w := retry(t, th, 1, addr(1000+i)); w != 0 {
			t.Fatalf("failure %d after the success: wait %v", i+1, w)
		}
	}
}

// ASVS: 6.3.1
func TestAddressStuffing(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, nil)
	tries := 0
	end := c.now.Add(24 * time.Hour)
	for i := 0; c.now.Before(end); i++ { // another account each time, from one /64
		k, err := th.begin(t.Context(), from(accountID{byte(i), byte(i >> 8), 7}, fmt.Sprintf("2001:db8::%x", i%65536)))
		if err != nil {
			var e *gatehouse.Error
			_ = errors.As(err, &e)
			c.advance(e.RetryAfter)
			continue
		}
		tries++
		if i%3 == 0 { // an account of the guesser's own in between must not help
			k2, err := th.begin(t.Context(), from(accountID{255, 255, 255}, "2001:db8::1"))
			if err == nil {
				k2.success(t.Context())
			}
		}
		_ = k
	}
	if tries < 300 || tries > 30+24*13 {
		t.Errorf("%d tries in a day", tries)
	}
}

func TestGlobalRate(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, nil)
	succeed(t, th, 250, "198.51.100.1")
	count := func(round int) (n int) {
		for i := range 2000 {
			if _, err := th.begin(t.Context(), from(accountID{byte(i), byte(i >> 8), byte(round)}, addr(round*2000+i))); err == nil {
				n++
			}
		}
		return n
	}
	if n := count(1); n != 300 {
		t.Errorf("%d at once", n)
	}
	c.advance(10 * time.Second)
	if n := count(2); n != 50 {
		t.Errorf("%d after ten seconds", n)
	}
	succeed(t, th, 250, "198.51.100.1") // known networks go on
}

// Attempts count from their beginning: many at once do not all pass.
func TestConcurrentAttemptsAreCounted(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, nil)
	passed := 0
	for range 50 {
		if _, err := th.begin(t.Context(), from(accountID{1}, "192.0.2.1")); err == nil {
			passed++
		}
	}
	if passed != 6 { // five free ones, and the one that brings the first wait
		t.Errorf("%d passed at once", passed)
	}
}

func TestAbortTakesBack(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, nil)
	for range 500 {
		k, err := th.begin(t.Context(), from(accountID{1}, "192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		k.abort()
		k.abort()
	}
	if th.bucket("").level != 0 {
		t.Error("global level", th.bucket("").level)
	}
	for range 5 {
		if w := retry(t, th, 1, "192.0.2.1"); w != 0 {
			t.Fatal("wait", w)
		}
	}
	k, err := th.begin(t.Context(), from(accountID{1}, "192.0.2.1")) // the sixth: sets a wait, and takes it back
	if err != nil {
		t.Fatal(err)
	}
	k.abort()
	if w := retry(t, th, 1, "192.0.2.1"); w != 0 {
		t.Error("an aborted attempt leaves a wait of", w)
	}
}

func TestThrottleMemory(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, func(cfg *ThrottleConfig) { cfg.Entries = 100; cfg.GlobalBurst = 1e6 })
	for i := range 1000 {
		k, err := th.begin(t.Context(), from(accountID{byte(i), byte(i >> 8)}, addr(i)))
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			k.success(t.Context())
		}
	}
	if th.pairs.len() > 100 || th.accounts.len() > 100 || th.networks.len() > 100 || th.known.len() > 100 {
		t.Error("a table has grown beyond its bound")
	}
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8::1": "2001:db8::/64",
		"2001:db8:0:0:ffff::": "2001:db8::/64", "fe80::1%eth0": "fe80::/64", "": "invalid Prefix", "192.0.2.1:80": "invalid Prefix"} {
		if got := network(in).String(); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func TestThrottleConfigRefused(t *testing.T) {
	now := newClock().Now
	for i, cfg := range []ThrottleConfig{
		{}, {Now: now, Pair: Steps{Free: 101, Base: 1, Cap: 1, Forget: 1}}, {Now: now, Account: Steps{Free: 5}},
		{Now: now, Address: Steps{Free: 5, Base: time.Second, Cap: time.Hour, Forget: time.Minute}},
		{Now: now, Pair: Steps{Free: 5, Base: 1, Cap: 1, Forget: 1, Hard: 50}},
		{Now: now, Pair: Steps{Free: 5, Base: 1, Cap: 1, Forget: 1, Hard: 500, HardWait: 1}},
		{Now: now, GlobalBurst: -1}, {Now: now, GlobalRate: -1}, {Now: now, Entries: -1}, {Now: now, KnownNetworks: -1},
	} {
		if _, err := NewThrottle(cfg); err == nil {
			t.Errorf("%d: %+v accepted", i, cfg)
		}
	}
}

// TestThrottleAtItsBounds: the bounds that are documented are themselves allowed.
func TestThrottleAtItsBounds(t *testing.T) {
	now := newClock().Now
	for name, cfg := range map[string]ThrottleConfig{
		"no free failure":          {Pair: Steps{Free: 0, Base: time.Second, Cap: time.Minute, Forget: time.Hour}},
		"100 free ones":            {Account: Steps{Free: 100, Base: time.Second, Cap: time.Minute, Forget: time.Hour}},
		"hard from 100 on":         {Account: Steps{Base: time.Second, Cap: time.Minute, Hard: 100, HardWait: time.Hour, Forget: time.Hour}},
		"one wait for all":         {Pair: Steps{Base: time.Minute, Cap: time.Minute, Forget: time.Hour}},
		"forgotten after the wait": {Pair: Steps{Base: time.Second, Cap: time.Minute, Hard: 9, HardWait: time.Hour, Forget: time.Hour}},
		"no harder than the rest":  {Pair: Steps{Base: time.Second, Cap: time.Minute, Hard: 9, HardWait: time.Minute, Forget: time.Hour}},
		"one at once":              {GlobalBurst: 1},
		"one network":              {KnownNetworks: 1},
		"one entry":                {Entries: 1},
	} {
		cfg.Now = now
		if _, err := NewThrottle(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSteps: what the n-th failure costs, however many there were.
func TestSteps(t *testing.T) {
	s := Steps{Free: 2, Base: time.Second, Cap: 6 * time.Second, Hard: 10, HardWait: time.Hour}
	want := map[int]time.Duration{0: 0, 1: 0, 2: 0, 3: 1, 4: 2, 5: 4, 6: 6, 7: 6, 9: 6, 10: 3600, 11: 3600, 1 << 30: 3600}
	for n, seconds := range want {
		if w := s.wait(n); w != seconds*time.Second {
			t.Errorf("failure %d costs %s, want %d s", n, w, int(seconds))
		}
	}
	s.Hard = 0
	for _, n := range []int{10, 60, 70, 130, 1000, 100_000} { // doubled so often, no number holds it
		if w := s.wait(n); w != 6*time.Second {
			t.Errorf("failure %d costs %s", n, w)
		}
	}
}

// TestFailuresAreForgotten: all of them after Forget without one, to the moment.
func TestFailuresAreForgotten(t *testing.T) {
	for idle, want := range map[time.Duration]time.Duration{time.Hour - time.Nanosecond: 2 * time.Second, time.Hour: time.Second} {
		c := newClock()
		th := newThrottle(t, c, func(cfg *ThrottleConfig) {
			cfg.Pair = Steps{Base: time.Second, Cap: time.Minute, Forget: time.Hour}
		})
		retry(t, th, 1, "192.0.2.1")
		c.advance(idle)
		retry(t, th, 1, "192.0.2.1")
		if w := retry(t, th, 1, "192.0.2.1"); w != want {
			t.Errorf("after %s: wait %s, want %s", idle, w, want)
		}
	}
}

// TestGlobalWait: where the bucket of all unknown networks is full, one waits for as
// long as it takes to leak what one attempt needs.
func TestGlobalWait(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, func(cfg *ThrottleConfig) { cfg.GlobalBurst, cfg.GlobalRate = 2, 0.1 })
	for i := range 2 {
		if w := retry(t, th, byte(i), addr(i)); w != 0 {
			t.Fatalf("attempt %d: wait %s", i, w)
		}
	}
	if w := retry(t, th, 9, addr(9)); w != 10*time.Second {
		t.Errorf("wait %s", w)
	}
	c.advance(4 * time.Second)
	if w := retry(t, th, 9, addr(9)); w != 6*time.Second {
		t.Errorf("four seconds later: wait %s", w)
	}
	c.advance(6 * time.Second)
	if w := retry(t, th, 9, addr(9)); w != 0 {
		t.Errorf("wait %s when there is room", w)
	}
}

// TestGlobalLevel: only attempts of unknown networks move it, each once up and, when
// it succeeds or breaks, once down. Otherwise an owner at home, or an attempt that is
// given up twice, makes room for guessers.
func TestGlobalLevel(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, nil)
	succeed(t, th, 1, "192.0.2.1") // is known from now on
	level := func(what string, want float64) {
		t.Helper()
		if th.bucket("").level != want {
			t.Errorf("%s: level %v, want %v", what, th.bucket("").level, want)
		}
	}
	for i := range 3 {
		retry(t, th, 2, addr(i))
	}
	level("three failures", 3)
	succeed(t, th, 1, "192.0.2.1")
	retry(t, th, 1, "192.0.2.1")
	level("a success and a failure from a known network", 3)
	k, err := th.begin(t.Context(), from(accountID{1}, "192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	k.abort()
	level("an attempt from a known network breaks", 3)
	if k, err = th.begin(t.Context(), from(accountID{3}, addr(9))); err != nil {
		t.Fatal(err)
	}
	level("one from an unknown network begins", 4)
	k.abort()
	k.abort()
	level("and breaks, which is said twice", 3)
	if k, err = th.begin(t.Context(), from(accountID{3}, addr(9))); err != nil {
		t.Fatal(err)
	}
	k.success(t.Context())
	k.abort() // a panic after the success, say
	level("a success from an unknown network", 3)
}

func TestLRU(t *testing.T) {
	l := newLRU[string, int](2)
	l.put("a", 1)
	l.put("b", 2)
	l.get("a")
	l.put("c", 3)
	if l.get("a") != 1 || l.get("b") != 0 || l.get("c") != 3 {
		t.Error("not the one used longest ago went")
	}
	l.put("a", 4)
	l.drop("c")
	l.drop("c")
	if l.len() != 1 || l.get("a") != 4 {
		t.Error("put or drop")
	}
}
