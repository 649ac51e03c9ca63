package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// TestSequencerNeeds: each of what a sequencer cannot do without is asked for.
func TestSequencerNeeds(t *testing.T) {
	for name, lack := range map[string]func(*audit.SequencerConfig){
		"a runner":            func(c *audit.SequencerConfig) { c.Run = nil },
		"a reader":            func(c *audit.SequencerConfig) { c.Pending = nil },
		"an origin":           func(c *audit.SequencerConfig) { c.Origin = nil },
		"a key":               func(c *audit.SequencerConfig) { c.Key = nil },
		"all of the key":      func(c *audit.SequencerConfig) { c.Key = c.Key[:63] },
		"no more than a key":  func(c *audit.SequencerConfig) { c.Key = append(slices.Clone(c.Key), 0) },
		"a name for the logs": func(c *audit.SequencerConfig) { c.Origin = func(string) string { return "two words" } },
	} {
		m := newMemory()
		c := audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: m, Origin: origin, Key: testKey}
		if _, err := audit.NewSequencer(c); err != nil {
			t.Fatal(err)
		}
		lack(&c)
		if s, err := audit.NewSequencer(c); err == nil || s != nil {
			t.Errorf("a sequencer that lacks %s: %v", name, err)
		}
	}
}

// raw replaces the data of the waiting batches by lines of n bytes, newline included.
func (m *memory) raw(n int) {
	for i := range m.batches {
		if m.batches[i].FirstIndex < 0 {
			m.batches[i].Data, m.batches[i].Count = append(bytes.Repeat([]byte{'x'}, n-1), '\n'), 1
		}
	}
}

func (m *memory) signed(realm string) (sizes []int64) {
	for _, p := range m.points[realm] {
		sizes = append(sizes, p.Size)
	}
	slices.Reverse(sizes)
	return sizes
}

// TestSequencerTransactionsAreBounded: one takes up to 256 batches, or ends with the page of four in which it has 4 MiB
// of events; what is left comes at once in the next, each with a checkpoint of its own.
func TestSequencerTransactionsAreBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		batches, each int
		want          []int64
	}{
		"256 batches":          {256, 100, []int64{256}},
		"257 batches":          {257, 100, []int64{256, 257}},
		"800 batches":          {800, 100, []int64{256, 512, 768, 800}},
		"4 MiB in a page":      {9, 1 << 20, []int64{4, 8, 9}},
		"less in the page":     {9, 1<<20 - 1, []int64{8, 9}},
		"4 MiB in two":         {17, 1 << 19, []int64{8, 16, 17}},
		"much more in one":     {5, 5 << 20, []int64{4, 5}},
		"one batch beyond all": {1, 5 << 20, []int64{1}},
	} {
		m := newMemory()
		for n := range tc.batches {
			m.append(t, event("main", "k", n))
		}
		m.raw(tc.each)
		if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		if got := m.signed("main"); !slices.Equal(got, tc.want) {
			t.Errorf("%s: checkpoints of %d, want %d", name, got, tc.want)
		}
	}
}

// TestSequencerGivesWay: when another node is faster it looks again, up to three times for one piece of work; each
// piece that worked begins the count anew.
func TestSequencerGivesWay(t *testing.T) {
	for name, tc := range map[string]struct {
		lost  func(try int) bool
		tries int
		size  int64
	}{
		"never lost":              {func(int) bool { return false }, 3, 520},
		"always lost":             {func(int) bool { return true }, 4, 0},
		"three times each":        {func(try int) bool { return try%4 != 0 }, 12, 520},
		"three times, then four":  {func(try int) bool { return try != 4 }, 8, 256},
		"four times at the start": {func(try int) bool { return try < 5 }, 4, 0},
	} {
		m := newMemory()
		for n := range 520 {
			m.append(t, event("main", "k", n))
		}
		tries := 0
		m.fail = func(call string) error {
			if call == "PutCheckpoint" {
				if tries++; tc.lost(tries) {
					return gatehouse.Conflict
				}
			}
			return nil
		}
		err := sequencer(t, m).Sequence(t.Context(), "main")
		if tries != tc.tries || m.heads["main"] != tc.size || errors.Is(err, gatehouse.Conflict) != (tc.size < 520) {
			t.Errorf("%s: %d events after %d tries, %v", name, m.heads["main"], tries, err)
		}
	}
}

