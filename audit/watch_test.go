package audit_test

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/lease"
)

// watcher is the sequencer of a process that does not sequence.
func watcher(t *testing.T, m *memory, heads *audit.HeadFile) *audit.Sequencer {
	t.Helper()
	s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: m, Origin: origin, Key: testKey, Heads: heads})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// copyOf is the database as it is now.
func copyOf(m *memory) *memory {
	c := newMemory()
	c.batches, c.tiles, c.points, c.heads = slices.Clone(m.batches), maps.Clone(m.tiles), maps.Clone(m.points), maps.Clone(m.heads)
	c.removal = maps.Clone(m.removal)
	return c
}

// setTo makes m what the copy is.
func (m *memory) setTo(c *memory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches, m.tiles, m.points, m.heads, m.removal = c.batches, c.tiles, c.points, c.heads, c.removal
}

// TestWatchSeesALogSetBack: a process that does not sequence remembers what another one
// signed, in its own file too, and tells when the log is no continuation of it: shorter,
// of other events, or without checkpoints.
func TestWatchSeesALogSetBack(t *testing.T) {
	for name, change := range map[string]func(m, old *memory){
		"shorter": func(m, old *memory) { m.setTo(old) },
		"other events": func(m, old *memory) {
			m.setTo(old)
			for n := range 5 {
				m.append(t, event("main", "other.kind", n))
			}
			if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
				t.Fatal(err)
			}
		},
		"without checkpoints": func(m, _ *memory) { m.setTo(newMemory()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				path := filepath.Join(t.TempDir(), "heads")
				one := sequencer(t, m)
				add := func(from int) {
					for n := range 5 {
						m.append(t, event("main", "k", from+n))
					}
					if err := one.Sequence(t.Context(), "main"); err != nil {
						t.Fatal(err)
					}
				}
				add(0)
				old := copyOf(m)
				add(5)
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				heads := audit.NewHeadFile(path)
				s := watcher(t, m, heads)
				ended := make(chan error)
				go func() { ended <- s.Watch(ctx) }()
				time.Sleep(1500 * time.Millisecond)
				add(10)
				time.Sleep(time.Second)
				if n, err := s.Broken(); n != 0 || s.Size("main") != 15 || string(heads.Head("main")) != string(m.points["main"][0].Note) {
					t.Fatalf("it knows %d events; broken: %d, %v", s.Size("main"), n, err)
				}
				change(m, old)
				time.Sleep(time.Second)
				if _, err := s.Broken(); !errors.Is(err, audit.ErrHistory) || s.Size("main") != 15 {
					t.Errorf("it says %v", err)
				}
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				kept, err := audit.OpenHeadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := watcher(t, m, kept).Sequence(t.Context(), "main"); !errors.Is(err, audit.ErrHistory) {
					t.Errorf("the next start goes on: %v", err)
				}
			})
		})
	}
}

// TestWatchRests: while a process sequences, it does not also watch.
func TestWatchRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &roundsOf{memory: newMemory()}
		s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m.memory), Pending: m, Origin: origin, Key: testKey})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- errors.Join(s.Run(ctx)) }()
		synctest.Wait()
		go func() { ended <- s.Watch(ctx) }()
		time.Sleep(10*time.Second + time.Millisecond)
		if n := m.rounds.Load(); n != 11 {
			t.Errorf("%d rounds in ten seconds", n)
		}
		stop()
		if err := errors.Join(<-ended, <-ended); err != nil {
			t.Error(err)
		}
	})
}

// roundsOf counts how often all realms are looked at.
type roundsOf struct {
	*memory
	rounds atomic.Int32
}

func (c *roundsOf) AuditLogs(ctx context.Context) ([]audit.LogState, error) {
	c.rounds.Add(1)
	return c.memory.AuditLogs(ctx)
}

// TestNoLastRoundUnderALostLease: the end of the process is followed by a last round, the
// loss of the lease is not: the next holder does it.
func TestNoLastRoundUnderALostLease(t *testing.T) {
	for cause, rounds := range map[error]int32{context.Canceled: 2, lease.ErrLost: 1} {
		m := &roundsOf{memory: newMemory()}
		s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m.memory), Pending: m, Origin: origin, Key: testKey})
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancelCause(t.Context())
		end(cause)
		if err := s.Run(ctx); err != nil || m.rounds.Load() != rounds {
			t.Errorf("%v: %d rounds, %v", cause, m.rounds.Load(), err)
		}
	}
}

