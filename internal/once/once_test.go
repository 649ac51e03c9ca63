package once

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// table is what the job writes to.
type table struct {
	mu     sync.Mutex // a bubble orders what the job did before what the test does, and not the other way round
	rows   int64
	before []time.Time
	fail   error
}

func (s *table) PurgeOnce(_ context.Context, before time.Time, limit int) (int64, error) {
	s.before = append(s.before, before)
	n := min(s.rows, int64(limit))
	s.rows -= n
	return n, s.fail
}

func (s *table) run(ctx context.Context, fn func(context.Context, PurgeTx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fn(ctx, s)
}

// TestPurge: keys go some time after their end, all of them, in pieces; a round that fails
// is told and done again, and the job ends with its context.
func TestPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &table{rows: 1000}
		p := &Purge{Run: s.run, Now: time.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Work(ctx) }()
		synctest.Wait()
		s.mu.Lock()
		if len(s.before) != 0 {
			t.Error("at once")
		}
		s.mu.Unlock()
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		s.mu.Lock()
		if s.rows != 0 || len(s.before) < 3 || log.Len() > 0 {
			t.Errorf("%d are left after %d transactions: %s", s.rows, len(s.before), log.String())
		}
		if want := began.Add(time.Minute - Margin); !s.before[0].Equal(want) {
			t.Errorf("what ended before %v, not %v", s.before[0], want)
		}
		s.fail, s.rows, s.before = errors.New("disk full"), 1000, nil
		s.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		s.mu.Lock()
		if len(s.before) != 1 || !strings.Contains(log.String(), "disk full") {
			t.Errorf("%d transactions: %s", len(s.before), log.String())
		}
		s.fail = nil
		s.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.rows != 0 {
			t.Error("not done again")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
