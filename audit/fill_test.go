package audit_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// TestFillTellsWhatFails: filters that could not be made are in the operator's log, since searches stay slow; the end
// of the program is no failure. What was made before stays, and the next start goes on from there.
func TestFillTellsWhatFails(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		spoil func(m *memory, f *audit.FilterFill)
		told  bool
	}{
		"nothing": {t.Context(), func(*memory, *audit.FilterFill) {}, false},
		"realms": {t.Context(), func(_ *memory, f *audit.FilterFill) {
			f.Realms = func(context.Context) ([]gatehouse.Realm, error) { return []gatehouse.Realm{{Name: "main"}}, errDown }
		}, true},
		"filters": {t.Context(), func(m *memory, _ *audit.FilterFill) {
			m.fail = func(call string) error { return map[string]error{"SearchFilters": errDown}[call] }
		}, true},
		"writing": {t.Context(), func(m *memory, _ *audit.FilterFill) {
			m.fail = func(call string) error { return map[string]error{"PutSearchFilter": errDown}[call] }
		}, true},
		"reading": {t.Context(), func(m *memory, f *audit.FilterFill) { f.Reader = brokenReader{m} }, true},
		"the end": {ended, func(m *memory, f *audit.FilterFill) { f.Reader = brokenReader{m} }, false},
	} {
		m := newMemory()
		sequenced(t, m, 20, 2, plainEvent)
		m.filters = nil
		var log bytes.Buffer
		f := fillOf(m)
		f.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.spoil(m, f)
		if err := f.Work(c.ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if told := strings.Contains(log.String(), errDown.Error()); told != c.told || log.Len() > 0 != c.told {
			t.Errorf("%s: the log says %q", name, log.String())
		}
		if name != "nothing" && len(m.filters) != 0 {
			t.Errorf("%s: %d filters", name, len(m.filters))
		}
		m.fail = nil
		if err := fillOf(m).Work(t.Context()); err != nil || len(m.filters) != 1 || m.filters[0].First != 1 || m.filters[0].Last != 20 {
			t.Errorf("%s: the next start made %+v, %v", name, m.filters, err)
		}
	}
}

// brokenReader cannot read batches.
type brokenReader struct{ *memory }

func (brokenReader) Batches(context.Context, string, audit.BatchQuery) ([]audit.Batch, error) {
	return nil, errDown
}

// TestFillLeavesOutWhatWaits: a filter never covers a batch that waits for the sequencer, since it does not hold what
// is in there, and a search would pass it by.
func TestFillLeavesOutWhatWaits(t *testing.T) {
	for name, waits := range map[string]func(position int64) bool{
		"the newest":          func(p int64) bool { return p > 20 },
		"one in between":      func(p int64) bool { return p == 12 },
		"one at page's end":   func(p int64) bool { return p == 17 },
		"the oldest":          func(p int64) bool { return p == 1 },
		"all":                 func(int64) bool { return true },
		"none":                func(int64) bool { return false },
		"nine of ten of them": func(p int64) bool { return p%10 != 5 },
	} {
		m := newMemory()
		sequenced(t, m, 24, 2, plainEvent)
		m.filters = nil
		for i := range m.batches {
			if waits(m.batches[i].Position) {
				m.batches[i].FirstIndex = -1
			}
		}
		if err := fillOf(m).Fill(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		covered := map[int64]bool{}
		for _, f := range m.filters {
			for p := f.First; p <= f.Last; p++ {
				covered[p] = true
			}
		}
		for p := int64(1); p <= 24; p++ {
			if covered[p] == waits(p) {
				t.Errorf("%s: batch %d is covered: %v", name, p, covered[p])
			}
		}
	}
}

// TestFillEndsWithItsContext: between two filters it rests, and the end of the program ends the rest.
func TestFillEndsWithItsContext(t *testing.T) {
	m := newMemory()
	sequenced(t, m, 300, 40, plainEvent)
	m.filters = nil
	ctx, cancel := context.WithCancel(t.Context())
	m.fail = func(call string) error {
		if call != "PutSearchFilter" {
			return nil
		}
		defer cancel()
		return ctx.Err() // of a second one, when the rest was over before its end was seen
	}
	if err := fillOf(m).Fill(ctx, "main"); !errors.Is(err, context.Canceled) || len(m.filters) != 1 {
		t.Errorf("%d filters, %v", len(m.filters), err)
	}
}

// TestFillGoesOn: what has filters is not read or written again, at whatever start.
func TestFillGoesOn(t *testing.T) {
	m := newMemory()
	sequenced(t, m, 300, 40, plainEvent)
	newest := m.filters[len(m.filters)-1]
	for name, c := range map[string]struct {
		filters []audit.SearchFilter
		written int // at least
		read    int // at most
	}{
		"all of them": {m.filters, 0, 0},
		"the newest":  {[]audit.SearchFilter{newest}, 1, int(newest.First) + 8*len(m.filters)},
	} {
		m.filters, m.read = c.filters, 0
		written := 0
		m.fail = func(call string) error {
			if call == "PutSearchFilter" {
				written++
			}
			return nil
		}
		if err := fillOf(m).Fill(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		if last := m.filters[len(m.filters)-1]; last.First != newest.First || last.Last != newest.Last || m.filters[0].First != 1 {
			t.Errorf("%s: filters from %d, the last one from %d to %d", name, m.filters[0].First, last.First, last.Last)
		}
		if written < c.written || c.written == 0 && written > 0 || m.read > c.read {
			t.Errorf("%s: %d filters were written, %d batches read", name, written, m.read)
		}
	}
}

// TestFillTakesEveryRealm: the searches of no realm stay slow.
func TestFillTakesEveryRealm(t *testing.T) {
	m := newMemory()
	for _, realm := range []string{"main", "other"} {
		m.append(t, event(realm, "a.b", 0))
		if err := sequencer(t, m).Sequence(t.Context(), realm); err != nil {
			t.Fatal(err)
		}
	}
	m.filters = nil
	if err := fillOf(m).Work(t.Context()); err != nil || len(m.filters) != 2 || m.filters[0].Realm == m.filters[1].Realm {
		t.Errorf("%+v, %v", m.filters, err)
	}
}
