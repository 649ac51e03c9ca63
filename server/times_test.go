package server_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"
)

// TestTimesTellNothing: who guesses names and takes the time of each answer does not
// learn which accounts exist, at any door that takes passwords, or that writes to the person
// of a name or an address. A thousand tries with names that exist and a thousand with names
// that do not, in turn, are held against each other by the test of Kolmogorov and Smirnov; a
// third thousand, of names that do not exist and a millisecond late, shows in the same run
// that the test would have seen a millisecond. It says nothing on a machine that does other
// work.
//
// ASVS: 6.3.8
func TestTimesTellNothing(t *testing.T) {
	if os.Getenv("GATEHOUSE_TEST_LONG") == "" {
		t.Skip("GATEHOUSE_TEST_LONG is not set: `make enumeration` sets it")
	}
	const (
		tries   = 1000
		fits    = 18 // failures of one account that cost it no wait
		written = 250
	)
	g := newGuessed(t)
	var known []string
	for i := range (tries + fits - 1) / fits * 3 {
		known = append(known, g.account(t, fmt.Sprintf("reader%06d", 2*i)))
	}
	var people []string
	for i := range written {
		people = append(people, g.account(t, fmt.Sprintf("writer%06d", i)))
	}
	g.open(t)
	for at, d := range g.passwordDoors() {
		d.names = func(i int) [3]string {
			account := (at*tries + i) / fits
			return [3]string{known[account], fmt.Sprintf("reader%06d", 2*account+1), fmt.Sprintf("lreader%06d", 2*account+1)}
		}
		t.Run(d.name, func(t *testing.T) { g.timed(t, d, tries, time.Millisecond) })
	}
	for _, d := range g.mailDoors(people) {
		t.Run(d.name, func(t *testing.T) { g.timed(t, d, tries, time.Millisecond) })
	}
}

// TestAnswersTellNothing: the pages that write to the person of a name or an address answer alike whether there is one, to the
// byte, and at the same time as far as a few tries show; TestTimesTellNothing tries long.
//
// ASVS: 6.3.8
func TestAnswersTellNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for times of answers; runs without -short")
	}
	const tries = 12
	g := newGuessed(t)
	var people []string
	for i := range tries {
		people = append(people, g.account(t, fmt.Sprintf("writer%06d", i)))
	}
	g.open(t)
	for _, d := range g.mailDoors(people) {
		t.Run(d.name, func(t *testing.T) { g.timed(t, d, tries, 100*time.Millisecond) })
	}
}

// try is one guess, and how long its answer took.
type try struct {
	kind int // 0: a name that exists, 1: one that does not, 2: the same, late
	took time.Duration
}

// steady is what the tries of each kind took more than the middle one of those around
// them: a machine that is slower for a while makes all kinds slower.
func steady(all []try) (took [3][]time.Duration) {
	const around = 10
	for i, a := range all {
		var near []time.Duration
		for _, b := range all[max(0, i-around):min(len(all), i+around+1)] {
			near = append(near, b.took)
		}
		slices.Sort(near)
		took[a.kind] = append(took[a.kind], a.took-near[len(near)/2])
	}
	return took
}

// smirnov is the greatest distance between the shares of a and of b that are at most x,
// over all x.
func smirnov(a, b []time.Duration) float64 {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	worst, i, j := 0.0, 0, 0
	for i < len(a) && j < len(b) {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		worst = max(worst, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return worst
}

// smirnovBound is the distance that two samples of one source exceed once in a thousand
// times, for samples that are not small.
func smirnovBound(n, m int) float64 {
	return math.Sqrt(-math.Log(0.001/2)/2) * math.Sqrt(float64(n+m)/(float64(n)*float64(m)))
}

// TestSmirnov: two samples of one source are no difference, and two of two sources are.
func TestSmirnov(t *testing.T) {
	of := func(from, step time.Duration) (s []time.Duration) {
		for i := range 1000 {
			s = append(s, from+time.Duration(i)*step)
		}
		return s
	}
	if d := smirnov(of(0, 10), of(3, 10)); d > 0.01 {
		t.Errorf("samples beside each other: %v", d)
	}
	if d := smirnov(of(0, 1), of(250, 1)); math.Abs(d-0.25) > 1e-9 {
		t.Errorf("a quarter moved: %v", d)
	}
	if d := smirnov(of(0, 1), of(5000, 1)); d != 1 {
		t.Errorf("nothing in common: %v", d)
	}
	if b := smirnovBound(1000, 1000); b < 0.087 || b > 0.088 {
		t.Errorf("bound %v", b)
	}
}
