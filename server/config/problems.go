package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Line, Column int    // in the file, from 1; 0 when it is not known, or in no file
	Key          string // "routes[1].match"; "" for the file as a whole
	Err          error  // never shows a value that may be a secret
}

// Problems is everything that is wrong with a configuration.
type Problems struct {
	File string // "" when it came from no file
	List []Problem
}

// Error gives each problem a line, as compilers do: FILE:LINE:COLUMN: KEY: what is
// wrong.
func (p *Problems) Error() string {
	lines := make([]string, len(p.List))
	for i, e := range p.List {
		lines[i] = e.Err.Error()
		if place := e.Place(p.File); place != "" {
			lines[i] = place + ": " + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

// Place says where the problem is: FILE:LINE:COLUMN: KEY, as far as it is known.
func (e *Problem) Place(file string) string {
	var parts []string
	if file != "" {
		parts = append(parts, file)
	}
	for _, n := range []int{e.Line, e.Column} {
		if n > 0 {
			parts = append(parts, strconv.Itoa(n))
		}
	}
	at := strings.Join(parts, ":")
	if at != "" && e.Key != "" {
		at += ": "
	}
	return at + e.Key
}

// Unwrap lets a caller find what is behind a problem.
func (p *Problems) Unwrap() []error {
	out := make([]error, len(p.List))
	for i, e := range p.List {
		out[i] = e.Err
	}
	return out
}

// With adds what a start, or a check in place of one, finds wrong with c to what was
// wrong with its file; nil when nothing is. A key that is told already is not told again.
func (c *Config) With(found *Problems, more ...Problem) *Problems {
	all := &Problems{File: c.file}
	if found != nil {
		all.List = slices.Clone(found.List)
	}
	for _, m := range more {
		if slices.ContainsFunc(all.List, func(p Problem) bool { return within(p.Key, m.Key) || within(m.Key, p.Key) }) {
			continue
		}
		at := placeOf(c.at, m.Key)
		m.Line, m.Column = at.line, at.column
		all.List = append(all.List, m)
	}
	if len(all.List) == 0 {
		return nil
	}
	all.sort()
	return all
}

// within reports whether a key is another, or a part of it.
func within(key, of string) bool {
	rest, ok := strings.CutPrefix(key, of)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// sort puts the problems in the order of the file.
func (p *Problems) sort() {
	sorted.Slice(p.List, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		if a.Column != b.Column {
			return a.Column - b.Column
		}
		return strings.Compare(a.Key, b.Key)
	})
}
