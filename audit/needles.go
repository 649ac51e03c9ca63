package audit

import (
	"bytes"
	"fmt"
	"strings"
)

// needles are texts that the line of a wanted event must hold, each as
// [AppendEvent] writes it. Looking for them costs a fiftieth of decoding; what
// holds them is decoded and compared all the same, because the same text may
// stand elsewhere in a line.
type needles [][]byte

// needles returns what every line that q matches holds. A value has one spelling
// in the log: AppendEvent escapes the same characters everywhere, and nothing
// else writes lines. One that is longer than a line keeps is found nowhere, with
// its needle and without.
func (q *Query) needles() (out needles) {
	switch {
	case strings.HasSuffix(q.Kind, "."):
		prefix := needle(`,"kind":`, q.Kind)
		out = append(out, prefix[:len(prefix)-1]) // the text goes on where the prefix ends
	case q.Kind != "":
		out = append(out, needle(`,"kind":`, q.Kind))
	}
	for _, id := range []string{q.ActorID, q.TargetID, q.About} {
		if id != "" {
			out = append(out, needle(`"id":`, id))
		}
	}
	if q.Outcome != "" {
		out = append(out, needle(`,"outcome":`, string(q.Outcome)))
	}
	return out
}

// needle is a member with its value as a line holds it.
func needle(name, value string) []byte { return appendString([]byte(name), value, len(value)) }

func (n needles) in(data []byte) bool {
	for _, text := range n {
		if !bytes.Contains(data, text) {
			return false
		}
	}
	return true
}

// split returns the lines of b, which must be as many as b says.
func split(b *Batch) ([][]byte, error) {
	if b.Count < 0 || b.Count > int64(len(b.Data)) {
		return nil, fmt.Errorf("audit: batch %s cannot hold %d events", b.ID, b.Count)
	}
	out := make([][]byte, 0, b.Count)
	for line := range lines(b.Data) {
		out = append(out, line)
	}
	if int64(len(out)) != b.Count {
		return nil, fmt.Errorf("audit: batch %s has %d lines, not %d", b.ID, len(out), b.Count)
	}
	return out, nil
}

func lineError(b *Batch, line int64, err error) error {
	return fmt.Errorf("audit: batch %s, line %d: %w", b.ID, line, err)
}
