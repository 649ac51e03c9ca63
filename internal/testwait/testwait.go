// Package testwait is how tests wait for what happens by itself in another goroutine or process: they ask again and
// again, with a limit, and never sleep for a time that somebody once found long enough. Tests of time itself use
// testing/synctest instead.
package testwait

import (
	"testing"
	"time"
)

// every is the pause between two questions.
const every = 2 * time.Millisecond

// For asks until the answer is yes, and tells whether it was within the limit. It asks once at least.
func For(within time.Duration, ok func() bool) bool {
	limit := time.NewTimer(within)
	defer limit.Stop()
	pause := time.NewTicker(every)
	defer pause.Stop()
	for {
		if ok() {
			return true
		}
		select {
		case <-limit.C:
			return ok() // a slow machine may have slept over the end
		case <-pause.C:
		}
	}
}

// Until is [For] that ends the test when the answer is still no; what says what was waited for.
func Until(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if !For(within, ok) {
		t.Fatalf("%s: not within %v", what, within)
	}
}

// Outlast lets a limit of the program run out on the real clock, where sockets are between and no fake clock can be:
// nothing is to be asked meanwhile, since what is tested is that nothing happens, or that the limit ends it.
func Outlast(limit time.Duration) { time.Sleep(limit) }