// TestSequencerFailsAsAWhole: when a step fails, nothing of it is remembered, and the same sequencer goes on as if it
// had not begun: no head is kept for what was not stored.
func TestSequencerFailsAsAWhole(t *testing.T) {
	for _, at := range []string{"UnsequencedBatches", "LastSearchFilter", "SequenceBatches", "PutTiles", "PutSearchFilter", "PutCheckpoint"} {
		m := newMemory()
		heads := audit.NewHeadFile(filepath.Join(t.TempDir(), "heads"))
		s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: m, Origin: origin, Key: testKey, Heads: heads})
		if err != nil {
			t.Fatal(err)
		}
		m.append(t, event("main", "k", 0), event("main", "k", 1))
		if err := s.Sequence(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		kept := string(heads.Head("main"))
		m.append(t, event("main", "k", 2))
		m.fail = func(call string) error {
			if call == at {
				return errDown
			}
			return nil
		}
		if err := s.Sequence(t.Context(), "main"); !errors.Is(err, errDown) {
			t.Errorf("%s: %v", at, err)
		}
		if s.Size("main") != 2 || string(heads.Head("main")) != kept || !slices.Equal(m.signed("main"), []int64{2}) {
			t.Errorf("%s: size %d, checkpoints of %d", at, s.Size("main"), m.signed("main"))
		}
		m.fail = nil
		if err := s.Sequence(t.Context(), "main"); err != nil || s.Size("main") != 3 || s.Events() != 3 || string(heads.Head("main")) != string(m.points["main"][0].Note) {
			t.Errorf("%s, the next time: %v, size %d", at, err, s.Size("main"))
		}
	}
}

// TestSequencerTakesNoEmptyBatch: a batch without a line, or with another number of lines than it says, ends the work
// with an error. It would otherwise be looked at for ever.
func TestSequencerTakesNoEmptyBatch(t *testing.T) {
	for name, change := range map[string]func(b *audit.Batch){
		"nothing":       func(b *audit.Batch) { b.Data, b.Count = nil, 0 },
		"a line less":   func(b *audit.Batch) { b.Count++ },
		"a line more":   func(b *audit.Batch) { b.Count-- },
		"less than one": func(b *audit.Batch) { b.Data, b.Count = nil, -1 },
	} {
		m := newMemory()
		m.append(t, event("main", "k", 0), event("main", "k", 1))
		change(&m.batches[0])
		m.append(t, event("main", "k", 2))
		err := sequencer(t, m).Sequence(t.Context(), "main")
		if err == nil || !strings.Contains(err.Error(), m.batches[0].ID) || errors.Is(err, gatehouse.Conflict) || m.heads["main"] != 0 || len(m.points["main"]) > 0 {
			t.Errorf("%s: %v, head %d", name, err, m.heads["main"])
		}
	}
}

// phantom is a reader that still sees a batch which another node has taken.
type phantom struct {
	*memory
	times int
}

func (p *phantom) UnsequencedBatches(ctx context.Context, realm string, limit int) ([]audit.Batch, error) {
	if limit != 1 {
		return nil, fmt.Errorf("%d batches to see whether there are any", limit)
	}
	if p.times--; p.times >= 0 {
		return []audit.Batch{{}}, nil
	}
	return p.memory.UnsequencedBatches(ctx, realm, limit)
}

// TestSequencerFindsNothing: what another node took in between leaves nothing to sign.
func TestSequencerFindsNothing(t *testing.T) {
	m := newMemory()
	grow(t, m, "main", 3)
	p := &phantom{m, 2}
	s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: p, Origin: origin, Key: testKey})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sequence(t.Context(), "main"); err != nil || !slices.Equal(m.signed("main"), []int64{3}) || s.Size("main") != 3 {
		t.Errorf("%v, checkpoints of %d, size %d", err, m.signed("main"), s.Size("main"))
	}
}

// TestSequencerComparesEveryColumn: nothing is signed while the place of the newest checkpoint says another size than
// the checkpoint, or the log another than both. These are what TestSequencerRefusesChangedHistory does not change.
func TestSequencerComparesEveryColumn(t *testing.T) {
	for name, change := range map[string]func(m *memory){
		"a larger size beside it":         func(m *memory) { m.points["main"][0].Size++ },
		"a smaller size beside it":        func(m *memory) { m.points["main"][0].Size-- },
		"an older checkpoint":             func(m *memory) { m.points["main"][0].Note = m.points["main"][1].Note },
		"a larger head":                   func(m *memory) { m.heads["main"]++ },
		"a checkpoint of an empty log":    func(m *memory) { m.points["main"] = nil },
		"another realm's checkpoint":      func(m *memory) { m.points["main"][0].Note = m.points["other"][0].Note },
		"one that was cut off in writing": func(m *memory) { n := &m.points["main"][0].Note; *n = (*n)[:len(*n)-20] },
	} {
		m := newMemory()
		grow(t, m, "main", 200, 100)
		grow(t, m, "other", 300)
		var told []string
		s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: m, Origin: origin, Key: testKey,
			Broken: func(realm string, err error) { told = append(told, realm) }})
		if err != nil {
			t.Fatal(err)
		}
		m.points["main"] = slices.Clone(m.points["main"])
		change(m)
		points := len(m.points["main"])
		m.append(t, event("main", "user.create", 1))
		m.append(t, event("other", "user.create", 1))
		for range 3 {
			if err := s.Sequence(t.Context(), "main"); !errors.Is(err, audit.ErrHistory) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := s.Sequence(t.Context(), "other"); err != nil || s.Size("other") != 301 {
			t.Errorf("%s: another realm: %v", name, err)
		}
		n, why := s.Broken()
		if len(m.points["main"]) != points || n != 1 || !errors.Is(why, audit.ErrHistory) || !slices.Equal(told, []string{"main"}) {
			t.Errorf("%s: %d checkpoints of %d, %d broken, told %q", name, len(m.points["main"]), points, n, told)
		}
	}
}

