package audit_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type tileKey struct {
	realm string
	level int
	n     int64
}

// memory is a store with real transactions: a failed one leaves no trace.
type memory struct {
	mu      sync.Mutex
	batches []audit.Batch
	tiles   map[tileKey]audit.Tile
	points  map[string][]audit.SignedCheckpoint // newest first
	heads   map[string]int64
	gaps    []audit.Gap
	missing int64
	filters []audit.SearchFilter // by position
	removal map[string]audit.Removal
	lanes   bool                    // the sequencer gives positions, as on PostgreSQL
	read    int                     // batches given out
	fail    func(call string) error // may be nil
	commit  error                   // after a commit that worked
}

// inOrder leaves a test out of -short, and with it out of the race detector (scripts/race): it computes alone, one thing after
// another, and the detector, which sees nothing in it, makes it take thirty times as long.
func inOrder(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("computes alone, for long; runs without -short")
	}
}

func newMemory() *memory {
	return &memory{tiles: map[tileKey]audit.Tile{}, points: map[string][]audit.SignedCheckpoint{}, heads: map[string]int64{}, removal: map[string]audit.Removal{}}
}

func run[T any](m *memory) gatehouse.Runner[T] {
	return func(ctx context.Context, fn func(context.Context, T) error) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		batches, tiles, heads, filters := slices.Clone(m.batches), maps.Clone(m.tiles), maps.Clone(m.heads), slices.Clone(m.filters)
		points, removal := maps.Clone(m.points), maps.Clone(m.removal)
		if err := fn(ctx, any(&memTx{m}).(T)); err != nil {
			m.batches, m.tiles, m.heads, m.points, m.filters, m.removal = batches, tiles, heads, points, filters, removal
			return err
		}
		return m.commit
	}
}

// memTx works on a locked memory; the methods of memory itself lock.
type memTx struct{ m *memory }

func (m *memory) failing(call string) error {
	if m.fail != nil {
		return m.fail(call)
	}
	return nil
}

func (x *memTx) AppendBatch(_ context.Context, b audit.Batch) error {
	if err := x.m.failing("AppendBatch " + b.Realm); err != nil {
		return err
	}
	for _, o := range x.m.batches {
		if o.ID == b.ID {
			return gatehouse.Conflict
		}
	}
	b.Position = 1
	for _, o := range x.m.batches {
		b.Position = max(b.Position, o.Position+1)
	}
	if x.m.lanes && b.Position < audit.Arriving {
		b.Position += audit.Arriving
	}
	b.Data = slices.Clone(b.Data)
	x.m.batches = append(x.m.batches, b)
	return nil
}

func (x *memTx) UnsequencedBatches(_ context.Context, realm string, limit int) ([]audit.Batch, error) {
	var out []audit.Batch
	for _, b := range x.m.batches {
		if b.Realm == realm && b.FirstIndex < 0 && len(out) < limit {
			out = append(out, b)
		}
	}
	return out, x.m.failing("UnsequencedBatches")
}

func (x *memTx) AuditHead(_ context.Context, realm string) (int64, error) {
	return x.m.heads[realm], nil
}

func (x *memTx) AuditTiles(_ context.Context, realm string, level int, n int64, width int) (audit.Tile, error) {
	t, ok := x.m.tiles[tileKey{realm, level, n}]
	if !ok || t.Width < width {
		return t, gatehouse.NotFound
	}
	return t, nil
}

func (x *memTx) Checkpoints(_ context.Context, realm string, limit int) ([]audit.SignedCheckpoint, error) {
	p := x.m.points[realm]
	return slices.Clone(p[:min(limit, len(p))]), nil
}

func (x *memTx) SequenceBatches(_ context.Context, realm string, first int64, batches []audit.Batch) error {
	if first != x.m.heads[realm] {
		return gatehouse.Conflict
	}
	for i := range batches {
		at := slices.IndexFunc(x.m.batches, func(b audit.Batch) bool { return b.ID == batches[i].ID })
		if at < 0 || x.m.batches[at].FirstIndex >= 0 || x.m.batches[at].Count != batches[i].Count {
			return gatehouse.Conflict
		}
		x.m.batches[at].FirstIndex, batches[i].FirstIndex = first, first
		if batches[i].Position >= audit.Arriving {
			batches[i].Position = 1
			for _, o := range x.m.batches {
				if o.Position < audit.Arriving {
					batches[i].Position = max(batches[i].Position, o.Position+1)
				}
			}
			x.m.batches[at].Position = batches[i].Position
		}
		first += batches[i].Count
	}
	x.m.heads[realm] = first
	return x.m.failing("SequenceBatches")
}

