package audit_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// sequenced stores batches of events in a log and takes them into it; n batches of
// some events each, made by next.
func sequenced(t testing.TB, m *memory, n, each int, next func(i int) gatehouse.Event) {
	t.Helper()
	for i := range n {
		var events []gatehouse.Event
		for j := range each {
			events = append(events, next(i*each+j))
		}
		m.append(t, events...)
	}
	if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
}

// plainEvent is the n-th of events that differ in every field that searches ask for.
func plainEvent(n int) gatehouse.Event {
	e := event("main", "key.create", n)
	e.RequestID = requestAt(n)
	if n%5 == 0 {
		e.Kind, e.Outcome = "user.update", gatehouse.OutcomeFailure
	}
	return e
}

func requestAt(n int) string { return gatehouse.NewID("req", epoch.Add(time.Duration(n)*time.Second)) }

func fillOf(m *memory) *audit.FilterFill {
	return &audit.FilterFill{Reader: m, Run: run[audit.FilterWriter](m), Realms: m.Realms, Logger: slog.New(slog.DiscardHandler)}
}

// TestFiltersSkip: a search for what is nowhere reads nothing of the log but its
// filters, in both directions; what is there is found by each field and by two
// together, and two values that never meet in one event are not looked for.
func TestFiltersSkip(t *testing.T) {
	inOrder(t)
	for name, fill := range map[string]bool{"sequencer": false, "filled later": true} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			sequenced(t, m, 300, 40, plainEvent)
			if fill {
				m.filters = nil
				if err := fillOf(m).Fill(t.Context(), "main"); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(m.filters); n < 2 || n > 30 || m.filters[0].First != 1 || m.filters[n-1].Last != 300 {
				t.Fatalf("%d filters: %+v", n, m.filters)
			}
			l := &audit.Log{Reader: m}
			for _, oldest := range []bool{false, true} {
				for _, c := range []struct {
					q    audit.Query
					want int
					all  bool // may read all
				}{
					{q: audit.Query{ActorID: "usr_absent"}}, {q: audit.Query{TargetID: "absent"}}, {q: audit.Query{Outcome: "denied"}},
					{q: audit.Query{Kind: "token.issue"}}, {q: audit.Query{Kind: "token."}},
					{q: audit.Query{Kind: "user.update", Outcome: gatehouse.OutcomeSuccess}},
					{q: audit.Query{Kind: "user.", Outcome: gatehouse.OutcomeSuccess}},
					{q: audit.Query{ActorID: "usr_1", TargetID: "3"}},
					{q: audit.Query{TargetID: "7777"}, want: 1}, {q: audit.Query{TargetID: "7777", Kind: "key."}, want: 1},
					{q: audit.Query{TargetID: "0", Outcome: gatehouse.OutcomeFailure, Kind: "user.update", ActorID: "usr_0"}, want: 1},
					{q: audit.Query{About: "usr_absent", Kinds: []string{"key.", "user.update"}}},
					{q: audit.Query{About: "usr_2", Kinds: []string{"token.", "login.failure"}}, all: true}, {q: audit.Query{About: "7777", Kinds: []string{"user."}}},
					{q: audit.Query{About: "7777", Kinds: []string{"token.issue", "key."}}, want: 1}, {q: audit.Query{About: "7777", Kinds: []string{"key.create"}}, want: 1},
					{q: audit.Query{About: "usr_2", Kinds: []string{"key."}, ActorID: "usr_0"}, all: true},
					{q: audit.Query{ActorID: "usr_2"}, want: 1000, all: true},
				} {
					m.read = 0
					c.q.OldestFirst, c.q.Limit = oldest, 1000
					page, err := l.List(t.Context(), "main", c.q)
					if err != nil || len(page.Entries) != c.want {
						t.Errorf("%+v: %d events, not %d; %v", c.q, len(page.Entries), c.want, err)
					}
					// A filter is wrong now and then, about one value in a hundred.
					if most := 60 + 40*c.want; m.read > most && !c.all {
						t.Errorf("%+v: read %d batches", c.q, m.read)
					}
				}
			}
			m.read = 0
			if _, err := l.Find(t.Context(), "main", gatehouse.NewID("req", epoch)); gatehouse.KindOf(err) != gatehouse.NotFound || m.read > 60 {
				t.Errorf("an unknown request: %v, read %d batches", err, m.read)
			}
			all, err := l.List(t.Context(), "main", audit.Query{TargetID: "4711"})
			if err != nil || len(all.Entries) != 1 {
				t.Fatal(err, all)
			}
			if found, err := l.Find(t.Context(), "main", all.Entries[0].RequestID); err != nil || len(found) != 1 || found[0].ID != all.Entries[0].ID {
				t.Errorf("the request of event 4711: %v, %v", found, err)
			}
		})
	}
}

// TestFiltersAndWithout: events under a filter, those without one in between, and
// those that wait for the sequencer are all found, in order, page by page.
func TestFiltersAndWithout(t *testing.T) {
	inOrder(t)
	m := newMemory()
	sequenced(t, m, 300, 40, plainEvent)
	if len(m.filters) < 4 {
		t.Fatal("too few filters for this test")
	}
	m.filters = slices.Delete(m.filters, 1, 2) // an index may lack a part
	for n := range 60 {
		m.append(t, plainEvent(12_000+n))
	}
	for _, q := range []audit.Query{{Outcome: gatehouse.OutcomeFailure}, {Kind: "user.", ActorID: "usr_0"}, {TargetID: "12059"}, {}} {
		for _, scan := range []int{0, 1} { // a call that looks at one thing, and goes on
			var ids []string
			q.Limit, q.OldestFirst = 77, true
			l := &audit.Log{Reader: m, MaxScan: scan}
			list := func() (out []string) {
				for q.Cursor = ""; ; {
					page, err := l.List(t.Context(), "main", q)
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range page.Entries {
						out = append(out, e.ID)
					}
					if q.Cursor = page.Next; q.Cursor == "" {
						return out
					}
				}
			}
			ids = list()
			q.OldestFirst = false
			back := list()
			slices.Reverse(back)
			var want []string
			for _, b := range m.batches {
				events, err := audit.Decode(b)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range events {
					if matchesDecoded(q, e) {
						want = append(want, e.ID)
					}
				}
			}
			if !slices.Equal(ids, want) || !slices.Equal(back, want) {
				t.Errorf("%+v: %d forwards, %d backwards, not %d", q, len(ids), len(back), len(want))
			}
		}
	}
}

