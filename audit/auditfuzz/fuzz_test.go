package auditfuzz

import (
	"bytes"
	"crypto/ed25519"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// Whatever strings an attacker gets into an event: one line, that decodes, and
// whose content does not change when it is encoded again.
func FuzzEncode(f *testing.F) {
	f.Add("main", "a.b", "/path", "note", "key", "value", 3, int64(7))
	f.Add("0", "0", "0", "\x80", "\xcf", "0", 3, int64(7)) // halves of one character
	f.Add("r", "k", "/\n\r\x00\u2028\u202e", "\xff\xc3", "~1_", "\\\"", -1, int64(-1))
	f.Add("0", "0", "0", "~", "~8_~", "~", 3, int64(75)) // looks like a name of our making
	f.Add("0", "0", "0", "~1_\ufffd", "\xff", "~", 3, int64(75))
	f.Fuzz(func(t *testing.T, realm, kind, path, note, key, value string, status int, bytesOut int64) {
		e := gatehouse.Event{ID: "evt_1", Time: time.Unix(1_700_000_000, 0).UTC(), Realm: realm, Kind: kind, Path: path, Status: status, Bytes: bytesOut,
			Actor: gatehouse.Actor{Name: note, ID: value}, Target: gatehouse.Target{ID: path}, Outcome: gatehouse.Outcome(value),
			Chain:  []gatehouse.Step{{Name: key, Note: note, Reasons: []gatehouse.Reason{{PolicyID: key, Note: value}}}},
			Detail: map[string]string{key: value, key + "2": note, note: key}}
		b, err := audit.Encode([]gatehouse.Event{e, e}, nil)
		if err != nil {
			if realm != "" && kind != "" {
				t.Fatal(err)
			}
			return
		}
		if bytes.Count(b.Data, []byte{'\n'}) != 2 || !utf8.Valid(b.Data) {
			t.Fatalf("%q", b.Data)
		}
		for _, c := range bytes.ReplaceAll(b.Data, []byte{'\n'}, nil) {
			if c < 0x20 || c == 0x7f {
				t.Fatalf("control character in %q", b.Data)
			}
		}
		// A realm that had to be repaired or cut is another realm to Decode.
		if !utf8.ValidString(realm) || len(realm) > 128 {
			return
		}
		once, err := audit.Decode(b)
		if err != nil {
			t.Fatalf("%v\n%q", err, b.Data)
		}
		again, err := audit.Encode(once, nil)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := audit.Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		// What was cut is longer by its mark, and a byte that was no character became
		// three, so only short events are stable.
		if len(note)+len(key)+len(value)+len(path)+len(kind) < 40 && !reflect.DeepEqual(once, twice) {
			t.Fatalf("%+v\n%+v", once, twice)
		}
	})
}

// Decoding never panics, and what it accepts can be encoded and decoded again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"evt_1","time":"2026-01-02T03:04:05.000006Z","realm":"main","kind":"a.b","outcome":"success"}`+"\n"), int64(1))
	f.Add([]byte("{}\n{}\n"), int64(2))
	f.Fuzz(func(t *testing.T, data []byte, count int64) {
		events, err := audit.Decode(audit.Batch{Realm: "main", Count: count, Data: data})
		if err != nil {
			return
		}
		if int64(len(events)) != count {
			t.Fatalf("%d events of %d", len(events), count)
		}
		b, err := audit.Encode(events, nil)
		if err != nil {
			return // lacks an id, a kind or a usable time
		}
		if _, err := audit.Decode(b); err != nil {
			t.Fatalf("%v\n%q", err, b.Data)
		}
	})
}

// Nothing but what the key signed opens.
func FuzzOpen(f *testing.F) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)).Public().(ed25519.PublicKey)
	k, err := audit.NewKey("main", key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("h/main\n5\n"+tlog.Hash{}.String()+"\n\n— h/main AAAAAAAA\n"), "{}")
	f.Fuzz(func(t *testing.T, note []byte, line string) {
		if c, err := k.Open(note); err == nil {
			t.Fatalf("forged %+v", c)
		}
		_, _ = audit.CheckInclusion(k, audit.Inclusion{Checkpoint: string(note), Line: line})
	})
}
