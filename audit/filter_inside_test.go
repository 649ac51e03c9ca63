package audit

import (
	"bytes"
	"encoding/json"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
)

// TestFiltersReadEarlierOnes: hashes and places stay as they are, for filters that an earlier version stored are read by
// this one, and a "no" from the wrong place hides events. The values were computed by another program (FNV-1a, the
// finalizer of MurmurHash3, seven places by double hashing).
func TestFiltersReadEarlierOnes(t *testing.T) {
	kind, group, actor := factOf(factKind, []byte(`"key.create"`)), factOf(factKindGroup, []byte(`"key.`)), factOf(factActor, []byte(`"usr_1"`))
	target, outcome, request := factOf(factTarget, []byte(`"42"`)), factOf(factOutcome, []byte(`"success"`)), factOf(factRequest, []byte(`"req_1"`))
	for _, c := range []struct {
		name      string
		got, want fact
	}{
		{"kind", kind, 0x788efb9a8013c795},
		{"group", group, 0xdc1ded81d79431c7},
		{"actor", actor, 0x86753bfa5c1000fb},
		{"target", target, 0xf5f74c6aec449d5c},
		{"outcome", outcome, 0x5077dc8247820b73},
		{"request", request, 0x6ee990416d1449c4},
		{"kind and actor", kind.and(actor), 0x97633f09c796f5ab},
		{"actor and kind, which nobody asks for", actor.and(kind), 0xfee0d43f12011ed2},
		{"target and outcome", target.and(outcome), 0x6de7eebe0ad2d73a},
	} {
		if c.got != c.want {
			t.Errorf("%s: %#x, not %#x", c.name, uint64(c.got), uint64(c.want))
		}
	}
	type place struct {
		at  uint32
		bit byte
	}
	for f, want := range map[fact][]place{
		actor:   {{31, 8}, {1950, 64}, {3870, 2}, {5789, 16}, {7708, 128}, {1436, 4}, {3355, 32}},
		outcome: {{366, 8}, {7422, 64}, {6287, 2}, {5151, 16}, {4015, 128}, {2880, 4}, {1744, 32}},
	} {
		var got []place
		f.places(func(at uint32, bit byte) bool { got = append(got, place{at, bit}); return true })
		if !slices.Equal(got, want) {
			t.Errorf("%#x: %v, not %v", uint64(f), got, want)
		}
		asked := 0
		f.places(func(uint32, byte) bool { asked++; return asked < 3 })
		if asked != 3 {
			t.Errorf("went on to %d places after the answer", asked)
		}
	}
	var m filterMaker
	m.add(&Batch{Realm: "main", Position: 1})
	if n := len(m.made[0].Bits); n != 8192 {
		t.Errorf("a filter has %d bytes", n)
	}
}