// TestFiltersGrow: one step after the other goes on with the last filter, and a
// hole in the positions begins a new one.
func TestFiltersGrow(t *testing.T) {
	m := newMemory()
	for n := range 10 {
		sequenced(t, m, 1, 2, func(i int) gatehouse.Event { return plainEvent(2*n + i) })
	}
	if len(m.filters) != 1 || m.filters[0].First != 1 || m.filters[0].Last != 10 || m.filters[0].Events != 20 {
		t.Fatalf("%+v", m.filters)
	}
	if f := m.filters[0]; !f.MinTime.Equal(epoch) || !f.MaxTime.Equal(epoch.Add(19*time.Second)) {
		t.Errorf("the filter is of %s to %s", f.MinTime, f.MaxTime)
	}
	m.append(t, plainEvent(20))
	m.batches[10].Position = 12
	if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if len(m.filters) != 2 || m.filters[1].First != 12 {
		t.Errorf("%+v", m.filters)
	}
	m.filters[1].Bits = []byte("of another program")
	if page, err := (&audit.Log{Reader: m}).List(t.Context(), "main", audit.Query{TargetID: "20"}); err != nil || len(page.Entries) != 1 {
		t.Errorf("a filter of another size: %v, %v", page, err)
	}
}

// TestFiltersAreVerified: a filter that lacks something of its events hides them from
// searches, which verification tells.
func TestFiltersAreVerified(t *testing.T) {
	inOrder(t)
	m := newMemory()
	sequenced(t, m, 300, 40, plainEvent)
	verify := func() []audit.Problem {
		r, err := audit.VerifyLog(t.Context(), m, publicKey(t, "main"), audit.VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Problems
	}
	if p := verify(); len(p) > 0 {
		t.Fatalf("%+v", p)
	}
	for i := range m.filters {
		before := m.filters[i].Bits
		m.filters[i].Bits = slices.Clone(before)
		at := bytes.IndexFunc(before, func(r rune) bool { return r != 0 })
		m.filters[i].Bits[at] = 0
		if p := verify(); len(p) == 0 || p[0].Code != audit.ProblemSearchFilter {
			t.Errorf("filter %d: %+v", i, p)
		}
		m.filters[i].Bits = before
	}
	m.filters = []audit.SearchFilter{{Realm: "main", First: 1, Last: 300, Bits: make([]byte, 8<<10)}}
	if p := verify(); len(p) != 100 {
		t.Errorf("an empty filter over everything: %d problems", len(p))
	}
}

// TestUnreadableLineIsLookedAt: a line that is not written as ours are makes the
// filter say "perhaps" to everything, never "no".
func TestUnreadableLineIsLookedAt(t *testing.T) {
	for _, spoil := range []func(string) string{
		func(s string) string { return strings.Replace(s, `,"kind":`, `, "kind":`, 1) },
		func(s string) string { return strings.Replace(s, `"id":"usr_1"`, `"id" :"usr_1"`, 1) },
		func(s string) string { return s[:strings.LastIndex(s, `,"outcome"`)] + "\n" },
		func(s string) string { return strings.Replace(s, `{"id"`, ` {"id"`, 1) },
		func(string) string { return "\n" },
		func(string) string { return "{\n" },
		func(string) string { return `{"id":"x"` + "\n" },
		func(string) string { return `{"a":"\\` + "\n" },
	} {
		m := newMemory()
		m.append(t, event("main", "key.create", 1))
		m.batches[0].Data = []byte(spoil(string(m.batches[0].Data)))
		if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		if b := m.filters[0].Bits; bytes.Count(b, []byte{0xff}) != len(b) {
			t.Errorf("%q: the filter knows what it holds", m.batches[0].Data)
		}
	}
}

// TestFillEnds: with the last realm, with the context, and without anything to do.
func TestFillEnds(t *testing.T) {
	m := newMemory()
	if err := fillOf(m).Work(t.Context()); err != nil || len(m.filters) > 0 {
		t.Fatal(err, m.filters)
	}
	sequenced(t, m, 300, 40, plainEvent)
	want := len(m.filters)
	m.append(t, plainEvent(1)) // waits: its filter is the sequencer's
	m.filters = m.filters[want-1:]
	kept := m.filters[0]
	if err := fillOf(m).Work(t.Context()); err != nil || len(m.filters) < want-1 || m.filters[0].First != 1 || m.filters[len(m.filters)-1].Last != kept.Last {
		t.Errorf("%d filters, %v", len(m.filters), err)
	}
	m.filters = nil
	ctx, cancel := context.WithCancel(t.Context())
	m.fail = func(call string) error {
		if call != "PutSearchFilter" {
			return nil
		}
		defer cancel()
		return ctx.Err() // of a second one, when the rest was over before its end was seen
	}
	if err := fillOf(m).Work(ctx); err != nil || len(m.filters) != 1 {
		t.Errorf("%d filters after the end, %v", len(m.filters), err)
	}
}
