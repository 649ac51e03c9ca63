package faults_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// TestDatabaseAway stops PostgreSQL under load and starts it again, three
// times: what is asked for meanwhile fails soon and clearly, what is known is
// still judged, and afterwards all is well without anybody's doing.
func TestDatabaseAway(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	needPostgres(t)
	away := 2 * time.Second
	if long {
		away = time.Minute
	}
	n := newNode(t, nodeConfig{dsn: postgres.DSN(t), queue: 1 << 20, overflow: "block"})
	n.start(t)
	k := prepare(t, n)
	var w truth
	for round := range 3 {
		// An absence makes everything forgotten that was known before it, and what is
		// read while others change users is not kept: ask before anybody does.
		n.quiet = len(n.logged()) // what the absence before made forgotten may be so only now
		for range 3 {
			n.private(k.key).want(t, "key", 200)
			n.private(k.access).want(t, "token", 200)
		}
		stop, done := make(chan struct{}), make(chan struct{})
		before := w.count()
		go func() { w.load(n, stop); close(done) }()
		eventually(t, 10*time.Second, "the load is on", func() bool { return w.count() > before+5 })
		if err := postgres.Down(); err != nil {
			t.Fatal(err)
		}
		up := sync.OnceFunc(func() {
			if err := postgres.Up(); err != nil {
				t.Error(err)
			}
		})
		defer up()
		began := time.Now()
		if acknowledged := during(t, n, k, true); len(acknowledged) > 0 {
			t.Errorf("round %d: acknowledged without a database: %v", round, acknowledged)
		}
		if testwait.For(away-time.Since(began), func() bool {
			return n.manage("POST", "/users", `{"username":"nobody-keeps-me","kind":"service"}`).status < 400
		}) {
			t.Errorf("round %d: acknowledged without a database", round)
		}
		up()
		// The load finds its way back.
		back := w.count()
		took := eventually(t, 15*time.Second, "the load goes on", func() bool { return w.count() > back+5 })
		close(stop)
		<-done
		// The grace for a lost answer is shorter than the long absence.
		if long {
			w.lost = nil
		}
		// What waited in the queue is stored first; until then a fast machine may have
		// filled it, and requests are refused.
		eventually(t, 15*time.Second, "requests are recorded again", func() bool { return n.private(k.key).status == 200 })
		w.check(t, n, 100)
		n.verify(t, k.saved, n.checkpoint(t))
		t.Logf("round %d: the load was back after %v", round+1, took.Round(time.Millisecond))
		if t.Failed() {
			return
		}
	}
	after(t, n, k, nil)
}
