package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

func filled(t testing.TB) *memory {
	m := newMemory()
	n := 0
	for _, size := range []int{1, 7, 50, 1, 13} {
		var events []gatehouse.Event
		for range size {
			e := event("main", []string{"user.create", "user.delete", "key.create"}[n%3], n)
			if n%5 == 0 {
				e.Outcome = gatehouse.OutcomeFailure
			}
			events = append(events, e)
			n++
		}
		m.append(t, events...)
	}
	m.append(t, event("other", "user.create", 5))
	if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	m.append(t, event("main", "user.create", 72)) // not yet sequenced
	return m
}

func TestListPagesEqualFilter(t *testing.T) {
	m := filled(t)
	listPagesEqualFilter(t, m)
	for i := range m.batches { // all wait, as after a long absence of the sequencer
		m.batches[i].Position, m.batches[i].FirstIndex = m.batches[i].Position+audit.Arriving, -1
	}
	m.filters, m.heads = nil, map[string]int64{}
	listPagesEqualFilter(t, m)
}

func listPagesEqualFilter(t *testing.T, m *memory) {
	t.Helper()
	for name, q := range map[string]audit.Query{
		"all": {}, "kind": {Kind: "user.create"}, "prefix": {Kind: "user."}, "actor": {ActorID: "usr_1"}, "target": {TargetID: "42"},
		"outcome": {Outcome: gatehouse.OutcomeFailure}, "time": {From: epoch.Add(10 * time.Second), To: epoch.Add(60 * time.Second)},
		"nothing": {Kind: "user"}, "several": {Kind: "key.", ActorID: "usr_2", Outcome: gatehouse.OutcomeSuccess},
	} {
		for _, oldest := range []bool{true, false} {
			for _, limit := range []int{1, 7, 1000} {
				for _, scan := range []int{0, 1} {
					q.OldestFirst, q.Limit, q.Cursor = oldest, limit, ""
					l := audit.Log{Reader: m, MaxScan: scan}
					var got []string
					for pages := 0; ; pages++ {
						p, err := l.List(t.Context(), "main", q)
						if err != nil || pages > 100 || len(p.Entries) > limit {
							t.Fatal(err, pages)
						}
						for _, e := range p.Entries {
							if want, _ := strconv.ParseInt(e.Target.ID, 10, 64); e.Index != want && !((want == 72 || m.heads["main"] == 0) && e.Index == -1) {
								t.Errorf("event %s has index %d", e.Target.ID, e.Index)
							}
							got = append(got, e.Target.ID)
						}
						if q.Cursor = p.Next; q.Cursor == "" {
							break
						}
					}
					var want []string
					for n := range 73 {
						e := event("main", []string{"user.create", "user.delete", "key.create"}[n%3], n)
						if n%5 == 0 && n < 72 {
							e.Outcome = gatehouse.OutcomeFailure
						}
						if (q.Kind == "" || e.Kind == q.Kind || strings.HasSuffix(q.Kind, ".") && strings.HasPrefix(e.Kind, q.Kind)) &&
							(q.ActorID == "" || e.Actor.ID == q.ActorID) && (q.TargetID == "" || e.Target.ID == q.TargetID) &&
							(q.Outcome == "" || e.Outcome == q.Outcome) && (q.From.IsZero() || !e.Time.Before(q.From)) &&
							(q.To.IsZero() || !e.Time.After(q.To)) {
							want = append(want, e.Target.ID)
						}
					}
					if !oldest {
						slices.Reverse(want)
					}
					if !slices.Equal(got, want) {
						t.Errorf("%s oldest=%v limit=%d scan=%d\ngot  %v\nwant %v", name, oldest, limit, scan, got, want)
					}
				}
			}
		}
	}
	l := audit.Log{Reader: m}
	for _, q := range []audit.Query{{Limit: -1}, {Limit: 1001}, {Cursor: "x"}, {Cursor: "1"}, {Cursor: "-1.2"}, {Cursor: strings.Repeat("1", 99) + ".1"}} {
		if _, err := l.List(t.Context(), "main", q); !errors.Is(err, gatehouse.Invalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestFind(t *testing.T) {
	m := newMemory()
	quick, slow, none := gatehouse.NewID("req", epoch), gatehouse.NewID("req", epoch), gatehouse.NewID("req", epoch)
	for i := range 300 {
		e := event("main", audit.KindRequestDecide, i)
		e.RequestID = gatehouse.NewID("req", e.Time)
		e.Path = "/" + none // mentioned, not recorded
		m.append(t, e)
	}
	a, b, c := event("main", audit.KindKeyCreate, 0), event("main", audit.KindRequestDecide, 1), event("main", audit.KindRequestDecide, 9*3600)
	a.RequestID, b.RequestID, c.RequestID = quick, quick, slow
	about := event("main", "x.y", 1)
	about.Target.ID = quick
	m.append(t, about)
	m.append(t, a)
	m.append(t, b, event("main", "x.y", 2))
	m.append(t, c)
	l := audit.Log{Reader: m}
	got, err := l.Find(t.Context(), "main", quick)
	if err != nil || len(got) != 2 || got[0].Kind != audit.KindKeyCreate || got[1].Kind != audit.KindRequestDecide || got[0].Index != -1 {
		t.Errorf("%v %+v", err, got)
	}
	if got, err := l.Find(t.Context(), "main", slow); err != nil || len(got) != 1 {
		t.Errorf("a long request: %v %+v", err, got)
	}
	if _, err := l.Find(t.Context(), "main", none); !errors.Is(err, gatehouse.NotFound) {
		t.Error(err)
	}
	if _, err := l.Find(t.Context(), "other", quick); !errors.Is(err, gatehouse.NotFound) {
		t.Error("another realm's request:", err)
	}
	for _, bad := range []string{"", "req_1", `"` + quick[1:], strings.Repeat("a", 500) + quick} {
		if _, err := l.Find(t.Context(), "main", bad); !errors.Is(err, gatehouse.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

type cursors map[string]int64

func (c cursors) Cursor(_ context.Context, sink, realm string) (int64, error) {
	return c[sink+realm], nil
}

func (c cursors) SetCursor(_ context.Context, sink, realm string, next int64) error {
	c[sink+realm] = next
	return nil
}

func TestForwardToFile(t *testing.T) {
	m := filled(t)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	sink, err := audit.OpenFileSink(path, true)
	if err != nil {
		t.Fatal(err)
	}
	f := &audit.Forwarder{Name: "file", Sink: sink, Reader: m, Cursors: cursors{}}
	for range 2 { // the second time there is nothing to do
		if err := f.Forward(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := sink.Reopen(); err != nil {
		t.Fatal(err)
	}
	if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if err := f.Forward(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sink.Write(t.Context(), "main", nil); err == nil {
		t.Error("written after close")
	}
	first, _ := os.ReadFile(path + ".1")
	second, _ := os.ReadFile(path)
	all := strings.Split(strings.TrimSpace(string(first)+string(second)), "\n")
	if len(all) != 73 || strings.Count(string(second), "\n") != 1 {
		t.Fatalf("%d lines", len(all))
	}
	for i, l := range all {
		var got struct {
			Index int
			Event gatehouse.Event
		}
		if err := json.Unmarshal([]byte(l), &got); err != nil || got.Index != i || got.Event.Target.ID != fmt.Sprint(i) {
			t.Errorf("line %d: %v %s", i, err, l)
		}
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.OpenFileSink(open, false); err == nil {
		t.Error("a file that others can read was taken")
	}
	if err := (&audit.Forwarder{}).Run(t.Context()); err == nil {
		t.Error("an empty forwarder runs")
	}
}

// docs/audit-events.md describes every kind, and no other.
//
// ASVS: 16.1.1
func TestKindsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/audit-events.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "kinds.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			for _, x := range v.Values {
				s, _ := strconv.Unquote(x.(*ast.BasicLit).Value)
				kinds[s] = true
			}
		}
		return true
	})
	if len(kinds) < 40 {
		t.Fatalf("%d kinds found", len(kinds))
	}
	for line := range strings.Lines(string(doc)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			kind, _, _ := strings.Cut(rest, "`")
			if !kinds[kind] {
				t.Errorf("%s is documented and does not exist", kind)
			}
			delete(kinds, kind)
		}
	}
	for kind := range kinds {
		t.Errorf("%s is not documented", kind)
	}
}