func (x *memTx) LastSearchFilter(_ context.Context, realm string) (audit.SearchFilter, error) {
	for _, f := range slices.Backward(x.m.filters) {
		if f.Realm == realm {
			f.Bits = slices.Clone(f.Bits)
			return f, x.m.failing("LastSearchFilter")
		}
	}
	return audit.SearchFilter{}, gatehouse.NotFound
}

func (x *memTx) PutSearchFilter(_ context.Context, f audit.SearchFilter) error {
	f.Bits = slices.Clone(f.Bits)
	kept := slices.Collect(func(yield func(audit.SearchFilter) bool) {
		for _, o := range x.m.filters {
			if (o.Realm != f.Realm || o.First > f.Last || o.Last < f.First) && !yield(o) {
				return
			}
		}
	})
	x.m.filters = append(kept, f)
	slices.SortFunc(x.m.filters, func(a, b audit.SearchFilter) int { return cmp.Compare(a.First, b.First) })
	return x.m.failing("PutSearchFilter")
}

func (x *memTx) PutHead(ctx context.Context, h audit.Head) error {
	for _, t := range h.Tiles {
		k := tileKey{t.Realm, t.Level, t.N}
		if x.m.tiles[k].Width <= t.Width {
			x.m.tiles[k] = t
		}
	}
	if err := x.m.failing("PutTiles"); err != nil {
		return err
	}
	for _, f := range h.Filters {
		if err := x.PutSearchFilter(ctx, f); err != nil {
			return err
		}
	}
	c := h.Checkpoint
	for _, o := range x.m.points[c.Realm] {
		if o.Size == c.Size {
			return gatehouse.Conflict
		}
	}
	x.m.points[c.Realm] = append([]audit.SignedCheckpoint{c}, x.m.points[c.Realm]...)
	return x.m.failing("PutCheckpoint")
}

func (m *memory) lock() *memTx { m.mu.Lock(); return &memTx{m} }

func (m *memory) Realms(context.Context) ([]gatehouse.Realm, error) {
	return []gatehouse.Realm{{Name: "main"}, {Name: "other"}}, nil
}

// AuditLogs puts together what the single questions answer.
func (m *memory) AuditLogs(ctx context.Context) ([]audit.LogState, error) {
	return m.logsOf(ctx, "main", "other")
}

func (m *memory) logsOf(ctx context.Context, realms ...string) (logs []audit.LogState, err error) {
	for _, realm := range realms {
		size, err := m.AuditHead(ctx, realm)
		if err != nil {
			size = 0 // whoever asks for it hears of it
		}
		waiting, err := m.UnsequencedBatches(ctx, realm, 1)
		l := audit.LogState{Realm: realm, Size: size, Waiting: err != nil || len(waiting) > 0}
		if newest, err := m.Checkpoints(ctx, realm, 1); err == nil && len(newest) > 0 {
			l.Signed, l.Note = newest[0].Size, newest[0].Note
		}
		logs = append(logs, l)
	}
	return logs, nil
}

func (m *memory) UnsequencedBatches(ctx context.Context, realm string, limit int) ([]audit.Batch, error) {
	defer m.mu.Unlock()
	return m.lock().UnsequencedBatches(ctx, realm, limit)
}

func (m *memory) AuditHead(ctx context.Context, realm string) (int64, error) {
	defer m.mu.Unlock()
	return m.lock().AuditHead(ctx, realm)
}

func (m *memory) AuditTiles(ctx context.Context, realm string, level int, n int64, width int) (audit.Tile, error) {
	defer m.mu.Unlock()
	return m.lock().AuditTiles(ctx, realm, level, n, width)
}

func (m *memory) Checkpoints(ctx context.Context, realm string, limit int) ([]audit.SignedCheckpoint, error) {
	defer m.mu.Unlock()
	return m.lock().Checkpoints(ctx, realm, limit)
}

