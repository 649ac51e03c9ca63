package audit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
)

// Bounds of one event. What is longer is cut and ends in "…"; steps, reasons and
// details beyond the number are left out and "truncated" says so in Detail.
const (
	maxID      = 128
	maxName    = 256
	maxPath    = 1024
	maxNote    = 512
	maxSteps   = 32
	maxReasons = 16
	maxDetails = 32

	// MaxLine bounds the JSON of one event, without the newline.
	MaxLine = 64 << 10
	// MaxBatch bounds Data of one batch.
	MaxBatch = 16 << 20
)

const cutMark = "…"

// Encode turns events of one realm into a batch with a fresh ID: one line of
// JSON per event, in the given order. Times are kept in UTC to the microsecond.
//
// Every event must have ID, Time, Realm and Kind: the caller sets an empty ID
// and Time with [Complete], from its own clock. An empty list, two realms in one
// list, or a missing member is an error, because a log must not guess.
//
// What the events tell of people is sealed under the keys that persons gives; nil: it is written in clear.
func Encode(events []gatehouse.Event, persons Persons) (Batch, error) {
	if len(events) == 0 {
		return Batch{}, errors.New("audit: no events to encode")
	}
	var s span
	data := make([]byte, 0, len(events)*640)
	for i := range events {
		e := &events[i]
		if err := check(e); err != nil {
			return Batch{}, err
		}
		if e.Realm != events[0].Realm {
			return Batch{}, fmt.Errorf("audit: a batch of realm %q holds an event of realm %q", events[0].Realm, e.Realm)
		}
		data = append(appendSealed(data, e, persons), '\n')
		s.add(e)
	}
	if len(data) > MaxBatch {
		return Batch{}, fmt.Errorf("audit: batch of %d bytes is larger than %d", len(data), MaxBatch)
	}
	return s.batch(events[0].Realm, data), nil
}

// Complete sets ID and Time of e when they are empty.
func Complete(e *gatehouse.Event, now time.Time) {
	if e.Time.IsZero() {
		e.Time = now
	}
	if e.ID == "" {
		e.ID = gatehouse.NewID("evt", e.Time)
	}
}

func check(e *gatehouse.Event) error {
	switch {
	case e.ID == "" || e.Kind == "" || e.Realm == "":
		return fmt.Errorf("audit: event %q of kind %q in realm %q lacks a member", e.ID, e.Kind, e.Realm)
	case !validTime(e.Time):
		return fmt.Errorf("audit: event %q has no usable time", e.ID)
	}
	return nil
}

// validTime: lines have room for a year of four digits, in UTC.
func validTime(t time.Time) bool { return t.Unix() > 0 && t.UTC().Year() <= 9999 }

// span gathers what a batch says about all of its events.
type span struct {
	count               int64
	min, max            time.Time
	kind, actor, target string
}

func (s *span) add(e *gatehouse.Event) {
	t := e.Time.UTC().Truncate(time.Microsecond)
	if s.count == 0 {
		s.min, s.max = t, t
		s.kind, s.actor, s.target = e.Kind, e.Actor.ID, e.Target.ID
	} else {
		if t.Before(s.min) {
			s.min = t
		}
		if t.After(s.max) {
			s.max = t
		}
		if s.kind != e.Kind {
			s.kind = ""
		}
		if s.actor != e.Actor.ID {
			s.actor = ""
		}
		if s.target != e.Target.ID {
			s.target = ""
		}
	}
	s.count++
}

func (s *span) batch(realm string, data []byte) Batch {
	return Batch{
		ID: gatehouse.NewID(batchID, s.min), Realm: realm, FirstIndex: -1, Count: s.count, MinTime: s.min, MaxTime: s.max,
		Kind: clip(s.kind, maxID), ActorID: clip(s.actor, maxName), TargetID: clip(s.target, maxName), Data: data,
	}
}

// clip gives a column "" (mixed) rather than a value that differs from the line.
func clip(s string, limit int) string {
	if len(s) > limit || !utf8.ValidString(s) {
		return ""
	}
	return s
}

// Decode returns the events of a batch in order. It refuses a batch whose lines
// do not match its count, or are not events of its realm.
func Decode(b Batch) ([]gatehouse.Event, error) {
	all, err := split(&b)
	if err != nil {
		return nil, err
	}
	out := make([]gatehouse.Event, len(all))
	for i, line := range all {
		if out[i], err = decodeLine(b.Realm, line); err != nil {
			return nil, lineError(&b, int64(i), err)
		}
	}
	return out, nil
}

