package duration

import (
	"math"
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	pattern := regexp.MustCompile(Pattern)
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "-24h": -24 * time.Hour,
		"90d": 90 * 24 * time.Hour, "1d12h": 36 * time.Hour, "2w": 14 * 24 * time.Hour, "0.5d": 12 * time.Hour, "250ms": 250 * time.Millisecond, "1µs": time.Microsecond,
		"2562047h47m16.854775807s": 1<<63 - 1, "720h0m0s": 720 * time.Hour,
	} {
		if got, err := Parse(text); err != nil || got != want || !pattern.MatchString(text) {
			t.Errorf("%q: %v, %v; want %v; pattern %v", text, got, err, want, pattern.MatchString(text))
		}
	}
	for _, text := range []string{"", "-", "5", "5 minutes", "5minutes", "5 m", "m", "1h 30m", "1y", "1D", "+5m", "--5m", ".", ".h", "1..5h", "1e3s", "५m", "P1D",
		"106752d", "15251w", "9999999999h", "2562047h47m16.854775808s", "0000000000000000000000000000000000001h"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

// TestPattern: what is read fits the documented pattern, and is written so that it is
// read again as the same.
func TestPattern(t *testing.T) {
	pattern := regexp.MustCompile(Pattern)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?([0-9]{0,6}\.?[0-9]{0,3}(ns|us|µs|ms|[smhdwy +])){0,4}0?`).Draw(t, "text")
		d, err := Parse(text)
		if err != nil {
			return
		}
		if !pattern.MatchString(text) {
			t.Fatalf("%q is read as %v, and the documented pattern refuses it", text, d)
		}
		if again, err := Parse(d.String()); err != nil || again != d {
			t.Fatalf("%q is %v, which is read as %v, %v", text, d, again, err)
		}
	})
}

func TestFormat(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", time.Hour: "1h", 90 * time.Minute: "1h30m", time.Minute: "1m", 10 * time.Minute: "10m",
		30 * time.Second: "30s", time.Hour + time.Second: "1h0m1s", -time.Hour: "-1h", 720 * time.Hour: "720h", 1500 * time.Microsecond: "1.5ms"} {
		if got := Format(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64().Draw(t, "duration"))
		if got, err := Parse(Format(d)); d != math.MinInt64 && (err != nil || got != d) {
			t.Fatalf("%d became %d by %s: %v", d, got, Format(d), err)
		}
	})
}
