package authn

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// invented is a key, or an opaque token, that nobody was given.
func invented(prefix string) Presented {
	text, id, _ := credential.MintKey(prefix, gatehouse.EnvironmentLive)
	parsed, err := credential.ParseKey(text.Reveal())
	if err != nil {
		panic(err)
	}
	p := Presented{Scheme: gatehouse.SchemeAPIKey, ID: id, Secret: text, Key: parsed}
	if parsed.IsAccessToken() {
		p.Scheme = gatehouse.SchemeOpaque
	}
	return p
}

// Many callers share an address: those with good keys are served however many
// invented ones come from it, and only invented ones are counted and limited.
func TestOnlyMissesAreLimited(t *testing.T) {
	w := newWorld(t)
	w.grants["grt_1"] = gatehouse.Grant{ExpiresAt: w.now.Add(time.Hour)}
	opaque := func() Presented {
		p := invented("ght")
		hash := credential.HashKey(p.Secret.Reveal())
		w.tokens[string(hash)] = credential.OpaqueToken{Hash: hash, ID: "tok_1", Realm: "main", GrantID: "grt_1", Subject: "usr_alice",
			Audience: []string{issuerURL}, IssuedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}
		return p
	}
	warm, warmOpaque := w.addKey(nil), opaque()
	revoked := w.addKey(func(k *credential.Key) { k.RevokedAt = w.now })
	for range 2 {
		w.check(t, warm, secure, "", "")
		w.check(t, warmOpaque, secure, "", "")
		w.check(t, revoked, secure, "invalid_token", "key_revoked")
	}
	if n := w.misses.Load(); n != 0 {
		t.Fatalf("%d good look-ups were counted as misses", n)
	}
	w.check(t, invented("ghk"), secure, "invalid_token", "key_unknown")
	w.check(t, invented("ght"), secure, "invalid_token", "token_unknown")
	wrong := w.addKey(nil)
	wrong.Secret = invented("ghk").Secret
	w.check(t, wrong, secure, "invalid_token", "key_secret_mismatch")
	if n := w.misses.Load(); n != 3 {
		t.Fatalf("%d misses were counted, want 3", n)
	}
	again := invented("ghk")
	w.check(t, again, secure, "invalid_token", "key_unknown")

	w.spent = true
	for range 2 {
		w.check(t, warm, secure, "", "")
		w.check(t, warmOpaque, secure, "", "")
		w.check(t, w.addKey(nil), secure, "", "")
		w.check(t, opaque(), secure, "", "")
		w.check(t, revoked, secure, "invalid_token", "key_revoked")
	}
	// All that are not good get one answer, which does not tell which ids exist.
	for name, p := range map[string]Presented{"unknown": invented("ghk"), "unknown token": invented("ght"), "known id": wrong, "tried before": again} {
		_, err := w.a.Authenticate(t.Context(), "main", p, secure)
		var e *gatehouse.Error
		if !errors.As(err, &e) || e.Kind != gatehouse.RateLimited || e.Code != "rate_limited" || e.RetryAfter <= 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := w.misses.Load(); n != 4 {
		t.Errorf("what was refused cost something: %d misses", n)
	}
}

// A flood of invented keys keeps few look-ups of the store busy.
func TestSuspectLookupsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.spent = true
		var running, most atomic.Int64
		w.onKey = func() {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(300 * time.Millisecond)
			running.Add(-1)
		}
		good := w.addKey(nil)
		results := make(chan error)
		for range 100 {
			go func() {
				_, err := w.a.Authenticate(t.Context(), "main", invented("ghk"), secure)
				results <- err
			}()
		}
		began := time.Now()
		for range 100 {
			if err := <-results; gatehouse.KindOf(err) != gatehouse.RateLimited {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("somebody waited for %s", took)
		}
		if n := most.Load(); n != suspectSlots {
			t.Errorf("%d look-ups ran at once", n)
		}
		w.check(t, good, secure, "", "")
	})
}

