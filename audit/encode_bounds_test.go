package audit_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// These tests spell the bounds out as numbers: stored lines were cut at them, and readers outside rely on them.
const (
	longestLine  = 65_536
	largestBatch = 16_777_216
)

// written is what a reader of the log sees of e.
func written(t *testing.T, e gatehouse.Event) gatehouse.Event {
	t.Helper()
	b, err := audit.Encode([]gatehouse.Event{e}, nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := audit.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return back[0]
}

// TestTimesThatCanBeWritten: a time is a year of four digits in UTC, wherever the clock stands, and no clock that was
// never set.
func TestTimesThatCanBeWritten(t *testing.T) {
	east, west := time.FixedZone("", 5*3600), time.FixedZone("", -5*3600)
	for _, c := range []struct {
		at time.Time
		ok bool
	}{
		{time.Time{}, false},
		{time.Unix(0, 0), false},
		{time.Unix(0, 999_999_000), false},
		{time.Unix(1, 0), true},
		{time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), true},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{time.Date(9999, 12, 31, 23, 0, 0, 0, west), false}, // is in the year 10000 in UTC
		{time.Date(10000, 1, 1, 0, 0, 0, 0, east), true},    // is in the year 9999 in UTC
	} {
		e := full()
		e.Time = c.at
		b, err := audit.Encode([]gatehouse.Event{e}, nil)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.at, err)
		}
		if err != nil {
			continue
		}
		if back, err := audit.Decode(b); err != nil || !back[0].Time.Equal(c.at) || !b.MinTime.Equal(c.at) || !b.MaxTime.Equal(c.at) {
			t.Errorf("%s became %v, from %s to %s: %v", c.at, back, b.MinTime, b.MaxTime, err)
		}
	}
}

// TestBoundOfEachMember: the longest value of each member is kept, one byte more is cut and says so.
func TestBoundOfEachMember(t *testing.T) {
	for name, c := range map[string]struct {
		limit int
		of    func(*gatehouse.Event) *string
	}{
		"id":           {128, func(e *gatehouse.Event) *string { return &e.ID }},
		"kind":         {128, func(e *gatehouse.Event) *string { return &e.Kind }},
		"actor kind":   {128, func(e *gatehouse.Event) *string { return (*string)(&e.Actor.Kind) }},
		"actor id":     {256, func(e *gatehouse.Event) *string { return &e.Actor.ID }},
		"actor name":   {256, func(e *gatehouse.Event) *string { return &e.Actor.Name }},
		"credential":   {256, func(e *gatehouse.Event) *string { return &e.Actor.Credential }},
		"scheme":       {128, func(e *gatehouse.Event) *string { return (*string)(&e.Actor.Scheme) }},
		"target type":  {128, func(e *gatehouse.Event) *string { return &e.Target.Type }},
		"target id":    {256, func(e *gatehouse.Event) *string { return &e.Target.ID }},
		"outcome":      {128, func(e *gatehouse.Event) *string { return (*string)(&e.Outcome) }},
		"reason":       {128, func(e *gatehouse.Event) *string { return &e.Reason }},
		"request":      {128, func(e *gatehouse.Event) *string { return &e.RequestID }},
		"address":      {128, func(e *gatehouse.Event) *string { return &e.Address }},
		"method":       {128, func(e *gatehouse.Event) *string { return &e.Method }},
		"host":         {256, func(e *gatehouse.Event) *string { return &e.Host }},
		"path":         {1024, func(e *gatehouse.Event) *string { return &e.Path }},
		"route":        {256, func(e *gatehouse.Event) *string { return &e.Route }},
		"step":         {128, func(e *gatehouse.Event) *string { return &e.Chain[1].Name }},
		"step outcome": {128, func(e *gatehouse.Event) *string { return (*string)(&e.Chain[1].Outcome) }},
		"step code":    {128, func(e *gatehouse.Event) *string { return &e.Chain[1].Code }},
		"step note":    {512, func(e *gatehouse.Event) *string { return &e.Chain[1].Note }},
		"policy":       {256, func(e *gatehouse.Event) *string { return &e.Chain[1].Reasons[0].PolicyID }},
		"effect":       {128, func(e *gatehouse.Event) *string { return &e.Chain[1].Reasons[0].Effect }},
		"reason note":  {512, func(e *gatehouse.Event) *string { return &e.Chain[1].Reasons[0].Note }},
	} {
		e := full()
		value := c.of(&e)
		for _, more := range []int{0, 1} {
			*value = strings.Repeat("v", c.limit+more)
			want := strings.Repeat("v", c.limit) + strings.Repeat("…", more)
			got := written(t, e)
			if text := *c.of(&got); text != want {
				t.Errorf("%s of %d bytes: %d bytes are left, ending in %q", name, c.limit+more, len(text), text[max(0, len(text)-5):])
			}
		}
	}
	// A realm that was cut would be another realm.
	long := strings.Repeat("r", 128)
	e := full()
	e.Realm = long
	if got := written(t, e); got.Realm != long {
		t.Errorf("a realm of 128 bytes became %q", got.Realm)
	}
	e = full()
	e.Detail = map[string]string{"full": strings.Repeat("v", 512), "over": strings.Repeat("v", 513),
		strings.Repeat("k", 128): "1", strings.Repeat("l", 129): "2"}
	want := map[string]string{"full": strings.Repeat("v", 512), "over": strings.Repeat("v", 512) + "…",
		strings.Repeat("k", 128): "1", "~1_" + strings.Repeat("l", 42): "2"}
	if got := written(t, e); !reflect.DeepEqual(got.Detail, want) {
		t.Errorf("details: %v", got.Detail)
	}
}

