package audit_test

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

func full() gatehouse.Event {
	return gatehouse.Event{
		ID: "evt_01", Time: epoch.Add(123456 * time.Microsecond), Realm: "main", Kind: audit.KindRequestDecide,
		Actor:   gatehouse.Actor{Kind: gatehouse.KindUser, ID: "usr_1", Name: "Bob \"the\" Builder", Credential: "key_1", Scheme: gatehouse.SchemeAPIKey},
		Target:  gatehouse.Target{Type: "Document", ID: "42"},
		Outcome: gatehouse.OutcomeFailure, Reason: "insufficient_scope", RequestID: "req_01", Address: "2001:db8::1", Method: "GET",
		Host: "api.example", Path: "/documents/42", Route: "GET /documents/{id}", Status: 403, Bytes: 1234567890123, Micros: 87,
		Chain: []gatehouse.Step{
			{Name: "match", Outcome: gatehouse.OutcomeSuccess},
			{Name: "authorize", Outcome: gatehouse.OutcomeFailure, Code: "forbidden", Note: "a\tb", Reasons: []gatehouse.Reason{
				{PolicyID: "p#1", Effect: "forbid", Note: "n"}, {PolicyID: "p#2", Effect: "permit"}}},
		},
		Detail: map[string]string{"b": "2", "a": "1", "": "nameless"},
	}
}

