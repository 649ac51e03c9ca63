package grant_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/grant"
)

// shelves are what the expiry job empties: so many grants and opaque tokens. They are
// the place, too, where its log is written.
type shelves struct {
	mu             sync.Mutex
	log            strings.Builder
	grants, tokens int64
	before         []time.Time
	err            error // of grants
}

func (s *shelves) PurgeGrants(_ context.Context, before time.Time, limit int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(&s.grants, before, limit, s.err)
}

func (s *shelves) PurgeOpaqueTokens(_ context.Context, before time.Time, limit int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(&s.tokens, before, limit, nil)
}

func (s *shelves) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(text)
}

// told is how many rounds there were, and what the log says.
func (s *shelves) told() (rounds int, log string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.before) / 2, s.log.String()
}

// failing lets grants be asked for in vain from now on, or not any more.
func (s *shelves) failing(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.before = err, nil
}

func (s *shelves) take(from *int64, before time.Time, limit int, err error) (int64, error) {
	if s.before = append(s.before, before); err != nil {
		return 0, err
	}
	n := min(*from, int64(limit))
	*from -= n
	return n, nil
}

func (s *shelves) run(ctx context.Context, fn func(context.Context, grant.PurgeTx) error) error {
	return fn(ctx, s)
}

// TestPurge: everything that ended a day ago or earlier goes, in pieces, grants
// before tokens; a failure ends the round.
func TestPurge(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	s := &shelves{grants: 150, tokens: 3}
	grants, tokens, err := (&grant.Expiry{Run: s.run, Now: clock}).Purge(t.Context())
	if err != nil || grants != 150 || tokens != 3 || s.grants+s.tokens != 0 {
		t.Errorf("%d grants, %d tokens, %v", grants, tokens, err)
	}
	for _, before := range s.before {
		if want := now.Add(-24 * time.Hour); !before.Equal(want) {
			t.Errorf("what ended before %s goes, want %s", before, want)
		}
	}
	s = &shelves{tokens: 3, err: errors.New("down")}
	if _, tokens, err := (&grant.Expiry{Run: s.run, Now: clock}).Purge(t.Context()); err == nil || tokens != 0 || s.tokens != 3 {
		t.Errorf("%d tokens, %v", tokens, err)
	}
	for name, e := range map[string]*grant.Expiry{"everything": {}, "the clock": {Run: s.run}, "the runner": {Now: clock}} {
		if _, _, err := e.Purge(t.Context()); err == nil {
			t.Errorf("purged without %s", name)
		}
	}
}

// TestPurgeLoop: a round at once and one at every interval, until its context ends.
// A round that fails is told and tried again at the next.
func TestPurgeLoop(t *testing.T) {
	for _, c := range []struct{ every, want time.Duration }{{0, 10 * time.Minute}, {-time.Second, 10 * time.Minute}, {time.Minute, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			s := &shelves{}
			e := &grant.Expiry{Run: s.run, Now: time.Now, Every: c.every, Logger: slog.New(slog.NewTextHandler(s, nil))}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- e.Loop(ctx) }()
			rounds := func(want int) {
				t.Helper()
				synctest.Wait()
				if got, _ := s.told(); got != want {
					t.Errorf("every %s: %d rounds, want %d", c.every, got, want)
				}
			}
			rounds(1)
			time.Sleep(c.want - time.Nanosecond)
			rounds(1)
			time.Sleep(time.Nanosecond)
			rounds(2)
			if _, log := s.told(); log != "" {
				t.Errorf("nothing failed, and is told: %s", log)
			}
			s.failing(errors.New("the disk is full"))
			time.Sleep(c.want)
			synctest.Wait()
			_, log := s.told()
			if n := strings.Count(log, "the disk is full"); n != 1 {
				t.Errorf("a failed round is told %d times: %s", n, log)
			}
			s.failing(nil)
			time.Sleep(c.want)
			rounds(1)
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestPurgeLoopEnds: that a round was cut off by the end of the process is no fault
// to tell; and a job that has nowhere to tell works all the same.
func TestPurgeLoopEnds(t *testing.T) {
	log := &bytes.Buffer{}
	for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(log, nil)), nil} {
		ctx, cancel := context.WithCancel(t.Context())
		e := &grant.Expiry{Now: time.Now, Logger: logger, Run: func(ctx context.Context, _ func(context.Context, grant.PurgeTx) error) error {
			cancel()
			return fmt.Errorf("purge: %w", ctx.Err())
		}}
		if err := e.Loop(ctx); !errors.Is(err, context.Canceled) || log.Len() > 0 {
			t.Errorf("%v, told %q", err, log)
		}
	}
	// Nowhere to tell of a fault that is one.
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &shelves{err: errors.New("down")}
		done := make(chan error)
		go func() { done <- (&grant.Expiry{Run: s.run, Now: time.Now}).Loop(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || len(s.before) != 1 {
			t.Errorf("%v after %d", err, len(s.before))
		}
	})
}
