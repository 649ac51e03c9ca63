package feed

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// follower is the least that follows the feed: it reads when it is told to.
type testReader struct {
	conn    *pgx.Conn
	state   reader
	applied map[uint64]int
	reloads []reloadReason
}

// read does what [Follower] does in a step, and returns the reading.
func (r *testReader) read(ctx context.Context, proof Row) (reading, error) {
	g, err := read(ctx, r.conn, r.state.last, proof)
	if err != nil {
		return g, err
	}
	if why := r.state.judge(g); why != "" {
		r.reloads = append(r.reloads, why)
		r.state.reloaded(g)
		return g, nil
	}
	for _, row := range g.rows {
		r.applied[row.XID]++
	}
	r.state.accept(g)
	return g, nil
}

// writer is one connection with its transaction.
type writer struct {
	conn *pgx.Conn
	tx   pgx.Tx
	xid  uint64
}

// TestNothingIsSkipped lets writers begin, append, roll back and commit in every order,
// some below a savepoint, and reads in between: each reading brings exactly what has
// committed since the one before, however long somebody else's transaction stays open.
func TestNothingIsSkipped(t *testing.T) {
	dsn := database(t)
	const writers = 5
	var conns [writers]*pgx.Conn
	for i := range conns {
		conns[i] = connect(t, dsn)
	}
	reads := connect(t, dsn)
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		var w [writers]writer
		for i := range w {
			w[i].conn = conns[i]
		}
		defer func() {
			for i := range w {
				if w[i].tx != nil {
					_ = w[i].tx.Rollback(ctx)
				}
			}
		}()
		must := func(err error) {
			if err != nil {
				rt.Fatal(err)
			}
		}
		r := testReader{conn: reads, applied: map[uint64]int{}}
		_, err := r.read(ctx, Row{})
		must(err)
		committed := map[uint64]int{}
		check := func() {
			_, err := r.read(ctx, Row{})
			must(err)
			if !maps.Equal(r.applied, committed) {
				rt.Fatalf("applied %v, committed %v", r.applied, committed)
			}
		}
		idle := func(want bool) int {
			i := rapid.IntRange(0, writers-1).Draw(rt, "writer")
			if (w[i].tx == nil) != want {
				rt.Skip("the writer is busy, or not")
			}
			return i
		}
		rt.Repeat(map[string]func(*rapid.T){
			"begin": func(*rapid.T) {
				i := idle(true)
				tx, err := w[i].conn.Begin(ctx)
				must(err)
				w[i].tx, w[i].xid = tx, 0
				if rapid.Bool().Draw(rt, "takes its id at once") {
					must(tx.QueryRow(ctx, `SELECT pg_current_xact_id()::text`).Scan(new(string)))
				}
			},
			"append": func(*rapid.T) {
				i := idle(false)
				if w[i].xid != 0 {
					rt.Skip("has appended")
				}
				if rapid.Bool().Draw(rt, "below a savepoint") {
					inner, err := w[i].tx.Begin(ctx)
					must(err)
					w[i].xid = appendTo(t, inner, "other", "x")
					must(inner.Commit(ctx))
				} else {
					w[i].xid = appendTo(t, w[i].tx, "other", "x")
				}
			},
			"commit": func(*rapid.T) {
				i := idle(false)
				must(w[i].tx.Commit(ctx))
				if w[i].xid != 0 {
					committed[w[i].xid]++
				}
				w[i] = writer{conn: w[i].conn}
			},
			"roll back": func(*rapid.T) {
				i := idle(false)
				must(w[i].tx.Rollback(ctx))
				w[i] = writer{conn: w[i].conn}
			},
			"":     func(*rapid.T) {},
			"read": func(*rapid.T) { check() },
		})
		check()
		if len(r.reloads) != 1 {
			rt.Fatalf("reloaded: %v", r.reloads)
		}
	})
}

