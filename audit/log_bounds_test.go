package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// ofRequest is an event of a request, some time after the epoch.
func ofRequest(id string, after time.Duration) gatehouse.Event {
	e := event("main", audit.KindRequestDecide, 0)
	e.RequestID, e.Time = id, epoch.Add(after)
	return e
}

// many puts n batches of one event each into a store, one each second from the epoch on.
func many(t testing.TB, n int) *memory {
	t.Helper()
	m := newMemory()
	for i := range n {
		e := plainEvent(i)
		audit.Complete(&e, epoch)
		b, err := audit.Encode([]gatehouse.Event{e}, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.Position = int64(i + 1)
		m.batches = append(m.batches, b)
	}
	return m
}

// TestListLimits: a page has 100 events unless another number from 1 to 1000 is asked for.
func TestListLimits(t *testing.T) {
	m := newMemory()
	for range 3 {
		var events []gatehouse.Event
		for i := range 500 {
			events = append(events, event("main", "a.b", i))
		}
		m.append(t, events...)
	}
	l := &audit.Log{Reader: m}
	for limit, want := range map[int]int{0: 100, 1: 1, 100: 100, 999: 999, 1000: 1000, -1: -1, 1001: -1} {
		page, err := l.List(t.Context(), "main", audit.Query{Limit: limit})
		if want < 0 {
			if gatehouse.CodeOf(err) != "audit_limit_invalid" {
				t.Errorf("limit %d: %v", limit, err)
			}
		} else if err != nil || len(page.Entries) != want || page.Next == "" {
			t.Errorf("limit %d: %d events, next %q, %v", limit, len(page.Entries), page.Next, err)
		}
	}
	// A page that is just full and at the end of the log is the last one.
	page, err := l.List(t.Context(), "main", audit.Query{Limit: 1000, OldestFirst: true})
	if err != nil {
		t.Fatal(err)
	}
	if page, err = l.List(t.Context(), "main", audit.Query{Limit: 500, OldestFirst: true, Cursor: page.Next}); err != nil || len(page.Entries) != 500 || page.Next != "" {
		t.Errorf("the rest: %d events, next %q, %v", len(page.Entries), page.Next, err)
	}
}

// TestCursorsAreOurs: a cursor is taken in the one spelling that a listing gives out. It is a place, so it stays good
// when the batch there was removed.
func TestCursorsAreOurs(t *testing.T) {
	m := newMemory()
	m.append(t, event("main", "a.b", 0), event("main", "a.b", 1), event("main", "a.b", 2))
	m.append(t, event("main", "a.b", 3), event("main", "a.b", 4))
	l := &audit.Log{Reader: m}
	list := func(cursor string, oldest bool) (string, error) {
		page, err := l.List(t.Context(), "main", audit.Query{Cursor: cursor, OldestFirst: oldest})
		var ids []string
		for _, e := range page.Entries {
			ids = append(ids, e.Target.ID)
		}
		return strings.Join(ids, " "), err
	}
	for _, bad := range []string{"1", ".", "1.", ".1", "x.1", "1.x", "1.2.3", "-1.0", "1.-1", "-0.0", "1.-0", "+1.0", "1.+0", "01.0", "1.00", " 1.0",
		"1.0 ", "1.0\n", "0x1.0", "9223372036854775808.0", "0.9223372036854775808", "00000000000000000000000000000000000001.0",
		strings.Repeat("0", 100) + "1.0"} {
		if _, err := list(bad, true); gatehouse.CodeOf(err) != "audit_cursor_invalid" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, c := range []struct {
		cursor string
		oldest bool
		want   string
	}{
		{"0.0", true, "0 1 2 3 4"}, {"1.0", true, "0 1 2 3 4"}, {"1.2", true, "2 3 4"}, {"1.3", true, "3 4"}, {"1.9223372036854775807", true, "3 4"},
		{"2.1", true, "4"}, {"3.0", true, ""}, {"9223372036854775807.9223372036854775807", true, ""},
		{"2.0", false, "4 3 2 1 0"}, {"2.1", false, "3 2 1 0"}, {"1.2", false, "0"}, {"1.3", false, ""}, {"0.0", false, ""}, {"9.1", false, "4 3 2 1 0"},
	} {
		if got, err := list(c.cursor, c.oldest); err != nil || got != c.want {
			t.Errorf("%s, oldest first %v: %q, not %q; %v", c.cursor, c.oldest, got, c.want, err)
		}
	}
	m.batches = m.batches[1:]
	if got, err := list("1.1", true); err != nil || got != "3 4" {
		t.Errorf("the batch of the cursor is gone: %q, %v", got, err)
	}
}

// TestListLooksAtSoMuch: one call looks at 2,000 batches unless told otherwise, and says where to go on.
func TestListLooksAtSoMuch(t *testing.T) {
	m := many(t, 2_100)
	l := &audit.Log{Reader: m}
	q := audit.Query{Outcome: "none", OldestFirst: true}
	page, err := l.List(t.Context(), "main", q)
	if err != nil || page.Next != "2001.0" || len(page.Entries) != 0 || m.read != 2_000 {
		t.Errorf("next %q after %d batches, %v", page.Next, m.read, err)
	}
	q.Cursor = page.Next
	if page, err = l.List(t.Context(), "main", q); err != nil || page.Next != "" || m.read != 2_100 {
		t.Errorf("next %q after %d batches, %v", page.Next, m.read, err)
	}
	m.read, l.MaxScan, q.Cursor = 0, 100, ""
	if page, err = l.List(t.Context(), "main", q); err != nil || page.Next != "101.0" || m.read != 100 {
		t.Errorf("next %q after %d batches, %v", page.Next, m.read, err)
	}
}

// TestListTellsWhatIsDamaged: a line that is no event ends the listing with its place in the batch, in both directions;
// so does a batch that has not as many lines as it says. What cannot be read is never left out silently.
func TestListTellsWhatIsDamaged(t *testing.T) {
	for _, oldest := range []bool{true, false} {
		m := newMemory()
		good := m.append(t, event("main", "a.b", 0), event("main", "a.b", 1), event("main", "a.b", 2), event("main", "a.b", 3))
		l := &audit.Log{Reader: m}
		list := func(data []byte) (int, string) {
			m.batches[0].Data = data
			page, err := l.List(t.Context(), "main", audit.Query{Kind: "a.b", OldestFirst: oldest})
			if err == nil {
				return len(page.Entries), ""
			}
			return len(page.Entries), err.Error()
		}
		if n, err := list(good.Data); n != 4 || err != "" {
			t.Errorf("%d events, %s", n, err)
		}
		at := bytes.LastIndex(good.Data, []byte(`{"id"`))
		damaged := bytes.Clone(good.Data)
		damaged[at+1] = '?'
		if _, err := list(damaged); !strings.Contains(err, good.ID+", line 3") {
			t.Errorf("oldest first %v: a damaged line: %s", oldest, err)
		}
		if _, err := list(good.Data[:at]); !strings.Contains(err, good.ID+" has 3 lines, not 4") {
			t.Errorf("oldest first %v: a lost line: %s", oldest, err)
		}
		m.fail = func(string) error { return errDown }
		if _, err := l.List(t.Context(), "main", audit.Query{Kind: "a.b", OldestFirst: oldest}); !errors.Is(err, errDown) {
			t.Errorf("a store that is down: %v", err)
		}
	}
}

// TestFindLooksAround: the events of a request are looked for from five seconds before its beginning, since clocks
// differ, to two days after it. First where they nearly always are: nothing later is read when something is there.
func TestFindLooksAround(t *testing.T) {
	id := gatehouse.NewID("req", epoch)
	for after, found := range map[time.Duration]bool{
		-5*time.Second - time.Microsecond: false, -5 * time.Second: true, 0: true, 30 * time.Second: true, 10 * time.Minute: true, 48 * time.Hour: true,
		48*time.Hour + time.Microsecond: false,
	} {
		m := newMemory()
		m.append(t, ofRequest(id, after))
		got, err := (&audit.Log{Reader: m}).Find(t.Context(), "main", id)
		if found != (err == nil && len(got) == 1) || !found && !errors.Is(err, gatehouse.NotFound) {
			t.Errorf("an event %s after the request: %d found, %v", after, len(got), err)
		}
	}
	// One event each second; that of the request is among them.
	for after, most := range map[int]int{0: 31, 29: 31, 31: 601, 599: 601, 601: 1_500} {
		m := many(t, 1_500)
		e := ofRequest(id, time.Duration(after)*time.Second)
		e.ID = "evt_wanted"
		b, err := audit.Encode([]gatehouse.Event{e}, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.Position = m.batches[after].Position
		m.batches[after] = b
		if got, err := (&audit.Log{Reader: m}).Find(t.Context(), "main", id); err != nil || len(got) != 1 || got[0].ID != "evt_wanted" {
			t.Errorf("after %d s: %v, %v", after, got, err)
		}
		if m.read > most+31 { // what ends one search begins the next
			t.Errorf("after %d s: read %d batches", after, m.read)
		}
	}
}

// TestFindFindsCounts: a refused request without an event of its own is found in the count of refusals that it may be
// part of, a second around it, and in no other. A count that had to wait for room may be much later.
func TestFindFindsCounts(t *testing.T) {
	id := gatehouse.NewID("req", epoch)
	const form = "2006-01-02T15:04:05.000000Z"
	for _, c := range []struct {
		first, last time.Duration
		found       bool
	}{
		{0, 0, true},
		{-time.Second, -time.Second, true},
		{-time.Second - time.Microsecond, -time.Second - time.Microsecond, false},
		{time.Second, time.Second, true},
		{time.Second + time.Microsecond, 2 * time.Second, false},
		{-time.Minute, time.Minute, true},
		{time.Second, 48 * time.Hour, true},
		{time.Second, 48*time.Hour + time.Microsecond, false},
	} {
		m := newMemory()
		e := event("main", audit.KindAuditCounted, 0)
		e.Time = epoch.Add(c.last)
		e.Detail = map[string]string{"first": epoch.Add(c.first).Format(form), "last": epoch.Add(c.last).Format(form)}
		m.append(t, e)
		m.append(t, event("main", "a.b", 0))
		got, err := (&audit.Log{Reader: m}).Find(t.Context(), "main", id)
		if c.found && (err != nil || len(got) != 1 || got[0].Kind != audit.KindAuditCounted) || !c.found && !errors.Is(err, gatehouse.NotFound) {
			t.Errorf("refusals from %s to %s: %d found, %v", c.first, c.last, len(got), err)
		}
	}
}

// TestFindBounds: an answer has 1,000 events; a search that found nothing in fifty times what a listing looks at says
// that it gave up, and not that nothing is there.
func TestFindBounds(t *testing.T) {
	id := gatehouse.NewID("req", epoch)
	m := newMemory()
	for range 2 {
		var events []gatehouse.Event
		for range 501 {
			events = append(events, ofRequest(id, time.Second))
		}
		m.append(t, events...)
	}
	got, err := (&audit.Log{Reader: m}).Find(t.Context(), "main", id)
	if err != nil || len(got) != 1000 || got[0].ID != m.first(t) {
		t.Errorf("%d events, %v", len(got), err)
	}
	// With 2 as the bound of a listing, 100 batches are looked at.
	for at, found := range map[int]bool{0: true, 59: true, 99: true, 100: false} {
		m := many(t, 110)
		for i := range m.batches { // all of them in the first search
			e := ofRequest(gatehouse.NewID("req", epoch), time.Second)
			if e.ID = fmt.Sprint("evt_", i); i == at {
				e.RequestID = id
			}
			position := m.batches[i].Position
			if m.batches[i], err = audit.Encode([]gatehouse.Event{e}, nil); err != nil {
				t.Fatal(err)
			}
			m.batches[i].Position = position
		}
		l := &audit.Log{Reader: m, MaxScan: 2}
		got, err := l.Find(t.Context(), "main", id)
		if found && (err != nil || len(got) != 1) || !found && gatehouse.CodeOf(err) != "audit_search_too_large" {
			t.Errorf("in batch %d: %d found, %v", at, len(got), err)
		}
	}
}

// first is the id of the first event.
func (m *memory) first(t testing.TB) string {
	t.Helper()
	events, err := audit.Decode(m.batches[0])
	if err != nil {
		t.Fatal(err)
	}
	return events[0].ID
}

// TestFindTakesIdsOfOurs: letters, digits and "_" alone, at most as long as an event keeps.
func TestFindTakesIdsOfOurs(t *testing.T) {
	id := gatehouse.NewID("", epoch)
	l := &audit.Log{Reader: newMemory()}
	for prefix, ok := range map[string]bool{"": true, "req": true, "a": true, "z": true, "0": true, "9": true, "_": true,
		"`": false, "{": false, "/": false, ":": false, "A": false, "-": false, `"`: false, `\`: false, "ä": false, " ": false,
		strings.Repeat("a", 128-len(id)): true, strings.Repeat("a", 129-len(id)): false} {
		want := "request_id_malformed"
		if ok {
			want = "audit_request_unknown"
		}
		if _, err := l.Find(t.Context(), "main", prefix+id); gatehouse.CodeOf(err) != want {
			t.Errorf("%q: %v", prefix+id, err)
		}
	}
}

// TestFindTellsWhatFails: a store that cannot be read never means that nothing is there, at whichever step it fails.
func TestFindTellsWhatFails(t *testing.T) {
	id := gatehouse.NewID("req", epoch)
	m := newMemory()
	m.append(t, ofRequest(id, 48*time.Hour))
	for step := 1; step <= 3; step++ {
		calls := 0
		m.fail = func(call string) error {
			if calls++; call == "SearchFilters" && calls == step {
				return errDown
			}
			return nil
		}
		if got, err := (&audit.Log{Reader: m}).Find(t.Context(), "main", id); !errors.Is(err, errDown) || len(got) > 0 {
			t.Errorf("search %d: %v, %v", step, got, err)
		}
	}
	// The search for counts.
	calls := 0
	m.fail = func(string) error {
		if calls++; calls == 4 {
			return errDown
		}
		return nil
	}
	if _, err := (&audit.Log{Reader: m}).Find(t.Context(), "main", gatehouse.NewID("req", epoch)); !errors.Is(err, errDown) {
		t.Errorf("counts: %v", err)
	}
	m.fail = nil
	if _, err := (&audit.Log{Reader: brokenRemoval{m}}).Find(t.Context(), "main", gatehouse.NewID("req", epoch)); !errors.Is(err, errDown) {
		t.Errorf("what was removed: %v", err)
	}
	m.batches[0].Data[1] = '?'
	if _, err := (&audit.Log{Reader: m}).Find(t.Context(), "main", id); err == nil || errors.Is(err, gatehouse.NotFound) {
		t.Errorf("a damaged line: %v", err)
	}
}

// brokenRemoval cannot tell what was removed.
type brokenRemoval struct{ *memory }

func (brokenRemoval) AuditRemoval(context.Context, string) (audit.Removal, error) {
	return audit.Removal{}, errDown
}

// TestListComparesMembers: a value that stands elsewhere in the line of an event, in a member of the same name, is not
// that of the event.
func TestListComparesMembers(t *testing.T) {
	e := event("main", "key.create", 1)
	e.Actor.ID, e.Target.ID, e.Outcome = "usr_1", "key_1", gatehouse.OutcomeFailure
	e.Chain = []gatehouse.Step{{Name: "match", Outcome: gatehouse.OutcomeSuccess}}
	e.Detail = map[string]string{"a": "1", "id": "usr_9", "kind": "user.create"}
	m := newMemory()
	m.append(t, e, event("main", "other", 2))
	l := &audit.Log{Reader: m}
	for _, q := range []audit.Query{{Kind: "user.create"}, {Kind: "user."}, {Kind: "key.creat"}, {Kind: "key.creates"}, {ActorID: "key_1"}, {ActorID: "usr_9"},
		{TargetID: "usr_1"}, {TargetID: "usr_9"}, {ActorID: "usr_1", Outcome: gatehouse.OutcomeSuccess}} {
		if page, err := l.List(t.Context(), "main", q); err != nil || len(page.Entries) != 0 {
			t.Errorf("%+v: %+v, %v", q, page.Entries, err)
		}
	}
	for _, q := range []audit.Query{{Kind: "key.create"}, {Kind: "key."}, {ActorID: "usr_1"}, {TargetID: "key_1"}, {Outcome: gatehouse.OutcomeFailure}} {
		if page, err := l.List(t.Context(), "main", q); err != nil || len(page.Entries) != 1 || page.Entries[0].Kind != "key.create" {
			t.Errorf("%+v: %+v, %v", q, page.Entries, err)
		}
	}
}

// TestFindSaysWhere: an event that is found has its place in the log.
func TestFindSaysWhere(t *testing.T) {
	id := gatehouse.NewID("req", epoch)
	m := newMemory()
	m.append(t, event("main", "a.b", 0), event("main", "a.b", 0))
	m.append(t, event("main", "a.b", 1), ofRequest(id, time.Second), event("main", "a.b", 1), ofRequest(id, time.Second))
	if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if got, err := (&audit.Log{Reader: m}).Find(t.Context(), "main", id); err != nil || len(got) != 2 || got[0].Index != 3 || got[1].Index != 5 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestFindTellsWhatWasRemoved: a request of a time whose events were removed may have had some; a later one had none.
func TestFindTellsWhatWasRemoved(t *testing.T) {
	id := gatehouse.NewID("req", epoch)
	for before, code := range map[time.Duration]string{time.Millisecond: "audit_event_removed", 0: "audit_request_unknown", -time.Hour: "audit_request_unknown"} {
		m := newMemory()
		m.removal["main"] = audit.Removal{Before: epoch.Add(before)}
		if _, err := (&audit.Log{Reader: m}).Find(t.Context(), "main", id); gatehouse.CodeOf(err) != code {
			t.Errorf("removed before %s: %v", before, err)
		}
	}
}
