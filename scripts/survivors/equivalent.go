package main

import (
	"fmt"
	"os"
	"strings"
)

// equivalent is a mutant that no test could tell from the program, and why. It is named by
// file, function, text and rule, so that a line added elsewhere does not change it.
type equivalent struct {
	file, fn, text, rule string
	why                  string
	found                bool
}

// readEquivalents reads lines of the form
//
//	file | function | text | rule | reason
//
// where the text may itself hold " | ". Lines that begin with # are comments.
func readEquivalents(path string) ([]*equivalent, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []*equivalent
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, " | ")
		last := len(parts) - 1
		if last < 4 || parts[last] == "" {
			return nil, fmt.Errorf("%s:%d: want file | function | text | rule | reason", path, n)
		}
		e := &equivalent{file: parts[0], fn: parts[1], text: strings.Join(parts[2:last-1], " | "), rule: parts[last-1], why: parts[last]}
		if _, ok := swaps[e.rule]; !ok {
			return nil, fmt.Errorf("%s:%d: %q is none of gremlins' rules", path, n, e.rule)
		}
		list = append(list, e)
	}
	return list, nil
}

func (e *equivalent) is(m *mutant) bool {
	return e.file == m.file.path && e.fn == m.fn && e.text == m.text && e.rule == m.rule
}
