package audit

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// SearchFilter tells what the events of some neighbouring batches do not hold, so
// that a search need not read them. It is a Bloom filter: "no" is certain, "perhaps"
// is wrong once in a hundred times. It is only an index: what it lets through is
// compared exactly, batches without one are read, and [VerifyLog] tells when it
// lacks something, for a search would miss that.
type SearchFilter struct {
	Realm string
	// First and Last are the positions of its batches, both included. There is a
	// batch at each position in between.
	First, Last int64
	Events      int64
	// MinTime and MaxTime are those of its batches. A search in a time takes the
	// filters that overlap it; where there is none, batches are asked for their time.
	MinTime, MaxTime time.Time
	Bits             []byte
}

// FilterQuery selects the filters of one realm, by position.
type FilterQuery struct {
	From, To time.Time // those that overlap it; a zero time does not bound
	// After continues: filters with Last > After, or First < After when Descending.
	// 0 starts at the beginning (or the end).
	After      int64
	Descending bool
	Limit      int // 1 to 1,000
}

const (
	// A filter has 64 KiBit and seven bits a fact. It takes no further batch when half
	// of its bits are set (some 6,500 facts) or it has maxFilterEvents, because a
	// search reads all of them when one is wanted.
	filterBytes     = 8 << 10
	filterHashes    = 7
	maxFilterEvents = 8192
)

// fact is the hash of something that a search asks of one event: the value of a
// field, or those of two fields together.
type fact uint64

// Fields of a fact. A kind is there whole and by its groups ("key." of "key.create").
const (
	factKind = iota + 1
	factKindGroup
	factActor
	factTarget
	factOutcome
	factRequest
)

// factOf hashes a value as a line writes it, with its quotes: FNV-1a, and a final
// mixing, since a filter takes its places from all of the bits. The hash is stored,
// so it stays as it is. Whoever makes values that collide makes searches slower.
func factOf(field byte, value []byte) fact {
	h := uint64(0xcbf29ce484222325)
	h = (h ^ uint64(field)) * 0x100000001b3
	for _, c := range value {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return mix(h)
}

// and is the fact that both are true of one event.
func (a fact) and(b fact) fact { return mix(uint64(a) ^ bits.RotateLeft64(uint64(b), 23)) }

// mix makes each bit of the result depend on each bit of h (the finalizer of
// MurmurHash3).
func mix(h uint64) fact {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return fact(h ^ h>>33)
}

// facts are what q asks of an event; nil when it asks for nothing but a time.
func (q *Query) facts() (out []fact) {
	var fields []fact
	add := func(field byte, value string) {
		if value != "" {
			fields = append(fields, factOf(field, needle("", value)))
		}
	}
	if q.Kind != "" {
		fields = append(fields, kindFact(q.Kind))
	}
	add(factActor, q.ActorID)
	add(factTarget, q.TargetID)
	add(factOutcome, string(q.Outcome))
	if len(fields) < 2 {
		return fields
	}
	for i, a := range fields {
		for _, b := range fields[i+1:] {
			out = append(out, a.and(b))
		}
	}
	return out
}

// kindFact is the fact of a kind, or of a group of them.
func kindFact(kind string) fact {
	value := needle("", kind)
	if strings.HasSuffix(kind, ".") {
		return factOf(factKindGroup, value[:len(value)-1]) // the text goes on where the group ends
	}
	return factOf(factKind, value)
}

// either are facts of which an event that q wants has at least one.
func (q *Query) either() (out []fact) {
	if q.About == "" {
		return nil
	}
	id := needle("", q.About)
	for _, k := range q.Kinds {
		kind := kindFact(k)
		out = append(out, kind.and(factOf(factActor, id)), kind.and(factOf(factTarget, id)))
	}
	return out
}

// requestFacts are what the search for the events of a request asks.
func requestFacts(requestID string) []fact {
	return []fact{factOf(factRequest, needle("", requestID))}
}

// lineFacts appends to dst all facts by which a search can ask for the event of
// line: each field, and each pair of fields. False for what [AppendEvent] does not write.
func lineFacts(dst []fact, line []byte) ([]fact, bool) {
	v, ok := readValues(line)
	if !ok {
		return dst, false
	}
	first := len(dst)
	// Kinds come first: those of one event are no pair of each other.
	if v.kind != nil {
		dst = append(dst, factOf(factKind, v.kind))
		for i, c := range v.kind {
			if c == '.' {
				dst = append(dst, factOf(factKindGroup, v.kind[:i+1]))
			}
		}
	}
	others := len(dst)
	for _, f := range [...]struct {
		field byte
		value []byte
	}{{factActor, v.actor}, {factTarget, v.target}, {factOutcome, v.outcome}} {
		if f.value != nil {
			dst = append(dst, factOf(f.field, f.value))
		}
	}
	fields := dst[first:]
	for i, a := range fields {
		for _, b := range fields[max(i+1, others-first):] {
			dst = append(dst, a.and(b))
		}
	}
	if v.request != nil {
		dst = append(dst, factOf(factRequest, v.request))
	}
	return dst, true
}

// values are those of an event that searches ask for, as its line writes them; nil
// for a member that is not there.
type values struct{ kind, actor, target, outcome, request []byte }

// readValues finds the values in a line without decoding it.
func readValues(line []byte) (v values, ok bool) {
	found := 0
	take := func(into *[]byte, value []byte) {
		*into = value
		found++
	}
	for rest := line; ; {
		var name, value []byte
		if name, value, rest, ok = nextMember(rest); !ok {
			return v, false
		}
		switch string(name) {
		case `"kind"`:
			take(&v.kind, value)
		case `"actor"`, `"target"`:
			id, ok := memberID(value)
			if !ok {
				return v, false
			}
			if string(name) == `"actor"` {
				take(&v.actor, id)
			} else {
				take(&v.target, id)
			}
		case `"outcome"`:
			take(&v.outcome, value)
		case `"request_id"`:
			take(&v.request, value)
		}
		if found == 5 || rest == nil {
			return v, true
		}
	}
}

// memberID is the member "id" of an object; nil when it has none.
func memberID(object []byte) (id []byte, ok bool) {
	for rest := object; ; {
		var name, value []byte
		if name, value, rest, ok = nextMember(rest); !ok {
			return nil, false
		}
		if string(name) == `"id"` {
			return value, true
		}
		if rest == nil {
			return nil, true
		}
	}
}

// nextMember reads the next member of an object that begins with "{" or, after its
// first member, with ",". rest is nil when it was the last one. It knows JSON without
// white space, which is how lines are written.
func nextMember(b []byte) (name, value, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '{' && b[0] != ',' {
		return nil, nil, nil, false
	}
	n := stringEnd(b[1:])
	if n == 0 || 1+n >= len(b) || b[1+n] != ':' {
		return nil, nil, nil, false
	}
	name, b = b[1:1+n], b[2+n:]
	end := valueEnd(b)
	if end == 0 || end >= len(b) || b[end] != ',' && b[end] != '}' {
		return nil, nil, nil, false
	}
	if b[end] == ',' {
		rest = b[end:]
	}
	return name, b[:end], rest, true
}

// stringEnd is the length of the JSON string at the beginning of b, with its
// quotes; 0 when there is none.
func stringEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return 0
		}
		i += n + 1
		escapes := 0
		for b[i-2-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
	}
}

