package enforce

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Many routers take for one what are two paths to net/http: they ignore letter
// case (Express, ASP.NET, Spring by option), a slash at the end (Express, ASP.NET,
// Flask and Django by redirect, older Spring), a suffix such as ".json" (Rails,
// older Spring), and some match before they decode percent-escapes (Express). So a
// path that a wide route matches may be, to the API behind, the one that a
// stricter route is for. Such a request is refused, unless the API is declared to
// tell such paths apart (Route.StrictPaths).

// rivals fills in, for each route, those that ask for something that it does not
// and that some request could be meant for which it matches: true where it stands
// behind them, false where it is an exception from them, which only the spelling
// of a literal with percent-escapes can miss.
func rivals(all []*compiled) {
	for _, c := range all {
		if c.StrictPaths {
			continue
		}
		for _, o := range all {
			if c == o || c.apart(o) || c.Upstream != o.Upstream || c.Host != "" && o.Host != "" && c.Host != o.Host || c.asksAsMuchAs(o) {
				continue
			}
			rel := c.folded.compare(&o.folded)
			wider := rel != moreSpecific && c.couldServe(o)
			if !wider && rel != moreSpecific {
				continue
			}
			if c.stricter == nil {
				c.stricter = map[*compiled]bool{}
			}
			c.stricter[o], c.fallback = wider, c.fallback || wider
		}
	}
}

// apart reports whether the paths of c and o differ in a segment that is the last
// of neither: no spelling of the one is a path of the other then. It is what settles
// most pairs.
func (c *compiled) apart(o *compiled) bool {
	for i := range min(len(c.folded.segs), len(o.folded.segs)) - 1 {
		a, b := &c.folded.segs[i], &o.folded.segs[i]
		if a.isLiteral() && b.isLiteral() && a.texts[0] != b.texts[0] {
			return true
		}
	}
	return false
}

// couldServe reports whether c matches a request that differs from one of o only
// in what routers ignore.
func (c *compiled) couldServe(o *compiled) bool {
	if compareMethods(c.pattern.method, o.pattern.method) == disjoint {
		return false
	}
	if rel := c.folded.comparePaths(&o.folded); rel == equal || rel == moreGeneral || rel == overlapping {
		return true // what is more specific even then was meant as an exception
	}
	variants := o.slashed()
	if suffixed, ok := o.suffixed(); ok && !c.spellsSuffix() {
		variants = append(variants, suffixed, pattern{segs: append(slices.Clone(suffixed.segs), literal(""))})
	}
	return slices.ContainsFunc(variants, func(v pattern) bool { return c.folded.comparePaths(&v) != disjoint })
}

// slashed returns the folded pattern with a slash at the end where it has none,
// and without where it has one.
func (c *compiled) slashed() []pattern {
	segs := c.folded.segs
	switch last := len(segs) - 1; {
	case c.folded.multi && last < 0:
		return nil // "/" has no other spelling
	case c.folded.multi:
		return []pattern{{segs: segs}}
	case segs[last].isEnd():
		if last == 0 {
			return nil
		}
		return []pattern{{segs: segs[:last]}}
	}
	return []pattern{{segs: append(slices.Clone(segs), literal(""))}}
}

// suffixed returns the folded pattern with ".something" behind its last segment.
// A parameter takes a suffix anyway.
func (c *compiled) suffixed() (pattern, bool) {
	segs := c.folded.segs
	if len(segs) > 0 && segs[len(segs)-1].isEnd() {
		segs = segs[:len(segs)-1]
	}
	if c.folded.multi || len(segs) == 0 || segs[len(segs)-1].isParam() {
		return pattern{}, false
	}
	segs = slices.Clone(segs)
	last := segs[len(segs)-1]
	texts := slices.Clone(last.texts)
	texts[len(texts)-1] += "."
	segs[len(segs)-1] = segment{texts: append(texts, ""), names: append(slices.Clone(last.names), "suffix")}
	return pattern{segs: segs}, true
}

// spellsSuffix reports whether c is for one suffix by its pattern.
func (c *compiled) spellsSuffix() bool {
	segs := c.pattern.segs
	if len(segs) > 0 && segs[len(segs)-1].isEnd() {
		segs = segs[:len(segs)-1]
	}
	if c.pattern.multi || len(segs) == 0 {
		return false
	}
	texts := segs[len(segs)-1].texts
	return strings.Contains(texts[len(texts)-1], ".")
}

