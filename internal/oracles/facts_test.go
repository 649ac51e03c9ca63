package oracles

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// facts are what the rules may know of a token. They are read from its text with
// the standard library alone, never from the mouth of our verifier.
type facts struct {
	parts          []string
	canonical      bool // three parts, each the only spelling of its octets
	header, claims object
}

// object is a JSON object as its text has it.
type object struct {
	raw     []byte
	ok      bool // one object and nothing behind it
	members map[string][]json.RawMessage
	twice   bool // a name occurs twice, at any depth
	depth   int
	unicode bool // valid UTF-8 and no half of a surrogate pair
}

func lookAt(text string) facts {
	f := facts{parts: strings.Split(text, ".")}
	f.canonical = len(f.parts) == 3
	for i, p := range f.parts {
		clean := strings.Map(func(r rune) rune {
			if strings.ContainsRune("\r\n\t =", r) {
				return -1
			}
			return r
		}, p)
		raw, err := b64.DecodeString(clean)
		f.canonical = f.canonical && err == nil && b64.EncodeToString(raw) == p && p != ""
		switch i {
		case 0:
			f.header = readObject(raw)
		case 1:
			f.claims = readObject(raw)
		}
	}
	return f
}

// canonical reports whether text is the one spelling of its three parts.
func canonical(text string) bool {
	parts := strings.Split(text, ".")
	for _, p := range parts {
		if raw, err := b64.DecodeString(p); err != nil || b64.EncodeToString(raw) != p {
			return false
		}
	}
	return len(parts) == 3
}

func readObject(raw []byte) object {
	o := object{raw: raw, members: map[string][]json.RawMessage{}, unicode: utf8.Valid(raw) && !halfSurrogate(raw)}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return o
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return o
		}
		var v json.RawMessage
		if dec.Decode(&v) != nil {
			return o
		}
		o.members[name.(string)] = append(o.members[name.(string)], v)
	}
	if _, err := dec.Token(); err != nil {
		return o
	}
	_, err := dec.Token()
	o.ok = err == io.EOF
	o.twice, o.depth = shape(raw)
	return o
}

// shape finds names that occur twice in one object, and how deep the text nests.
func shape(raw []byte) (twice bool, depth int) {
	type level struct {
		names map[string]bool // nil in an array
		name  bool            // the next token is a name
	}
	var stack []level
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	for {
		t, err := dec.Token()
		if err != nil {
			return twice, depth
		}
		if n := len(stack); n > 0 && stack[n-1].name {
			if s, ok := t.(string); ok {
				twice = twice || stack[n-1].names[s]
				stack[n-1].names[s], stack[n-1].name = true, false
				continue
			}
		}
		if d, ok := t.(json.Delim); ok && (d == '{' || d == '[') {
			l := level{}
			if d == '{' {
				l = level{names: map[string]bool{}, name: true}
			}
			stack = append(stack, l)
			depth = max(depth, len(stack))
			continue
		} else if ok {
			stack = stack[:len(stack)-1]
		}
		if n := len(stack); n > 0 && stack[n-1].names != nil {
			stack[n-1].name = true
		}
	}
}

func halfSurrogate(raw []byte) bool {
	s := string(raw)
	for i := 0; i+6 <= len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if s[i+1] != 'u' {
			i++
			continue
		}
		n, err := strconv.ParseUint(s[i+2:i+6], 16, 16)
		if err != nil || n < 0xd800 || n > 0xdfff {
			continue
		}
		if n >= 0xdc00 || i+12 > len(s) || s[i+6] != '\\' || s[i+7] != 'u' {
			return true
		}
		if low, err := strconv.ParseUint(s[i+8:i+12], 16, 16); err != nil || low < 0xdc00 || low > 0xdfff {
			return true
		}
		i += 11
	}
	return false
}

func (o object) has(names ...string) bool {
	for _, n := range names {
		if len(o.members[n]) > 0 {
			return true
		}
	}
	return false
}

// last is the value of a member, the last one if there are several.
func (o object) last(name string) json.RawMessage {
	v := o.members[name]
	if len(v) == 0 {
		return nil
	}
	return v[len(v)-1]
}

// text is a member that is a string, "" for anything else.
func (o object) text(name string) string {
	var s string
	_ = json.Unmarshal(o.last(name), &s)
	return s
}

// kind is the first octet of a value: '"', '{', '[', '0' for numbers, 'n', 't', 'f', 0 for none.
func (o object) kind(name string) byte {
	v := o.last(name)
	if len(v) == 0 {
		return 0
	}
	if c := v[0]; c == '-' || '0' <= c && c <= '9' {
		return '0'
	}
	return v[0]
}

// number is a member that is a number.
func (o object) number(name string) (float64, bool) {
	if o.kind(name) != '0' {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(o.last(name)), 64)
	return f, err == nil
}

// huge reports a number that a double cannot hold.
func (o object) huge() bool {
	dec := json.NewDecoder(bytes.NewReader(o.raw))
	dec.UseNumber()
	for {
		t, err := dec.Token()
		if err != nil {
			return false
		}
		if n, ok := t.(json.Number); ok {
			if _, err := n.Float64(); err != nil {
				return true
			}
		}
	}
}
