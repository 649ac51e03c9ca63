package enforce

import "strings"

// relation says how the requests that two patterns match lie to each other.
type relation int

const (
	disjoint     relation = iota // no request matches both
	equal                        // the same requests
	moreSpecific                 // the first matches some of those of the second
	moreGeneral                  // the other way round
	overlapping                  // some requests match both, and each matches others
)

// and combines what two parts of a pattern say.
func (a relation) and(b relation) relation {
	switch {
	case a == disjoint || b == disjoint:
		return disjoint
	case a == equal || a == b:
		return b
	case b == equal:
		return a
	}
	return overlapping
}

// compare relates the requests of p to those of q.
func (p *pattern) compare(q *pattern) relation {
	return compareMethods(p.method, q.method).and(p.comparePaths(q))
}

func compareMethods(a, b string) relation {
	switch {
	case a == b:
		return equal
	case b == "" || b == "GET" && a == "HEAD":
		return moreSpecific
	case a == "" || a == "GET" && b == "HEAD":
		return moreGeneral
	}
	return disjoint
}

func (p *pattern) comparePaths(q *pattern) relation {
	rel := equal
	n := min(len(p.segs), len(q.segs))
	for i := range n {
		if rel = rel.and(p.segs[i].compare(q.segs[i])); rel == disjoint {
			return disjoint
		}
	}
	switch more := len(p.segs) - len(q.segs); {
	case more == 0 && p.multi == q.multi:
		return rel
	case more > 0 && q.multi:
		return rel.and(moreSpecific)
	case more < 0 && p.multi:
		return rel.and(moreGeneral)
	}
	return disjoint // what ends with a segment, and what goes on behind it
}

// compare relates the texts that s matches to those of o.
func (s segment) compare(o segment) relation {
	if s.isLiteral() && o.isLiteral() {
		if s.texts[0] == o.texts[0] {
			return equal
		}
		return disjoint
	}
	switch within, around := s.within(o), o.within(s); {
	case within && around:
		return equal
	case within:
		return moreSpecific
	case around:
		return moreGeneral
	case s.meets(o):
		return overlapping
	}
	return disjoint
}

// within reports whether o matches everything that s does. A character that no
// text has stands for whatever the parameters of s may take: only a parameter of
// o can take it.
func (s segment) within(o segment) bool {
	if o.isParam() {
		return s.texts[0] != "" || len(s.names) > 0
	}
	return o.cut(strings.Join(s.texts, "\x00"), false) != nil
}

// meets reports whether some text matches both.
func (s segment) meets(o segment) bool {
	a, b := s.tokens(), o.tokens()
	seen := map[[2]int]bool{}
	var from func(i, j int) bool
	from = func(i, j int) bool {
		if i == len(a) && j == len(b) {
			return true
		}
		if seen[[2]int{i, j}] {
			return false
		}
		seen[[2]int{i, j}] = true
		switch {
		case i < len(a) && a[i] == anyTail:
			return from(i+1, j) || j < len(b) && from(i, j+1)
		case j < len(b) && b[j] == anyTail:
			return from(i, j+1) || i < len(a) && from(i+1, j)
		case i < len(a) && j < len(b):
			return (a[i] == b[j] || a[i] == anyOne || b[j] == anyOne) && from(i+1, j+1)
		}
		return false
	}
	return from(0, 0)
}

// Tokens beside the characters of texts: behind the last one of Unicode, U+10FFFF.
const (
	anyOne  rune = 0x110000 // any character
	anyTail rune = 0x110001 // any characters, or none
)

func (s segment) tokens() []rune {
	var out []rune
	for i, text := range s.texts {
		if i > 0 {
			out = append(out, anyOne, anyTail)
		}
		out = append(out, []rune(text)...)
	}
	return out
}