// A record in use is read again in time, without anybody waiting for it.
func TestRecordsAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int64
		var slow atomic.Int64 // nanoseconds
		var fail atomic.Pointer[error]
		load := func(context.Context, string) (int, error) {
			time.Sleep(time.Duration(slow.Load()))
			if err := fail.Load(); err != nil {
				return int(loads.Add(1)), *err
			}
			return int(loads.Add(1)), nil
		}
		c := newRecords[int](1024, time.Minute, time.Now)
		get := func() int {
			t.Helper()
			began := time.Now()
			v, err := c.get(t.Context(), "k", load)
			if err != nil {
				t.Fatal(err)
			}
			if time.Since(began) > 0 {
				t.Fatalf("a caller waited for %s", time.Since(began))
			}
			return v
		}
		if get() != 1 {
			t.Fatal("not looked up")
		}
		slow.Store(int64(time.Second))
		time.Sleep(29 * time.Second)
		if get() != 1 || loads.Load() != 1 {
			t.Fatal("renewed too soon")
		}
		time.Sleep(16 * time.Second) // 45 s: due for every id
		for range 10 {
			if get() != 1 {
				t.Fatal("the old record was not used")
			}
		}
		time.Sleep(2 * time.Second)
		if get() != 2 || loads.Load() != 2 {
			t.Fatalf("renewed %d times", loads.Load()-1)
		}
		// In use, it never gets old.
		for range 100 {
			time.Sleep(10 * time.Second)
			get()
		}
		// Not in use, it does.
		time.Sleep(2 * time.Minute)
		slow.Store(int64(0))
		before := loads.Load()
		if get(); loads.Load() != before+1 {
			t.Fatal("an old record was used")
		}
		// When it is gone, the old record goes with the renewal.
		time.Sleep(46 * time.Second)
		gone := fmt.Errorf("gone: %w", gatehouse.NotFound)
		fail.Store(&gone)
		get()
		synctest.Wait()
		if _, err := c.get(t.Context(), "k", load); !errors.Is(err, gatehouse.NotFound) {
			t.Fatalf("a record that is gone: %v", err)
		}
		// A store that fails makes nobody's record last longer.
		fail.Store(nil)
		c.drop("k")
		get()
		time.Sleep(50 * time.Second)
		down := errors.New("down")
		fail.Store(&down)
		get()
		time.Sleep(11 * time.Second)
		if _, err := c.get(t.Context(), "k", load); err == nil {
			t.Fatal("a record was used for longer than it may be")
		}
	})
}

// A change between the read of a renewal and its end is not undone by it.
func TestRenewalsDoNotUndoChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newRecords[int](16, time.Minute, time.Now)
		var value atomic.Int64
		value.Store(1)
		load := func(context.Context, string) (int, error) {
			v := value.Load()
			time.Sleep(time.Second)
			return int(v), nil
		}
		_, _ = c.get(t.Context(), "k", load)
		time.Sleep(50 * time.Second)
		_, _ = c.get(t.Context(), "k", load) // begins a renewal, which reads 1
		time.Sleep(time.Millisecond)
		value.Store(2)
		c.drop("k")
		time.Sleep(2 * time.Second)
		if v, _ := c.get(t.Context(), "k", load); v != 2 {
			t.Errorf("%d after the change", v)
		}
	})
}

// A panic in a look-up fails the request, not the program.
func TestLookupPanics(t *testing.T) {
	c := newRecords[int](16, time.Minute, time.Now)
	if _, err := c.get(t.Context(), "k", func(context.Context, string) (int, error) { panic("boom") }); err == nil {
		t.Error("no error")
	}
}

func TestManyRenewalsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, loads atomic.Int64
		load := func(context.Context, string) (int, error) {
			loads.Add(1)
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			running.Add(-1)
			return 1, nil
		}
		c := newRecords[int](1024, time.Minute, time.Now)
		ids := make([]string, 100)
		for i := range ids {
			ids[i] = fmt.Sprint(i)
			_, _ = c.get(t.Context(), ids[i], load)
		}
		time.Sleep(50 * time.Second)
		most.Store(0)
		for range 200 {
			for _, id := range ids {
				_, _ = c.get(t.Context(), id, load)
			}
			time.Sleep(time.Millisecond)
		}
		if most.Load() > maxRenewals || loads.Load() != 200 {
			t.Errorf("%d renewals at once, %d look-ups", most.Load(), loads.Load())
		}
	})
}

// What is kept in memory of a key holds no part of its text but the id: the secret
// would stay there as long as the record, and longer than anybody needs it.
func TestKeptIDsHoldNoSecret(t *testing.T) {
	const text = "ghk_live_0123456789abcdefgh"
	id := text[len("ghk_live_"):][:12]
	within := func(s string) bool {
		from, at := uintptr(unsafe.Pointer(unsafe.StringData(text))), uintptr(unsafe.Pointer(unsafe.StringData(s)))
		return at >= from && at < from+uintptr(len(text))
	}
	if !within(id) {
		t.Fatal("the test compares nothing")
	}
	for name, err := range map[string]error{"found": nil, "missing": gatehouse.NotFound} {
		c := newRecords[int](16, time.Minute, time.Now)
		if _, got := c.fill(t.Context(), id, func(_ context.Context, asked string) (int, error) {
			if asked != id || within(asked) {
				t.Errorf("%s: the record is looked up, and may be kept, under a part of the credential", name)
			}
			return 1, err
		}); got != err {
			t.Fatal(name, got)
		}
		n := 0
		for _, keys := range []iter.Seq[string]{c.found.Keys(), c.missing.Keys()} {
			for kept := range keys {
				if n++; kept != id || within(kept) {
					t.Errorf("%s: %q is a part of the credential", name, kept)
				}
			}
		}
		if n != 1 {
			t.Errorf("%s: %d ids are kept", name, n)
		}
	}
}