// TestSequencerTellsAgain: a log that was mended is no broken one any more, and when it breaks again, that is told again.
func TestSequencerTellsAgain(t *testing.T) {
	m := newMemory()
	told := 0
	s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: m, Origin: origin, Key: testKey,
		Broken: func(string, error) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	grow(t, m, "main", 3)
	grow(t, m, "other", 4)
	if err := errors.Join(s.Sequence(t.Context(), "main"), s.Sequence(t.Context(), "other")); err != nil || s.Events() != 7 {
		t.Fatal(err, s.Events())
	}
	for round := 1; round <= 2; round++ {
		m.heads["main"] = 2
		for range 2 {
			if err := s.Sequence(t.Context(), "main"); !errors.Is(err, audit.ErrHistory) {
				t.Errorf("round %d: %v", round, err)
			}
		}
		m.fail = func(string) error { return errDown } // that the store fails as well mends nothing
		_ = s.Sequence(t.Context(), "main")
		m.fail = nil
		if n, err := s.Broken(); n != 1 || err == nil || told != round {
			t.Errorf("round %d: %d broken, %v, told %d times", round, n, err, told)
		}
		m.heads["main"] = 3
		if err := s.Sequence(t.Context(), "main"); err != nil {
			t.Errorf("mended: %v", err)
		}
		if n, err := s.Broken(); n != 0 || err != nil {
			t.Errorf("mended, and %d broken: %v", n, err)
		}
	}
}

// TestSequencerKeepsHeadsLater: heads that cannot be written for the moment are written with the next ones, the newest
// of each realm; a realm without new events loses none.
func TestSequencerKeepsHeadsLater(t *testing.T) {
	m := newMemory()
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "heads")
	s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: m, Origin: origin, Key: testKey, Heads: audit.NewHeadFile(path)})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		for _, realm := range []string{"main", "other"} {
			if n == 1 && realm == "other" {
				continue
			}
			m.append(t, event(realm, "k", n))
			if err := s.Sequence(t.Context(), realm); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the heads cannot be written, and nobody is told: %v", err)
			}
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	h, err := audit.OpenHeadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for realm, size := range map[string]int64{"main": 2, "other": 1} {
		if p := m.points[realm][0]; p.Size != size || string(h.Head(realm)) != string(p.Note) {
			t.Errorf("the head of %s is %q, want that of %d", realm, h.Head(realm), size)
		}
	}
	// Nothing new is no reason to write.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Sequence(t.Context(), "main"); err != nil {
		t.Errorf("without anything to keep: %v", err)
	}
}

// loud is a memory whose list of realms fails at times.
type loud struct {
	*memory
	realms error
}

func (l *loud) Realms(ctx context.Context) ([]gatehouse.Realm, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.realms != nil {
		return nil, l.realms
	}
	return []gatehouse.Realm{{Name: "main"}, {Name: "other"}, {Name: "third"}}, nil
}

func (l *loud) AuditLogs(ctx context.Context) ([]audit.LogState, error) {
	l.mu.Lock()
	err := l.realms
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return l.logsOf(ctx, "main", "other", "third")
}

