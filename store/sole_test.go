package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/staleness"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/store"
)

// claimOf is what a node says of itself whose machine and directory have these names.
func claimOf(db *store.DB, host string, bound time.Duration) staleness.Claim {
	return staleness.Claim{Node: db.NodeID(), Host: host, Home: "HOME-OF-" + host, Bound: bound}
}

func standing(t *testing.T, db *store.DB, c staleness.Claim) staleness.Standing {
	t.Helper()
	st := must(db.Sole().Sole(t.Context(), c))(t)
	if off := time.Since(st.Database); off < 0 || off > soon {
		t.Errorf("the database's clock is off by %v", off)
	}
	st.Database = time.Time{}
	return st
}

// forgetRows removes what other nodes wrote of themselves lately, as a minute would.
func forgetRows(t *testing.T, cfg store.Config) {
	t.Helper()
	execute(t, cfg, `UPDATE nodes SET seen_at=seen_at-120000000`)
}

func execute(t *testing.T, cfg store.Config, statement string, args ...any) {
	t.Helper()
	conn := must(pgx.Connect(t.Context(), cfg.DSN.Reveal()))(t)
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// TestSoleNode: who is alone has the right to go on; it is asked for it as soon as another
// one is there, who waits until it was given up, and stores nothing meanwhile that others
// must know of.
func TestSoleNode(t *testing.T) {
	cfg, dbs := nodes(t, 1)
	a := dbs[0]
	mine := claimOf(a, "a", time.Hour)
	for range 2 {
		same(t, standing(t, a, mine), staleness.Standing{Sole: true})
	}
	do(t, a, putRole("mine")) // others would have to know of it, and there are none
	b := open(t, cfg)
	theirs := claimOf(b, "b", time.Hour)
	waits := standing(t, b, theirs)
	if waits.Sole || waits.Holder != a.NodeID() || waits.Host != "a" || waits.Left < time.Hour || waits.Left > time.Hour+time.Minute {
		t.Errorf("who comes is told %+v", waits)
	}
	wantCode(t, b.Update(t.Context(), putRole("theirs")), "node_waits")
	do(t, b, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "a", "1") }) // nobody must know of it
	if st := standing(t, a, mine); !st.Asked || st.Ended != "" {
		t.Errorf("who was alone is told %+v", st)
	}
	wantCode(t, b.Update(t.Context(), putRole("theirs")), "node_waits") // it was only asked
	if err := a.Sole().YieldSole(t.Context(), mine.Node); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		same(t, standing(t, b, theirs), staleness.Standing{})
		same(t, standing(t, a, mine), staleness.Standing{})
	}
	do(t, b, putRole("theirs"))
	do(t, a, putRole("again"))

	// One leaves well: the other one is alone at once.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "alone again", func() bool { return standing(t, a, mine).Sole })
	same(t, standing(t, a, claimOf(a, "a", 0)), staleness.Standing{Sole: false})
}