func (m *memory) AuditWaiting(_ context.Context, realm string) (w audit.Waiting, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Gaps, w.Missing = m.gaps, m.missing
	for _, b := range m.batches {
		if b.Realm == realm && b.FirstIndex < 0 {
			if w.Events == 0 {
				w.First, w.Since = b.Position, b.MaxTime
			}
			w.Events += b.Count
		}
	}
	return w, nil
}

func (m *memory) AuditRemoval(_ context.Context, realm string) (audit.Removal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.removal[realm]
	if !ok {
		return r, gatehouse.NotFound
	}
	return r, nil
}

func (m *memory) Batches(_ context.Context, realm string, q audit.BatchQuery) ([]audit.Batch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	field := func(have, want string) bool {
		return want == "" || have == "" || have == want || strings.HasSuffix(want, ".") && strings.HasPrefix(have, want)
	}
	resumed := int64(0)
	if i := slices.IndexFunc(m.batches, func(b audit.Batch) bool { return b.ID == q.At }); i >= 0 {
		resumed = m.batches[i].Position
	}
	var out []audit.Batch
	for _, b := range m.batches {
		if q.At != "" && (q.Descending && b.Position > resumed || !q.Descending && b.Position < resumed) {
			continue
		}
		if b.Realm != realm || !q.From.IsZero() && b.MaxTime.Before(q.From) || !q.To.IsZero() && b.MinTime.After(q.To) ||
			!field(b.Kind, q.Kind) || !field(b.ActorID, q.ActorID) || !field(b.TargetID, q.TargetID) {
			continue
		}
		if q.Sequenced {
			if b.FirstIndex < 0 || b.FirstIndex+b.Count <= q.FirstIndex || q.LastIndex >= 0 && b.FirstIndex > q.LastIndex {
				continue
			}
		} else if q.After != 0 && (q.Descending && b.Position >= q.After || !q.Descending && b.Position <= q.After) ||
			q.Until != 0 && (q.Descending && b.Position < q.Until || !q.Descending && b.Position > q.Until) {
			continue
		}
		out = append(out, b)
	}
	slices.SortStableFunc(out, func(a, b audit.Batch) int {
		if q.Sequenced {
			return cmp.Compare(a.FirstIndex, b.FirstIndex)
		}
		return cmp.Compare(a.Position, b.Position)
	})
	if q.Descending {
		slices.Reverse(out)
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	m.read += min(q.Limit, len(out))
	return out[:min(q.Limit, len(out))], nil
}

func (m *memory) SearchFilters(_ context.Context, realm string, q audit.FilterQuery) (out []audit.SearchFilter, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.filters {
		if f.Realm == realm && (q.From.IsZero() || !f.MaxTime.Before(q.From)) && (q.To.IsZero() || !f.MinTime.After(q.To)) &&
			(q.After == 0 || q.Descending && f.First < q.After || !q.Descending && f.Last > q.After) {
			out = append(out, f)
		}
	}
	if q.Descending {
		slices.Reverse(out)
	}
	return out[:min(q.Limit, len(out))], m.failing("SearchFilters")
}

// append stores events as the transaction of a change does.
func (m *memory) append(t testing.TB, events ...gatehouse.Event) audit.Batch {
	t.Helper()
	for i := range events {
		audit.Complete(&events[i], epoch)
	}
	b, err := audit.Encode(events, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := run[audit.BatchWriter](m)(t.Context(), func(ctx context.Context, tx audit.BatchWriter) error { return tx.AppendBatch(ctx, b) }); err != nil {
		t.Fatal(err)
	}
	return b
}

func event(realm, kind string, n int) gatehouse.Event {
	return gatehouse.Event{Realm: realm, Kind: kind, Outcome: gatehouse.OutcomeSuccess, Time: epoch.Add(time.Duration(n) * time.Second),
		Actor: gatehouse.Actor{Kind: gatehouse.KindUser, ID: fmt.Sprintf("usr_%d", n%3)}, Target: gatehouse.Target{Type: "Document", ID: fmt.Sprint(n)}}
}

var testKey = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))

func publicKey(t testing.TB, realm string) audit.Key {
	t.Helper()
	k, err := audit.NewKey(realm, testKey.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func origin(realm string) string { return audit.Origin("auth.example", realm) }

func sequencer(t testing.TB, m *memory) *audit.Sequencer {
	t.Helper()
	s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: m, Origin: origin, Key: testKey})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var errDown = errors.New("store is down")
