package enforce

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// tree finds the routes that match a path. It is built once and only read then.
type tree struct {
	texts map[string]*tree // by the text of the segment
	mixed []mixedTree      // the more specific before the more general
	param *tree
	here  []*compiled // whose pattern ends here
	below []*compiled // whose pattern matches everything below
}

type mixedTree struct {
	seg  segment
	next *tree
}

// add puts c where the segments of p lead.
func (t *tree) add(p *pattern, c *compiled) {
	for _, s := range p.segs {
		t = t.child(s)
	}
	if p.multi {
		t.below = append(t.below, c)
	} else {
		t.here = append(t.here, c)
	}
}

func (t *tree) child(s segment) *tree {
	switch {
	case s.isLiteral():
		next := t.texts[s.texts[0]]
		if next == nil {
			if t.texts == nil {
				t.texts = map[string]*tree{}
			}
			next = &tree{}
			t.texts[s.texts[0]] = next
		}
		return next
	case s.isParam():
		if t.param == nil {
			t.param = &tree{}
		}
		return t.param
	}
	for _, m := range t.mixed {
		if slices.Equal(m.seg.texts, s.texts) {
			return m.next
		}
	}
	next := &tree{}
	t.mixed = append(t.mixed, mixedTree{s, next})
	// Where one is within another it has more text: parameters match at least a
	// character each, and none stands beside another.
	sorted.Slice(t.mixed, func(a, b mixedTree) int { return cmp.Compare(b.seg.textLength(), a.seg.textLength()) })
	return next
}

func (s segment) textLength() int {
	n := 0
	for _, text := range s.texts {
		n += len(text)
	}
	return n
}

// reading is how the text of a segment is understood.
type reading struct {
	raw  bool // a character that is escaped without need is another one than in a pattern
	fold bool // letter case does not count; the tree must be built of folded texts
}

func (m reading) text(segment string) string {
	if strings.IndexByte(segment, '%') >= 0 {
		if m.raw {
			segment = spoil(segment)
		}
		if plain, err := url.PathUnescape(segment); err == nil { // judged before: it is well-formed
			segment = plain
		}
	}
	if m.fold {
		return foldCase(segment)
	}
	return segment
}

// spoil makes of each character that is escaped without need one that no pattern
// has.
func spoil(segment string) string {
	b := []byte(segment)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			if isNeedless(b[i+1], b[i+2]) {
				b[i+1], b[i+2] = '0', '0'
			}
			i += 2
		}
	}
	return string(b)
}

// collect appends the routes that match path, which has no slash in front, to
// out: the more specific before the more general. more is false when path has
// ended already. With one, it ends at the first that is found.
func (t *tree) collect(path string, more bool, m reading, one bool, out []*compiled) []*compiled {
	if !more {
		return append(out, t.here...)
	}
	seg, rest, goesOn := strings.Cut(path, "/")
	text := m.text(seg)
	if next := t.texts[text]; next != nil {
		if out = next.collect(rest, goesOn, m, one, out); one && len(out) > 0 {
			return out
		}
	}
	if text != "" {
		for _, x := range t.mixed {
			if x.seg.cut(text, false) == nil {
				continue
			}
			if out = x.next.collect(rest, goesOn, m, one, out); one && len(out) > 0 {
				return out
			}
		}
		if t.param != nil {
			if out = t.param.collect(rest, goesOn, m, one, out); one && len(out) > 0 {
				return out
			}
		}
	}
	return append(out, t.below...)
}

// foldCase maps every character to the least of those that some program takes for
// the same letter: those of Unicode's simple folding, and the two letters i that
// Java compares equal to it (String.equalsIgnoreCase).
func foldCase(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; 'a' <= c && c <= 'z' || c >= 0x80 {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == 'ı' || r == 'İ' {
			return 'I'
		}
		least := r
		for x := unicode.SimpleFold(r); x != r; x = unicode.SimpleFold(x) {
			least = min(least, x)
		}
		return least
	}, s)
}