// lines yields each line of data without its newline. A last line without a
// newline is yielded too; decoding or hashing then finds the difference.
func lines(data []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(data) > 0 {
			line, rest, _ := bytes.Cut(data, []byte{'\n'})
			if !yield(line) {
				return
			}
			data = rest
		}
	}
}

func decodeLine(realm string, line []byte) (e gatehouse.Event, err error) {
	if len(line) > MaxLine {
		return e, fmt.Errorf("line of %d bytes is too long", len(line))
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return e, err
	}
	if e.Realm != realm {
		return e, fmt.Errorf("event of realm %q", e.Realm)
	}
	return e, nil
}

// AppendEvent appends e to dst as one line of JSON without newline, with the
// members and the order of gatehouse.Event's JSON form, and returns the longer
// slice. It keeps nothing of e. Values are bounded as the constants say.
func AppendEvent(dst []byte, e *gatehouse.Event) []byte { return appendSealed(dst, e, nil) }

func appendSealed(dst []byte, e *gatehouse.Event, persons Persons) []byte {
	start := len(dst)
	s := sealing{persons, e}
	dst = appendEvent(dst, e, s, true)
	if len(dst)-start > MaxLine {
		// Only the chain and the details can be this long; who did what stays.
		dst = appendEvent(dst[:start], e, s, false)
	}
	return dst
}

func appendEvent(b []byte, e *gatehouse.Event, s sealing, whole bool) []byte {
	b = appendString(append(b, `{"id":`...), e.ID, maxID)
	b = appendTime(append(b, `,"time":"`...), e.Time)
	b = appendString(append(b, `","realm":`...), e.Realm, maxID)
	b = appendString(append(b, `,"kind":`...), e.Kind, maxID)
	if e.Actor != (gatehouse.Actor{}) {
		b = append(b, `,"actor":{`...)
		n := len(b)
		b = appendMember(b, n, `"kind":`, string(e.Actor.Kind), maxID)
		b = appendMember(b, n, `"id":`, e.Actor.ID, maxName)
		b = s.appendMember(b, n, `"name":`, memberName, e.Actor.ID, e.Actor.Name, maxName)
		b = appendMember(b, n, `"credential":`, e.Actor.Credential, maxName)
		b = appendMember(b, n, `"scheme":`, string(e.Actor.Scheme), maxID)
		b = append(b, '}')
	}
	if e.Target != (gatehouse.Target{}) {
		b = append(b, `,"target":{`...)
		n := len(b)
		b = appendMember(b, n, `"type":`, e.Target.Type, maxID)
		b = appendMember(b, n, `"id":`, e.Target.ID, maxName)
		b = append(b, '}')
	}
	b = appendString(append(b, `,"outcome":`...), string(e.Outcome), maxID)
	b = appendMember(b, 0, `"reason":`, e.Reason, maxID)
	b = appendMember(b, 0, `"request_id":`, e.RequestID, maxID)
	b = s.appendMember(b, 0, `"address":`, memberAddress, addressOf(e), e.Address, maxID)
	b = appendMember(b, 0, `"method":`, e.Method, maxID)
	b = appendMember(b, 0, `"host":`, e.Host, maxName)
	b = appendMember(b, 0, `"path":`, e.Path, maxPath)
	b = appendMember(b, 0, `"route":`, e.Route, maxName)
	b = appendNumber(b, `,"status":`, int64(e.Status))
	b = appendNumber(b, `,"bytes":`, e.Bytes)
	b = appendNumber(b, `,"micros":`, e.Micros)
	if !whole {
		return append(appendDetail(b, nil, s, true), '}')
	}
	var cut bool
	if len(e.Chain) > 0 {
		b, cut = appendChain(append(b, `,"chain":`...), e.Chain)
	}
	return append(appendDetail(b, e.Detail, s, cut || len(e.Detail) > maxDetails), '}')
}

