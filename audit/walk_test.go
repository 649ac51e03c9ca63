package audit_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// counted is a store that counts the filters it gives out.
type counted struct {
	*memory
	given, asked int
}

func (c *counted) SearchFilters(ctx context.Context, realm string, q audit.FilterQuery) ([]audit.SearchFilter, error) {
	f, err := c.memory.SearchFilters(ctx, realm, q)
	c.asked++
	c.given += len(f)
	return f, err
}

// scattered is a log of n batches of one event, one filter for each: there is a hole before every batch.
func scattered(t *testing.T, n int) *counted {
	t.Helper()
	m := newMemory()
	for i := range n {
		m.append(t, event("main", "key.create", i))
		m.batches[i].Position = int64(2*i + 2)
	}
	if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if len(m.filters) != n {
		t.Fatalf("%d filters of %d batches", len(m.filters), n)
	}
	return &counted{memory: m}
}

// pages lists all that q selects, and the most batches that one call read.
func pages(t *testing.T, m *counted, scan int, q audit.Query) (ids []string, calls, most int) {
	t.Helper()
	l := &audit.Log{Reader: m, MaxScan: scan}
	for q.Cursor = ""; ; {
		m.read = 0
		p, err := l.List(t.Context(), "main", q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			ids = append(ids, e.Target.ID)
		}
		calls, most = calls+1, max(most, m.read)
		if calls > 2000 {
			t.Fatalf("no end at %s", q.Cursor)
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			return ids, calls, most
		}
	}
}

// TestWalkIsBounded: one call looks at as many batches and filters as it may, and the next one goes on behind them.
func TestWalkIsBounded(t *testing.T) {
	m := scattered(t, 200)
	var all []string
	for i := range 200 {
		all = append(all, fmt.Sprint(i))
	}
	for _, oldest := range []bool{true, false} {
		want := slices.Clone(all)
		if !oldest {
			slices.Reverse(want)
		}
		// Without a wanted field there is no filter: fifty batches at once, and no more than that beyond the bound.
		for scan, calls := range map[int]int{1: 5, 50: 5, 51: 3, 100: 3, 149: 2, 199: 2, 200: 2, 201: 1, 0: 1} {
			ids, got, most := pages(t, m, scan, audit.Query{OldestFirst: oldest, Limit: 1000})
			if !slices.Equal(ids, want) || got != calls || scan > 0 && most > (scan+49)/50*50 {
				t.Errorf("oldest first: %t, at most %d: %d events in %d calls, not %d; one read %d batches", oldest, scan, len(ids), got, calls, most)
			}
		}
		// What is nowhere is passed over filter by filter, and nothing is read.
		for scan, calls := range map[int]int{1: 201, 7: 29, 199: 2, 200: 2, 201: 1, 0: 1} {
			ids, got, most := pages(t, m, scan, audit.Query{OldestFirst: oldest, ActorID: "usr_absent"})
			if len(ids) > 0 || got != calls || most != 0 {
				t.Errorf("oldest first: %t, at most %d filters: %d events in %d calls, not %d; one read %d batches", oldest, scan, len(ids), got, calls, most)
			}
		}
	}
}

// TestWalkReadsFiltersByPages: 64 at once and each once, and of those only what overlaps the wanted time.
func TestWalkReadsFiltersByPages(t *testing.T) {
	for n, questions := range map[int]int{1: 1, 63: 1, 64: 2, 65: 2, 128: 3, 130: 3} {
		m := scattered(t, n)
		for _, oldest := range []bool{true, false} {
			m.given, m.asked = 0, 0
			_, _, most := pages(t, m, 0, audit.Query{OldestFirst: oldest, ActorID: "usr_absent"})
			if m.given != n || m.asked != questions || most != 0 {
				t.Errorf("%d filters: asked %d times for %d, and read %d batches", n, m.asked, m.given, most)
			}
		}
	}
	m := scattered(t, 130)
	at := func(i int) time.Time { return epoch.Add(time.Duration(i) * time.Second) }
	for _, oldest := range []bool{true, false} {
		m.given = 0
		ids, _, _ := pages(t, m, 0, audit.Query{OldestFirst: oldest, From: at(50), To: at(52), Outcome: gatehouse.OutcomeSuccess})
		slices.Sort(ids)
		if !slices.Equal(ids, []string{"50", "51", "52"}) || m.given != 3 {
			t.Errorf("of three seconds: %v, and %d filters", ids, m.given)
		}
	}
}

// TestWalkThroughHoles: wherever there are filters and wherever none, wherever there are holes, and wherever a page
// ends: each event comes once, in order, and what a filter excludes is not read.
func TestWalkThroughHoles(t *testing.T) {
	m := scattered(t, 60)
	position := int64(0)
	for i := range m.batches { // runs of neighbours, and holes of one, two and more
		position += []int64{1, 1, 2, 1, 1, 1, 3, 1, 5}[i%9]
		m.batches[i].Position = position
		m.filters[i].First, m.filters[i].Last = position, position
	}
	whole := m.filters
	for name, has := range map[string]func(i int) bool{
		"all":            func(int) bool { return true },
		"none":           func(int) bool { return false },
		"every other":    func(i int) bool { return i%2 == 0 },
		"the others":     func(i int) bool { return i%2 == 1 },
		"the first half": func(i int) bool { return i < 30 },
		"the last half":  func(i int) bool { return i >= 30 },
		"runs":           func(i int) bool { return i/4%2 == 0 },
	} {
		m.filters = nil
		without := 0
		for i, f := range whole {
			if has(i) {
				m.filters = append(m.filters, f)
			} else {
				without++
			}
		}
		for _, oldest := range []bool{true, false} {
			for _, limit := range []int{1, 3, 1000} {
				for _, scan := range []int{0, 1, 2, 5} {
					for actor, each := range map[string]int{"usr_1": 3, "usr_absent": 0} {
						var want []string
						for i := 1; each > 0 && i < 60; i += each {
							want = append(want, fmt.Sprint(i))
						}
						if !oldest {
							slices.Reverse(want)
						}
						ids, calls, most := pages(t, m, scan, audit.Query{OldestFirst: oldest, Limit: limit, ActorID: actor})
						if !slices.Equal(ids, want) {
							t.Errorf("filters: %s, oldest first: %t, %d a page, at most %d: %s has %v", name, oldest, limit, scan, actor, ids)
						}
						// In one call: the batches of the actor that have a filter, and those that have none.
						if calls == 1 && most > without+len(want) {
							t.Errorf("filters: %s, oldest first: %t: read %d batches for %d events, %d have no filter", name, oldest, most, len(want), without)
						}
					}
				}
			}
		}
	}
}
