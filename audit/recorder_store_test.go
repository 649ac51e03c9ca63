package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// tries notes when a store was asked, in a bubble of synctest.
type tries struct {
	mu    sync.Mutex
	began time.Time
	at    []time.Duration
}

func (n *tries) note() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at = append(n.at, time.Since(n.began))
}

func (n *tries) all() []time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.at)
}

const ms = time.Millisecond

// TestRecorderRests: a store that fails is asked again after 50 ms and then half as often each time, down to once in
// five seconds; a full batch does not press it. Once it works there is no rest any more.
func TestRecorderRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newMemory(), &tries{began: time.Now()}
		m.fail = func(string) error { n.note(); return errDown }
		r := recorder(t, m, func(c *audit.RecorderConfig) { c.MaxEvents = 2 })
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		time.Sleep(time.Second)
		for range 3 { // a batch is full, and another one begins
			r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		}
		time.Sleep(29 * time.Second)
		want := []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms}
		for _, at := range []time.Duration{1600 * ms, 3200 * ms, 6400 * ms, 11400 * ms, 16400 * ms, 21400 * ms, 26400 * ms} {
			// All in one transaction, then the oldest by itself; the others of its realm must not pass it.
			want = append(want, at, at)
		}
		got := n.all()
		if len(got) == len(want)-1 { // the first batch was taken before there was another: it was tried by itself alone
			want = want[1:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("tried after\n%v, want\n%v", got, want)
		}
		if s := r.Stats(); s.Failures != int64(len(want)) || r.Failing() == nil {
			t.Errorf("%+v, failing: %v", s, r.Failing())
		}
		m.set(nil)
		time.Sleep(5 * time.Second)
		if s := r.Stats(); s.Depth != 0 || s.Stored != 4 || r.Failing() != nil {
			t.Errorf("after the store came back: %+v, failing: %v", s, r.Failing())
		}
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"}) // may go at once: a batch was full meanwhile
		time.Sleep(time.Second)
		n.mu.Lock()
		n.at, n.began = nil, time.Now()
		n.mu.Unlock()
		m.set(func(string) error { n.note(); return nil })
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		time.Sleep(time.Second)
		if got := n.all(); !slices.Equal(got, []time.Duration{50 * ms}) {
			t.Errorf("a batch of a store that works again was stored after %v", got)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRecorderClosesInTheMiddle: Close does not wait for the rest of a store that failed: it tries at once, and then
// rests as before until it may not wait any longer.
func TestRecorderClosesInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newMemory(), &tries{began: time.Now()}
		m.fail = func(string) error { n.note(); return errDown }
		r := recorder(t, m, nil)
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		time.Sleep(4 * time.Second) // tried at 50, 100, 200, 400, 800, 1600 and 3200 ms; next at 6400 ms
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		err := r.Close(ctx)
		if took := time.Since(n.began); took != 16*time.Second || err == nil || !strings.Contains(err.Error(), "1 events could not be stored") {
			t.Errorf("%v after %v", err, took)
		}
		want := []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 4000 * ms, 9000 * ms, 14000 * ms}
		if got := n.all(); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("tried after\n%v, want\n%v", got, want)
		}
		// Another one who closes is told of the loss too, without a reason of their own.
		if again := r.Close(t.Context()); again == nil || again.Error() != "audit: 1 events could not be stored" {
			t.Errorf("closed again: %v", again)
		}
	})
}

// TestRecorderLeavesAHangingStore: a store that never answers is asked again after 30 seconds, with the events as they
// were: it may still hold them, so nothing else is written into their memory.
func TestRecorderLeavesAHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newMemory(), &tries{began: time.Now()}
		var held, was []byte
		works := run[audit.BatchWriter](m)
		r, err := audit.NewRecorder(audit.RecorderConfig{Run: func(ctx context.Context, fn func(context.Context, audit.BatchWriter) error) error {
			n.note()
			if len(n.all()) == 1 {
				if err := fn(ctx, holder{&held}); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			}
			return works(ctx, fn)
		}})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.Record(&gatehouse.Event{Realm: "main", Kind: "k", Path: "/first"})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		was = bytes.Clone(held)
		time.Sleep(40 * time.Second)
		if got, want := n.all(), []time.Duration{50 * ms, 30*time.Second + 100*ms}; !slices.Equal(got, want) {
			t.Errorf("tried after %v, want %v", got, want)
		}
		for range 5 {
			for range 3 {
				r.Record(&gatehouse.Event{Realm: "main", Kind: "k", Path: "/other"})
			}
			time.Sleep(time.Second)
		}
		if !bytes.Equal(held, was) || len(was) == 0 {
			t.Errorf("what a transaction may still hold became %q, was %q", held, was)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := m.stored(t, "main"); len(got) != 18 || got[0].Path != "/first" || got[3].Path != "/other" {
			t.Errorf("%d events", len(got))
		}
	})
}

