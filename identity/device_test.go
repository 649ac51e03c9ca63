package identity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// with is the caller with a device cookie.
func (f *fleet) with(node int, account accountID, address, cookie string) caller {
	c := from(account, address)
	c.device = f.nodes[node].device(account, gatehouse.Secret(cookie))
	return c
}

// tries is how long somebody with a device cookie waits; who does not has failed.
func (f *fleet) tries(node int, account accountID, address, cookie string) time.Duration {
	f.t.Helper()
	k, err := f.nodes[node].begin(context.Background(), f.with(node, account, address, cookie))
	var e *gatehouse.Error
	switch {
	case err == nil:
		k.fail()
		return 0
	case errors.As(err, &e) && e.Code == "too_many_attempts":
		return e.RetryAfter
	}
	f.t.Fatal(err)
	return 0
}

// owner signs in from an address that was never seen.
func (f *fleet) owner(node, i int, cookie string) {
	f.t.Helper()
	c := f.with(node, accountID{1}, addr(900_000+i), cookie)
	if err := f.nodes[node].peek(context.Background(), c); err != nil {
		f.t.Fatalf("node %d has the owner wait before the password is looked at: %v", node, err)
	}
	k, err := f.nodes[node].begin(context.Background(), c)
	if err != nil {
		f.t.Fatalf("node %d has the owner wait: %v", node, err)
	}
	k.success(context.Background())
}

func (f *fleet) know(node int, cookie string) {
	th := f.nodes[node]
	th.know(context.Background(), pairKey{account: accountID{1}, device: th.device(accountID{1}, gatehouse.Secret(cookie))}, time.Time{})
}

// attack fills the counters of the account, of an address, and of the realm, at all nodes.
func (f *fleet) attack(address string) {
	f.t.Helper()
	for i := range 400 {
		node := i % len(f.nodes)
		f.tries(node, accountID{1}, addr(i), "")
		f.tries(node, accountID{byte(i), byte(i >> 8), 5}, addr(i), fmt.Sprint("forged ", i))
		f.tries(node, accountID{byte(i), byte(i >> 8), 6}, address, "")
		if i%100 == 0 {
			f.flush()
		}
	}
	f.flush()
	for node := range f.nodes {
		if f.tries(node, accountID{1}, addr(800_000+node), "") == 0 {
			f.t.Fatal("the attack is not slowed")
		}
	}
}

// TestKnownDeviceGetsIn: while an account, an address and a realm are attacked at every node,
// its owner gets in by a device that signed in before, from anywhere, as often as is wanted;
// nobody else does.
//
// ASVS: 6.3.1
func TestKnownDeviceGetsIn(t *testing.T) {
	f := newFleet(t, 3).plain(nil)
	f.know(0, "cookie of the owner")
	f.attack(addr(900_001))
	for i := range 30 {
		f.owner(i%3, i%4, "cookie of the owner")
	}
	f.restartPlain(1)
	f.clock.advance(askEvery)
	f.attack(addr(900_001))
	for i := range 6 {
		f.owner(i%3, i, "cookie of the owner")
	}
	for node := range 3 {
		for what, c := range map[string]caller{
			"without the cookie": f.with(node, accountID{1}, addr(700_000), ""),
			"with another":       f.with(node, accountID{1}, addr(700_000), "cookie of a guesser"),
			"with that of another account": {account: accountID{1}, network: network(addr(700_000)),
				device: f.nodes[node].device(accountID{2}, "cookie of the owner")},
			"for another account": f.with(node, accountID{2}, addr(700_000), "cookie of the owner"),
		} {
			if k, err := f.nodes[node].begin(t.Context(), c); err == nil {
				k.fail()
				t.Errorf("node %d: %s somebody gets in", node, what)
			}
		}
	}
	f.clock.advance(31 * 24 * time.Hour)
	f.attack(addr(900_001))
	if f.tries(0, accountID{1}, addr(900_002), "cookie of the owner") == 0 {
		t.Error("the device is known after a month without a sign-in")
	}
}

