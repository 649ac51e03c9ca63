package limit

import (
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestGCRA(t *testing.T) {
	type ask struct {
		at        time.Duration // since the one before
		ok        bool
		remaining int
		retry     time.Duration
	}
	tests := []struct {
		name string
		rate Rate
		asks []ask
	}{
		{"two a second", Rate{2, time.Second, 0}, []ask{
			{0, true, 1, 0}, {0, true, 0, 500 * time.Millisecond}, {0, false, 0, 500 * time.Millisecond},
			{499 * time.Millisecond, false, 0, time.Millisecond}, {time.Millisecond, true, 0, 500 * time.Millisecond},
			{time.Hour, true, 1, 0}}},
		{"burst of one", Rate{60, time.Minute, 1}, []ask{
			{0, true, 0, time.Second}, {0, false, 0, time.Second}, {time.Second, true, 0, time.Second}}},
		{"burst above limit", Rate{1, time.Second, 3}, []ask{
			{0, true, 2, 0}, {0, true, 1, 0}, {0, true, 0, time.Second}, {0, false, 0, time.Second}}},
		{"zero does not limit", Rate{}, []ask{{0, true, 0, 0}, {0, true, 0, 0}}},
		{"no window denies", Rate{Limit: 5}, []ask{{0, false, 0, time.Minute}}},
		{"negative denies", Rate{-5, time.Second, 0}, []ask{{0, false, 0, time.Minute}}},
		{"negative burst denies", Rate{5, time.Second, -1}, []ask{{0, false, 0, time.Minute}}},
		{"overflow denies", Rate{1, maxWindow, maxLimit}, []ask{{0, false, 0, time.Minute}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(Config{})
				for i, a := range tt.asks {
					time.Sleep(a.at)
					got := l.AllowIn("", "k", tt.rate)
					if got.OK != a.ok || got.Remaining != a.remaining || got.RetryAfter != a.retry {
						t.Fatalf("ask %d: %+v, want %+v", i, got, a)
					}
				}
			})
		})
	}
}

// Whatever the rate and however the asks are spread, no window of time admits
// more than the burst and what the rate earns in it; and a caller that waits
// exactly RetryAfter is admitted.
func TestNeverMoreThanTheRate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(1_700_000_000, 0)
		l := New(Config{Now: func() time.Time { return now }})
		rate := Rate{rapid.IntRange(1, 50).Draw(rt, "limit"), time.Duration(rapid.IntRange(1, 1e9).Draw(rt, "window")) * 60,
			rapid.IntRange(0, 50).Draw(rt, "burst")}
		interval, tolerance, ok := rate.gcra()
		if !ok {
			return
		}
		start, admitted := now, int64(0)
		for range rapid.IntRange(1, 100).Draw(rt, "asks") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 2*interval).Draw(rt, "gap")))
			r := l.AllowIn("", "k", rate)
			if !r.OK {
				now = now.Add(r.RetryAfter)
				if r = l.AllowIn("", "k", rate); !r.OK {
					rt.Fatalf("refused after waiting RetryAfter: %+v", r)
				}
			}
			admitted++
			if r.Remaining < 0 || r.Remaining >= rate.burst() {
				rt.Fatalf("remaining %d of %d", r.Remaining, rate.burst())
			}
			if earned := (int64(now.Sub(start)) + tolerance) / interval; admitted > earned {
				rt.Fatalf("%d admitted, %d earned", admitted, earned)
			}
		}
	})
}

func TestScopesAndAddressesApart(t *testing.T) {
	l := New(Config{})
	rate := Rate{1, time.Hour, 0}
	for _, k := range [][2]string{{"", "a"}, {"a", ""}, {"a", "b"}, {"ab", ""}, {"", "ab"}} {
		if !l.AllowIn(k[0], k[1], rate).OK {
			t.Errorf("%q shares a count", k)
		}
	}
	addr := netip.MustParseAddr
	for _, tt := range []struct {
		addr netip.Addr
		ok   bool
	}{{addr("192.0.2.1"), true}, {addr("::ffff:192.0.2.1"), false}, {addr("192.0.2.2"), true},
		{addr("2001:db8::1"), true}, {addr("2001:db8::2"), false}, {addr("2001:db8:0:1::2"), true},
		{addr("fe80::1%eth0"), true}, {addr("fe80::1%eth1"), false}, {netip.Addr{}, true}, {netip.Addr{}, false}} {
		if got := l.AllowAddress("r", tt.addr, rate).OK; got != tt.ok {
			t.Errorf("%v: %v", tt.addr, got)
		}
	}
}