// TestSoleNodeIsGone: the right of one who does not answer ends when his time is over, when
// his process has ended, and when an operator says so; and not before.
func TestSoleNodeIsGone(t *testing.T) {
	for name, c := range map[string]struct {
		bound  time.Duration
		host   string // of who comes
		before func(t *testing.T, cfg store.Config, b *store.DB, a string)
		why    string
	}{
		"it may be going on":           {time.Hour, "b", nil, ""},
		"it may be going on for ever":  {staleness.Forever, "b", func(t *testing.T, cfg store.Config, _ *store.DB, _ string) { longAgo(t, cfg, 10000*time.Hour) }, ""},
		"its time is nearly over":      {time.Hour, "b", func(t *testing.T, cfg store.Config, _ *store.DB, _ string) { longAgo(t, cfg, time.Hour+30*time.Second) }, ""},
		"its time is over":             {time.Hour, "b", func(t *testing.T, cfg store.Config, _ *store.DB, _ string) { longAgo(t, cfg, time.Hour+42*time.Second) }, "its time is over"},
		"its directory is somebody's":  {staleness.Forever, "a", nil, "its process has ended"},
		"a copy of it on another host": {staleness.Forever, "copy", nil, ""},
		"an operator says that it ended": {staleness.Forever, "b", func(t *testing.T, cfg store.Config, b *store.DB, a string) {
			forgetRows(t, cfg)
			do(t, b, func(ctx context.Context, tx *store.Tx) error { return tx.RemoveNode(ctx, a) })
		}, "-"},
		"its row is gone, and then an operator says so": {staleness.Forever, "b", func(t *testing.T, cfg store.Config, b *store.DB, a string) {
			execute(t, cfg, `DELETE FROM nodes WHERE id=$1`, a)
			if st := standing(t, b, claimOf(b, "b", time.Hour)); st.Holder != a {
				t.Errorf("that its row is gone proves nothing: %+v", st)
			}
			do(t, b, func(ctx context.Context, tx *store.Tx) error { return tx.RemoveNode(ctx, a) })
		}, "-"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := postgresConfig(t)
			cfg.Shared, cfg.LockWait = true, -1
			a := "node_gone" // its process does not answer, and is not connected
			b := open(t, cfg)
			bound := c.bound.Microseconds()
			if c.bound == staleness.Forever {
				bound = -1
			}
			execute(t, cfg, `INSERT INTO sole_node VALUES (1,$1,'a','HOME-OF-a',$2,(extract(epoch FROM clock_timestamp())*1000000)::bigint)`, a, bound)
			execute(t, cfg, fmt.Sprintf(`INSERT INTO nodes SELECT '%s', host, version, addresses, started_at, max_staleness, seen_at, history, position, age FROM nodes`, a))
			claim := claimOf(b, c.host, time.Hour)
			if c.host == "copy" {
				claim.Home = "HOME-OF-a"
			}
			if c.before != nil {
				c.before(t, cfg, b, a)
			}
			st := standing(t, b, claim)
			switch {
			case c.why == "" && (st.Holder != a || st.Sole || st.Ended != ""):
				t.Errorf("%+v", st)
			case c.why == "-" && (st.Holder != "" || st.Ended != ""), c.why != "" && c.why != "-" && (st.Holder != "" || st.Ended != a || st.Why != c.why):
				t.Errorf("%+v", st)
			}
			if err := b.Update(t.Context(), putRole("a")); (err == nil) != (c.why != "") {
				t.Errorf("a change that others must know of: %v", err)
			}
			if c.why == "its process has ended" && !st.Sole {
				t.Errorf("nobody else is there, and it is not alone: %+v", st)
			}
			if c.why == "its time is over" && st.Sole { // it was there a moment ago
				t.Errorf("the other one may be there still: %+v", st)
			}
		})
	}
}

func longAgo(t *testing.T, cfg store.Config, d time.Duration) {
	execute(t, cfg, `UPDATE sole_node SET contact=contact-$1`, d.Microseconds())
}

