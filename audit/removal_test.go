package audit_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

func (m *memory) AuditRemovable(_ context.Context, realm string, before time.Time, upTo int64) (audit.SignedCheckpoint, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stop, last := m.heads[realm], int64(0)
	for _, b := range m.batches {
		if b.Realm == realm && b.FirstIndex >= 0 && !b.MaxTime.Before(before) {
			stop = min(stop, b.FirstIndex)
		}
	}
	for _, p := range m.points[realm] {
		if p.Size > stop || p.Size <= m.removal[realm].Size || p.Size >= m.heads[realm] || upTo >= 0 && p.Size > upTo {
			continue
		}
		for _, b := range m.batches {
			if b.Realm == realm && b.FirstIndex >= 0 && b.FirstIndex < p.Size {
				last = max(last, b.Position)
			}
		}
		return p, last, m.failing("AuditRemovable")
	}
	return audit.SignedCheckpoint{}, 0, errors.Join(gatehouse.NotFound, m.failing("AuditRemovable"))
}

func (x *memTx) PutAuditRemoval(_ context.Context, r audit.Removal) error {
	if err := x.m.failing("PutAuditRemoval"); err != nil {
		return err
	}
	x.m.removal[r.Realm] = r
	return nil
}

func (x *memTx) RemoveAudit(_ context.Context, realm string, _ int) (n int64, more bool, err error) {
	if err := x.m.failing("RemoveAudit"); err != nil {
		return 0, false, err
	}
	r := x.m.removal[realm]
	x.m.batches = slices.DeleteFunc(x.m.batches, func(b audit.Batch) bool {
		gone := b.Realm == realm && b.FirstIndex >= 0 && b.FirstIndex < r.Size
		if gone {
			n++
		}
		return gone
	})
	for k := range x.m.tiles {
		if k.realm == realm && k.n < r.Size>>(8*(k.level+1)) {
			delete(x.m.tiles, k)
		}
	}
	x.m.points[realm] = slices.DeleteFunc(slices.Clone(x.m.points[realm]), func(p audit.SignedCheckpoint) bool { return p.Size < r.Size })
	m := x.m
	m.gaps = []audit.Gap{{First: 1, Last: r.Position}}
	return n, n > 0, nil
}

func (x *memTx) AppendEvents(ctx context.Context, events ...gatehouse.Event) error {
	for i := range events {
		audit.Complete(&events[i], epoch)
	}
	b, err := audit.Encode(events, nil)
	if err != nil {
		return err
	}
	return x.AppendBatch(ctx, b)
}

// retire removes what is older than the event n.
func retire(t *testing.T, m *memory, s *audit.Sequencer, n int) error {
	t.Helper()
	r := &audit.Retention{Keep: time.Hour, Store: m, Run: run[audit.RetentionTx](m), Realms: m.Realms, Key: testKey, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return epoch.Add(time.Duration(n)*time.Second + time.Hour) }}
	if err := r.Remove(t.Context(), "main"); err != nil {
		return err
	}
	return s.Sequence(t.Context(), "main")
}

