package authn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/credential"
)

// TestFlushUsage: counts go to the store in transactions of a bounded size, none is lost
// when one fails, and nothing is asked when there is nothing to store.
func TestFlushUsage(t *testing.T) {
	w := newWorld(t)
	w.now = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	var sizes []int
	stored := map[string]credential.KeyUsage{}
	failing := 0 // how many transactions go well before one fails; 0: all do
	run := func(ctx context.Context, fn func(context.Context, UsageTx) error) error {
		if failing > 0 {
			if failing--; failing == 0 {
				return errors.New("busy")
			}
		}
		tx := &usageTx{}
		if err := fn(ctx, tx); err != nil {
			return err
		}
		sizes = append(sizes, len(tx.got))
		for _, u := range tx.got {
			u.Count += stored[u.KeyID].Count
			stored[u.KeyID] = u
		}
		return nil
	}
	flush := func(fails bool, want ...int) {
		t.Helper()
		sizes = nil
		if err := w.a.FlushUsage(t.Context(), run); (err != nil) != fails || fmt.Sprint(sizes) != fmt.Sprint(want) {
			t.Errorf("%v, transactions of %v, want %v", err, sizes, want)
		}
	}
	flush(false)
	for i := range 2*flushBatch + 1 {
		w.a.usage.count(fmt.Sprint("key ", i), "main", w.now)
	}
	failing = 2
	flush(true, flushBatch) // the second fails, and ends it
	failing = 1
	flush(true)
	flush(false, flushBatch, 1)
	flush(false)
	for i := range flushBatch {
		w.a.usage.count(fmt.Sprint("key ", i), "main", w.now)
	}
	flush(false, flushBatch)
	if len(stored) != 2*flushBatch+1 || stored["key 0"].Count != 2 || stored["key 2000"].Count != 1 {
		t.Errorf("%d keys are stored; %+v", len(stored), stored["key 0"])
	}

	// The last use is the latest, in whatever order the uses are counted.
	w.a.usage.count("key 0", "main", w.now.Add(time.Second))
	w.a.usage.count("key 0", "main", w.now.Add(3*time.Second))
	w.a.usage.count("key 0", "main", w.now.Add(2*time.Second))
	failing = 1
	flush(true)
	flush(false, 1)
	if u := stored["key 0"]; u.Count != 5 || !u.LastUsedAt.Equal(w.now.Add(3*time.Second)) || u.Day != "2026-01-02" || u.Realm != "main" {
		t.Errorf("%+v", u)
	}
}

// TestUsageRuns: counts are stored every ten seconds and once more at the end, failures
// are told to whoever wants to know, and nobody needs to.
func TestUsageRuns(t *testing.T) {
	for _, told := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			p := w.addKey(nil)
			var mu sync.Mutex
			var fail error
			runs, failures := 0, 0
			run := func(ctx context.Context, fn func(context.Context, UsageTx) error) error {
				mu.Lock()
				defer mu.Unlock()
				runs++
				if ctx.Err() != nil {
					t.Error("the last counts go out with a context that has ended")
				}
				return errors.Join(fail, fn(ctx, &usageTx{}))
			}
			failed := func(err error) {
				mu.Lock()
				defer mu.Unlock()
				if failures++; !errors.Is(err, fail) || err == nil {
					t.Error(err)
				}
			}
			if !told {
				failed = nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- w.a.Run(ctx, run, failed) }()
			step := func(d time.Duration, wantRuns, wantFailures int) {
				t.Helper()
				time.Sleep(d)
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				if runs != wantRuns || told && failures != wantFailures {
					t.Errorf("%d transactions and %d failures, want %d and %d", runs, failures, wantRuns, wantFailures)
				}
			}
			w.check(t, p, secure, "", "")
			step(usageEvery-time.Nanosecond, 0, 0)
			step(time.Nanosecond, 1, 0)
			w.check(t, p, secure, "", "")
			setFail := func(err error) { mu.Lock(); fail = err; mu.Unlock() }
			setFail(errors.New("busy"))
			step(usageEvery, 2, 1)
			setFail(nil)
			step(usageEvery, 3, 1)
			step(usageEvery, 3, 1) // nothing to store
			w.check(t, p, secure, "", "")
			cancel()
			if err := <-ended; err != nil || runs != 4 {
				t.Errorf("%v after %d transactions", err, runs)
			}
		})
	}
}
