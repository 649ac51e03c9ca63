package feed

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// row returns the row of a node as n saw it last.
func (n *node) row(id string) (member, bool) {
	for _, m := range n.listed() {
		if m.ID == id {
			return m, true
		}
	}
	return member{}, false
}

// dead writes the row of a node that is gone, and says how long it has been silent.
func dead(t *testing.T, c *pgx.Conn, id string, silent, staleness time.Duration) {
	t.Helper()
	execute(t, c, `INSERT INTO nodes VALUES ($1,'','','',0,$2,(extract(epoch FROM clock_timestamp())*1000000)::bigint-$3,'','',0)`,
		id, staleness.Microseconds(), silent.Microseconds())
}

// TestMembers: each node lists all of them, with how far each has applied the feed, and one
// that leaves is gone at once.
func TestMembers(t *testing.T) {
	dsn := database(t)
	c := connect(t, dsn)
	began := time.UnixMicro(1_800_000_000_000_001)
	quick := func(name string) func(*Config) {
		return func(c *Config) {
			c.Poll = 50 * time.Millisecond
			c.Self = Self{Host: "host of " + name, Version: "v", Addresses: "{}", StartedAt: began, MaxStaleness: 5 * time.Second}
		}
	}
	var all []*node
	for _, name := range []string{"a", "b", "c"} {
		all = append(all, start(t, dsn, name, quick(name)))
	}
	xid := appendTo(t, c, "somebody", "x")
	for _, n := range all {
		testwait.Until(t, soon, "all have applied it", func() bool {
			live, _ := n.Live()
			return live == 3 && !slices.ContainsFunc(n.listed(), func(m member) bool {
				s, err := parseSnapshot(m.Position)
				return err != nil || !s.sees(xid)
			})
		})
		testwait.Until(t, soon, "b has read something", func() bool { m, _ := n.row("b"); return m.Age < soon })
		m, _ := n.row("b")
		if m.Host != "host of b" || m.Version != "v" || m.Addresses != "{}" || !m.StartedAt.Equal(began) || m.MaxStaleness != 5*time.Second ||
			m.Age > soon || m.Silent > soon || m.History == "" || time.Since(m.SeenAt).Abs() > soon {
			t.Errorf("%+v", m)
		}
	}
	if err := all[1].Describe(t.Context(), Self{Host: "moved", StartedAt: began}); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "what b says now", func() bool { m, _ := all[0].row("b"); return m.Host == "moved" && m.MaxStaleness == 0 })
	all[1].stop()
	if err := all[1].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "b has left", func() bool {
		_, there := all[0].row("b")
		live, silent := all[0].Live()
		return !there && live == 2 && silent == 0
	})
}

// TestSilentMembers: a node that says nothing is listed, does not count as alive, and is
// removed in the end, but never while it may still answer by an old view.
func TestSilentMembers(t *testing.T) {
	dsn := database(t)
	c := connect(t, dsn)
	dead(t, c, "short", time.Minute, time.Millisecond)
	dead(t, c, "goes on", time.Hour, 0)
	dead(t, c, "long", time.Hour, time.Hour)
	const keep = time.Second
	n := start(t, dsn, "n", func(c *Config) { c.Poll, c.Keep = 50*time.Millisecond, keep })
	testwait.Until(t, soon, "listed", func() bool { return len(n.listed()) == 4 })
	began := time.Now()
	m, _ := n.row("short")
	if live, silent := n.Live(); m.alive() || m.Silent < time.Minute || live != 1 || silent != 3 {
		t.Errorf("%+v, %d alive, %d silent", m, live, silent)
	}
	testwait.Until(t, soon, "removed", func() bool { _, there := n.row("short"); return !there })
	if early := keep - 200*time.Millisecond; time.Since(began) < early {
		t.Errorf("removed after %v: only our own clock tells for how long it was silent", time.Since(began))
	}
	for _, id := range []string{"goes on", "long"} {
		if _, there := n.row(id); !there {
			t.Errorf("%q may still answer, and is gone", id)
		}
	}
}