// retired is a log of 40 batches of n events, the first twenty of which were removed.
func retired(t *testing.T, n int) (*memory, *audit.Sequencer) {
	t.Helper()
	m := newMemory()
	s := sequencer(t, m)
	at := 0
	for range 40 {
		var events []gatehouse.Event
		for range n {
			events = append(events, event("main", "k", at))
			at++
		}
		m.append(t, events...)
		if err := s.Sequence(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
	}
	if err := retire(t, m, s, 20*n); err != nil {
		t.Fatal(err)
	}
	return m, s
}

// TestRemovedAnywhere: wherever the cut falls in the tiles, what is left verifies, every
// event of it can be proven, and a fresh server continues it.
func TestRemovedAnywhere(t *testing.T) {
	inOrder(t)
	for _, n := range []int{1, 3, 12, 13, 64, 128, 333} {
		m, _ := retired(t, n)
		r := verify(t, m)
		if !r.OK() || r.Removed == nil || r.Removed.Events != int64(20*n) || r.Size != int64(40*n+1) {
			t.Errorf("%d: %+v", n, r)
		}
		for _, index := range []int{20 * n, 20*n + 1, 30 * n, 40 * n} {
			if _, err := audit.ProveInclusion(t.Context(), m, publicKey(t, "main"), int64(index)); err != nil {
				t.Errorf("%d: event %d: %v", n, index, err)
			}
		}
		if _, err := audit.ProveInclusion(t.Context(), m, publicKey(t, "main"), int64(20*n-1)); gatehouse.CodeOf(err) != "audit_event_removed" {
			t.Errorf("%d: a removed event: %v", n, err)
		}
		fresh := sequencer(t, m)
		m.append(t, event("main", "k", 99999))
		if err := fresh.Sequence(t.Context(), "main"); err != nil {
			t.Errorf("%d: %v", n, err)
		}
		if err := retire(t, m, fresh, 30*n); err != nil {
			t.Errorf("%d: %v", n, err)
		}
		if r := verify(t, m); !r.OK() || r.Removed.Events != int64(30*n) {
			t.Errorf("%d, again: %+v", n, r)
		}
	}
}

// TestRemovedByNobody: who can write to the database, and has not the key, cannot pass
// off as retention what they removed.
func TestRemovedByNobody(t *testing.T) {
	inOrder(t)
	const n = 13
	cut := func(m *memory, size int64) { // as retention does it
		m.batches = slices.DeleteFunc(m.batches, func(b audit.Batch) bool { return b.FirstIndex >= 0 && b.FirstIndex < size })
	}
	point := func(m *memory, size int64) []byte {
		for _, p := range m.points["main"] {
			if p.Size == size {
				return p.Note
			}
		}
		t.Fatalf("no checkpoint of %d", size)
		return nil
	}
	other, _ := retired(t, n+1)
	for name, tc := range map[string]struct {
		damage func(m *memory)
		codes  []string
	}{
		"more removed than is signed": {func(m *memory) { cut(m, 21*n) }, []string{audit.ProblemLinesRemoved}},
		"and another size beside the signature": {func(m *memory) {
			cut(m, 21*n)
			r := m.removal["main"]
			r.Size, r.Position = 21*n, 21
			m.removal["main"] = r
		}, []string{audit.ProblemLinesRemoved}},
		"and another position beside the signature": {func(m *memory) {
			m.gaps = append(m.gaps, audit.Gap{First: 21, Last: 25})
			r := m.removal["main"]
			r.Position = 25
			m.removal["main"] = r
		}, []string{audit.ProblemBatchesRemoved}},
		"a checkpoint in place of the signature": {func(m *memory) {
			cut(m, 21*n)
			m.removal["main"] = audit.Removal{Realm: "main", Size: 21 * n, Position: 21, Note: point(m, 21*n)}
		}, []string{audit.ProblemRemovalInvalid, audit.ProblemBatchesRemoved, audit.ProblemLinesRemoved}},
		"a larger number in the signed text": {func(m *memory) {
			cut(m, 21*n)
			r := m.removal["main"]
			r.Note = []byte(strings.Replace(string(r.Note), "\n260\n", "\n273\n", 1))
			m.removal["main"] = r
		}, []string{audit.ProblemRemovalInvalid, audit.ProblemLinesRemoved}},
		"the signature of another log": {func(m *memory) { m.removal["main"] = other.removal["main"] }, []string{audit.ProblemTileAltered}},
		"no signature":                 {func(m *memory) { delete(m.removal, "main") }, []string{audit.ProblemBatchesRemoved, audit.ProblemLinesRemoved}},
		"the edge of the tree":         {func(m *memory) { m.tiles[tileKey{"main", 0, 1}].Data[3]++ }, []string{audit.ProblemTileAltered}},
		"a line after it":              {func(m *memory) { m.batches[0].Data[40]++ }, []string{audit.ProblemLineAltered}},
		"a gap after it":               {func(m *memory) { m.gaps = append(m.gaps, audit.Gap{First: 20, Last: 25}) }, []string{audit.ProblemBatchesRemoved}},
		"the end, behind what is gone": {func(m *memory) { m.batches = nil; m.heads["main"] = 0 }, []string{audit.ProblemTruncated}},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := retired(t, n)
			if r := verify(t, m); !r.OK() {
				t.Fatalf("%+v", r)
			}
			tc.damage(m)
			r := verify(t, m)
			var codes []string
			for _, p := range r.Problems {
				codes = append(codes, p.Code)
			}
			for _, want := range tc.codes {
				if !slices.Contains(codes, want) {
					t.Errorf("not %s: %+v", want, r.Problems)
				}
			}
		})
	}
}

// TestNothingIsRemovedFromABrokenLog: what does not verify stays as it is.
func TestNothingIsRemovedFromABrokenLog(t *testing.T) {
	for name, damage := range map[string]func(m *memory){
		"tree": func(m *memory) { m.tiles[tileKey{"main", 0, 1}].Data[3]++ },
		"checkpoint": func(m *memory) {
			m.points["main"] = slices.Clone(m.points["main"])
			m.points["main"][11].Note = []byte("x")
		},
		"size beside the checkpoint": func(m *memory) {
			m.points["main"] = slices.Clone(m.points["main"])
			m.points["main"][11].Size--
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, s := retired(t, 13)
			before := len(m.batches)
			damage(m)
			if err := retire(t, m, s, 30*13); err == nil {
				t.Error("it was removed")
			}
			if len(m.batches) != before || m.removal["main"].Size != 20*13 {
				t.Errorf("%d batches of %d are left", len(m.batches), before)
			}
		})
	}
}
