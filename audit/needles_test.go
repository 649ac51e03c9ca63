package audit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// matchesDecoded says what a search means, on decoded events.
func matchesDecoded(q audit.Query, e gatehouse.Event) bool {
	return (q.Kind == "" || e.Kind == q.Kind || strings.HasSuffix(q.Kind, ".") && strings.HasPrefix(e.Kind, q.Kind)) &&
		(q.ActorID == "" || q.ActorID == e.Actor.ID) && (q.TargetID == "" || q.TargetID == e.Target.ID) &&
		(q.Outcome == "" || q.Outcome == e.Outcome)
}

// TestSearchEqualsDecoding: filters and looking for bytes first never change what a
// search finds, whatever characters the values have, also cut and repaired ones.
func TestSearchEqualsDecoding(t *testing.T) {
	long := strings.Repeat("l", 255) + "\u00e4" // is cut inside of its last character
	ids := []string{"", "usr_1", "usr_12", `a"b`, `a\`, "a\nb", "<&>", "\u202ex", "\x7f", "\u0085", "\xff", "\ufffd", "u\u0308", "\U0001f600", long, long + "m"}
	kinds := []string{"key.create", "key.revoke", "keyring.rotate", "key", `k".x`}
	outcomes := []gatehouse.Outcome{gatehouse.OutcomeSuccess, gatehouse.OutcomeFailure, gatehouse.OutcomeError, ""}
	rapid.Check(t, func(r *rapid.T) {
		m := newMemory()
		var stored []gatehouse.Event
		for b := range rapid.IntRange(1, 4).Draw(r, "batches") {
			var events []gatehouse.Event
			for n := range rapid.IntRange(1, 5).Draw(r, "events") {
				e := event("main", rapid.SampledFrom(kinds).Draw(r, "kind"), 10*b+n)
				e.Actor.ID, e.Target.ID = rapid.SampledFrom(ids).Draw(r, "actor"), rapid.SampledFrom(ids).Draw(r, "target")
				e.Outcome = rapid.SampledFrom(outcomes).Draw(r, "outcome")
				e.Chain = []gatehouse.Step{{Name: "match", Outcome: rapid.SampledFrom(outcomes).Draw(r, "step")}}
				events = append(events, e)
			}
			decoded, err := audit.Decode(m.append(t, events...))
			if err != nil {
				r.Fatal(err)
			}
			stored = append(stored, decoded...)
			if rapid.Bool().Draw(r, "sequenced") { // what is in the log has a filter
				if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
					r.Fatal(err)
				}
			}
		}
		asked := append(slices.Clone(ids), "absent", stored[0].Actor.ID, stored[0].Target.ID)
		q := audit.Query{OldestFirst: true, Limit: 1000, Kind: rapid.SampledFrom(append(kinds, "", "key.", "k\".", "none.")).Draw(r, "q kind"),
			ActorID: rapid.SampledFrom(asked).Draw(r, "q actor"), TargetID: rapid.SampledFrom(asked).Draw(r, "q target"),
			Outcome: rapid.SampledFrom(outcomes).Draw(r, "q outcome")}
		if rapid.Bool().Draw(r, "of an event") { // several fields that one event has
			e := rapid.SampledFrom(stored).Draw(r, "wanted")
			for _, f := range []struct {
				name     string
				q, value *string
			}{{"kind", &q.Kind, &e.Kind}, {"actor", &q.ActorID, &e.Actor.ID}, {"target", &q.TargetID, &e.Target.ID}, {"outcome", (*string)(&q.Outcome), (*string)(&e.Outcome)}} {
				if *f.q = ""; rapid.Bool().Draw(r, f.name) {
					*f.q = *f.value
				}
			}
			if i := strings.IndexByte(q.Kind, '.'); i >= 0 && rapid.Bool().Draw(r, "group") {
				q.Kind = q.Kind[:i+1]
			}
		}
		page, err := (&audit.Log{Reader: m}).List(t.Context(), "main", q)
		if err != nil {
			r.Fatal(err)
		}
		var got, want []string
		for _, e := range page.Entries {
			got = append(got, e.ID)
		}
		for _, e := range stored {
			if matchesDecoded(q, e) {
				want = append(want, e.ID)
			}
		}
		if !slices.Equal(got, want) {
			r.Fatalf("%+v\ngot  %v\nwant %v", q, got, want)
		}
	})
}

// TestSearchFindsEveryValue: a value is found by itself, whatever the log writes for
// its characters.
func TestSearchFindsEveryValue(t *testing.T) {
	for _, id := range []string{"usr_1", `a"b`, `a\`, "a\nb", "<&>", "\u202ex", "\x7f", "\u0085", "\xff", "u\u0308", "\U0001f600"} {
		for name, put := range map[string]func(*gatehouse.Event) *string{
			"actor":  func(e *gatehouse.Event) *string { return &e.Actor.ID },
			"target": func(e *gatehouse.Event) *string { return &e.Target.ID },
			"kind":   func(e *gatehouse.Event) *string { return &e.Kind },
		} {
			m, e := newMemory(), event("main", "key.create", 1)
			*put(&e) = id
			var q audit.Query
			stored, err := audit.Decode(m.append(t, event("main", "other", 0), e))
			if err != nil {
				t.Fatal(err)
			}
			if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
				t.Fatal(err)
			}
			switch name {
			case "actor":
				q.ActorID = stored[1].Actor.ID
			case "target":
				q.TargetID = stored[1].Target.ID
			case "kind":
				q.Kind = stored[1].Kind
			}
			page, err := (&audit.Log{Reader: m}).List(t.Context(), "main", q)
			if err != nil || len(page.Entries) != 1 || page.Entries[0].ID != stored[1].ID {
				t.Errorf("%s %q: %d events, %v", name, id, len(page.Entries), err)
			}
		}
	}
}

// BenchmarkSearchAbsent reads 102,400 events of which none is the actor's.
func BenchmarkSearchAbsent(b *testing.B) {
	m := newMemory()
	for n := range 200 {
		var events []gatehouse.Event
		for i := range 512 {
			e := full()
			e.ID, e.Time, e.Actor.ID = fmt.Sprintf("evt_%d_%d", n, i), epoch, fmt.Sprintf("usr_%d", i%7)
			events = append(events, e)
		}
		m.append(b, events...)
	}
	l := &audit.Log{Reader: m}
	for b.Loop() {
		if p, err := l.List(b.Context(), "main", audit.Query{ActorID: "usr_absent"}); err != nil || len(p.Entries) > 0 {
			b.Fatal(err, p)
		}
	}
}
