package identity

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// TestOdd: a sign-in is odd in a browser in which the account had no session, or none since its password was set or its person
// said that one was somebody else's, and after many wrong passwords or codes, also in a browser that is known.
//
// ASVS: 6.3.5
func TestOdd(t *testing.T) {
	for name, f := range map[string]*fleet{"memory": nil, "store": newFleet(t, 2).plain(nil)} {
		t.Run(name, func(t *testing.T) {
			people := &named{User{ID: "usr_alice", Realm: "main", Username: "Alice", UsernameKey: "alice"}}
			h := newHouse(t, func(c *Config) {
				c.Subjects = people
				if f != nil {
					c.Throttle, c.Now = f.nodes[0], f.nodes[0].cfg.Now
				}
			})
			ctx := t.Context()
			alice := &gatehouse.Principal{Realm: "main", ID: "usr_alice", Name: "Alice", Kind: gatehouse.KindUser, AMR: []string{"pwd"}}
			is := func(what string, device gatehouse.Secret, want Odd) {
				t.Helper()
				if got := h.Odd(ctx, alice, device); got != want {
					t.Errorf("%s: %+v, want %+v", what, got, want)
				}
			}
			is("nothing is known", "one", Odd{Unknown: true})
			h.SignedIn(ctx, alice, "one")
			is("of before", "one", Odd{})
			is("another one", "two", Odd{Unknown: true})
			is("none", "", Odd{Unknown: true})
			now := h.cfg.Now()
			people.u.PasswordAt = now.Add(time.Second)
			is("another password", "one", Odd{Unknown: true})
			people.u.PasswordAt, people.u.DevicesSince = time.Time{}, now.Add(-time.Second)
			is("disowned before", "one", Odd{})
			people.u.DevicesSince = now.Add(time.Second)
			is("disowned since", "one", Odd{Unknown: true})
			people.u.DevicesSince = time.Time{}

			_, account := h.account("main", "alice")
			th := h.cfg.Throttle
			for i := 0; i < manyFailures; i++ {
				if i == manyFailures/2 {
					is("some wrong passwords", "one", Odd{})
				}
				k, err := th.begin(ctx, from(account, addr(i)))
				for err != nil { // slower and slower
					if f != nil {
						f.clock.advance(time.Minute)
					} else {
						h.clock.advance(time.Minute)
					}
					k, err = th.begin(ctx, from(account, addr(i)))
				}
				k.fail()
			}
			is("many", "one", Odd{Guessed: true})
			if f != nil {
				people.u.ID = "usr_alice"
				other := newHouse(t, func(c *Config) {
					c.Subjects, c.Throttle, c.Now, c.AccountKey = people, f.nodes[1], f.nodes[1].cfg.Now, h.cfg.AccountKey
				})
				if got := other.Odd(ctx, alice, "one"); got != (Odd{Guessed: true}) {
					t.Errorf("at another node: %+v", got)
				}
			}
			k, err := th.begin(ctx, caller{realm: "main", account: account, network: network(addr(500)), device: th.device(account, "one")})
			if err != nil {
				t.Fatal(err)
			}
			k.success(ctx)
			is("the owner's own right password", "one", Odd{Guessed: true})
		})
	}
	// A right password forgives what failed, and may be the guesser's: the signal stays.
	people := &named{User{ID: "usr_alice", Realm: "main", Username: "Alice", UsernameKey: "alice"}}
	h := newHouse(t, func(c *Config) { c.Subjects = people })
	alice := &gatehouse.Principal{Realm: "main", ID: "usr_alice", Name: "Alice"}
	h.SignedIn(t.Context(), alice, "one")
	for range 10 {
		if got := h.Odd(t.Context(), alice, "one"); got != (Odd{}) {
			t.Fatalf("%+v", got)
		}
		h.Service.signals.codeFailed(t.Context(), "main", "usr_alice")
	}
	if got := h.Odd(t.Context(), alice, "one"); got != (Odd{Guessed: true}) {
		t.Errorf("many wrong codes: %+v", got)
	}
	h.clock.advance(signalEvery)
	if got := h.Odd(t.Context(), alice, "one"); got != (Odd{}) {
		t.Errorf("a day later: %+v", got)
	}
	alice.ID = "usr_nobody"
	if got := h.Odd(t.Context(), alice, "one"); got != (Odd{Unknown: true}) {
		t.Errorf("nobody: %+v", got)
	}
}

// named is a directory of one person.
type named struct{ u User }

func (n *named) Recent(string, string) (*User, bool) { return nil, false }
func (n *named) User(_ context.Context, _, id string) (*User, error) {
	if id != n.u.ID {
		return nil, gatehouse.ErrNotFound
	}
	u := n.u
	return &u, nil
}