// holder is a transaction that keeps the data of its batch and not a copy.
type holder struct{ data *[]byte }

func (h holder) AppendBatch(_ context.Context, b audit.Batch) error { *h.data = b.Data; return nil }

// TestRecorderKeepsWhatFailed: when some batches cannot be stored, all others are, each once, and none is forgotten:
// not what comes behind one that failed, not one of a realm that failed before.
func TestRecorderKeepsWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.fail = func(call string) error {
			if strings.HasSuffix(call, " bad") {
				return errDown
			}
			return nil
		}
		r := recorder(t, m, func(c *audit.RecorderConfig) { c.MaxEvents = 1 })
		for i, realm := range []string{"good", "bad", "main", "bad", "other", "bad", "main"} {
			r.Record(&gatehouse.Event{Realm: realm, Kind: "k", Path: fmt.Sprint(i)})
		}
		time.Sleep(time.Second)
		for realm, want := range map[string]int{"good": 1, "main": 2, "other": 1, "bad": 0} {
			if n := len(m.stored(t, realm)); n != want {
				t.Errorf("%d events of %s beside a realm that fails, want %d", n, realm, want)
			}
		}
		m.set(nil)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		var paths []string
		for _, e := range m.stored(t, "bad") {
			paths = append(paths, e.Path)
		}
		if !slices.Equal(paths, []string{"1", "3", "5"}) || len(m.all()) != 7 {
			t.Errorf("events %v of the realm that failed, %d batches", paths, len(m.all()))
		}
	})
}

// TestRecorderTakesConflictForStoredOnlyAfterATry: a batch whose first try meets its ID in the store was not stored by
// it. After a try whose answer was lost, the same says that it is there.
func TestRecorderTakesConflictForStoredOnlyAfterATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, calls := newMemory(), 0
		m.fail = func(string) error {
			if calls++; calls == 1 {
				return gatehouse.Conflict
			}
			return nil
		}
		r := recorder(t, m, nil)
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		time.Sleep(time.Second)
		if n, s := len(m.stored(t, "main")), r.Stats(); n != 1 || s.Stored != 1 || s.Failures != 1 {
			t.Errorf("%d events, %+v", n, s)
		}
		m.set(down)
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		time.Sleep(time.Second)
		if s := r.Stats(); s.Stored != 1 { // another failure says nothing of the kind, however often
			t.Errorf("%+v", s)
		}
		m.set(nil)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRecorderConflictSaysNothingOfOthers: of two batches that are tried together the one whose answer was lost is
// there already. That is no reason to take the other one for stored; and one by itself is not tried for ever.
func TestRecorderConflictSaysNothingOfOthers(t *testing.T) {
	for _, realms := range [][]string{{"lost"}, {"lost", "failed"}} {
		synctest.Test(t, func(t *testing.T) {
			m, round := newMemory(), 0
			works := run[audit.BatchWriter](m)
			r, err := audit.NewRecorder(audit.RecorderConfig{Run: func(ctx context.Context, fn func(context.Context, audit.BatchWriter) error) error {
				var batches []audit.Batch
				if err := fn(ctx, collector{&batches}); err != nil {
					return err
				}
				if len(batches) == len(realms) {
					round++
				}
				if round > 1 {
					return works(ctx, fn)
				}
				if len(batches) == 1 && batches[0].Realm == "lost" { // is stored, and nobody is told
					return errors.Join(works(ctx, fn), errDown)
				}
				return errDown
			}})
			if err != nil {
				t.Fatal(err)
			}
			for _, realm := range realms {
				r.Record(&gatehouse.Event{Realm: realm, Kind: "k"})
			}
			time.Sleep(time.Second)
			for _, realm := range realms {
				if n := len(m.stored(t, realm)); n != 1 {
					t.Errorf("%v: %d events of %s", realms, n, realm)
				}
			}
			if s := r.Stats(); s.Stored != int64(len(realms)) || s.Depth != 0 {
				t.Errorf("%v: %+v", realms, s)
			}
			if err := r.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// collector is a transaction that only looks at what it is given.
type collector struct{ batches *[]audit.Batch }

func (c collector) AppendBatch(_ context.Context, b audit.Batch) error {
	*c.batches = append(*c.batches, b)
	return nil
}

// TestRecorderGoesOnAfterNothing: who wakes the recorder when all is stored already does not end it.
func TestRecorderGoesOnAfterNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := recorder(t, m, nil)
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		time.Sleep(10 * ms) // the batch is under way, and takes the count of this with it:
		r.Record(&gatehouse.Event{Realm: "main"})
		time.Sleep(time.Second)
		r.Record(&gatehouse.Event{Realm: "main", Kind: "k"})
		time.Sleep(time.Second)
		if n := len(m.stored(t, "main")); n != 3 {
			t.Errorf("%d events", n)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