// TestSoleNodeAfterACrash: one of two that dies leaves the other one alone once it has said
// nothing for a minute, and not before: until then it may be in the middle of a change.
func TestSoleNodeAfterACrash(t *testing.T) {
	cfg, dbs := nodes(t, 1)
	a := dbs[0]
	mine := claimOf(a, "a", time.Hour)
	execute(t, cfg, `INSERT INTO nodes SELECT 'node_dead', host, version, addresses, started_at, max_staleness, seen_at-50000000, history, position, age FROM nodes`)
	same(t, standing(t, a, mine), staleness.Standing{})
	execute(t, cfg, `UPDATE nodes SET seen_at=seen_at-20000000 WHERE id='node_dead'`)
	same(t, standing(t, a, mine), staleness.Standing{Sole: true})
	// One that is connected is there, however long it has said nothing.
	conn := must(pgx.Connect(t.Context(), cfg.DSN.Reveal()))(t)
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock_shared($1::int, hashtext('public'))`, 0x67617465); err != nil {
		t.Fatal(err)
	}
	if st := standing(t, a, mine); !st.Asked {
		t.Errorf("one that says nothing is connected: %+v", st)
	}
}

// TestSoleNodeOrOneWhoComes: however one who takes the right and one who comes meet, either
// the one who comes waits, or the other one has not got it.
func TestSoleNodeOrOneWhoComes(t *testing.T) {
	cfg, dbs := nodes(t, 1)
	a := dbs[0]
	mine := claimOf(a, "a", time.Hour)
	took, waited := 0, 0
	for range 30 {
		if err := a.Sole().YieldSole(t.Context(), mine.Node); err != nil {
			t.Fatal(err)
		}
		answer := make(chan staleness.Standing, 1)
		go func() {
			st, err := a.Sole().Sole(context.Background(), mine)
			if err != nil {
				t.Error(err)
			}
			answer <- st
		}()
		b := must(store.Open(t.Context(), cfg))(t)
		theirs := standing(t, b, claimOf(b, "b", time.Hour))
		if st := <-answer; st.Sole && !st.Asked {
			took++
			if theirs.Holder != mine.Node {
				t.Fatal("one has the right to go on alone, and the other one does not wait")
			}
			waited++
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(took, "times taken,", waited, "times waited for")
}

// TestNobodyAloneBesideSole: who needs the database for himself is refused while a node may be going on
// without it, which would not hear of what he changes: until its time is over, or its process has ended.
func TestNobodyAloneBesideSole(t *testing.T) {
	for name, c := range map[string]struct {
		bound   time.Duration
		host    string // of who comes
		ago     time.Duration
		refused bool
	}{
		"it may be going on":            {time.Hour, "b", time.Minute, true},
		"it may be going on for ever":   {staleness.Forever, "b", 10000 * time.Hour, true},
		"its time is over":              {time.Hour, "b", time.Hour + 42*time.Second, false},
		"its process has ended":         {staleness.Forever, "a", 0, false},
		"who says nothing of his place": {staleness.Forever, "", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, dbs := nodes(t, 1)
			if !standing(t, dbs[0], claimOf(dbs[0], "a", c.bound)).Sole {
				t.Fatal("it is not alone")
			}
			if err := dbs[0].Close(); err != nil { // as if it were killed: it gives nothing up
				t.Fatal(err)
			}
			longAgo(t, cfg, c.ago)
			cfg.Shared, cfg.About.Host = false, c.host
			if c.host != "" {
				cfg.Home = "HOME-OF-" + c.host
			}
			var err error
			testwait.Until(t, soon, "the server has noticed who left", func() bool {
				var db *store.DB
				if db, err = store.Open(t.Context(), cfg); err == nil {
					err = db.Close()
				}
				return err == nil || strings.Contains(err.Error(), dbs[0].NodeID())
			})
			if c.refused {
				wantCode(t, err, "store_locked")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestConnectionsOfANode: a node has as many connections as its pool may have, and three more, as
// docs/connections.md says.
func TestConnectionsOfANode(t *testing.T) {
	cfg := postgresConfig(t)
	cfg.Shared, cfg.LockWait = true, -1
	dsn := cfg.DSN.Reveal()
	join := "?"
	if strings.Contains(dsn, "?") {
		join = "&"
	}
	if !strings.Contains(dsn, "://") {
		join = " "
	}
	watch := must(pgx.Connect(t.Context(), dsn))(t)
	defer func() { _ = watch.Close(context.Background()) }()
	cfg.DSN = gatehouse.Secret(dsn + join + "pool_max_conns=4")
	db := open(t, cfg)
	release := make(chan struct{})
	var busy sync.WaitGroup
	for range 12 {
		busy.Go(func() {
			err := db.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.Setting(ctx, "none")
				<-release
				if errors.Is(err, gatehouse.NotFound) {
					err = nil
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	most := 0
	testwait.Until(t, soon, "as many as there are", func() bool {
		var n int
		if err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname=current_database() AND pid<>pg_backend_pid() AND backend_type='client backend'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		most = max(most, n)
		return most >= 7
	})
	close(release)
	busy.Wait()
	if most != 7 {
		t.Errorf("%d connections", most)
	}
}
