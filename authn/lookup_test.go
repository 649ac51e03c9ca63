package authn

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
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

// TestRecordTimes: a record is used for its whole age and not a moment longer, is renewed
// from its time on and not before, and what does not exist is asked for again in time.
func TestRecordTimes(t *testing.T) {
	var clock, loads atomic.Int64
	set := func(at time.Time) { clock.Store(at.UnixNano()) }
	began := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	c := newRecords[int64](1024, time.Minute, func() time.Time { return time.Unix(0, clock.Load()) })
	load := func(_ context.Context, id string) (int64, error) {
		if n := loads.Add(1); id != "absent" {
			return n, nil
		}
		return 0, gatehouse.NotFound
	}
	ask := func(id string, at time.Time, want int64) {
		t.Helper()
		set(at)
		before := loads.Load()
		if _, err := c.get(t.Context(), id, load); (err != nil) != (id == "absent") || loads.Load()-before != want {
			t.Errorf("%s: %d look-ups, %v", id, loads.Load()-before, err)
		}
	}
	ask("k", began, 1)
	e, _ := c.found.Get("k")
	due := time.Unix(0, e.renew)
	for range maxRenewals { // no renewal can run meanwhile
		c.renewals <- struct{}{}
	}
	ask("k", due, 0)
	ask("k", began.Add(time.Minute-1), 0)
	for range maxRenewals {
		<-c.renewals
	}
	// A renewal reads what is there and due, and nothing else.
	renew := func(id string, at time.Time, want int64) {
		t.Helper()
		set(at)
		before := loads.Load()
		c.renew(t.Context(), id, load)
		testwait.Until(t, 10*time.Second, "the end of the renewal", func() bool { return len(c.renewals) == 0 })
		if loads.Load()-before != want {
			t.Errorf("%s: renewed %d times", id, loads.Load()-before)
		}
	}
	renew("k", due.Add(-1), 0)
	renew("dropped meanwhile", due, 0)
	set(due.Add(-1))
	if v, ok := c.peek("k"); !ok || v != 1 {
		t.Errorf("not due, and not taken: %d, %t", v, ok)
	}
	set(due)
	if _, ok := c.peek("k"); ok {
		t.Error("due, and taken for fresh")
	}
	if _, ok := c.peek("dropped meanwhile"); ok {
		t.Error("not there, and found")
	}
	set(due.Add(-1))
	if v, err := c.fill(t.Context(), "k", load); v != 1 || err != nil || loads.Load() != 1 {
		t.Errorf("looked up again although another look-up had ended: %d, %v", v, err)
	}
	renew("k", due, 1)
	e, _ = c.found.Get("k")
	due = time.Unix(0, e.renew)
	renew("k", due.Add(-1), 0)
	set(due)
	before := loads.Load()
	if _, err := c.get(t.Context(), "k", load); err != nil { // its use at that moment begins the renewal
		t.Fatal(err)
	}
	testwait.Until(t, 10*time.Second, "the renewal", func() bool { return loads.Load() == before+1 && len(c.renewals) == 0 })
	ask("k", due, 0)
	ask("k", due.Add(time.Minute), 1) // at its end
	e, _ = c.found.Get("k")
	set(time.Unix(0, e.renew))
	before = loads.Load()
	if _, err := c.fill(t.Context(), "k", load); err != nil || loads.Load() != before+1 {
		t.Error("a record that is due was not looked up")
	}
	ask("absent", began, 1)
	ask("absent", began.Add(c.missAge-1), 0)
	ask("absent", began.Add(c.missAge), 1)
}

// TestRecordsAreSpread: records that came in together are due one after the other, all of
// them in the third quarter of their age, however short that is.
func TestRecordsAreSpread(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, age := range []time.Duration{0, 1, 2, 4, time.Hour} {
		c := newRecords[int](1024, age, func() time.Time { return now })
		first, last := age, time.Duration(0)
		for i := range 1000 {
			id := fmt.Sprint(i)
			c.keep(id, i)
			e, _ := c.found.Get(id)
			due := time.Duration(e.renew - now.UnixNano())
			first, last = min(first, due), max(last, due)
			if end := time.Duration(e.until - now.UnixNano()); end != age {
				t.Fatalf("%s: kept for %s", age, end)
			}
		}
		if first < age/2 || last > age/2+age/4 {
			t.Errorf("%s: due from %s to %s", age, first, last)
		}
		if spread := age / 4; last-first < spread-spread/10 {
			t.Errorf("%s: all due within %s", age, last-first)
		}
	}
}