// The encoder must say what encoding/json says.
//
// ASVS: 16.2.4, 16.4.1
func TestAppendEventEqualsEncodingJSON(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z]{0,5}`), rapid.SampledFrom([]string{"", "\"", "\\", "\x00\x1f\x7f", "a\r\nb",
		"\u2028\u202e", "<&>", "\xff\xfe", "a\xc3", "世界", "\U0001f600", "\ufffd", "\u0085"}))
	rapid.Check(t, func(t *rapid.T) {
		s := func(name string) string { return text.Draw(t, name) }
		e := gatehouse.Event{
			ID: s("id"), Time: time.UnixMicro(rapid.Int64Range(1_000_000, 253402300799_000000).Draw(t, "time")).UTC(), Realm: s("realm"), Kind: s("kind"),
			Actor: gatehouse.Actor{Kind: gatehouse.PrincipalKind(s("akind")), ID: s("aid"), Name: s("aname"), Credential: s("acred"),
				Scheme: gatehouse.Scheme(s("ascheme"))},
			Target: gatehouse.Target{Type: s("ttype"), ID: s("tid")}, Outcome: gatehouse.Outcome(s("outcome")), Reason: s("reason"),
			RequestID: s("req"), Address: s("addr"), Method: s("method"), Host: s("host"), Path: s("path"), Route: s("route"),
			Status: rapid.Int().Draw(t, "status"), Bytes: rapid.Int64().Draw(t, "bytes"), Micros: rapid.Int64().Draw(t, "micros"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "steps") {
			st := gatehouse.Step{Name: s("step"), Outcome: gatehouse.Outcome(s("so")), Code: s("code"), Note: s("note")}
			for range rapid.IntRange(0, 2).Draw(t, "reasons") {
				st.Reasons = append(st.Reasons, gatehouse.Reason{PolicyID: s("policy"), Effect: s("effect"), Note: s("rnote")})
			}
			e.Chain = append(e.Chain, st)
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "details") {
			if e.Detail == nil {
				e.Detail = map[string]string{}
			}
			e.Detail[fmt.Sprintf("k%d%s", i, strings.ToValidUTF8(s("key"), ""))] = s("value")
		}
		line := audit.AppendEvent(nil, &e)
		oracle, err := stdjson.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var got, want gatehouse.Event
		if err := stdjson.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if err := stdjson.Unmarshal(oracle, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v\nline %s", got, want, line)
		}
		safeLine(t, line)
	})
}

func safeLine(t interface{ Fatalf(string, ...any) }, line []byte) {
	if !utf8.Valid(line) {
		t.Fatalf("not UTF-8: %q", line)
	}
	for _, r := range string(line) {
		if r < 0x20 || r >= 0x7f && r <= 0x9f || r == 0x2028 || r == 0x2029 || r == 0x202e {
			t.Fatalf("%U in %q", r, line)
		}
	}
}

func TestEncodeDecode(t *testing.T) {
	a, b := full(), full()
	b.Kind, b.Actor.ID, b.Time = audit.KindKeyRevoke, "usr_2", a.Time.Add(-time.Hour)
	got, err := audit.Encode([]gatehouse.Event{a, b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Count != 2 || got.FirstIndex != -1 || got.Realm != "main" || !got.MinTime.Equal(b.Time) || !got.MaxTime.Equal(a.Time) ||
		got.Kind != "" || got.ActorID != "" || got.TargetID != "42" || bytes.Count(got.Data, []byte("\n")) != 2 {
		t.Errorf("%+v", got)
	}
	if at, ok := gatehouse.IDTime(got.ID); !ok || !at.Equal(b.Time.Truncate(time.Millisecond)) {
		t.Errorf("batch id %s", got.ID)
	}
	back, err := audit.Decode(got)
	if err != nil || !reflect.DeepEqual(back, []gatehouse.Event{a, b}) {
		t.Errorf("%v\n%+v", err, back)
	}
	again, _ := audit.Encode(back, nil)
	if !bytes.Equal(again.Data, got.Data) {
		t.Error("encoding is not canonical")
	}
	for name, damage := range map[string]func(*audit.Batch){
		"count":      func(b *audit.Batch) { b.Count = 3 },
		"huge count": func(b *audit.Batch) { b.Count = 1 << 60 },
		"negative":   func(b *audit.Batch) { b.Count = -1 },
		"realm":      func(b *audit.Batch) { b.Realm = "other" },
		"garbage":    func(b *audit.Batch) { b.Data = []byte("{}\nxx\n") },
		"two ids":    func(b *audit.Batch) { b.Count = 1; b.Data = []byte(`{"id":"a","id":"b","realm":"main"}` + "\n") },
	} {
		d := got
		damage(&d)
		if _, err := audit.Decode(d); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
	for name, bad := range map[string][]gatehouse.Event{
		"none": nil, "no id": {{Time: epoch, Realm: "r", Kind: "k"}}, "no time": {{ID: "i", Realm: "r", Kind: "k"}},
		"no realm": {{ID: "i", Time: epoch, Kind: "k"}}, "no kind": {{ID: "i", Time: epoch, Realm: "r"}},
		"two realms": {a, {ID: "i", Time: epoch, Realm: "r", Kind: "k"}},
	} {
		if _, err := audit.Encode(bad, nil); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	var e gatehouse.Event
	audit.Complete(&e, epoch)
	if e.ID == "" || !e.Time.Equal(epoch) {
		t.Errorf("%+v", e)
	}
}

func TestEventsAreBounded(t *testing.T) {
	e := full()
	e.Path = "/" + strings.Repeat("ä", 5000)
	e.Actor.Name = strings.Repeat("\xff", 5000)
	line := audit.AppendEvent(nil, &e)
	var got gatehouse.Event
	if err := stdjson.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Path) > 1100 || !strings.HasSuffix(got.Path, "ä…") || strings.Contains(got.Path, "\ufffd") {
		t.Errorf("path of %d bytes ends in %q", len(got.Path), got.Path[len(got.Path)-8:])
	}
	// The chain as large as it gets: all control characters, six bytes each.
	evil := strings.Repeat("\x01", 4000)
	for range 100 {
		st := gatehouse.Step{Name: evil, Code: evil, Note: evil}
		for range 100 {
			st.Reasons = append(st.Reasons, gatehouse.Reason{PolicyID: evil, Effect: evil, Note: evil})
		}
		e.Chain = append(e.Chain, st)
		e.Detail[fmt.Sprint(len(e.Chain))+evil] = evil
	}
	for _, p := range []*string{&e.ID, &e.Realm, &e.Kind, &e.Actor.ID, &e.Actor.Credential, &e.Target.Type, &e.Target.ID, &e.Reason,
		&e.RequestID, &e.Address, &e.Method, &e.Host, &e.Path, &e.Route} {
		*p = evil
	}
	line = audit.AppendEvent(nil, &e)
	got = gatehouse.Event{}
	if err := stdjson.Unmarshal(line, &got); err != nil || len(line) > audit.MaxLine || got.Detail["truncated"] != "true" || got.Status != 403 {
		t.Errorf("%d bytes, %v, %v", len(line), err, got.Detail)
	}
	few := full()
	few.Detail = map[string]string{"truncated": "mine"}
	for i := range 40 {
		few.Detail[fmt.Sprint(i)] = "v"
	}
	got = gatehouse.Event{}
	if err := stdjson.Unmarshal(audit.AppendEvent(nil, &few), &got); err != nil || got.Detail["truncated"] != "true" || len(got.Detail) > 33 || len(got.Chain) != 2 {
		t.Errorf("%v %v", err, got.Detail)
	}
	keys := full()
	keys.Detail = map[string]string{"\xff": "a", "\xfe": "b", "~1_\ufffd": "c", strings.Repeat("k", 300): "d", strings.Repeat("k", 300) + "2": "e"}
	collide := full() // the second key is repaired to the text of the first
	collide.Detail = map[string]string{"~1_\ufffd": "c", "\xff": "a"}
	cutAlike := full() // a key that, cut at a character, would be as long as one that is not
	cutAlike.Detail = map[string]string{strings.Repeat("a", 122) + "\U0001F600" + strings.Repeat("b", 20): "x",
		"~1_" + strings.Repeat("a", 122) + "…": "y", "~1_" + strings.Repeat("a", 42): "z"}
	b, err := audit.Encode([]gatehouse.Event{keys, collide, cutAlike}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := audit.Decode(b); err != nil || len(back[0].Detail) != 5 || len(back[1].Detail) != 2 || len(back[2].Detail) != 3 {
		t.Errorf("keys that become equal: %v", err)
	}
}

func TestAppendEventAllocates(t *testing.T) {
	e := full()
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(500, func() { audit.AppendEvent(buf, &e) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	e := full()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = audit.AppendEvent(buf[:0], &e)
	}
	b.ReportMetric(float64(len(buf)), "bytes/event")
}
