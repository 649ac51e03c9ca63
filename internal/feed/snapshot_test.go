package feed

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestParseSnapshot(t *testing.T) {
	for _, text := range []string{"10:20:10,14,15", "1:1:", "3:9:", "9223372036854775806:9223372036854775807:9223372036854775806"} {
		s, err := parseSnapshot(text)
		if err != nil || s.String() != text {
			t.Errorf("%q: %q, %v", text, s, err)
		}
	}
	for _, text := range []string{"", ":", "::", "0:1:", "2:1:", "1:2", "1:2:3", "5:9:4", "5:9:9", "5:9:6,6", "5:9:7,6", "5:9:6,", "5:9: 6", "-1:2:",
		"1:9223372036854775808:", "a:b:", "1:2:3:4"} {
		if s, err := parseSnapshot(text); err == nil {
			t.Errorf("%q was read as %q", text, s)
		}
	}
}

// drawSnapshot draws a snapshot among a few transactions, so that two of them meet.
func drawSnapshot(t *rapid.T, name string) snapshot {
	s := snapshot{xmin: rapid.Uint64Range(1, 12).Draw(t, name+" xmin")}
	s.xmax = rapid.Uint64Range(s.xmin, 16).Draw(t, name+" xmax")
	for x := s.xmin; x < s.xmax; x++ {
		if rapid.Bool().Draw(t, name+" runs") {
			s.inProgress = append(s.inProgress, x)
		}
	}
	return s
}

// TestCovers compares covers with what it means, transaction by transaction.
func TestCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o := drawSnapshot(t, "s"), drawSnapshot(t, "o")
		want := true
		for x := uint64(1); x < 20; x++ {
			if seen := x < s.xmax && !slices.Contains(s.inProgress, x); seen != s.sees(x) {
				t.Fatalf("%v sees %d: %v", s, x, s.sees(x))
			}
			want = want && (s.sees(x) || !o.sees(x))
		}
		// A snapshot knows too which transactions had begun: one with a lower xmax is older,
		// though it may have seen as much.
		want = want && o.xmax <= s.xmax
		if got := s.covers(o); got != want {
			t.Fatalf("%v covers %v: %v, want %v", s, o, got, want)
		}
		if !s.covers(s) || !s.covers(snapshot{}) {
			t.Fatalf("%v covers less than itself or nothing", s)
		}
		if back, err := parseSnapshot(s.String()); err != nil || back.String() != s.String() {
			t.Fatalf("%v: %v, %v", s, back, err)
		}
	})
}
