package feed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// quiet is a follower that reads when it is asked to, and hardly ever by itself.
func quiet(t testing.TB, dsn, name string, change func(*Config)) *node {
	t.Helper()
	n := start(t, dsn, name, func(c *Config) {
		c.Poll = time.Hour
		if change != nil {
			change(c)
		}
	})
	testwait.Until(t, soon, "ready", isReady(n))
	return n
}

// TestSync: who asks has everything that was committed before he asked, however many ask
// at once, and the readings are not as many as the questions.
func TestSync(t *testing.T) {
	dsn := database(t)
	var readings counter
	n := quiet(t, dsn, "n", func(c *Config) {
		c.Connect = func(ctx context.Context) (*pgx.Conn, error) {
			cc, err := pgx.ParseConfig(dsn)
			if err != nil {
				return nil, err
			}
			cc.Tracer = &readings
			return pgx.ConnectConfig(ctx, cc)
		}
	})
	c := connect(t, dsn)
	write := func(changes string) { // unannounced
		execute(t, c, `INSERT INTO feed (xid, node, written_at, changes) VALUES (pg_current_xact_id()::text::bigint, 'x', 0, $1)`, changes)
	}
	for i := range 20 {
		name := fmt.Sprint("one ", i)
		write(name)
		before := time.Now()
		at, err := n.Sync(t.Context())
		if err != nil || !n.seen(name) {
			t.Fatalf("%s was read: %v, %v", name, n.seen(name), err)
		}
		if at.Before(before) || at.After(time.Now()) { // one machine, one clock
			t.Errorf("the reading was at %v, asked for at %v", at, before)
		}
	}
	writers := make(chan string, 4)
	var asking sync.WaitGroup
	for range cap(writers) {
		asking.Go(func() {
			for name := range writers {
				var all sync.WaitGroup
				for range 50 {
					all.Go(func() {
						if _, err := n.Sync(t.Context()); err != nil || !n.seen(name) {
							t.Errorf("%s was read: %v, %v", name, n.seen(name), err)
						}
					})
				}
				all.Wait()
			}
		})
	}
	began, before := time.Now(), readings.Load()
	for i := range 40 {
		name := fmt.Sprint("many ", i)
		write(name)
		writers <- name
	}
	close(writers)
	asking.Wait()
	most := int64(time.Since(began)/syncPace) + 2
	if got := readings.Load() - before; got > most || got == 0 {
		t.Errorf("%d readings for 2000 questions in %v", got, time.Since(began))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Sync(gone); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// atEnd runs something once a query that has the text has ended, before the answer is used.
type atEnd struct {
	text string
	do   atomic.Pointer[func()]
}

type queryText struct{}

func (a *atEnd) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, queryText{}, data.SQL)
}

func (a *atEnd) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if text, _ := ctx.Value(queryText{}).(string); strings.Contains(text, a.text) {
		if do := a.do.Swap(nil); do != nil {
			(*do)()
		}
	}
}

// TestSyncWhileReading: who asks while a reading is under way waits for the next one.
func TestSyncWhileReading(t *testing.T) {
	dsn := database(t)
	late := &atEnd{text: "pg_current_snapshot"}
	n := quiet(t, dsn, "n", func(c *Config) {
		c.Connect = func(ctx context.Context) (*pgx.Conn, error) {
			cc, err := pgx.ParseConfig(dsn)
			if err != nil {
				return nil, err
			}
			cc.Tracer = late
			return pgx.ConnectConfig(ctx, cc)
		}
	})
	c := connect(t, dsn)
	waiting := func() int {
		n.queue.mu.Lock()
		defer n.queue.mu.Unlock()
		return n.queue.waiting
	}
	answer := make(chan error, 1)
	late.do.Store(new(func() {
		execute(t, c, `INSERT INTO feed (xid, node, written_at, changes) VALUES (pg_current_xact_id()::text::bigint, 'x', 0, 'late')`)
		before := waiting()
		go func() {
			_, err := n.Sync(t.Context())
			answer <- err
		}()
		testwait.Until(t, soon, "somebody asks", func() bool { return waiting() > before })
	}))
	if _, err := n.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil || !n.seen("late") {
		t.Errorf("what was committed before the question was read: %v, %v", n.seen("late"), err)
	}
}

// TestSyncDoubt: rows that only say that much has changed answer nobody; the loading
// that they cause does.
func TestSyncDoubt(t *testing.T) {
	dsn := database(t)
	var doubts atomic.Pointer[node]
	n := quiet(t, dsn, "n", func(c *Config) {
		c.Apply = func([]Row) { doubts.Load().Forget() }
	})
	doubts.Store(n)
	c := connect(t, dsn)
	execute(t, c, `INSERT INTO feed (xid, node, written_at, changes) VALUES (pg_current_xact_id()::text::bigint, 'x', 0, 'much')`)
	if _, err := n.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := n.reloads(); len(got) != 2 || got[1] != string(reloadDoubt) {
		t.Errorf("answered after the reloads %q", got)
	}
}

// TestSyncCutOff: while the database cannot be read nobody is told that all is known, and
// after a while nobody waits for it; when it is back they have what was written meanwhile.
func TestSyncCutOff(t *testing.T) {
	dsn := database(t)
	n := quiet(t, dsn, "n", nil)
	c := connect(t, dsn)
	execute(t, c, `ALTER TABLE feed RENAME TO away`)
	if at, err := n.Sync(t.Context()); !errors.Is(err, errBehind) {
		t.Fatalf("%v %v", at, err)
	}
	testwait.Until(t, soon, "told at once", func() bool {
		asked := time.Now()
		_, err := n.Sync(t.Context())
		return errors.Is(err, errBehind) && time.Since(asked) < syncWait/4
	})
	execute(t, c, `INSERT INTO away (xid, node, written_at, changes) VALUES (pg_current_xact_id()::text::bigint, 'x', 0, 'meanwhile')`)
	execute(t, c, `ALTER TABLE away RENAME TO feed`)
	testwait.Until(t, soon, "back", func() bool { _, err := n.Sync(t.Context()); return err == nil })
	if !n.seen("meanwhile") && len(n.reloads()) < 2 {
		t.Error("what was written meanwhile is not known")
	}
}

// TestSyncBound: no more wait than may.
func TestSyncBound(t *testing.T) {
	q := newQueue()
	for range maxSyncs {
		if q.join() == nil {
			t.Fatal("there is room")
		}
	}
	if q.join() != nil {
		t.Error("more wait than may")
	}
	q.leave()
	if q.join() == nil {
		t.Error("there is room again")
	}
}