// Asking whether an address has spent its rate counts nothing, and agrees with
// what counting it would say.
func TestSpentAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{MaxKeys: 1})
		a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:1::1")
		rate := Rate{2, time.Minute, 0}
		for i, spent := range []bool{false, false, true} {
			for range 3 {
				if got := l.SpentAddress("r", a, rate); got != spent {
					t.Fatalf("after %d events: %v", i, got)
				}
			}
			if l.AllowAddress("r", a, rate).OK == spent {
				t.Fatalf("event %d", i)
			}
		}
		if !l.SpentAddress("r", netip.MustParseAddr("2001:db8::2"), rate) || l.SpentAddress("other", a, rate) {
			t.Error("the network or the scope is not what is counted")
		}
		// The table is full, so b shares a bucket.
		for range 2 {
			if l.SpentAddress("r", b, rate) || !l.AllowAddress("r", b, rate).OK {
				t.Fatal("spent too soon")
			}
		}
		if !l.SpentAddress("r", b, rate) {
			t.Error("the shared bucket is not asked")
		}
		time.Sleep(30 * time.Second)
		if l.SpentAddress("r", a, rate) {
			t.Error("spent for too long")
		}
		if l.SpentAddress("r", a, Rate{}) || !l.SpentAddress("r", a, Rate{Limit: -1}) {
			t.Error("no rate does not limit, a senseless one allows nothing")
		}
	})
}

func TestConcurrentExact(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := New(Config{Now: func() time.Time { return now }})
	var ok atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				if l.AllowIn("", "k", Rate{100, time.Hour, 0}).OK {
					ok.Add(1)
				}
				l.sweep()
			}
		})
	}
	wg.Wait()
	if ok.Load() != 100 {
		t.Errorf("%d of 100 admitted", ok.Load())
	}
}

// An event must not be counted on a cell that a sweep is taking away: it would
// be forgotten, and one more admitted.
func TestDeadCellIsNotUsed(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := New(Config{Now: func() time.Time { return now }})
	rate := Rate{1, time.Hour, 0}
	key := hashKey{l.hash(0, "", "k"), l.hash(1, "", "k")}
	taken := new(cell)
	taken.tat.Store(dead)
	l.cells.Store(key, taken)
	done := make(chan Result)
	go func() { done <- l.AllowIn("", "k", rate) }()
	for range 1000 {
		runtime.Gosched()
		select {
		case r := <-done:
			t.Fatalf("counted on a dead cell: %+v", r)
		default:
		}
	}
	l.cells.Delete(key)
	if r := <-done; !r.OK {
		t.Errorf("%+v", r)
	}
	if l.AllowIn("", "k", rate).OK {
		t.Error("the event was forgotten")
	}
}

func TestFullTable(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := New(Config{MaxKeys: 10, Now: func() time.Time { return now }})
	rate := Rate{1, time.Hour, 0}
	admitted := 0
	for i := range 10_000 {
		if l.AllowIn("", fmt.Sprint(i), rate).OK {
			admitted++
		}
	}
	if admitted > 10+overflowBuckets {
		t.Errorf("%d new keys admitted by a full table", admitted)
	}
	if held, spilled := l.Keys(); held > 10 || spilled < 9000 {
		t.Errorf("held %d, spilled %d", held, spilled)
	}
	if l.AllowIn("", "0", rate).OK {
		t.Error("a known key was forgotten")
	}
	now = now.Add(2 * time.Hour)
	if !l.AllowIn("", "new", rate).OK {
		t.Error("an idle table must make room")
	}
	if held, _ := l.Keys(); held != 1 {
		t.Errorf("%d keys held after all went idle", held)
	}
}

func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{})
		l.AllowIn("", "k", Rate{1, time.Second, 0})
		done := make(chan error, 1)
		ctx := t.Context()
		go func() { done <- l.Run(ctx) }()
		time.Sleep(sweepEvery + time.Second)
		if held, _ := l.Keys(); held != 0 {
			t.Errorf("%d keys held", held)
		}
	})
}

func TestHeader(t *testing.T) {
	h := http.Header{}
	SetHeader(h, Item{"address", Rate{100, time.Minute, 0}, Result{OK: true, Remaining: 50, Reset: 29500 * time.Millisecond}},
		Item{"none", Rate{}, Result{}}, Item{"principal", Rate{5, time.Second, 0}, Result{RetryAfter: 1}})
	if got := h.Get("RateLimit-Policy"); got != `"address";q=100;w=60, "principal";q=5;w=1` {
		t.Error(got)
	}
	if got := h.Get("RateLimit"); got != `"address";r=50;t=30, "principal";r=0;t=1` {
		t.Error(got)
	}
	h = http.Header{}
	SetHeader(h, Item{Name: "x"})
	if len(h) != 0 {
		t.Error(h)
	}
}

func TestNoAllocation(t *testing.T) {
	l := New(Config{})
	rate := Rate{1 << 20, time.Second, 0}
	a := netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { l.AllowIn("route", "usr_1", rate); l.AllowAddress("route", a, rate) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := New(Config{})
	rate := Rate{1 << 20, time.Second, 0}
	b.ReportAllocs()
	for b.Loop() {
		l.AllowIn("route", "usr_1", rate)
	}
}