// TestListedBeforeReading: whatever a node loads, it loads while it is listed, also when
// somebody has taken it from the list meanwhile.
func TestListedBeforeReading(t *testing.T) {
	dsn := database(t)
	c, loading := connect(t, dsn), connect(t, dsn)
	listed := func() (there bool) {
		if err := loading.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM nodes WHERE id='n')`).Scan(&there); err != nil {
			t.Error(err)
		}
		return there
	}
	var refuse atomic.Bool
	refuse.Store(true)
	loads := make(chan bool, 100)
	n := start(t, dsn, "n", func(cfg *Config) {
		cfg.Poll = 50 * time.Millisecond
		query := cfg.Query
		cfg.Query = func(ctx context.Context, statement string, args []any, each func(func(...any) error) error) error {
			if refuse.Load() {
				return errors.New("not now")
			}
			return query(ctx, statement, args, each)
		}
		cfg.Reload = func(context.Context, string) error { loads <- listed(); return nil }
	})
	select {
	case <-n.Ready():
		t.Fatal("read without being listed")
	case <-time.After(300 * time.Millisecond):
	}
	if n.Age() != math.MaxInt64 {
		t.Errorf("a view that was never loaded is %v old", n.Age())
	}
	refuse.Store(false)
	if !<-loads {
		t.Error("loaded before it was listed")
	}
	execute(t, c, `DELETE FROM nodes WHERE id='n'`)
	select {
	case there := <-loads:
		if !there {
			t.Error("loaded anew before it was listed again")
		}
	case <-time.After(soon):
		t.Fatal("nothing was loaded anew, though nobody may have waited for this node")
	}
}

// TestListedAfterReconnecting: a node whose connection was lost is listed before it reads
// anew: the standby that answers now may never have heard of it.
func TestListedAfterReconnecting(t *testing.T) {
	dsn := database(t)
	c := connect(t, dsn)
	var refuse atomic.Bool
	var refused atomic.Int32
	n := start(t, dsn, "n", func(cfg *Config) {
		cfg.Poll = 50 * time.Millisecond
		query := cfg.Query
		cfg.Query = func(ctx context.Context, statement string, args []any, each func(func(...any) error) error) error {
			if refuse.Load() {
				refused.Add(1)
				return errors.New("not now")
			}
			return query(ctx, statement, args, each)
		}
	})
	testwait.Until(t, soon, "its position is proven", func() bool { return n.Age() < soon })
	refuse.Store(true)
	execute(t, c, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname=current_database() AND pid<>pg_backend_pid()`)
	testwait.Until(t, soon, "the loss is noticed", func() bool { return strings.Contains(n.log.String(), "cannot be read") })
	appendTo(t, c, "somebody", "x")
	before := refused.Load()
	testwait.Until(t, soon, "it asks to be listed, again and again", func() bool { return refused.Load() > before+3 })
	if n.seen("x") {
		t.Error("read without being listed")
	}
	refuse.Store(false)
	testwait.Until(t, soon, "read again", func() bool { return n.seen("x") })
}

// TestLongSuspended: a node that was away for so long that others may have removed its row
// writes it again before it reads.
func TestLongSuspended(t *testing.T) {
	dsn := database(t)
	c := connect(t, dsn)
	n := start(t, dsn, "n", func(c *Config) { c.Poll, c.Keep = 50*time.Millisecond, time.Hour })
	<-n.Ready()
	if !n.registered() {
		t.Error("just written, and not known to be there")
	}
	n.stop()
	n.told.Store(new(time.Now().Add(-31 * time.Minute)))
	execute(t, c, `DELETE FROM nodes`)
	if n.registered() {
		t.Error("believes to be listed after half an hour")
	}
	conn := connect(t, dsn)
	if err := n.step(t.Context(), conn, Row{}); err != nil {
		t.Fatal(err)
	}
	var there bool
	if err := c.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM nodes WHERE id='n')`).Scan(&there); err != nil || !there {
		t.Errorf("read without being listed: %v", err)
	}
}

// TestRowsAndHeartbeats: a heartbeat and the row of the node who writes it are one
// transaction, and a row alone waits for no disk.
func TestRowsAndHeartbeats(t *testing.T) {
	dsn := database(t)
	c := connect(t, dsn)
	n := start(t, dsn, "n", func(c *Config) { c.Poll = 50 * time.Millisecond })
	<-n.Ready()
	testwait.Until(t, soon, "one transaction", func() (same bool) {
		err := c.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM nodes JOIN feed ON feed.xid=nodes.xmin::text::bigint WHERE changes IS NULL)`).Scan(&same)
		return err == nil && same
	})
	n.stop()

	// Of a standby that does not exist, nobody hears that it has anything.
	execute(t, c, `ALTER SYSTEM SET synchronous_standby_names='nobody'`)
	execute(t, c, `SELECT pg_reload_conf()`)
	defer func() {
		execute(t, c, `ALTER SYSTEM RESET synchronous_standby_names`)
		execute(t, c, `SELECT pg_reload_conf()`)
	}()
	hangs := func(beat, durable bool) bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return n.write(ctx, beat, durable) != nil
	}
	testwait.Until(t, soon, "a commit that must last waits", func() bool { return hangs(false, true) })
	if hangs(false, false) {
		t.Error("a row that says where the node stands waits for a disk")
	}
	if !hangs(true, false) {
		t.Error("a heartbeat proves that all before it is on the disk, and did not wait for it")
	}
}

// TestAgeOfTheUnheard: a view is not younger than what its node told of itself, however
// well it reads: who hears nothing of it must be able to rely on that.
func TestAgeOfTheUnheard(t *testing.T) {
	dsn := database(t)
	c := connect(t, dsn)
	var mute atomic.Bool
	n := start(t, dsn, "n", func(cfg *Config) {
		cfg.Poll = 50 * time.Millisecond
		query := cfg.Query
		cfg.Query = func(ctx context.Context, statement string, args []any, each func(func(...any) error) error) error {
			if mute.Load() {
				return errors.New("not now")
			}
			return query(ctx, statement, args, each)
		}
	})
	testwait.Until(t, soon, "young", func() bool { return n.Age() < time.Second })
	mute.Store(true)
	began := time.Now()
	testwait.Until(t, soon, "old", func() bool {
		appendTo(t, c, "somebody", "x") // it reads all the time
		return n.Age() > time.Second
	})
	if fresh := n.fresh.Load(); time.Since(*fresh) > time.Since(began) {
		t.Errorf("it read nothing for %v, which proves nothing here", time.Since(*fresh))
	}
	mute.Store(false)
	testwait.Until(t, soon, "young again", func() bool { return n.Age() < time.Second })
}