// TestSequencerRunsThroughAll: each second every realm has its turn, whatever the others do; what fails is logged, a
// broken log once by whoever is told of it and else each time; the end is no failure.
func TestSequencerRunsThroughAll(t *testing.T) {
	for _, tells := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := &loud{memory: newMemory()}
			grow(t, m.memory, "main", 3)
			m.heads["main"] = 2 // its log is broken
			var log lines
			told := 0
			heads := audit.NewHeadFile(filepath.Join(t.TempDir(), "nowhere", "heads"))
			c := audit.SequencerConfig{Run: run[audit.SequencerTx](m.memory), Pending: m, Origin: origin, Key: testKey, Heads: heads, Logger: log.logger()}
			if tells {
				c.Broken = func(string, error) { told++ }
			}
			s, err := audit.NewSequencer(c)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			synctest.Wait()
			m.append(t, event("other", "k", 1))
			m.append(t, event("third", "k", 1))
			time.Sleep(999 * time.Millisecond)
			synctest.Wait()
			if s.Events() != 0 {
				t.Error("it looked within the second")
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if s.Size("other") != 1 || s.Size("third") != 1 {
				t.Errorf("beside a broken log: %d and %d events", s.Size("other"), s.Size("third"))
			}
			if tells && (told != 1 || log.has("could not be sequenced")) || !tells && log.count("audit log could not be sequenced") != 2 {
				t.Errorf("told %d times, logged %q", told, log.all())
			}
			if log.count("the heads of the audit logs could not be kept") != 1 {
				t.Errorf("%q", log.all())
			}
			m.set(func(call string) error {
				if call == "UnsequencedBatches" {
					return errDown
				}
				return nil
			})
			failed := log.count("could not be sequenced")
			time.Sleep(time.Second)
			synctest.Wait()
			// The broken one is not even asked.
			if got := log.count("could not be sequenced") - failed; tells && got != 2 || !tells && got != 3 {
				t.Errorf("%d lines about realms that fail", got)
			}
			m.mu.Lock()
			m.realms = errDown
			m.mu.Unlock()
			time.Sleep(time.Second)
			synctest.Wait()
			if log.count("realms could not be read") != 1 {
				t.Errorf("%q", log.all())
			}
			before := len(log.all())
			cancel()
			if err := <-ended; err != nil || len(log.all()) > before+1 { // what is left is looked for once more
				t.Errorf("the end: %v, %q", err, log.all()[before:])
			}
		})
	}
}

// TestSequencerEndsQuietly: a round that is cut off by the end of the server logs no failure of the store.
func TestSequencerEndsQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, at := range []string{"realms", "step"} {
			m := &loud{memory: newMemory()}
			var log lines
			ctx, cancel := context.WithCancel(t.Context())
			asked := 0
			s, err := audit.NewSequencer(audit.SequencerConfig{Pending: m, Origin: origin, Key: testKey, Logger: log.logger(),
				Run: func(ctx context.Context, fn func(context.Context, audit.SequencerTx) error) error {
					if asked++; asked == 1 {
						<-ctx.Done() // it hangs until the end, and then says why
						return ctx.Err()
					}
					return run[audit.SequencerTx](m.memory)(ctx, fn)
				}})
			if err != nil {
				t.Fatal(err)
			}
			if at == "realms" {
				cancel()
				m.realms = context.Canceled
			}
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			synctest.Wait()
			m.append(t, event("main", "k", 1))
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if at == "step" && (len(log.all()) > 0 || s.Size("main") != 1) {
				t.Errorf("%s: %d events, %q", at, s.Size("main"), log.all())
			}
			// The first round says nothing: it was cut off. The last one has its own time, and says what failed.
			if at == "realms" && log.count("realms could not be read") != 1 {
				t.Errorf("%s: %q", at, log.all())
			}
		}
	})
}

// TestSequencerIsWoken: what waits is looked at when somebody says so, not when its second
// comes.
func TestSequencerIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &loud{memory: newMemory()}
		s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m.memory), Pending: m, Origin: origin, Key: testKey})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		for n := int64(1); n <= 3; n++ {
			synctest.Wait()
			m.append(t, event("other", "k", int(n)))
			s.Wake()
			s.Wake() // nobody waits for it
			synctest.Wait()
			if got := s.Size("other"); got != n {
				t.Errorf("%d events at once, want %d", got, n)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// oneEach finds one batch at a time, as where writers commit one after the other meanwhile.
type oneEach struct {
	audit.SequencerTx
	t *testing.T
}

func (o oneEach) UnsequencedBatches(ctx context.Context, realm string, limit int) ([]audit.Batch, error) {
	if limit < 1 || limit > 256 {
		o.t.Errorf("%d batches are asked for", limit)
		return nil, gatehouse.E(gatehouse.Invalid, "limit_invalid", "no such page")
	}
	return o.SequencerTx.UnsequencedBatches(ctx, realm, 1)
}

// TestSequencerBesideWriters: however many pages have little on them, the next is one that a store reads.
func TestSequencerBesideWriters(t *testing.T) {
	m := newMemory()
	for n := range 300 {
		m.append(t, event("main", "k", n))
	}
	inner := run[audit.SequencerTx](m)
	s, err := audit.NewSequencer(audit.SequencerConfig{Pending: m, Origin: origin, Key: testKey,
		Run: func(ctx context.Context, fn func(context.Context, audit.SequencerTx) error) error {
			return inner(ctx, func(ctx context.Context, tx audit.SequencerTx) error { return fn(ctx, oneEach{tx, t}) })
		}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sequence(t.Context(), "main"); err != nil || m.heads["main"] != 300 {
		t.Errorf("%d events, %v", m.heads["main"], err)
	}
}
