package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// paper is where text for people is set: lines of at most 80 columns, and colours
// where somebody looks at a terminal that has them.
type paper struct {
	w      io.Writer
	colour bool
}

// columns fit every terminal, and are few enough to be read with ease.
const columns = 80

// paper makes one over w. Colours are left out for files and pipes, for
// TERM=dumb, and where NO_COLOR says so (https://no-color.org).
func (a *app) paper(w io.Writer) *paper {
	f, isFile := w.(*os.File)
	colour := isFile && term.IsTerminal(int(f.Fd())) && a.colours()
	return &paper{w: w, colour: colour}
}

// SGR sequences (ECMA-48 §8.3.117). Only those that are readable on dark and on light
// ground: no yellow, no white, no black.
const (
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
	blue  = "36"
)

// colours reports whether the environment lets a terminal have colours.
func (a *app) colours() bool {
	return a.env("NO_COLOR") == "" && a.env("TERM") != "dumb" && a.env("TERM") != ""
}

// in sets text in a style, where there are styles.
func (p *paper) in(style, text string) string {
	if !p.colour || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// line writes one line as it is: commands are never broken, since a broken one cannot
// be pasted.
func (p *paper) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// entry writes a label and its text, which goes on below itself when it is long.
func (p *paper) entry(label, text string) {
	const width = 10
	if text = printable(text); text == "" {
		return
	}
	lead := "  " + label + strings.Repeat(" ", max(1, width-utf8.RuneCountInString(label)))
	body := wrap(text, columns-2-width)
	p.line("%s%s", p.in(faint, lead), strings.Join(body, "\n"+strings.Repeat(" ", 2+width)))
}

// wrap breaks text at blanks into lines of at most width columns; a longer word stands
// alone on its line.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}