// TestHeadOfBeforeARemoval: a process that was away while retention removed the events
// that it knew goes on from the signed statement of the removal, and from that alone.
func TestHeadOfBeforeARemoval(t *testing.T) {
	m := newMemory()
	heads := audit.NewHeadFile(filepath.Join(t.TempDir(), "heads"))
	one := sequencer(t, m)
	for n := range 600 {
		m.append(t, event("main", "k", n))
		if n == 0 { // the other one sees the first event, and goes away
			if err := watcher(t, m, heads).Sequence(t.Context(), "main"); err != nil {
				t.Fatal(err)
			}
		}
		if n%50 == 49 {
			if err := one.Sequence(t.Context(), "main"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := retire(t, m, one, 550); err != nil || m.removal["main"].Size < 256 {
		t.Fatalf("%+v, %v", m.removal["main"], err)
	}
	forged := copyOf(m)
	r := forged.removal["main"]
	r.Note = slices.Concat(r.Note[:len(r.Note)-8], []byte("AAAAAAA\n"))
	forged.removal["main"] = r
	if err := watcher(t, forged, heads).Sequence(t.Context(), "main"); !errors.Is(err, audit.ErrHistory) {
		t.Errorf("a removal that nobody signed is believed: %v", err)
	}
	s := watcher(t, m, heads)
	if err := s.Sequence(t.Context(), "main"); err != nil {
		t.Error(err)
	}
	m.append(t, event("main", "k", 600))
	if err := s.Sequence(t.Context(), "main"); err != nil {
		t.Error(err)
	}
	if n, err := s.Broken(); n != 0 || s.Size("main") != m.heads["main"] {
		t.Errorf("%d broken, %v; %d events", n, err, s.Size("main"))
	}
}

// late reads the head of a log just before another sequencer extends it.
type late struct {
	audit.SequencerTx
	asked *int
}

func (b late) AuditHead(ctx context.Context, realm string) (int64, error) {
	n, err := b.SequencerTx.AuditHead(ctx, realm)
	if *b.asked++; *b.asked == 1 {
		n -= 3
	}
	return n, err
}

// TestFasterSequencer: who finds that another one extended the log while it looked looks
// again, and does not take it for broken.
func TestFasterSequencer(t *testing.T) {
	m := newMemory()
	for n := range 10 {
		m.append(t, event("main", "k", n))
	}
	if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	asked := 0
	s, err := audit.NewSequencer(audit.SequencerConfig{Pending: m, Origin: origin, Key: testKey,
		Run: func(ctx context.Context, fn func(context.Context, audit.SequencerTx) error) error {
			return run[audit.SequencerTx](m)(ctx, func(ctx context.Context, tx audit.SequencerTx) error { return fn(ctx, late{tx, &asked}) })
		}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sequence(t.Context(), "main"); err != nil || asked < 3 || s.Size("main") != 10 {
		t.Errorf("%v after %d looks, %d events", err, asked, s.Size("main"))
	}
}

// quietly counts what is asked about single logs.
type quietly struct {
	*memory
	asked atomic.Int32
}

func (q *quietly) AuditHead(ctx context.Context, realm string) (int64, error) {
	q.asked.Add(1)
	return q.memory.AuditHead(ctx, realm)
}

func (q *quietly) Checkpoints(ctx context.Context, realm string, limit int) ([]audit.SignedCheckpoint, error) {
	q.asked.Add(1)
	return q.memory.Checkpoints(ctx, realm, limit)
}

// TestQuietRoundsAskOnce: a node that has nothing to do looks at all logs by one question a
// second; whatever is new in one of them is seen by it.
func TestQuietRoundsAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		for n := range 3 {
			m.append(t, event("main", "a.kind", n))
		}
		start := func(p audit.PendingReader) *audit.Sequencer {
			s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: p, Origin: origin, Key: testKey})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		working, watching := &quietly{memory: m}, &quietly{memory: m}
		ctx, cancel := context.WithCancel(t.Context())
		one, other := start(working), start(watching)
		ended := make(chan error, 2)
		go func() { ended <- one.Run(ctx) }()
		time.Sleep(time.Second / 2)
		go func() { ended <- other.Watch(ctx) }()
		for _, size := range []int64{3, 5} {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if one.Size("main") != size || other.Size("main") != size {
				t.Errorf("logs of %d and %d events, want %d", one.Size("main"), other.Size("main"), size)
			}
			before := [2]int32{working.asked.Load(), watching.asked.Load()}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if after := [2]int32{working.asked.Load(), watching.asked.Load()}; after[0] != before[0] || after[1] > before[1]+10 { // "other" has no checkpoint
				t.Errorf("asked %v times, and %v ten seconds later", before, after)
			}
			m.append(t, event("main", "a.kind", 7))
			m.append(t, event("main", "a.kind", 8))
		}
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil {
			t.Error(err)
		}
	})
}