// TestCutBetweenCharacters: a value is cut before a character that does not fit whole, and of bytes that are no
// characters no more is taken away than could have been the beginning of one.
func TestCutBetweenCharacters(t *testing.T) {
	for _, c := range []struct{ reason, want string }{
		{strings.Repeat("a", 127) + "ä", strings.Repeat("a", 127) + "…"},
		{strings.Repeat("a", 126) + "äb", strings.Repeat("a", 126) + "ä…"},
		{strings.Repeat("a", 127) + "世", strings.Repeat("a", 127) + "…"},
		{strings.Repeat("a", 126) + "世", strings.Repeat("a", 126) + "…"},
		{strings.Repeat("a", 125) + "世b", strings.Repeat("a", 125) + "世…"},
		{strings.Repeat("a", 127) + "😀", strings.Repeat("a", 127) + "…"},
		{strings.Repeat("a", 126) + "😀", strings.Repeat("a", 126) + "…"},
		{strings.Repeat("a", 125) + "😀", strings.Repeat("a", 125) + "…"},
		{strings.Repeat("a", 124) + "😀b", strings.Repeat("a", 124) + "😀…"},
		{strings.Repeat("a", 125) + "\ufffdb", strings.Repeat("a", 125) + "\ufffd…"}, // is a character
		{strings.Repeat("\xff", 300), strings.Repeat("\ufffd", 125) + "…"},
		{"\xff" + strings.Repeat("a", 128), "\ufffd" + strings.Repeat("a", 127) + "…"},
	} {
		e := full()
		e.Reason = c.reason
		if got := written(t, e); got.Reason != c.want {
			t.Errorf("%q became %q", c.reason, got.Reason)
		}
	}
}