func appendChain(b []byte, chain []gatehouse.Step) (_ []byte, cut bool) {
	if len(chain) > maxSteps {
		chain, cut = chain[:maxSteps], true
	}
	b = append(b, '[')
	for i := range chain {
		s := &chain[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"step":`...), s.Name, maxID)
		b = appendString(append(b, `,"outcome":`...), string(s.Outcome), maxID)
		b = appendMember(b, 0, `"code":`, s.Code, maxID)
		b = appendMember(b, 0, `"note":`, s.Note, maxNote)
		if len(s.Reasons) > 0 {
			reasons := s.Reasons
			if len(reasons) > maxReasons {
				reasons, cut = reasons[:maxReasons], true
			}
			b = append(b, `,"reasons":[`...)
			for j, r := range reasons {
				if j > 0 {
					b = append(b, ',')
				}
				b = appendString(append(b, `{"policy":`...), r.PolicyID, maxName)
				b = appendString(append(b, `,"effect":`...), r.Effect, maxID)
				b = append(appendMember(b, 0, `"note":`, r.Note, maxNote), '}')
			}
			b = append(b, ']')
		}
		b = append(b, '}')
	}
	return append(b, ']'), cut
}

// appendDetail writes the details sorted by key, so that equal events give equal
// lines.
func appendDetail(b []byte, detail map[string]string, s sealing, cut bool) []byte {
	if len(detail) == 0 && !cut {
		return b
	}
	var space [maxDetails]string
	keys := space[:0]
	for k := range detail {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	keys = keys[:min(len(keys), maxDetails)]
	b = append(b, `,"detail":{`...)
	n, numbered := len(b), 0
	for _, k := range keys {
		if k == truncatedKey && cut {
			continue // written below
		}
		key, sealed := s.detail(k)
		if sealed && key == nil {
			continue
		}
		if len(b) > n {
			b = append(b, ',')
		}
		name := k
		if len(k) > maxID || !utf8.ValidString(k) {
			name, numbered = distinct(detail, k, numbered)
		}
		b = appendString(b, name, maxID)
		b = append(b, ':')
		if sealed {
			b = s.append(b, key, memberDetail+k, detail[k], maxNote)
			continue
		}
		b = appendString(b, detail[k], maxNote)
	}
	if cut {
		if len(b) > n {
			b = append(b, ',')
		}
		b = append(b, `"`+truncatedKey+`":"true"`...)
	}
	return append(b, '}')
}

// distinct returns a name for a key that must be repaired or cut. That alone
// could make it equal to another, and duplicate members do not decode: the name
// gets a number above after that no key of detail has, and returns it.
func distinct(detail map[string]string, key string, after int) (name string, number int) {
	repaired := strings.ToValidUTF8(key[:min(len(key), maxID/3)], "\ufffd") // what is cut later could become equal later
	for {
		after++
		name = "~" + strconv.Itoa(after) + "_" + repaired
		if _, taken := detail[name]; !taken {
			return name, after
		}
	}
}

// truncatedKey in Detail tells that steps, reasons or details were left out.
const truncatedKey = "truncated"

// appendMember appends `,name"value"` unless value is empty; no comma when
// nothing was written since first.
func appendMember(b []byte, first int, name, value string, limit int) []byte {
	if value == "" {
		return b
	}
	if len(b) != first {
		b = append(b, ',')
	}
	return appendString(append(b, name...), value, limit)
}

func appendNumber(b []byte, name string, v int64) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), v, 10)
}

// appendTime writes UTC with six fraction digits: a fixed width, so that lines
// sort and compare as text.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	micro := t.Nanosecond() / 1000
	two := func(v int) (byte, byte) { return byte('0' + v/10%10), byte('0' + v%10) }
	y1, y2 := two(year / 100)
	y3, y4 := two(year % 100)
	m1, m2 := two(int(month))
	d1, d2 := two(day)
	h1, h2 := two(hour)
	n1, n2 := two(minute)
	s1, s2 := two(second)
	f1, f2 := two(micro / 10000)
	f3, f4 := two(micro / 100 % 100)
	f5, f6 := two(micro % 100)
	return append(b, y1, y2, y3, y4, '-', m1, m2, '-', d1, d2, 'T', h1, h2, ':', n1, n2, ':', s1, s2, '.', f1, f2, f3, f4, f5, f6, 'Z')
}

const hexDigits = "0123456789abcdef"

// appendString writes s as a JSON string of at most limit bytes of s. It escapes
// what could break a line or mislead a reader of it: C0 and C1 control
// characters, DEL, line and paragraph separators, direction marks (log
// injection, ASVS 16.4.1).
func appendString(b []byte, s string, limit int) []byte {
	cut := len(s) > limit
	if cut {
		s = s[:limit]
		// Do not leave half a character before the mark.
		for range utf8.UTFMax - 1 {
			if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError: // no character, or the one that is written for such
			b = append(append(b, s[from:i]...), "\ufffd"...)
			from = i + size
		case misleading(r):
			b = append(b, s[from:i]...)
			b = append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
			from = i + size
		}
		i += size
	}
	b = append(b, s[from:]...)
	if cut {
		b = append(b, cutMark...)
	}
	return append(b, '"')
}

// misleading reports characters that act on a terminal or reorder text: C1
// controls, separators, bidirectional marks, embeddings and isolates, BOM.
func misleading(r rune) bool {
	return r >= 0x80 && r <= 0x9f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 ||
		r == 0x200e || r == 0x200f || r == 0x061c || r == 0xfeff
}