// TestProof: a position holds across a crash of the server once a row has committed
// after it. Ids of transactions that left no trace are given again; a reader that went
// on from where it stood would skip the rows that get them.
func TestProof(t *testing.T) {
	dsn := database(t)
	c := connect(t, dsn)
	r := testReader{conn: connect(t, dsn), applied: map[uint64]int{}}
	step := func(proof Row) reading {
		t.Helper()
		g, err := r.read(t.Context(), proof)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	step(Row{})
	first := appendTo(t, c, "other", "a")
	step(Row{})
	if r.state.proof.XID != first {
		t.Fatalf("proven by %v", r.state.proof)
	}
	for range 20 { // ids that nothing on the disk tells of
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRow(t.Context(), `SELECT pg_current_xact_id()::text`).Scan(new(string)); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	step(Row{})
	unproven := r.state.last
	if err := server.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := server.Up(); err != nil {
		t.Fatal(err)
	}
	c, r.conn = connect(t, dsn), connect(t, dsn)
	want := []uint64{first}
	for i := range 3 {
		want = append(want, appendTo(t, c, "other", fmt.Sprint(i)))
	}
	if want[1] >= unproven.xmax {
		t.Skipf("this server gave no id again: %d after %v", want[1], unproven)
	}
	proof := r.state.proof
	r.state.reconnected()
	if g := step(proof); !g.kept {
		t.Error("the proof is gone")
	}
	if len(r.reloads) != 1 {
		t.Errorf("reloaded: %v", r.reloads)
	}
	if got := slices.Sorted(maps.Keys(r.applied)); !slices.Equal(got, want) {
		t.Errorf("applied %v, want %v", got, want)
	}
}

// TestJudge has one reading each that rows alone cannot mend, and its neighbours that
// they can.
func TestJudge(t *testing.T) {
	snap := func(text string) snapshot {
		s, err := parseSnapshot(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	here := history{7, "00000001"}
	last := reader{history: here, last: snap("10:20:12")}
	good := reading{history: here, snapshot: snap("12:21:12"), kept: true}
	for name, c := range map[string]struct {
		spoil func(*reader, *reading)
		want  reloadReason
	}{
		"nothing new":          {func(*reader, *reading) {}, ""},
		"never read":           {func(r *reader, _ *reading) { *r = reader{} }, reloadFirst},
		"another cluster":      {func(_ *reader, g *reading) { g.history.system++ }, reloadHistory},
		"a standby promoted":   {func(_ *reader, g *reading) { g.history.timeline = "00000002" }, reloadHistory},
		"ids given again":      {func(_ *reader, g *reading) { g.snapshot = snap("12:19:12") }, reloadAhead},
		"a copy of before":     {func(_ *reader, g *reading) { g.snapshot = snap("11:20:11,12") }, reloadAhead},
		"the proof is gone":    {func(_ *reader, g *reading) { g.kept = false }, reloadReplaced},
		"removed what is seen": {func(_ *reader, g *reading) { g.floor = snap("10:20:12") }, ""},
		"removed 12":           {func(_ *reader, g *reading) { g.floor = snap("12:20:") }, reloadRemoved},
		"removed 20":           {func(_ *reader, g *reading) { g.floor = snap("12:21:12") }, reloadRemoved},
		"all that one reads":   {func(_ *reader, g *reading) { g.rows = make([]Row, maxRows) }, ""},
		"one more":             {func(_ *reader, g *reading) { g.rows = make([]Row, maxRows+1) }, reloadMany},
	} {
		r, g := last, good
		c.spoil(&r, &g)
		if got := r.judge(g); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestAccept: only a row that began after a position proves it.
func TestAccept(t *testing.T) {
	at := func(text string) snapshot {
		s, err := parseSnapshot(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	r := reader{last: at("10:20:12"), proven: at("5:6:")}
	r.accept(reading{snapshot: at("13:21:13"), rows: []Row{{XID: 12}}})
	if r.proven.String() != "5:6:" || r.last.String() != "13:21:13" {
		t.Errorf("a late row proved %v", r.proven)
	}
	r.accept(reading{snapshot: at("22:22:"), rows: []Row{{XID: 13}, {XID: 21}}})
	if r.proven.String() != "13:21:13" || r.proof.XID != 21 {
		t.Errorf("proven %v by %v", r.proven, r.proof)
	}
	r.reconnected()
	if r.last.String() != "13:21:13" {
		t.Errorf("goes on from %v", r.last)
	}
	r.reloaded(reading{history: history{1, "00000002"}, snapshot: at("30:30:")})
	if !r.proven.empty() || r.proof.XID != 0 || r.last.String() != "30:30:" {
		t.Errorf("after a reload: %+v", r)
	}
}
