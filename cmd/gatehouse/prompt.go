package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse"
)

// lineReader reads one byte at a time, so that two prompts in a row can share
// one standard input.
type lineReader struct{ r io.Reader }

func (l *lineReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return l.r.Read(p[:1])
}

// line reads up to a newline, at most limit bytes.
func (l *lineReader) line(limit int) (string, error) {
	var out []byte
	var b [1]byte
	for {
		n, err := l.Read(b[:])
		if n == 1 {
			if b[0] == '\n' {
				return trimLine(out), nil
			}
			if len(out) == limit {
				return "", usagef("the line is too long")
			}
			out = append(out, b[0])
		}
		if errors.Is(err, io.EOF) && len(out) > 0 {
			return trimLine(out), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// readPassword asks on the terminal without echo, or reads one line from
// standard input. Passwords are never taken from arguments, which other users
// of the machine can read.
func (a *app) readPassword(prompt string) (gatehouse.Secret, error) {
	if f, ok := a.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(a.errOut, "%s: ", prompt)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.errOut)
		return gatehouse.Secret(b), err
	}
	s, err := (&lineReader{a.in}).line(4096)
	if errors.Is(err, io.EOF) {
		return "", usagef("%s: standard input has no further line", prompt)
	}
	return gatehouse.Secret(s), err
}