// isEnd reports whether s stands for the end of a path that ends in "/".
func (s segment) isEnd() bool { return s.isLiteral() && s.texts[0] == "" }

// fold returns p as it is compared without regard to letter case.
func (p pattern) fold() pattern {
	segs := make([]segment, len(p.segs))
	for i, s := range p.segs {
		texts := make([]string, len(s.texts))
		for j, text := range s.texts {
			texts[j] = foldCase(text)
		}
		segs[i] = segment{texts: texts, names: s.names}
	}
	p.segs = segs
	return p
}

// meantFor returns a route that asks for more than c and that the request, which c
// matches, may be for in the eyes of the API behind; nil when there is none.
func (t *table) meantFor(c *compiled, host, method, path string) *compiled {
	escaped := needlessEscape(path)
	if !c.fallback && !escaped {
		return nil
	}
	var room [8]*compiled
	for _, variant := range spellings(path, !c.spellsSuffix()) {
		for _, m := range [...]reading{{}, {fold: true}, {raw: true}, {raw: true, fold: true}} {
			if m.raw && !escaped {
				break
			}
			found := t.collect(host, method, variant, m, false, room[:0])
			for i, o := range found {
				if _, asksMore := c.stricter[o]; asksMore && !shadowed(found, i, m) {
					return o
				}
			}
		}
	}
	return nil
}

// shadowed reports whether another of the routes found is more specific than the
// i-th: that one serves the request then.
func shadowed(found []*compiled, i int, m reading) bool {
	for _, other := range found[:i] { // the more specific come before the more general
		a, b := &other.pattern, &found[i].pattern
		if m.fold {
			a, b = &other.folded, &found[i].folded
		}
		if a.compare(b) == moreSpecific {
			return true
		}
	}
	return false
}

// spellings returns the path asked and those that routers may take for the same: with
// and without a slash at the end and, if suffix says so, without a suffix.
func spellings(asked string, suffix bool) []string {
	bare := strings.TrimSuffix(asked, "/")
	out := append(make([]string, 0, 4), asked)
	switch {
	case bare == "":
		return out
	case bare == asked:
		out = append(out, asked+"/")
	default:
		out = append(out, bare)
	}
	if !suffix {
		return out
	}
	stem := bare
	for strings.HasSuffix(stem, "%20") { // some cut spaces too
		stem = strings.TrimSuffix(stem, "%20")
	}
	stem = strings.TrimSuffix(stem, path.Ext(stem))
	if stem != bare && !strings.HasSuffix(stem, "/") {
		out = append(out, stem, stem+"/")
	}
	return out
}

// needlessEscape reports whether path has a percent-escape of a character that
// needs none: who compares before decoding finds another path.
func needlessEscape(path string) bool {
	for {
		i := strings.IndexByte(path, '%')
		if i < 0 || i+2 >= len(path) {
			return false
		}
		if isNeedless(path[i+1], path[i+2]) {
			return true
		}
		path = path[i+3:]
	}
}

// isNeedless reports whether the two hexadecimal digits stand for a character that
// may stand in a path as it is (RFC 3986 §3.3).
func isNeedless(a, b byte) bool {
	c := hex(a)<<4 | hex(b)
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~$&+=:@!'()*,", c) >= 0
}

// Warnings names the routes that let in more than a route beside them whose paths
// a router may take for theirs. Requests for such paths are refused; a list of
// routes without them needs no such refusal. The routes must be good ones.
func Warnings(routes []Route) []string {
	p := &Pipeline{cfg: Config{Authenticator: everyScheme{}, Resolver: anyResource{}}}
	t, err := p.compile(routes)
	if err != nil {
		return nil
	}
	var out []string
	for _, c := range t.all {
		var names []string
		for _, o := range t.all {
			if c.stricter[o] && o.asksAsMuchAs(c) {
				names = append(names, o.ID)
			}
		}
		if len(names) == 0 {
			continue
		}
		more := ""
		if len(names) > 1 {
			more = fmt.Sprintf(" and %d more", len(names)-1)
		}
		out = append(out, fmt.Sprintf("route %q lets in more callers than %q%s, and matches paths that differ from theirs only in letter case, "+
			"a final slash or a suffix, which many APIs take for the same: such requests are refused (path_ambiguous). "+
			"If the API tells them apart, set strict_paths on its upstream", c.ID, names[0], more))
	}
	return out
}
