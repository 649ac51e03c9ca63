package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

func recorder(t testing.TB, m *memory, change func(*audit.RecorderConfig)) *audit.Recorder {
	t.Helper()
	cfg := audit.RecorderConfig{Run: run[audit.BatchWriter](m)}
	if change != nil {
		change(&cfg)
	}
	r, err := audit.NewRecorder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// all returns the stored batches, while others write.
func (m *memory) all() []audit.Batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.batches)
}

// stored returns the events of the realm in the order of the store.
func (m *memory) stored(t testing.TB, realm string) (out []gatehouse.Event) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.batches {
		if b.Realm == realm {
			events, err := audit.Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, events...)
		}
	}
	return out
}

func TestRecorderStoresInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := recorder(t, m, nil)
		var e gatehouse.Event // used again and again, as a pool would
		for i := range 100 {
			e = gatehouse.Event{Realm: []string{"main", "other"}[i%2], Kind: audit.KindRequestDecide, Outcome: gatehouse.OutcomeSuccess, Path: fmt.Sprint(i)}
			r.Record(&e)
		}
		if len(m.all()) != 0 {
			t.Error("written at once")
		}
		time.Sleep(51 * time.Millisecond)
		synctest.Wait()
		if b := m.all(); len(b) != 2 || b[0].Count != 50 || b[0].Kind != audit.KindRequestDecide {
			t.Errorf("%d batches", len(b))
		}
		for i, e := range m.stored(t, "other") {
			if e.Path != fmt.Sprint(2*i+1) || e.ID == "" || e.Time.IsZero() {
				t.Errorf("event %d is %+v", i, e)
			}
		}
		for range 512 { // a full batch does not wait
			r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		}
		synctest.Wait()
		if got := len(m.stored(t, "main")); got != 562 {
			t.Errorf("%d events", got)
		}
		r.Record(&gatehouse.Event{Realm: "main", Kind: "last"})
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		all := m.stored(t, "main")
		if s := r.Stats(); all[len(all)-1].Kind != "last" || s.Depth != 0 || s.Stored != 613 || s.Recorded != 613 || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
		r.Record(&gatehouse.Event{Realm: "main", Kind: "late"})
		r.Record(&gatehouse.Event{Kind: "of no realm"})
		if s := r.Stats(); s.Dropped != 2 {
			t.Errorf("late events are silent: %+v", s)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRecorderDropsAndTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var down atomic.Bool
		down.Store(true)
		m.fail = func(string) error {
			if down.Load() {
				return errDown
			}
			return nil
		}
		r := recorder(t, m, func(c *audit.RecorderConfig) { c.Overflow = audit.OverflowDrop; c.Queue = 10 })
		for range 35 {
			r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		}
		time.Sleep(time.Minute)
		if s := r.Stats(); s.Depth != 10 || s.Dropped != 25 || s.Failures < 5 || s.Failures > 100 {
			t.Errorf("%+v", s)
		}
		down.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got := m.stored(t, "main")
		last := got[len(got)-1]
		if len(got) != 11 || last.Kind != audit.KindAuditDropped || last.Detail["count"] != "25" {
			t.Errorf("%d events, last %+v", len(got), last)
		}
		if err := r.Close(t.Context()); err != nil || r.Stats().Depth != 0 {
			t.Error(err, r.Stats())
		}
	})
}

func TestRecorderBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var down atomic.Bool
		down.Store(true)
		m.fail = func(string) error {
			if down.Load() {
				return errDown
			}
			return nil
		}
		r := recorder(t, m, func(c *audit.RecorderConfig) { c.Queue = 10 })
		var recorded atomic.Int64
		for range 4 {
			go func() {
				for range 10 {
					r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
					recorded.Add(1)
				}
			}()
		}
		time.Sleep(2 * time.Second) // shorter than anybody's patience
		if n := recorded.Load(); n != 10 {
			t.Errorf("%d recorded beyond a queue of 10", n)
		}
		down.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n, s := len(m.stored(t, "main")), r.Stats(); n != 40 || recorded.Load() != 40 || s.Dropped != 0 {
			t.Errorf("%d stored, %+v", n, s)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRecorderRefuses: a store that stays away makes nobody wait for ever. What
// would pass is refused; what was admitted before is kept, however full it is;
// what is refused anyway is counted.
func TestRecorderRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var down atomic.Bool
		down.Store(true)
		m.fail = func(string) error {
			if down.Load() {
				return errDown
			}
			return nil
		}
		r := recorder(t, m, func(c *audit.RecorderConfig) { c.Queue = 10 })
		event := func() *gatehouse.Event { return &gatehouse.Event{Realm: "main", Kind: "k"} }
		took := func(f func()) time.Duration { began := time.Now(); f(); return time.Since(began) }
		for range 12 { // all admitted at once, while there was room
			if err := r.Admit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for range 12 {
			if d := took(func() { r.RecordAdmitted(event()) }); d > 0 {
				t.Errorf("an admitted event waited %v", d)
			}
		}
		gone, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if d := took(func() { wantCode(t, r.Admit(gone), "audit_unavailable") }); d != time.Second {
			t.Errorf("a caller who left waited %v", d)
		}
		var waiting sync.WaitGroup
		for range 3 { // three who wait at once are all told when the first has waited long enough
			waiting.Go(func() {
				if d := took(func() { wantCode(t, r.Admit(t.Context()), "audit_unavailable") }); d != 5*time.Second {
					t.Errorf("waited %v", d)
				}
			})
		}
		waiting.Wait()
		if d := took(func() { wantCode(t, r.Admit(t.Context()), "audit_unavailable"); r.Record(event()) }); d > 0 {
			t.Errorf("with the queue known to be stuck: waited %v", d)
		}
		down.Store(false)
		time.Sleep(10 * time.Second)
		if err := r.Admit(t.Context()); err != nil {
			t.Errorf("after the store came back: %v", err)
		}
		time.Sleep(time.Second)
		got := m.stored(t, "main")
		if s := r.Stats(); len(got) != 13 || got[12].Kind != audit.KindAuditDropped || got[12].Detail["count"] != "1" || s.Dropped != 1 {
			t.Errorf("%d events, %+v", len(got), s)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wantCode(t, r.Admit(t.Context()), "audit_unavailable")
	})
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if gatehouse.CodeOf(err) != code {
		t.Errorf("%v, want code %s", err, code)
	}
}

func TestRecorderCloseGivesUpAndTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.fail = func(string) error { return errDown }
		r := recorder(t, m, func(c *audit.RecorderConfig) { c.Queue = 5 })
		for range 5 {
			r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		}
		blocked := make(chan struct{})
		go func() {
			r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
			close(blocked)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := r.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "5 events") || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		<-blocked
	})
}

// A commit whose answer was lost must not store the events twice.
func TestRecorderLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.commit = errors.New("connection reset")
		r := recorder(t, m, nil)
		for i := range 10 {
			r.Record(&gatehouse.Event{Realm: []string{"main", "other"}[i%2], Kind: "k"})
		}
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		m.mu.Lock()
		m.commit = nil
		m.mu.Unlock()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if a, b := len(m.stored(t, "main")), len(m.stored(t, "other")); a != 5 || b != 5 {
			t.Errorf("stored %d and %d", a, b)
		}
	})
}

// One realm that cannot be written must not hold up the others, and keeps its order.
func TestRecorderOneRealmFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var down atomic.Bool
		var calls atomic.Int64
		down.Store(true)
		m.fail = func(call string) error {
			// Now and then it works: the next batch must not pass the one that failed.
			if down.Load() && strings.HasSuffix(call, "other") && calls.Add(1)%3 != 0 {
				return errDown
			}
			return nil
		}
		r := recorder(t, m, nil)
		for i := range 20 {
			r.Record(&gatehouse.Event{Realm: "other", Kind: "k", Path: fmt.Sprint(i)})
			r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		if n := len(m.stored(t, "main")); n != 20 {
			t.Errorf("%d events of main", n)
		}
		down.Store(false)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		got := m.stored(t, "other")
		if len(got) != 20 {
			t.Fatalf("%d events of other", len(got))
		}
		for i, e := range got {
			if e.Path != fmt.Sprint(i) {
				t.Errorf("place %d holds %s", i, e.Path)
			}
		}
	})
}

func TestRecorderConcurrently(t *testing.T) {
	m := newMemory()
	r := recorder(t, m, func(c *audit.RecorderConfig) { c.Queue = 64; c.MaxWait = time.Millisecond })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				r.Record(&gatehouse.Event{Realm: "main", Kind: "k", Path: fmt.Sprintf("%d/%d", g, i)})
			}
		})
	}
	wg.Wait()
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range m.stored(t, "main") {
		if seen[e.Path] {
			t.Errorf("%s twice", e.Path)
		}
		seen[e.Path] = true
	}
	if len(seen) != 1600 {
		t.Errorf("%d events", len(seen))
	}
}

func TestRecorderConfig(t *testing.T) {
	if _, err := audit.NewRecorder(audit.RecorderConfig{}); err == nil {
		t.Error("no runner")
	}
	if _, err := audit.NewRecorder(audit.RecorderConfig{Run: run[audit.BatchWriter](newMemory()), Overflow: "forget"}); err == nil {
		t.Error("unknown policy")
	}
}

func BenchmarkRecord(b *testing.B) {
	none := func(ctx context.Context, fn func(context.Context, audit.BatchWriter) error) error { return nil }
	r, err := audit.NewRecorder(audit.RecorderConfig{Run: none})
	if err != nil {
		b.Fatal(err)
	}
	e := full()
	b.ReportAllocs()
	for b.Loop() {
		r.Record(&e)
	}
	b.StopTimer()
	if err := r.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
