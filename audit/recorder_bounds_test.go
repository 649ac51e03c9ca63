package audit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// sized is an event whose line, with its newline, has n bytes; n is at least 300.
func sized(t *testing.T, n int) *gatehouse.Event {
	t.Helper()
	e := &gatehouse.Event{ID: "evt_1", Time: epoch, Realm: "main", Kind: "k", Outcome: gatehouse.OutcomeSuccess}
	length := func() int { return len(audit.AppendEvent(nil, e)) + 1 }
	for key := 0; length() < n; key++ { // as many full details as fit, and one that fills the rest
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		name := fmt.Sprintf("%02d", key)
		e.Detail[name] = ""
		// A control character takes six bytes in a line: so a few details fill it.
		left := n - length()
		wide := min(512, left/6)
		if left-6*wide < 20 || left-6*wide > 500 { // something must be left for the last one, or nothing at all
			wide = min(wide, max(0, (left-100)/6))
		}
		e.Detail[name] = strings.Repeat("\x01", wide)
		if rest := n - length(); rest > 0 && rest <= 512-wide {
			e.Detail[name] += strings.Repeat("x", rest)
		}
	}
	if length() != n {
		t.Fatalf("a line of %d bytes is not one of %d", length(), n)
	}
	return e
}

func down(string) error { return errDown }

// set changes how the store fails, while others use it.
func (m *memory) set(fail func(call string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

// TestRecorderRoom: the queue has room for as many events, and as many bytes, as it says and for no more. With
// nothing queued there is room for any event.
func TestRecorderRoom(t *testing.T) {
	for name, tc := range map[string]struct {
		queue, bytes int
		size         int // of each event
		kept         int // of those that are recorded while nothing can be stored
	}{
		"by default":                    {0, 0, 300, 16384},
		"as many events":                {7, 0, 300, 7},
		"as many bytes":                 {0, 3000, 300, 10},
		"one byte too few for the last": {0, 2999, 300, 9},
		"one byte more":                 {0, 3001, 300, 10},
		"larger than all of the room":   {0, 299, 300, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			m.fail = down
			r := recorder(t, m, func(c *audit.RecorderConfig) {
				c.Overflow, c.Queue, c.QueueBytes = audit.OverflowDrop, tc.queue, tc.bytes
			})
			e, began := sized(t, tc.size), time.Now()
			fill := func() {
				for range tc.kept + 2 {
					r.Record(e)
				}
			}
			fill()
			if s := r.Stats(); s.Depth != int64(tc.kept) || s.Recorded != int64(tc.kept) || s.Dropped != 2 {
				t.Errorf("%s: %+v", name, s)
			}
			if took := time.Since(began); took > 0 {
				t.Errorf("%s: who drops waited %v", name, took)
			}
			m.set(nil)
			time.Sleep(time.Minute) // all of it is stored, and the count of what was dropped
			m.set(down)
			fill() // and the room is there again
			if s := r.Stats(); s.Depth != int64(tc.kept) || s.Stored != int64(tc.kept)+1 || s.Dropped != 4 {
				t.Errorf("%s, again: %+v", name, s)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_ = r.Close(ctx)
		})
	}
}

// TestRecorderBatchesEnd: a batch ends with as many events as it may have, or before it becomes too long to be read in
// one piece (a quarter of MaxBatch), and then does not wait for the others; a shorter one waits.
func TestRecorderBatchesEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		most, size, events int
		want               []int64 // events of the batches that are stored at once
	}{
		"many events": {10, 300, 10, []int64{10}},
		"one too few": {10, 300, 9, nil},
		"long ones":   {1000, 1 << 16, 64, []int64{64}},
		"almost long": {1000, 1<<16 - 1, 64, nil},
		"one byte":    {1000, 1<<16 - 1, 65, []int64{65}},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			r := recorder(t, m, func(c *audit.RecorderConfig) { c.MaxEvents = tc.most })
			e := sized(t, tc.size)
			for range tc.events {
				r.Record(e)
			}
			synctest.Wait()
			var got []int64
			for _, b := range m.all() {
				got = append(got, b.Count)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%s: batches of %d events are stored at once, want %d", name, got, tc.want)
			}
			if err := r.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if s := r.Stats(); s.Stored != int64(tc.events) {
				t.Errorf("%s: %+v in the end", name, s)
			}
		})
	}
}