func (f *fleet) restartPlain(i int) {
	nodes := f.nodes
	f.nodes = f.nodes[i : i+1]
	f.plain(nil)
	f.nodes = nodes
}

// TestStolenDevice: whoever has the device cookie of somebody gets the tries of that one
// device, at all nodes together, and one a day after them, and its owner is kept from nothing.
//
// ASVS: 6.3.1
func TestStolenDevice(t *testing.T) {
	f := newFleet(t, 2).plain(nil)
	f.know(0, "stolen")
	for i := 0; ; i++ { // a stranger has no try for a day
		if wait := f.tries(i%2, accountID{1}, addr(i), ""); wait > time.Hour {
			break
		} else if i%2 == 1 {
			f.clock.advance(wait)
		}
	}
	tries, began := 0, f.clock.now
	for i := 0; f.clock.now.Sub(began) < 12*time.Hour; i++ {
		wait := f.tries(i%2, accountID{1}, addr(600_000), "stolen")
		if wait == 0 {
			tries++
			continue
		}
		if i%2 == 1 {
			f.clock.advance(wait)
		}
	}
	if tries < 15 || tries > 20 {
		t.Errorf("%d tries in twelve hours", tries)
	}
	f = newFleet(t, 2).plain(nil)
	f.know(0, "stolen")
	for i := range 100 {
		f.tries(i%2, accountID{1}, addr(i), "stolen")
		f.clock.advance(time.Minute)
	}
	f.clock.advance(time.Hour)
	f.owner(0, 1, "stolen") // by his network: the device is worth as much as none
}

// TestDeviceWait: a device that has to wait for a second is not told of the hour of all others.
func TestDeviceWait(t *testing.T) {
	f := newFleet(t, 1).plain(nil)
	f.know(0, "mine")
	f.attack(addr(900_001))
	for range 6 {
		if wait := f.tries(0, accountID{1}, addr(900_000), "mine"); wait != 0 {
			t.Fatalf("waits %s", wait)
		}
	}
	if wait := f.tries(0, accountID{1}, addr(900_000), "mine"); wait != time.Second {
		t.Errorf("waits %s", wait)
	}
}

// TestDevicesAreBounded: an account has 16 networks and 16 devices, whichever came how often.
func TestDevicesAreBounded(t *testing.T) {
	f := newFleet(t, 1).plain(nil)
	f.succeeds(0, "192.0.2.1")
	for i := range 40 {
		f.know(0, fmt.Sprint(i))
	}
	f.owner(0, 1, "39")
	th := f.nodes[0]
	key := accountID{1}
	stored := 0
	if err := th.change(t.Context(), key[:], func(s *failureState, _ time.Time) bool { stored = len(s.Known); return false }); err != nil {
		t.Fatal(err)
	}
	if n := len(th.known.get(accountID{1})); n != 18 || stored != 18 {
		t.Errorf("%d places in memory, %d in the store, want 16 devices and two networks", n, stored)
	}
	known := func(cookie string) bool {
		return th.isKnown(pairKey{account: accountID{1}, device: th.device(accountID{1}, gatehouse.Secret(cookie))}, time.Time{}, f.clock.now)
	}
	if known("23") || !known("24") || !known("39") || !th.isKnown(from(accountID{1}, "192.0.2.1").atNetwork(), time.Time{}, f.clock.now) {
		t.Error("not the latest of each kind are known")
	}
	if th.device(accountID{1}, "") != (deviceID{}) || th.device(accountID{1}, gatehouse.Secret(make([]byte, maxDevice+1))) != (deviceID{}) {
		t.Error("no cookie, or one that is too long, is a device")
	}
}

