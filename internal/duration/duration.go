// Package duration reads how long something lasts as people write it: "10m",
// "1h30m", and for long times "90d" and "2w". Every flag, setting and member of the
// API that is a duration is read by it.
package duration

import (
	"errors"
	"math"
	"strings"
	"time"
)

// Pattern is a regular expression (ECMA-262 and RE2) that every duration matches.
const Pattern = `^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w))+$|^0$`

// Form tells how a duration is written.
const Form = `a duration is a number with a unit (s, m, h, d or w), such as "10m", "1h30m", "720h" or "90d"`

var errForm = errors.New(Form)

// Parse reads a duration: what [time.ParseDuration] reads, with days of 24 hours and
// weeks of 7 days too. The error does not repeat text.
func Parse(text string) (time.Duration, error) {
	if len(text) > 32 {
		return 0, errForm
	}
	rest, negative := strings.CutPrefix(text, "-")
	if text == "0" {
		return 0, nil
	}
	var sum time.Duration
	for first := true; first || rest != ""; first = false {
		n := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if n <= 0 || rest[0] == '.' || rest[n-1] == '.' {
			return 0, errForm
		}
		unit := n + strings.IndexFunc(rest[n:]+"0", func(r rune) bool { return r == '.' || r >= '0' && r <= '9' })
		part, err := one(rest[:n], rest[n:min(unit, len(rest))])
		if err != nil || part > math.MaxInt64-sum {
			return 0, errForm
		}
		sum, rest = sum+part, rest[min(unit, len(rest)):]
	}
	if negative {
		sum = -sum
	}
	return sum, nil
}

// one reads a number with one unit.
func one(number, unit string) (time.Duration, error) {
	times := time.Duration(1)
	switch unit {
	case "d":
		unit, times = "h", 24
	case "w":
		unit, times = "h", 7*24
	}
	d, err := time.ParseDuration(number + unit)
	if err != nil || d > math.MaxInt64/times {
		return 0, errForm
	}
	return d * times, nil
}

// Format writes a duration without the parts of [time.Duration.String] that are 0:
// 1h, not 1h0m0s. [Parse] reads it.
func Format(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