// TestRecorderWakesForWhatCameMeanwhile: an event that comes while a batch is being stored is stored after it, also
// when no other event comes; so is the count of what was dropped.
func TestRecorderWakesForWhatCameMeanwhile(t *testing.T) {
	for _, drop := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			slow := run[audit.BatchWriter](m)
			r, err := audit.NewRecorder(audit.RecorderConfig{Overflow: audit.OverflowDrop, Queue: map[bool]int{false: 10, true: 1}[drop],
				Run: func(ctx context.Context, fn func(context.Context, audit.BatchWriter) error) error {
					time.Sleep(time.Second)
					return slow(ctx, fn)
				}})
			if err != nil {
				t.Fatal(err)
			}
			r.Record(&gatehouse.Event{Realm: "main", Kind: "first"})
			time.Sleep(500 * ms) // it is being stored
			r.Record(&gatehouse.Event{Realm: "main", Kind: "second"})
			time.Sleep(10 * time.Second)
			var kinds []string
			for _, e := range m.stored(t, "main") {
				kinds = append(kinds, e.Kind)
			}
			want := map[bool]string{false: "second", true: audit.KindAuditDropped}[drop]
			if !slices.Equal(kinds, []string{"first", want}) {
				t.Errorf("stored %q, and not %q after it", kinds, want)
			}
			if s := r.Stats(); s.Depth != 0 {
				t.Errorf("%+v", s)
			}
			if err := r.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRecorderStoresNoEmptyBatch: a realm that has been silent for a while is not written, and its events come again
// when there are some.
func TestRecorderStoresNoEmptyBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := recorder(t, m, nil)
		for i := range 6 {
			r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
			if i == 0 || i == 5 {
				r.Record(&gatehouse.Event{Realm: "other", Kind: "k"})
			}
			time.Sleep(time.Second)
		}
		for _, b := range m.all() {
			if b.Count != 1 {
				t.Errorf("a batch of %d events", b.Count)
			}
		}
		if n := len(m.all()); n != 8 {
			t.Errorf("%d batches", n)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRecorderSaysWhatItDoes: what goes wrong is logged: an event that is none, one that comes late, a store that
// fails, a queue that nobody empties.
func TestRecorderSaysWhatItDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.fail = down
		var log lines
		r := recorder(t, m, func(c *audit.RecorderConfig) { c.Queue, c.Logger = 1, log.logger() })
		r.Record(&gatehouse.Event{Realm: "main"}) // without a kind
		if s := r.Stats(); s.Dropped != 1 || s.Recorded != 0 {
			t.Errorf("%+v", s)
		}
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"}) // waits in vain
		for _, want := range []string{"audit event refused", "audit events could not be stored; trying again", "the audit queue is full and cannot be stored"} {
			if !log.has(want) {
				t.Errorf("not logged: %s; but %q", want, log.all())
			}
		}
		m.set(nil)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		// What was dropped of a realm is told, whatever the reason.
		if got := m.stored(t, "main"); len(got) != 2 || got[1].Kind != audit.KindAuditDropped || got[1].Detail["count"] != "2" || got[1].Reason != "queue_full" {
			t.Errorf("%+v", got)
		}
		if log.has("after the end") {
			t.Error("nothing came late so far")
		}
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		if !log.has("audit event came after the end of the recorder") {
			t.Errorf("a late event: %q", log.all())
		}
	})
}

// TestRecorderSetsTime: an event without a usable time has the recorder's, and one with a time keeps it.
func TestRecorderSetsTime(t *testing.T) {
	m := newMemory()
	r := recorder(t, m, func(c *audit.RecorderConfig) { c.Now = func() time.Time { return epoch } })
	other := epoch.Add(-time.Hour)
	for _, at := range []time.Time{{}, other, time.Unix(0, 0), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k", Time: at})
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, e := range m.stored(t, "main") {
		if want := []time.Time{epoch, other, epoch, epoch}[i]; !e.Time.Equal(want) {
			t.Errorf("event %d is of %v, want %v", i, e.Time, want)
		}
	}
}

// lines are what was logged.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(p))
	return len(p), nil
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.text)
}

// has reports whether a line holds the text; count tells how many do.
func (l *lines) has(text string) bool { return l.count(text) > 0 }

func (l *lines) count(text string) (n int) {
	for _, line := range l.all() {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// TestRecorderWaitsAgain: that somebody waited in vain counts until something was stored. When the queue is full the
// next time, those who come wait again.
func TestRecorderWaitsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := recorder(t, m, func(c *audit.RecorderConfig) { c.Queue = 1 })
		for range 2 {
			m.set(down)
			r.RecordAdmitted(&gatehouse.Event{Realm: "main", Kind: "k"})
			for _, want := range []time.Duration{5 * time.Second, 0} {
				began := time.Now()
				wantCode(t, r.Admit(t.Context()), "audit_unavailable")
				if took := time.Since(began); took != want {
					t.Errorf("waited %v, want %v", took, want)
				}
			}
			m.set(nil)
			time.Sleep(10 * time.Second)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRecorderCloseSendsHome: who waits for room when the recorder is closed does not wait any longer.
func TestRecorderCloseSendsHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.set(down)
		r := recorder(t, m, func(c *audit.RecorderConfig) { c.Queue = 1 })
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		began := time.Now()
		var waiting sync.WaitGroup
		for range 2 {
			waiting.Go(func() { wantCode(t, r.Admit(t.Context()), "audit_unavailable") })
			waiting.Go(func() { r.Record(&gatehouse.Event{Realm: "main", Kind: "k"}) })
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Close(ctx); err == nil {
			t.Error("an event was lost, and nobody is told")
		}
		waiting.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("sent home after %v", took)
		}
		if s := r.Stats(); s.Dropped != 2 || s.Depth != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestRecorderNeeds: a recorder without a runner is none, and its policies are the two that it knows.
func TestRecorderNeeds(t *testing.T) {
	for _, policy := range []audit.Overflow{"", audit.OverflowBlock, audit.OverflowDrop} {
		r := recorder(t, newMemory(), func(c *audit.RecorderConfig) { c.Overflow = policy })
		if err := errors.Join(r.Admit(t.Context()), r.Close(t.Context())); err != nil {
			t.Errorf("%q: %v", policy, err)
		}
	}
}