// TestMisleadingCharactersAreEscaped: nothing in a value ends its line, acts on a terminal or turns the text around;
// the characters beside those are written as they are.
//
// ASVS: 16.4.1
func TestMisleadingCharactersAreEscaped(t *testing.T) {
	escaped := map[string]string{"\n": `\n`, "\r": `\r`, "\t": `\t`, `"`: `\"`, `\`: `\\`, "\xff": "\ufffd", "\x80": "\ufffd", "\xc3(": "\ufffd("}
	for _, span := range [][2]rune{{0, 8}, {0xb, 0xc}, {0xe, 0x1f}, {0x7f, 0x9f}, {0x61c, 0x61c}, {0x200e, 0x200f}, {0x2028, 0x202e},
		{0x2066, 0x2069}, {0xfeff, 0xfeff}} {
		for r := span[0]; r <= span[1]; r++ {
			escaped[string(r)] = fmt.Sprintf(`\u%04x`, r)
		}
	}
	for _, r := range []rune{' ', '!', '#', '[', ']', '~', 0xa0, 0x61b, 0x61d, 0x200d, 0x2010, 0x2027, 0x202f, 0x2065, 0x206a, 0xfefe,
		0xff00, 0xfffd, 0x1fe00, 0x12028, 0x10ffff} {
		escaped[string(r)] = string(r)
	}
	for text, want := range escaped {
		e := full()
		e.Reason = "a" + text + "b" + text
		line := audit.AppendEvent(nil, &e)
		if member := `"reason":"a` + want + "b" + want + `",`; !bytes.Contains(line, []byte(member)) {
			t.Errorf("%q: %s is not in %s", text, member, line)
		}
	}
}

// lineOf returns an event whose line has n bytes.
func lineOf(t *testing.T, n int) gatehouse.Event {
	t.Helper()
	e := full()
	e.Chain, e.Detail = nil, map[string]string{"a": "", "b": "", "c": ""}
	size := func() int { return len(audit.AppendEvent(nil, &e)) }
	for len(e.Chain) < 32 && size() < n-1200 {
		e.Chain = append(e.Chain, gatehouse.Step{Name: "authorize"})
		s := &e.Chain[len(e.Chain)-1]
		for len(s.Reasons) < 16 && size() < n-1200 {
			s.Reasons = append(s.Reasons, gatehouse.Reason{PolicyID: "p", Note: strings.Repeat("n", 512)})
		}
	}
	for _, k := range []string{"a", "b", "c"} {
		e.Detail[k] = strings.Repeat("v", max(0, min(512, n-size())))
	}
	return e
}

// TestLongestLine: a line may have 64 KiB. What is longer loses its chain and details, which alone can be that long,
// and says so; who did what stays, and whatever stood before the line.
func TestLongestLine(t *testing.T) {
	e := lineOf(t, longestLine)
	before := []byte("an earlier line\n")
	line := audit.AppendEvent(bytes.Clone(before), &e)
	if len(line) != len(before)+longestLine || !bytes.HasPrefix(line, before) {
		t.Fatalf("%d bytes", len(line))
	}
	if got := written(t, e); !reflect.DeepEqual(got, e) {
		t.Errorf("the longest line lost something: %v", got.Detail)
	}
	over := e
	over.Host += "x"
	want := over
	want.Chain, want.Detail = nil, map[string]string{"truncated": "true"}
	if got := written(t, over); !reflect.DeepEqual(got, want) {
		t.Errorf("one byte more: %+v", got)
	}
	if line := audit.AppendEvent(bytes.Clone(before), &over); !bytes.HasPrefix(line, append(before, '{')) {
		t.Errorf("what stood before the line became %q", line[:20])
	}
	// What is stored is read up to the same length.
	stored := append(line[len(before):], ' ', '\n')
	if _, err := audit.Decode(audit.Batch{Realm: "main", Count: 1, Data: stored}); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a line of %d bytes: %v", longestLine+1, err)
	}
}

// TestLargestBatch: a batch may have 16 MiB, and not a byte more.
func TestLargestBatch(t *testing.T) {
	events := make([]gatehouse.Event, largestBatch/longestLine)
	e := lineOf(t, longestLine-1) // and a newline
	for i := range events {
		events[i] = e
	}
	if b, err := audit.Encode(events, nil); err != nil || len(b.Data) != largestBatch || b.Count != int64(len(events)) {
		t.Errorf("%d bytes, %d events: %v", len(b.Data), b.Count, err)
	}
	events[3].Host += "x"
	if _, err := audit.Encode(events, nil); err == nil {
		t.Error("a batch of one byte too much was encoded")
	}
}

// TestBoundsOfLists: as many steps, reasons and details as fit are kept without a word; of more the first ones are
// kept, in their order (details sorted by key), and "truncated" says so.
func TestBoundsOfLists(t *testing.T) {
	steps := func(n, reasons int) (list []gatehouse.Step) {
		for i := range n {
			s := gatehouse.Step{Name: fmt.Sprint("s", i), Outcome: "success"}
			for j := range reasons {
				s.Reasons = append(s.Reasons, gatehouse.Reason{PolicyID: fmt.Sprint("p", j), Effect: "permit"})
			}
			list = append(list, s)
		}
		return list
	}
	details := func(n int, more ...string) map[string]string {
		all := map[string]string{}
		for i := range n {
			all[fmt.Sprintf("k%02d", i)] = "v"
		}
		for _, k := range more {
			all[k] = "true"
		}
		return all
	}
	none := map[string]string(nil)
	cut := map[string]string{"truncated": "true"}
	mine := map[string]string{"truncated": "mine"}
	for name, c := range map[string]struct {
		chain, wantChain   []gatehouse.Step
		detail, wantDetail map[string]string
	}{
		"nothing":               {nil, nil, none, none},
		"32 steps":              {steps(32, 0), steps(32, 0), none, none},
		"33 steps":              {steps(33, 0), steps(32, 0), none, cut},
		"16 reasons":            {steps(2, 16), steps(2, 16), details(1), details(1)},
		"17 reasons":            {steps(2, 17), steps(2, 16), details(1), details(1, "truncated")},
		"32 details":            {steps(1, 1), steps(1, 1), details(32), details(32)},
		"33 details":            {steps(1, 1), steps(1, 1), details(33), details(32, "truncated")},
		"steps and details":     {steps(33, 1), steps(32, 1), details(33), details(32, "truncated")},
		"own word, nothing cut": {steps(1, 0), steps(1, 0), mine, mine},
		"own word, and cut":     {steps(33, 0), steps(32, 0), mine, cut},
		"own word between others": {steps(33, 0), steps(32, 0), map[string]string{"a": "true", "truncated": "mine", "z": "true"},
			map[string]string{"a": "true", "truncated": "true", "z": "true"}},
	} {
		e := full()
		e.Chain, e.Detail = c.chain, c.detail
		got := written(t, e)
		if !reflect.DeepEqual(got.Chain, c.wantChain) || !reflect.DeepEqual(got.Detail, c.wantDetail) {
			t.Errorf("%s: %d steps, details %v", name, len(got.Chain), got.Detail)
		}
	}
}

// TestBatchSaysWhatItHolds: the columns of a batch, by which stores search, name a value only when every event has it
// exactly; "" says that one must look.
func TestBatchSaysWhatItHolds(t *testing.T) {
	of := func(kind, actor, target string, second int) gatehouse.Event {
		e := full()
		e.Kind, e.Actor.ID, e.Target.ID, e.Time = kind, actor, target, epoch.Add(time.Duration(second)*time.Second)
		return e
	}
	for name, c := range map[string]struct {
		events              []gatehouse.Event
		kind, actor, target string
		from, to            int
	}{
		"one":             {[]gatehouse.Event{of("a.b", "usr_1", "t", 5)}, "a.b", "usr_1", "t", 5, 5},
		"alike":           {[]gatehouse.Event{of("a.b", "usr_1", "t", 5), of("a.b", "usr_1", "t", 5)}, "a.b", "usr_1", "t", 5, 5},
		"kinds differ":    {[]gatehouse.Event{of("a.b", "usr_1", "t", 5), of("a.c", "usr_1", "t", 9), of("a.b", "usr_1", "t", 2)}, "", "usr_1", "t", 2, 9},
		"actors differ":   {[]gatehouse.Event{of("a.b", "usr_1", "t", 5), of("a.b", "usr_2", "t", 2), of("a.b", "usr_2", "t", 9)}, "a.b", "", "t", 2, 9},
		"targets differ":  {[]gatehouse.Event{of("a.b", "usr_1", "t", 9), of("a.b", "usr_1", "", 2), of("a.b", "usr_1", "t", 5)}, "a.b", "usr_1", "", 2, 9},
		"longest":         {[]gatehouse.Event{of(strings.Repeat("k", 128), strings.Repeat("u", 256), strings.Repeat("t", 256), 0)}, strings.Repeat("k", 128), strings.Repeat("u", 256), strings.Repeat("t", 256), 0, 0},
		"cut in the line": {[]gatehouse.Event{of(strings.Repeat("k", 129), strings.Repeat("u", 257), strings.Repeat("t", 257), 0)}, "", "", "", 0, 0},
		"repaired":        {[]gatehouse.Event{of("a\xff", "u\xff", "t\xff", 0)}, "", "", "", 0, 0},
		"escaped":         {[]gatehouse.Event{of("a\n", "u\"", "t\u202e", 0)}, "a\n", "u\"", "t\u202e", 0, 0},
	} {
		b, err := audit.Encode(c.events, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b.Kind != c.kind || b.ActorID != c.actor || b.TargetID != c.target || b.Count != int64(len(c.events)) {
			t.Errorf("%s: kind %q, actor %q, target %q, %d events", name, b.Kind, b.ActorID, b.TargetID, b.Count)
		}
		if from, to := b.MinTime.Sub(epoch), b.MaxTime.Sub(epoch); from != time.Duration(c.from)*time.Second || to != time.Duration(c.to)*time.Second {
			t.Errorf("%s: from %s to %s", name, from, to)
		}
	}
}

// TestComplete: what the event has is kept, and a new id tells the time of the event.
func TestComplete(t *testing.T) {
	e := gatehouse.Event{ID: "evt_mine", Time: epoch}
	if audit.Complete(&e, epoch.Add(time.Hour)); e.ID != "evt_mine" || !e.Time.Equal(epoch) {
		t.Errorf("%+v", e)
	}
	e = gatehouse.Event{Time: epoch}
	audit.Complete(&e, epoch.Add(time.Hour))
	if at, ok := gatehouse.IDTime(e.ID); !ok || !at.Equal(epoch) || !strings.HasPrefix(e.ID, "evt_") {
		t.Errorf("%+v", e)
	}
}

// TestDecodeCountsLines: a batch without events is decoded to none; a batch never gets more or fewer than it says.
func TestDecodeCountsLines(t *testing.T) {
	e := full()
	line := string(audit.AppendEvent(nil, &e)) + "\n"
	for _, c := range []struct {
		data  string
		count int64
		ok    bool
	}{
		{"", 0, true}, {"", 1, false}, {line, 0, false}, {line, 1, true}, {line, 2, false}, {line + line, 2, true}, {line + line, 1, false},
		{line, -1, false}, {line, 1 << 62, false}, {line + "\n", 2, false}, {"\n", 1, false},
	} {
		events, err := audit.Decode(audit.Batch{Realm: "main", Count: c.count, Data: []byte(c.data)})
		if (err == nil) != c.ok || c.ok && int64(len(events)) != c.count {
			t.Errorf("%d lines as %d events: %d events, %v", strings.Count(c.data, "\n"), c.count, len(events), err)
		}
	}
}