// TestSignedIn: a device is known for the account that has a session in it, for codes only
// when a second factor was proved; a right password alone makes no device known.
func TestSignedIn(t *testing.T) {
	h := newHouse(t, nil)
	ctx := t.Context()
	known := func(account accountID, cookie gatehouse.Secret) bool {
		th := h.cfg.Throttle
		return th.isKnown(pairKey{account: account, device: th.device(account, cookie)}, time.Time{}, h.clock.now)
	}
	_, alice := h.account("main", "alice")
	code := h.codeAccount("main", "usr_alice")
	if _, err := h.VerifyPassword(ctx, Attempt{Realm: "main", Username: "ALICE", Password: alicePassword, Address: "192.0.2.1", Device: "one"}); err != nil {
		t.Fatal(err)
	}
	if known(alice, "one") {
		t.Error("known by a password alone")
	}
	p := &gatehouse.Principal{Realm: "main", ID: "usr_alice", Name: "Alice", Kind: gatehouse.KindUser, AMR: []string{"pwd"}}
	h.SignedIn(ctx, p, "one")
	if !known(alice, "one") || known(code, "one") || known(alice, "two") {
		t.Error("after a sign-in by password")
	}
	p.AMR = []string{"pwd", "otp", gatehouse.AMRMultiFactor}
	h.SignedIn(ctx, p, "two")
	if !known(alice, "two") || !known(code, "two") || known(code, "one") {
		t.Error("after a sign-in with a code")
	}
	// With it he gets in while strangers wait, for password and code.
	for i := range 400 {
		_, _ = h.cfg.Throttle.begin(ctx, caller{realm: "main", account: accountID{byte(i), byte(i >> 8)}, network: network(addr(i))})
	}
	if _, err := h.try("alice", alicePassword, "198.51.100.7"); gatehouse.CodeOf(err) != "too_many_attempts" {
		t.Fatalf("a stranger: %v", err)
	}
	right := func(context.Context) (bool, error) { return true, nil }
	if _, err := h.AttemptCode(ctx, "main", "usr_alice", right); gatehouse.CodeOf(err) != "too_many_attempts" {
		t.Fatalf("a stranger's code: %v", err)
	}
	if _, err := h.VerifyPassword(ctx, Attempt{Realm: "main", Username: "alice", Password: alicePassword, Address: "198.51.100.7", Device: "two"}); err != nil {
		t.Error(err)
	}
	if ok, err := h.AttemptCode(WithDevice(ctx, "two"), "main", "usr_alice", right); err != nil || !ok {
		t.Error(err)
	}
}

// TestSignedInByPasskey: a passkey says whose it is by an ID, and the directory knows the name.
func TestSignedInByPasskey(t *testing.T) {
	users := subjects{}
	h := newHouse(t, func(c *Config) { c.Subjects = users })
	_, alice := h.account("main", "alice")
	th := h.cfg.Throttle
	h.SignedIn(t.Context(), &gatehouse.Principal{Realm: "main", ID: "usr_alice"}, "one")
	if !th.isKnown(pairKey{account: alice, device: th.device(alice, "one")}, time.Time{}, h.clock.now) {
		t.Error("the device is not known")
	}
	h.SignedIn(t.Context(), &gatehouse.Principal{Realm: "main", ID: "usr_nobody"}, "one")
	if th.known.len() != 1 {
		t.Error("known for somebody who is not there")
	}
}

