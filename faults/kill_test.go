package faults_test

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestKill kills the program again and again while it creates, revokes, issues,
// refreshes, ends and decides, and asks the next process for everything that
// was acknowledged.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes for half a minute")
	}
	rounds := 5
	if long {
		rounds = 100
	}
	onBoth(t, func(t *testing.T, n *node) {
		n.start(t)
		var w truth
		w.person(t, n)
		var saved []string
		var slowest time.Duration
		for round := range rounds {
			stop, done := make(chan struct{}), make(chan struct{})
			before := w.count()
			go func() { w.load(n, stop); close(done) }()
			moment := before + 3 + rand.IntN(150) // acknowledged changes; the kill comes between any two
			eventually(t, 20*time.Second, "the load is on", func() bool { return w.count() > moment })
			n.kill()
			close(stop)
			<-done
			began := time.Now()
			n.start(t)
			slowest = max(slowest, time.Since(began))
			w.check(t, n, 60)
			saved = append(saved, n.checkpoint(t))
			n.verify(t, saved[max(0, len(saved)-3):]...)
			if long && (round+1)%10 == 0 {
				t.Logf("%d kills", round+1)
			}
			if t.Failed() {
				t.Fatalf("round %d of %d", round+1, rounds)
			}
		}
		w.check(t, n, 600)
		n.verify(t, saved...)
		t.Logf("%d kills: %d users, %d good and %d revoked keys, %d ended logins, %d spent refresh tokens held; slowest start %v",
			rounds, len(w.users), len(w.good), len(w.revoked), len(w.ended), len(w.spent), slowest.Round(time.Millisecond))
	})
}
