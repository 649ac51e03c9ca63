package server_test

import (
	"crypto/rand"
	"fmt"
	"math"
	randv2 "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/server"
)

// TestTimesTellNothing: who guesses names and takes the time of each answer does not
// learn which accounts exist, at any door that takes passwords. A thousand tries with
// names that exist and a thousand with names that do not, in turn, are held against
// each other by the test of Kolmogorov and Smirnov; a third thousand, of names that do
// not exist and a millisecond late, shows in the same run that the test would have seen
// a millisecond. It says nothing on a machine that does other work.
//
// ASVS: 6.3.8
func TestTimesTellNothing(t *testing.T) {
	if os.Getenv("GATEHOUSE_TEST_LONG") == "" {
		t.Skip("GATEHOUSE_TEST_LONG is not set: `make enumeration` sets it")
	}
	const (
		tries = 1000
		fits  = 18 // failures of one account that cost it no wait
		late  = time.Millisecond
	)
	clock := new(stepped)
	d, err := server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0",
		Log: server.LogConfig{Level: "error", Format: "text"}}.WithClock(clock.now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(t.Context()) })
	doors := []struct{ name, method, url string }{{"POST /tokens", "POST", d.Issuer + "/tokens"}, {"Basic at the gateway", "GET", d.Gateway + "/private"}}
	var known, unknown []string
	for i := range len(doors) * (tries + fits - 1) / fits {
		known, unknown = append(known, fmt.Sprintf("reader%06d", 2*i)), append(unknown, fmt.Sprintf("reader%06d", 2*i+1))
		call(t, "POST", d.Issuer+"/admin/v1/realms/main/users", "bearer", d.AdminToken,
			"body", `{"username":"`+known[i]+`","password":"`+rand.Text()+`"}`).want(t, "a user", 201)
		if t.Failed() {
			return
		}
	}
	turn := randv2.New(randv2.NewPCG(1, 2))
	n := 0
	for at, door := range doors {
		var all []try
		for i := range tries {
			account := (at*tries + i) / fits
			names := []string{known[account], unknown[account], "l" + unknown[account]}
			for _, kind := range turn.Perm(len(names)) {
				n++
				clock.step(time.Second) // room in the bucket of all strangers
				address := fmt.Sprintf("10.%d.%d.1", n>>8, n&255)
				begun := time.Now()
				a := call(t, door.method, door.url, "basic", names[kind]+":wrong password for anybody", "X-Forwarded-For", address, "X-Forwarded-Proto", "https")
				if a.status != 401 {
					t.Fatalf("%s, %s, try %d: %d %s", door.name, names[kind], i, a.status, a.body)
				}
				if kind == 2 {
					for answered := time.Now(); time.Since(answered) < late; { // busy, as a server would be
					}
				}
				all = append(all, try{kind, time.Since(begun)})
			}
		}
		took := steady(all)
		found, ours := smirnov(took[1], took[2]), smirnov(took[0], took[1])
		t.Logf("%s: a distance of %.3f between names that exist and names that do not, of %.3f for a planted millisecond; one of %.3f comes by chance once in a thousand runs",
			door.name, ours, found, smirnovBound(tries, tries))
		if found < smirnovBound(tries, tries) {
			t.Errorf("%s: a difference of %v was not found: the machine is too busy to say anything", door.name, late)
		}
		if ours >= smirnovBound(tries, tries) {
			t.Errorf("%s: time tells which names exist", door.name)
		}
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