// TestNewPasswordForgets: whoever signed in before the password was set has no device and no network there any more, at no node
// and for no code; whoever signs in after it has, at all of them, within the day, too.
//
// ASVS: 6.3.1
func TestNewPasswordForgets(t *testing.T) {
	h := newHouse(t, nil)
	alice := &gatehouse.Principal{Realm: "main", ID: "usr_alice", Name: "Alice", Kind: gatehouse.KindUser, AMR: []string{"pwd"}}
	h.SignedIn(t.Context(), alice, "one")
	_, account := h.account("main", "alice")
	for i := range 25 {
		_, _ = h.cfg.Throttle.begin(t.Context(), from(account, addr(i)))
	}
	try := func(device gatehouse.Secret) string {
		_, err := h.VerifyPassword(t.Context(), Attempt{Realm: "main", Username: "alice", Password: alicePassword, Address: "198.51.100.7", Device: device})
		if err == nil {
			return "in"
		}
		return gatehouse.CodeOf(err)
	}
	if got := try("one"); got != "in" {
		t.Errorf("with the password of before: %s", got)
	}
	h.clock.advance(2 * time.Minute)
	u := h.users["alice"]
	u.PasswordAt, u.Version = h.clock.now, 2
	h.users["alice"] = u
	for i := range 25 {
		_, _ = h.cfg.Throttle.begin(t.Context(), from(account, addr(100+i)))
	}
	if got := try("one"); got != "too_many_attempts" {
		t.Errorf("known before the password was set: %q", got)
	}

	f := newFleet(t, 2)
	f.know(0, "mine")
	began := f.clock.now
	f.clock.advance(time.Hour)
	set := f.clock.now
	for i := range 25 {
		f.tries(i%2, accountID{1}, addr(i), "")
	}
	waits := func(node int) bool {
		c := f.with(node, accountID{1}, addr(500+node), "mine")
		c.since = set
		k, err := f.nodes[node].begin(t.Context(), c)
		if err == nil {
			k.abort()
		}
		return err != nil
	}
	if !waits(0) || !waits(1) {
		t.Error("known before the password was set")
	}
	f.clock.advance(time.Minute)
	th := f.nodes[0]
	th.know(t.Context(), pairKey{account: accountID{1}, device: th.device(accountID{1}, "mine")}, set)
	f.clock.advance(askEvery)
	for i := range 25 { // what strangers waited for before is over by now
		f.tries(i%2, accountID{1}, addr(600+i), "")
	}
	if f.clock.now.Sub(began) >= keepKnown {
		t.Fatal("the store would have been told in any case")
	}
	if waits(0) || waits(1) {
		t.Error("whoever signed in with the new password waits")
	}
}

type subjects struct{}

func (subjects) Recent(string, string) (*User, bool) { return nil, false }
func (subjects) User(_ context.Context, realm, id string) (*User, error) {
	if id != "usr_alice" {
		return nil, gatehouse.ErrNotFound
	}
	return &User{ID: id, Realm: realm, Username: "Alice"}, nil
}

// TestDeviceWhileTheStoreIsAway: the node where somebody signed in knows the device all the same.
func TestDeviceWhileTheStoreIsAway(t *testing.T) {
	f := newFleet(t, 2)
	f.ledger.fail = errors.New("connection refused")
	f.know(0, "mine")
	f.ledger.fail = nil
	c := f.with(0, accountID{1}, addr(1), "mine")
	if !f.nodes[0].isKnown(c.atDevice(), time.Time{}, f.clock.now) || f.nodes[1].isKnown(c.atDevice(), time.Time{}, f.clock.now) {
		t.Error("known")
	}
}

// TestKnownDeviceGoesFirst: while as many passwords wait as may, whoever has a known device has a place, and
// nobody else.
func TestKnownDeviceGoesFirst(t *testing.T) {
	slow, err := credential.NewHasher(credential.HasherConfig{Slots: 1, Queue: 2, Time: 10})
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, func(c *Config) { c.Passwords = slow })
	h.SignedIn(t.Context(), &gatehouse.Principal{Realm: "main", ID: "usr_alice", Name: "alice"}, "mine")
	var others sync.WaitGroup
	for range 3 { // one at work, and both who may wait
		others.Go(func() { _ = slow.VerifyDummy(context.Background(), "some password") })
	}
	testwait.Until(t, 10*time.Second, "two wait", func() bool { return slow.Stats().Waiting == 2 })
	for _, c := range [][2]string{{"", "password_queue_full"}, {"other", "password_queue_full"}, {"mine", "invalid_credentials"}} {
		device, want := gatehouse.Secret(c[0]), c[1]
		_, err := h.VerifyPassword(t.Context(), Attempt{Realm: "main", Username: "alice", Password: "wrong", Address: "192.0.2.1", Device: device})
		if gatehouse.CodeOf(err) != want && (device == "mine" || slow.Stats().Waiting > 0) {
			t.Errorf("with the device %q: %v", device.Reveal(), err)
		}
	}
	others.Wait()
}