// TestMissesAreFew: of what does not exist little is remembered, so that a flood of
// invented ids takes no more memory than that.
func TestMissesAreFew(t *testing.T) {
	c := newRecords[int](800, time.Hour, time.Now)
	for i := range 4000 {
		_, _ = c.get(t.Context(), fmt.Sprint(i), func(context.Context, string) (int, error) { return 0, gatehouse.NotFound })
	}
	n := 0
	for range c.missing.Keys() {
		n++
	}
	if n == 0 || n > 400 { // 100, and what the cache has not yet put in order
		t.Errorf("%d of 4000 are remembered", n)
	}
}

// TestDrop: what changed is forgotten, there or missing, and the rest is not; "" is all.
func TestDrop(t *testing.T) {
	fresh := func() *records[int] {
		c := newRecords[int](64, time.Hour, time.Now)
		for _, id := range []string{"a 1", "a 2", "b 1"} {
			c.found.Set(id, record[int]{1, 1 << 62, 1 << 62})
			c.missing.Set("no "+id, time.Now().Add(time.Hour))
		}
		return c
	}
	for name, tt := range map[string]struct {
		drop func(c *records[int])
		left []string
	}{
		"one":         {func(c *records[int]) { c.drop("a 1") }, []string{"a 2", "b 1", "no a 1", "no a 2", "no b 1"}},
		"one missing": {func(c *records[int]) { c.drop("no a 1") }, []string{"a 1", "a 2", "b 1", "no a 2", "no b 1"}},
		"all":         {func(c *records[int]) { c.drop("") }, nil},
		"some": {func(c *records[int]) { c.dropWhere(func(id string) bool { return strings.HasSuffix(id, " 1") }) },
			[]string{"a 2", "no a 2"}},
	} {
		c := fresh()
		tt.drop(c)
		if got := slices.Sorted(slices.Values(slices.AppendSeq(slices.Collect(c.found.Keys()), c.missing.Keys()))); !slices.Equal(got, tt.left) {
			t.Errorf("%s: %q are left", name, got)
		}
		if c.gen.Load() != 1 {
			t.Errorf("%s: a look-up that began before it would be kept", name)
		}
	}
}

// TestNothingIsKeptForLong: a change that nobody told of counts after the age of a record at
// the latest, for each kind of record.
func TestNothingIsKeptForLong(t *testing.T) {
	w := newWorld(t)
	w.grants["grt_1"] = gatehouse.Grant{ExpiresAt: w.now.Add(time.Hour)}
	key, opaque := w.addKey(nil), w.addOpaque(func(o *credential.OpaqueToken) { o.ExpiresAt = w.now.Add(time.Hour) })
	for name, ask := range map[string]func(){
		"key":          func() { w.check(t, key, secure, "", "") },
		"opaque token": func() { w.check(t, opaque, secure, "", "") },
		"imports":      func() { w.a.HasImported(t.Context(), "main") },
	} {
		w.lookups.Store(0)
		ask()
		w.advance(recordAge - 1)
		for range maxRenewals { // nobody renews it meanwhile
			w.a.keys.renewals <- struct{}{}
			w.a.opaque.renewals <- struct{}{}
			w.a.imports.renewals <- struct{}{}
		}
		ask()
		if n := w.lookups.Load(); n != 1 {
			t.Errorf("%s: %d look-ups while it is young", name, n)
		}
		for range maxRenewals {
			<-w.a.keys.renewals
			<-w.a.opaque.renewals
			<-w.a.imports.renewals
		}
		w.advance(1)
		ask()
		if n := w.lookups.Load(); n != 2 {
			t.Errorf("%s: %d look-ups when it is old", name, n)
		}
	}
}

// TestGrantsThatEnd: the end of a grant is asked for again when it is told, and a token that
// was not there is found when its grant is.
func TestGrantsThatEnd(t *testing.T) {
	w := newWorld(t)
	p := w.addOpaque(nil)
	w.check(t, p, secure, "invalid_token", "token_unknown") // its grant is not there
	told := func() { w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicGrant, Realm: "main", ID: "grt_1"}) }
	w.grants["grt_1"] = gatehouse.Grant{ExpiresAt: w.now.Add(time.Hour)}
	w.check(t, p, secure, "invalid_token", "token_unknown")
	told()
	w.check(t, p, secure, "", "")
	w.grants["grt_1"] = gatehouse.Grant{ExpiresAt: w.now.Add(time.Hour), EndedAt: w.now}
	told()
	w.check(t, p, secure, "invalid_token", "token_revoked")
}

// TestLookupsEnd: a store that never answers holds a caller for as long as a look-up may
// take, and not for as long as the caller would wait.
func TestLookupsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newRecords[int](16, time.Minute, time.Now)
		began := time.Now()
		_, err := c.get(t.Context(), "k", func(ctx context.Context, _ string) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != lookupTimeout {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