// TestFactsOfALineAnswerEveryQuestion: whatever a search asks of an event, by any choice of its fields, is among the
// facts of its line; a filter that lacked one would hide the event. What is in no field is not among them.
func TestFactsOfALineAnswerEveryQuestion(t *testing.T) {
	for name, e := range map[string]gatehouse.Event{
		"all fields": {Kind: "key.create", Actor: gatehouse.Actor{Kind: "user", ID: "usr_1", Name: "B"}, Target: gatehouse.Target{Type: "Key", ID: "42"},
			Outcome: "success", RequestID: "req_1", Path: `/{"kind":"x.y"}`},
		"groups in groups": {Kind: "a.b.c", Actor: gatehouse.Actor{ID: `u"1`}, Target: gatehouse.Target{ID: `4\`}, Outcome: "error"},
		"no ids":           {Kind: "key", Actor: gatehouse.Actor{Kind: "user"}, Target: gatehouse.Target{Type: "Key"}, Outcome: "failure", RequestID: "req_2"},
		"nobody":           {Kind: ".", Outcome: "failure"},
		"after the values": {Kind: "k", Outcome: "failure", Detail: map[string]string{"kind": "x.y", "request_id": "req_3"},
			Chain: []gatehouse.Step{{Name: "match", Outcome: "success", Note: `,"kind":"x.y"`}}},
	} {
		e.ID, e.Time, e.Realm = "evt_1", time.Unix(1e9, 0), "main"
		before := []fact{1, 2, 3} // of another line
		have, ok := lineFacts(before, AppendEvent(nil, &e))
		if !ok || !slices.Equal(have[:3], before) {
			t.Errorf("%s: not read, or not beside %v: %v", name, before, have)
		}
		have = have[3:]
		kinds := []string{"", e.Kind}
		for i, c := range e.Kind {
			if c == '.' {
				kinds = append(kinds, e.Kind[:i+1])
			}
		}
		asked := map[fact]bool{}
		for _, kind := range kinds {
			for choice := range 8 {
				q := Query{Kind: kind}
				if choice&1 != 0 {
					q.ActorID = e.Actor.ID
				}
				if choice&2 != 0 {
					q.TargetID = e.Target.ID
				}
				if choice&4 != 0 {
					q.Outcome = e.Outcome
				}
				for _, f := range q.facts() {
					asked[f] = true
					if !slices.Contains(have, f) {
						t.Errorf("%s: the line does not answer %+v", name, q)
					}
				}
			}
		}
		if e.RequestID != "" {
			f := requestFacts(e.RequestID)[0]
			asked[f] = true
			if !slices.Contains(have, f) {
				t.Errorf("%s: the request is not found", name)
			}
		}
		// Nothing is in the filter that no search asks for: it would be full too soon.
		for _, f := range have {
			if !asked[f] && !strings.HasSuffix(e.Kind, ".") {
				t.Errorf("%s: the line has a fact that nobody asks for", name)
			}
		}
		for _, q := range []Query{{Kind: "x.y"}, {Kind: "x."}, {Kind: "ke"}, {ActorID: "42"}, {TargetID: "usr_1"}, {Outcome: "key.create"}} {
			if slices.Contains(have, q.facts()[0]) {
				t.Errorf("%s: %+v is in the line", name, q)
			}
		}
	}
	var q Query
	if f := q.facts(); len(f) != 0 {
		t.Errorf("a search for everything asks %v", f)
	}
}

// TestMembersAreReadAsWritten: the reader of lines takes apart what JSON without white space is, and refuses the rest.
func TestMembersAreReadAsWritten(t *testing.T) {
	for _, c := range []struct {
		text, name, value, rest string
		ok                      bool
	}{
		{text: ``}, {text: `"a":1}`}, {text: `[`}, {text: `{`}, {text: `{a`}, {text: `{}`}, {text: `{"a`}, {text: `{"a"`}, {text: `{"a"1}`}, {text: `{"a" :1}`},
		{text: `{"a":`}, {text: `{"a":}`}, {text: `{"a":,"b":1}`}, {text: `{"a":1`}, {text: `{"a":"x"`}, {text: `{"a":"x}`}, {text: `{"a":"x"]`},
		{text: `{"a":"x""b"}`}, {text: `{x:1}`}, {text: `{":1}`}, {text: `{"a":"}`}, {text: `{"a":",`}, {text: `{"a":[,`}, {text: `{"a":[1}`}, {text: `{"a":{"b":1}`}, {text: `{"a":1]`}, {text: `{"a":{"b}`},
		{`{"a":1}`, `"a"`, `1`, ``, true},
		{`,"a":1}`, `"a"`, `1`, ``, true},
		{`{"":""}`, `""`, `""`, ``, true},
		{`{"a":-1.5e3,"b":2}`, `"a"`, `-1.5e3`, `,"b":2}`, true},
		{`{"a":true,`, `"a"`, `true`, `,`, true},
		{`{"a\"":"\\","b":2}`, `"a\""`, `"\\"`, `,"b":2}`, true},
		{`{"a":"\\\"}","b":2}`, `"a"`, `"\\\"}"`, `,"b":2}`, true},
		{`{"a":"x\\\\","b":2}`, `"a"`, `"x\\\\"`, `,"b":2}`, true},
		{`{"a":{},"b":2}`, `"a"`, `{}`, `,"b":2}`, true},
		{`{"a":[[1,2],{"b":["}","]"]}],"c":3}`, `"a"`, `[[1,2],{"b":["}","]"]}]`, `,"c":3}`, true},
	} {
		name, value, rest, ok := nextMember([]byte(c.text))
		if string(name) != c.name || string(value) != c.value || string(rest) != c.rest || ok != c.ok || ok && (rest == nil) != (c.rest == "") {
			t.Errorf("%s: %s %s %s %v", c.text, name, value, rest, ok)
		}
	}
	for text, want := range map[string]string{`{"id":"x"}`: `"x"`, `{"a":1,"id":"x","b":2}`: `"x"`, `{"a":{"id":1}}`: "none", `{"a":"id","b":"id"}`: "none",
		`{}`: "refused", `{"a":1`: "refused", `"id"`: "refused"} {
		id, ok := memberID([]byte(text))
		got := string(id)
		if !ok {
			got = "refused"
		} else if id == nil {
			got = "none"
		}
		if got != want {
			t.Errorf("the id of %s: %s, not %s", text, got, want)
		}
	}
	// What encoding/json writes is read back member by member.
	text := rapid.OneOf(rapid.StringMatching(`[a"\\{}\[\],:]{0,6}`), rapid.String())
	value := rapid.OneOf(rapid.Map(text, func(s string) any { return s }), rapid.Map(rapid.Int(), func(n int) any { return n }),
		rapid.Map(rapid.SliceOf(text), func(l []string) any { return l }), rapid.Map(rapid.MapOf(text, text), func(m map[string]string) any { return m }),
		rapid.Map(rapid.MapOf(text, rapid.SliceOf(text)), func(m map[string][]string) any { return []any{m, nil, true, m} }))
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOfN(text, value, 1, 5).Draw(t, "object")
		object, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := []byte{'{'}
		for rest := object; ; {
			name, value, next, ok := nextMember(rest)
			if !ok {
				t.Fatalf("%s is refused in %s", rest, object)
			}
			got = append(append(append(append(got, name...), ':'), value...), ',')
			if rest = next; rest == nil {
				break
			}
		}
		got[len(got)-1] = '}'
		if !bytes.Equal(got, object) {
			t.Fatalf("%s was read as %s", object, got)
		}
	})
}

// filled is a filter that has the first n bits of its array, and events.
func filled(n int, events int64) SearchFilter {
	f := SearchFilter{Realm: "main", First: 10, Last: 20, Events: events, MinTime: time.Unix(100, 0), MaxTime: time.Unix(200, 0), Bits: make([]byte, 8192)}
	for i := range n {
		f.Bits[i/8] |= 1 << (i % 8)
	}
	return f
}

func batchAt(position int64, lines ...string) *Batch {
	b := &Batch{Realm: "main", Position: position, Count: int64(len(lines)), MinTime: time.Unix(150, 0), MaxTime: time.Unix(150, 0)}
	for _, l := range lines {
		b.Data = append(append(b.Data, l...), '\n')
	}
	return b
}

const someLine = `{"id":"evt_1","kind":"key.create","actor":{"id":"usr_1"},"outcome":"success"}`

// TestFilterTakesItsNeighbours: a filter goes on with the batch beside it, in both directions, until half of its bits
// are set or it has 8192 events; and only what was made or changed is written again.
func TestFilterTakesItsNeighbours(t *testing.T) {
	const half = 32_768
	for name, c := range map[string]struct {
		last     SearchFilter
		position int64
		goesOn   bool
	}{
		"next":                  {filled(0, 1), 21, true},
		"before":                {filled(0, 1), 9, true},
		"a hole":                {filled(0, 1), 22, false},
		"a hole before":         {filled(0, 1), 8, false},
		"inside":                {filled(0, 1), 20, false},
		"nearly half":           {filled(half-1, 1), 21, true},
		"half":                  {filled(half, 1), 21, false},
		"more than half":        {filled(half+1, 1), 21, false},
		"room for one event":    {filled(0, 8191), 21, true},
		"as many as it can":     {filled(0, 8192), 21, false},
		"of another size":       {SearchFilter{Realm: "main", First: 10, Last: 20, Bits: make([]byte, 4096)}, 21, false},
		"of another size again": {SearchFilter{Realm: "main", First: 10, Last: 20, Bits: make([]byte, 8193)}, 21, false},
	} {
		var m filterMaker
		m.resume(c.last)
		if n := m.news(); len(n) != 0 {
			t.Errorf("%s: %d filters are to be written before anything changed", name, len(n))
		}
		m.add(batchAt(c.position, someLine))
		n := m.news()
		if len(n) != 1 {
			t.Errorf("%s: %d filters are to be written", name, len(n))
			continue
		}
		f, want := n[0], SearchFilter{First: c.position, Last: c.position, Events: 1}
		if c.goesOn {
			want.First, want.Last, want.Events = min(10, c.position), max(20, c.position), c.last.Events+1
		}
		if f.First != want.First || f.Last != want.Last || f.Events != want.Events || f.Realm != "main" {
			t.Errorf("%s: %d to %d with %d events", name, f.First, f.Last, f.Events)
		}
	}
	var m filterMaker // twice used: what was before is forgotten
	m.resume(filled(0, 1))
	m.add(batchAt(21, someLine))
	m.resume(SearchFilter{})
	if len(m.news()) != 0 || len(m.made) != 0 || m.set != 0 {
		t.Errorf("%+v", m)
	}
}

// TestFilterHoldsWhatWasAdded: also counts its own bits right, and covers the times of all of its batches.
func TestFilterHoldsWhatWasAdded(t *testing.T) {
	var m filterMaker
	m.resume(filled(5, 1))
	early, late := batchAt(21, someLine, `{"id":"evt_2","kind":"user.create","outcome":"failure"}`), batchAt(22, someLine)
	early.MinTime, late.MaxTime = time.Unix(50, 0), time.Unix(250, 0)
	m.add(early)
	m.add(late)
	f := &m.made[0]
	set := 0
	for _, b := range f.Bits {
		set += bits.OnesCount8(b)
	}
	if len(m.made) != 1 || f.Events != 4 || m.set != set || !f.MinTime.Equal(time.Unix(50, 0)) || !f.MaxTime.Equal(time.Unix(250, 0)) {
		t.Errorf("%d filters; %d events, %d bits counted of %d, from %s to %s", len(m.made), f.Events, m.set, set, f.MinTime, f.MaxTime)
	}
	for _, line := range []string{someLine, `{"id":"evt_2","kind":"user.create","outcome":"failure"}`} {
		facts, _ := lineFacts(nil, []byte(line))
		if len(facts) == 0 || f.lacks(facts) {
			t.Errorf("the filter does not hold %s", line)
		}
	}
	if !f.lacks([]fact{factOf(factActor, []byte(`"usr_2"`))}) {
		t.Error("the filter holds what nobody put into it")
	}
	// A line that nobody can read may be anything. The filter takes nothing more.
	m.add(batchAt(23, someLine, "?", someLine))
	if bytes.Count(f.Bits, []byte{0xff}) != 8192 || m.set != 65_536 || f.lacks([]fact{0, 1, 2}) {
		t.Errorf("%d bits", m.set)
	}
	m.add(batchAt(24, someLine))
	if len(m.made) != 2 || m.set > 100 || len(m.news()) != 2 {
		t.Errorf("%d filters, the last with %d bits", len(m.made), m.set)
	}
}

// TestFilterLacks: one bit that is missing is certain; so is one of several facts. A filter that cannot be read says
// nothing, and who asks for nothing gets everything.
func TestFilterLacks(t *testing.T) {
	a, b := factOf(factActor, []byte(`"usr_1"`)), factOf(factOutcome, []byte(`"success"`))
	f := filled(0, 0)
	for _, x := range []fact{a, b} {
		x.places(func(at uint32, bit byte) bool { f.Bits[at] |= bit; return true })
	}
	for _, facts := range [][]fact{nil, {a}, {b}, {a, b}, {b, a}} {
		if f.lacks(facts) {
			t.Errorf("%x: not there", facts)
		}
	}
	b.places(func(at uint32, bit byte) bool {
		g := f
		g.Bits = bytes.Clone(f.Bits)
		g.Bits[at] &^= bit
		for _, facts := range [][]fact{{b}, {a, b}, {b, a}} {
			if !g.lacks(facts) {
				t.Errorf("without bit %d of byte %d: %x are there", bit, at, facts)
			}
		}
		if g.lacks([]fact{a}) {
			t.Error("the other fact is gone")
		}
		return true
	})
	for _, size := range []int{0, 1, 8191, 8193, 16_384} {
		if (&SearchFilter{Bits: make([]byte, size)}).lacks([]fact{a}) {
			t.Errorf("a filter of %d bytes, which is not ours, was believed", size)
		}
	}
}
