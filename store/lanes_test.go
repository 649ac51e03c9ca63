package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/store"
)

// arrive appends one event of the realm main, done by actor.
func arrive(ctx context.Context, db *store.DB, actor string) error {
	return db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "a.b", Actor: gatehouse.Actor{ID: actor}})
	})
}

// takeIn gives everything that waits its index.
func takeIn(t *testing.T, db *store.DB) {
	t.Helper()
	do(t, db, func(ctx context.Context, tx *store.Tx) error {
		head, err := tx.AuditHead(ctx, "main")
		if err != nil {
			return err
		}
		waiting, err := tx.UnsequencedBatches(ctx, "main", 1000)
		if err != nil {
			return err
		}
		return tx.SequenceBatches(ctx, "main", head, waiting)
	})
}

func actors(batches []audit.Batch) (out []string) {
	for _, b := range batches {
		out = append(out, b.ActorID)
	}
	return out
}

// slowCommit has the COMMIT of whoever appends as "slow" wait until release is called.
func slowCommit(t *testing.T, raw *sql.DB) (waits func() bool, release func()) {
	t.Helper()
	ctx := t.Context()
	for _, s := range []string{
		`CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON audit_batches DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW WHEN (NEW.actor_id='slow') EXECUTE FUNCTION dawdle()`,
	} {
		if _, err := raw.ExecContext(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	gate := must(raw.BeginTx(ctx, nil))(t)
	if _, err := gate.ExecContext(ctx, `SELECT pg_advisory_xact_lock(4711)`); err != nil {
		t.Fatal(err)
	}
	waits = func() bool {
		var n int
		if err := raw.QueryRowContext(ctx, `SELECT COUNT(*) FROM pg_locks WHERE locktype='advisory' AND objid=4711 AND NOT granted`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	return waits, func() {
		if err := gate.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

// TestLateCommits: who is long in committing holds up nobody, neither those who append nor
// the sequencer; it comes into the log when it has committed, and at no time is anything
// taken for missing.
func TestLateCommits(t *testing.T) {
	cfg, dbs := nodes(t, 2)
	ctx, a, b := t.Context(), dbs[0], dbs[1]
	raw := rawDB(t, cfg)
	do(t, a, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertRealm(ctx, gatehouse.Realm{Name: "main"})
	})
	waits, release := slowCommit(t, raw)
	slow := make(chan error, 1)
	go func() { slow <- arrive(ctx, a, "slow") }()
	testwait.Until(t, soon, "the slow one waits in its COMMIT", waits)
	whole := func(want ...string) {
		t.Helper()
		w := must(b.AuditWaiting(ctx, "main"))(t)
		if w.Missing != 0 || len(w.Gaps) != 0 {
			t.Errorf("missing: %+v", w)
		}
		same(t, actors(must(b.Batches(ctx, "main", audit.BatchQuery{}))(t)), want)
	}
	for _, who := range []string{"1", "2"} {
		if err := arrive(ctx, a, who); err != nil {
			t.Fatal(err)
		}
	}
	whole("1", "2")
	takeIn(t, b)
	whole("1", "2")
	if err := arrive(ctx, b, "3"); err != nil {
		t.Fatal(err)
	}
	takeIn(t, a)
	whole("1", "2", "3")
	release()
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
	whole("1", "2", "3", "slow")
	takeIn(t, b)
	whole("1", "2", "3", "slow")
	all := must(a.Batches(ctx, "main", audit.BatchQuery{}))(t)
	for i, v := range all {
		if v.Position != int64(i+1) || v.FirstIndex != int64(i) {
			t.Errorf("%s is at %d with index %d", v.ActorID, v.Position, v.FirstIndex)
		}
	}
}

// TestLanes: many at once append from two nodes while a third takes in, some give up; all
// that was acknowledged is in the log once, in positions without a hole, and what one
// appended after the other comes after it.
func TestLanes(t *testing.T) {
	cfg, dbs := nodes(t, 3)
	ctx := t.Context()
	do(t, dbs[0], func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertRealm(ctx, gatehouse.Realm{Name: "main"})
	})
	const writers, each = 12, 20
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			for j := range each {
				err := dbs[i%2].Update(ctx, func(ctx context.Context, tx *store.Tx) error {
					if err := tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "a.b", Actor: gatehouse.Actor{ID: fmt.Sprintf("%02d.%02d", i, j)}}); err != nil {
						return err
					}
					if j%5 == 4 {
						return errOurs
					}
					return nil
				})
				if err != nil && j%5 != 4 {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		takeIn(t, dbs[2])
		if w := must(dbs[2].AuditWaiting(ctx, "main"))(t); w.Missing != 0 || len(w.Gaps) != 0 {
			t.Fatalf("missing while all is there: %+v", w)
		}
	}
	all := must(dbs[0].Batches(ctx, "main", audit.BatchQuery{Limit: 1000}))(t)
	if len(all) != writers*each*4/5 {
		t.Errorf("%d batches, not %d", len(all), writers*each*4/5)
	}
	last := map[string]string{}
	for i, v := range all {
		if v.Position != int64(i+1) || v.FirstIndex != int64(i) {
			t.Fatalf("batch %d is at %d with index %d", i, v.Position, v.FirstIndex)
		}
		if who := v.ActorID[:2]; v.ActorID <= last[who] {
			t.Errorf("%s comes after %s", v.ActorID, last[who])
		} else {
			last[who] = v.ActorID
		}
	}
	var taken int64
	if err := rawDB(t, cfg).QueryRowContext(ctx, `SELECT SUM(batches) FROM audit_taken`).Scan(&taken); err != nil || taken != int64(len(all)) {
		t.Errorf("%d were taken, %v", taken, err)
	}
}

// TestRemovedBeforeTheLog: what somebody removes from the database before the sequencer
// took it is missed, also when others from the same lane stay or are taken.
func TestRemovedBeforeTheLog(t *testing.T) {
	cfg, dbs := nodes(t, 1)
	ctx, db, raw := t.Context(), dbs[0], rawDB(t, cfg)
	for i := range 4 {
		if err := arrive(ctx, db, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	missing := func(want int64) {
		t.Helper()
		same(t, must(db.AuditWaiting(ctx, "main"))(t).Missing, want)
	}
	missing(0)
	for i, who := range []string{"1", "3"} {
		if _, err := raw.ExecContext(ctx, `DELETE FROM audit_batches WHERE actor_id=$1`, who); err != nil {
			t.Fatal(err)
		}
		missing(int64(i + 1))
	}
	takeIn(t, db)
	missing(2)
	if err := arrive(ctx, db, "5"); err != nil {
		t.Fatal(err)
	}
	missing(2)
	same(t, actors(must(db.Batches(ctx, "main", audit.BatchQuery{}))(t)), []string{"0", "2", "5"})
}

// TestListingWhileSequenced: pages in both directions hold each event once, while what
// they name gets its place in the log between one page and the next.
func TestListingWhileSequenced(t *testing.T) {
	for _, oldest := range []bool{true, false} {
		for size := 1; size <= 3; size++ {
			t.Run(fmt.Sprintf("oldest first %v, pages of %d", oldest, size), func(t *testing.T) {
				onBoth(t, func(t *testing.T, cfg store.Config) {
					ctx, db := t.Context(), open(t, cfg)
					var want, got []string
					for i := range 9 {
						want = append(want, fmt.Sprint(i))
						if err := arrive(ctx, db, want[i]); err != nil {
							t.Fatal(err)
						}
						if i == 3 {
							takeIn(t, db)
						}
					}
					if !oldest {
						slices.Reverse(want)
					}
					log := audit.Log{Reader: db}
					q := audit.Query{Limit: size, OldestFirst: oldest}
					for page := range 20 {
						p := must(log.List(ctx, "main", q))(t)
						for _, e := range p.Entries {
							got = append(got, e.Event.Actor.ID)
						}
						if page == 1 || page == 3 {
							takeIn(t, db)
							if err := arrive(ctx, db, "later"); err != nil {
								t.Fatal(err)
							}
						}
						if q.Cursor = p.Next; p.Next == "" {
							break
						}
					}
					if oldest { // what came meanwhile is at the end
						got = slices.DeleteFunc(got, func(who string) bool { return who == "later" })
					}
					same(t, got, want)
				})
			})
		}
	}
}
