package config

import (
	"fmt"
	"slices"
	"strings"
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
		var b strings.Builder
		if p.File != "" {
			b.WriteString(p.File + ":")
		}
		if e.Line > 0 {
			fmt.Fprintf(&b, "%d:", e.Line)
		}
		if e.Column > 0 {
			fmt.Fprintf(&b, "%d:", e.Column)
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if e.Key != "" {
			b.WriteString(e.Key + ": ")
		}
		b.WriteString(e.Err.Error())
		lines[i] = b.String()
	}
	return strings.Join(lines, "\n")
}

// sort puts the problems in the order of the file.
func (p *Problems) sort() {
	slices.SortStableFunc(p.List, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		if a.Column != b.Column {
			return a.Column - b.Column
		}
		return strings.Compare(a.Key, b.Key)
	})
}
