package identity

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// signalled are the signals whose events were written, and whom they are about.
func (h *house) signalled() (out []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Kind == "attack.signal" {
			out = append(out, fmt.Sprint(e.Reason, " ", e.Target.Type, " ", e.Target.ID, " ", e.Detail["count"]))
		}
	}
	return out
}

func (h *house) signals(t *testing.T, want ...string) {
	t.Helper()
	if got := h.signalled(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("signals:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// fails has a stranger fail at name.
func (h *house) fails(name string, password gatehouse.Secret, address string) {
	a := Attempt{Realm: "main", Username: name, Password: password, Address: address}
	_, account := h.account("main", name)
	_ = h.refused(context.Background(), a, account, nil, refusal(time.Second))
}

// newSignalHouse counts the signals by name.
func newSignalHouse(t *testing.T) (*house, map[string]int) {
	counts := map[string]int{}
	return newHouse(t, func(c *Config) { c.OnSignal = func(signal string) { counts[signal]++ }; c.CacheTTL = -1 }), counts
}

// TestGuessingIsSignalled: guesses at one account, by strangers, are one event and one count a day, whether they were looked
// at or not; those of somebody at home are none.
//
// ASVS: 16.3.3
func TestGuessingIsSignalled(t *testing.T) {
	h, counts := newSignalHouse(t)
	guess := func(from, to int) {
		for i := from; i < to; i++ { // an empty password is not hashed
			_, _ = h.try("alice", "", addr(i))
		}
	}
	guess(0, 19)
	h.signals(t)
	guess(19, 50)
	h.signals(t, "one_account user usr_alice 20")
	if counts["one_account"] != 1 {
		t.Errorf("%v", counts)
	}
	h.clock.advance(24 * time.Hour)
	for i := range 20 {
		h.fails("alice", gatehouse.Secret(fmt.Sprint("guess ", i)), addr(i))
	}
	_, account := h.account("main", "alice")
	h.signals(t, "one_account user usr_alice 20", "one_account account "+accountTarget(account).ID+" 20")

	h, counts = newSignalHouse(t)
	if _, err := h.try("alice", alicePassword, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		_, _ = h.try("alice", "", "192.0.2.1")
	}
	if len(counts) != 0 {
		t.Errorf("the owner at home: %v", counts)
	}
}

// TestStuffingIsSignalled: many accounts from one network, and one password on many accounts from many networks. The password
// is in no event.
func TestStuffingIsSignalled(t *testing.T) {
	h, _ := newSignalHouse(t)
	for i := range 40 {
		h.fails(fmt.Sprint("user", i%19), gatehouse.Secret(fmt.Sprint("password ", i)), "198.51.100.7")
	}
	h.signals(t) // nineteen accounts, over and over
	for i := range 30 {
		h.fails(fmt.Sprint("user", i), gatehouse.Secret(fmt.Sprint("password ", i)), "198.51.100.7")
	}
	h.signals(t, "many_accounts network 198.51.100.7/32 20", "realm_rate realm main 60")
	h, counts := newSignalHouse(t)
	for i := range 25 {
		h.fails(fmt.Sprint("user", i), "summer of twenty-six", addr(i))
		h.fails("alice", "summer of twenty-six", "192.0.2.9") // one account, however often
	}
	if counts["one_password"] != 1 || counts["many_accounts"] != 0 {
		t.Errorf("%v", counts)
	}
	for _, e := range h.events {
		if s := fmt.Sprintf("%+v", e); strings.Contains(s, "summer") {
			t.Errorf("an event has the password: %s", s)
		}
	}
}

// TestUnusualRateIsSignalled: a realm where much fails each minute is attacked when much more does.
func TestUnusualRateIsSignalled(t *testing.T) {
	h, counts := newSignalHouse(t)
	minute := func(n int) {
		for i := range n {
			h.fails(fmt.Sprint("user", i%10), gatehouse.Secret(fmt.Sprint("password ", i)), "")
		}
		h.clock.advance(time.Minute)
	}
	for range 200 {
		minute(40)
	}
	minute(199)
	if counts["realm_rate"] != 0 {
		t.Fatalf("usual: %v", counts)
	}
	minute(260)
	minute(260)
	if counts["realm_rate"] != 1 {
		t.Errorf("six times the usual: %v", counts)
	}
	h.clock.advance(time.Hour)
	minute(300)
	if counts["realm_rate"] != 2 {
		t.Errorf("an hour later: %v", counts)
	}
	h.clock.advance(48 * time.Hour)
	minute(60)
	if counts["realm_rate"] != 3 {
		t.Errorf("after two quiet days: %v", counts)
	}
}

// TestCodesAndResetsAreSignalled: guesses at codes, links that are asked for, and logins with breached passwords.
func TestCodesAndResetsAreSignalled(t *testing.T) {
	h, _ := newSignalHouse(t)
	ctx := gatehouse.WithRequest(t.Context(), gatehouse.RequestFacts{Address: "198.51.100.7"})
	for range 30 {
		_, _ = h.AttemptCode(ctx, "main", "usr_alice", func(context.Context) (bool, error) { return false, nil })
	}
	_, alice := h.account("main", "alice")
	for range 10 {
		h.ResetAsked(ctx, "main", "Alice")
	}
	for i := range 30 {
		h.ResetAsked(ctx, "main", fmt.Sprint("user", i))
	}
	h.UseBreached(leaked{password: alicePassword})
	for range 2 {
		if _, err := h.try("alice", alicePassword, "198.51.100.8"); err != nil {
			t.Fatal(err)
		}
	}
	h.signals(t, "codes user usr_alice 10", "reset_mails account "+accountTarget(alice).ID+" 5", "reset_mails network 198.51.100.7/32 20",
		"breached_login user usr_alice 1")
}

// TestSignalsAreBounded: who attacks a thousand accounts leaves as many counts and sixty events an hour, and takes a bounded memory.
func TestSignalsAreBounded(t *testing.T) {
	h, counts := newSignalHouse(t)
	guesses := func() {
		for i := range 100 {
			for range 20 {
				h.fails(fmt.Sprint("user", i), gatehouse.Secret(fmt.Sprint("password ", i)), "")
			}
		}
	}
	told := func() (n int) {
		for _, s := range h.signalled() {
			if strings.HasPrefix(s, "one_account") {
				n++
			}
		}
		return n
	}
	guesses()
	if told() != 60 || counts["one_account"] != 100 {
		t.Errorf("%d events, %d counts", told(), counts["one_account"])
	}
	h.clock.advance(24 * time.Hour)
	guesses()
	if told() != 120 || counts["one_account"] != 200 {
		t.Errorf("the next day %d events, %d counts", told(), counts["one_account"])
	}
	for i := range signalsKept + 10 {
		h.Service.signals.see(t.Context(), sighting{signal: signalAccount, about: h.Service.signals.digest(fmt.Sprint(i))})
	}
	if n := h.Service.signals.tries.len(); n != signalsKept {
		t.Errorf("%d counts are kept", n)
	}
}