// valueEnd is the length of the JSON value at the beginning of b; 0 when there is none,
// and when it does not end.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := stringEnd(b[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i
			}
		case ',':
			if depth == 0 {
				return i
			}
		default:
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
	return 0
}

// places calls do with the bits of a fact until it answers false.
func (f fact) places(do func(at uint32, bit byte) bool) {
	at, step := uint32(f), uint32(f>>32)|1
	for range filterHashes {
		n := at % (filterBytes * 8)
		if !do(n/8, 1<<(n%8)) {
			return
		}
		at += step
	}
}

// lacks tells that none of the events has all of the facts. A filter of another
// size than ours tells nothing.
func (s *SearchFilter) lacks(facts []fact) bool {
	if len(s.Bits) != filterBytes {
		return false
	}
	for _, f := range facts {
		missing := false
		f.places(func(at uint32, bit byte) bool {
			missing = s.Bits[at]&bit == 0
			return !missing
		})
		if missing {
			return true
		}
	}
	return false
}

// lacksAll tells that no event has any of the facts; of no facts it tells nothing.
func (s *SearchFilter) lacksAll(either []fact) bool {
	return len(either) > 0 && !slices.ContainsFunc(either, func(f fact) bool { return !s.lacks([]fact{f}) })
}

// filterMaker makes the filters of batches that come in the order of their
// positions, or all of them in the reverse of it.
type filterMaker struct {
	made    []SearchFilter // the last one may take more
	set     int            // bits of the last one
	changed int            // where those begin that were made or changed here
	facts   []fact         // space for those of one line
}

// resume goes on with the last filter that is stored.
func (m *filterMaker) resume(last SearchFilter) {
	m.made, m.set, m.changed = nil, 0, 0
	if len(last.Bits) != filterBytes {
		return
	}
	for _, b := range last.Bits {
		m.set += bits.OnesCount8(b)
	}
	m.made, m.changed = []SearchFilter{last}, 1
}

// last is the filter that takes the batch at position; nil when it needs a new one.
func (m *filterMaker) last(position int64) *SearchFilter {
	if len(m.made) == 0 {
		return nil
	}
	f := &m.made[len(m.made)-1]
	if f.Last+1 != position && f.First-1 != position || f.Events >= maxFilterEvents || m.set >= filterBytes*4 {
		return nil
	}
	return f
}

// add puts what the events of b hold into the last filter, or into a new one.
func (m *filterMaker) add(b *Batch) {
	f := m.last(b.Position)
	if f == nil {
		m.made = append(m.made, SearchFilter{Realm: b.Realm, First: b.Position, MinTime: b.MinTime, MaxTime: b.MaxTime, Bits: make([]byte, filterBytes)})
		f, m.set = &m.made[len(m.made)-1], 0
	}
	m.changed = min(m.changed, len(m.made)-1)
	f.First, f.Last = min(f.First, b.Position), max(f.Last, b.Position)
	f.Events += b.Count
	if b.MinTime.Before(f.MinTime) {
		f.MinTime = b.MinTime
	}
	if b.MaxTime.After(f.MaxTime) {
		f.MaxTime = b.MaxTime
	}
	for line := range lines(b.Data) {
		facts, ok := lineFacts(m.facts[:0], line)
		if !ok { // nobody can tell what this line holds: everything
			for i := range f.Bits {
				f.Bits[i] = 0xff
			}
			m.set = filterBytes * 8
			return
		}
		m.facts = facts
		for _, x := range facts {
			x.places(func(at uint32, bit byte) bool {
				if f.Bits[at]&bit == 0 {
					f.Bits[at] |= bit
					m.set++
				}
				return true
			})
		}
	}
}

// news are the filters that were made or changed.
func (m *filterMaker) news() []SearchFilter { return m.made[m.changed:] }
