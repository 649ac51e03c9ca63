package feed

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

const soon = 20 * time.Second

// node is a follower that runs, and what it was given.
type node struct {
	*Follower
	name string
	mu   sync.Mutex
	got  map[string]int
	why  []string
	log  safeBuffer
	fail error // what Reload answers
	stop func()
}

func (n *node) seen(changes string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.got[changes] > 0
}

func (n *node) reloads() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.why)
}

// start runs a follower until the end of the test; change alters its configuration.
func start(t testing.TB, dsn, name string, change func(*Config)) *node {
	t.Helper()
	n := &node{name: name, got: map[string]int{}}
	cfg := Config{
		Connect: func(ctx context.Context) (*pgx.Conn, error) {
			c, err := pgx.ParseConfig(dsn)
			if err != nil {
				return nil, err
			}
			c.OnNotification = func(conn *pgconn.PgConn, note *pgconn.Notification) { n.Notified(conn, note) }
			return pgx.ConnectConfig(ctx, c)
		},
		Current: func(*pgx.Conn) bool { return true },
		Exec: func(ctx context.Context, statement string, args ...any) (int64, error) {
			c, err := pgx.Connect(ctx, dsn)
			if err != nil {
				return 0, err
			}
			defer func() { _ = c.Close(ctx) }()
			tag, err := c.Exec(ctx, statement, args...)
			return tag.RowsAffected(), err
		},
		Query: func(ctx context.Context, statement string, args []any, each func(func(...any) error) error) error {
			c, err := pgx.Connect(ctx, dsn)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close(ctx) }()
			rows, err := c.Query(ctx, statement, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				if err := each(rows.Scan); err != nil {
					return err
				}
			}
			return rows.Err()
		},
		Node: name,
		Apply: func(rows []Row) {
			n.mu.Lock()
			defer n.mu.Unlock()
			for _, row := range rows {
				n.got[string(row.Changes)]++
			}
		},
		Reload: func(_ context.Context, why string) error {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.why = append(n.why, why)
			return n.fail
		},
		Logger: slog.New(slog.NewTextHandler(&n.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if n.Follower, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Run(ctx)
	}()
	n.stop = func() { cancel(); <-ended }
	t.Cleanup(n.stop)
	return n
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func isReady(n *node) func() bool {
	return func() bool {
		select {
		case <-n.Ready():
			return true
		default:
			return false
		}
	}
}

// TestFollow: what one writes all others get, without waiting for a poll; nobody gets
// his own.
func TestFollow(t *testing.T) {
	dsn := database(t)
	slow := func(c *Config) { c.Poll = time.Hour }
	a, b := start(t, dsn, "a", slow), start(t, dsn, "b", slow)
	if a.Age() < math.MaxInt64 && !isReady(a)() {
		t.Errorf("an age of %v before anything was read", a.Age())
	}
	testwait.Until(t, soon, "ready", func() bool { return isReady(a)() && isReady(b)() })
	c := connect(t, dsn)
	appendTo(t, c, "a", "of a")
	appendTo(t, c, "c", "of c")
	testwait.Until(t, soon, "told", func() bool { return a.seen("of c") && b.seen("of c") && b.seen("of a") })
	if a.seen("of a") {
		t.Error("a node was told what it wrote itself")
	}
	if got := b.reloads(); len(got) != 1 || got[0] != string(reloadFirst) {
		t.Errorf("reloads: %q", got)
	}
}

// TestStrangersHoldUpNobody: a transaction that has an id and does nothing, here and in
// another database of the cluster, makes nobody's view old and has nothing skipped.
func TestStrangersHoldUpNobody(t *testing.T) {
	held := 3 * time.Second
	if os.Getenv("GATEHOUSE_TEST_LONG") != "" {
		held = time.Minute
	}
	dsn := database(t)
	n := start(t, dsn, "a", func(c *Config) { c.Poll = 200 * time.Millisecond })
	testwait.Until(t, soon, "ready", isReady(n))
	for _, where := range []string{dsn, database(t)} {
		tx, err := connect(t, where).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRow(t.Context(), `SELECT pg_current_xact_id()::text`).Scan(new(string)); err != nil {
			t.Fatal(err)
		}
	}
	c := connect(t, dsn)
	slow, err := connect(t, dsn).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, slow, "b", "begun first")
	oldest := time.Duration(0)
	began, i := time.Now(), 0
	for ; time.Since(began) < held; i++ {
		text := string(rune('A' + i%26))
		n.mu.Lock()
		delete(n.got, text)
		n.mu.Unlock()
		appendTo(t, c, "b", text)
		testwait.Until(t, soon, "told", func() bool { oldest = max(oldest, n.Age()); return n.seen(text) })
	}
	if n.seen("begun first") {
		t.Error("told before the commit")
	}
	if err := slow.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "the late commit", func() bool { return n.seen("begun first") })
	if oldest > 5*time.Second {
		t.Errorf("the view got %v old", oldest)
	}
	if got := n.reloads(); len(got) != 1 {
		t.Errorf("reloads: %q", got)
	}
	t.Logf("%d changes, the view at most %v old", i, oldest)
}

// TestAge: heartbeats keep a quiet view young; when the database is away it gets older,
// and afterwards it recovers by itself and has what it missed.
func TestAge(t *testing.T) {
	dsn := database(t)
	n := start(t, dsn, "a", func(c *Config) { c.Poll = 100 * time.Millisecond })
	testwait.Until(t, soon, "young", func() bool { return n.Age() < 5*time.Second })
	beats := func() (count int) {
		if err := connect(t, dsn).QueryRow(t.Context(), `SELECT count(*) FROM feed WHERE changes IS NULL`).Scan(&count); err != nil {
			t.Fatal(err)
		}
		return count
	}
	testwait.Until(t, soon, "heartbeats", func() bool { return beats() >= 3 })
	if err := server.Down(); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "old", func() bool { return n.Age() > 2*time.Second })
	if err := server.Up(); err != nil {
		t.Fatal(err)
	}
	appendTo(t, connect(t, dsn), "b", "after")
	testwait.Until(t, soon, "caught up", func() bool { return n.seen("after") && n.Age() < 2*time.Second })
	if got := n.reloads(); len(got) != 1 {
		t.Errorf("a restart of the server had everything reloaded: %q", got)
	}
	testwait.Until(t, soon, "told of its end", func() bool { return strings.Contains(n.log.String(), "is read again") })
	if log := n.log.String(); strings.Count(log, "cannot be read") != 1 || strings.Count(log, "is read again") != 1 {
		t.Errorf("told:\n%s", log)
	}
}

// TestAgeWithoutCommits: a server that answers and can commit nothing, as one whose
// synchronous standby is gone, or went on without it, makes nobody's view young.
func TestAgeWithoutCommits(t *testing.T) {
	dsn := database(t)
	n := start(t, dsn, "a", func(c *Config) { c.Poll = 100 * time.Millisecond })
	testwait.Until(t, soon, "young", func() bool { return n.Age() < time.Second })
	c := connect(t, dsn)
	execute(t, c, `ALTER SYSTEM SET synchronous_standby_names='nobody'`)
	mended := false
	mend := func() {
		if !mended {
			mended = true
			execute(t, c, `ALTER SYSTEM RESET synchronous_standby_names`)
			execute(t, c, `SELECT pg_reload_conf()`)
		}
	}
	defer mend()
	execute(t, c, `SELECT pg_reload_conf()`)
	testwait.Until(t, soon, "old", func() bool { return n.Age() > 2*time.Second })
	if log := n.log.String(); strings.Contains(log, "cannot be read") {
		t.Errorf("told:\n%s", log)
	}
	mend()
	testwait.Until(t, soon, "young again", func() bool { return n.Age() < time.Second })
}

// TestAged: a view is as old as the newest row was when it was read, and never gets
// older by a row that comes late.
func TestAged(t *testing.T) {
	f := &Follower{cfg: Config{Poll: time.Second}}
	f.told.Store(new(time.Now()))
	now, asked := time.UnixMicro(1_800_000_000_000_000), time.Now()
	between := func(low, high time.Duration) {
		t.Helper()
		if age := f.Age(); age < low || age > high {
			t.Errorf("an age of %v, want between %v and %v", age, low, high)
		}
	}
	f.aged(reading{now: now, rows: []Row{{WrittenAt: now.Add(-time.Hour)}}}, asked)
	between(time.Hour, time.Hour+soon)
	f.aged(reading{now: now, rows: []Row{{WrittenAt: now.Add(-5 * time.Minute)}, {WrittenAt: now.Add(-4 * time.Minute)}}}, asked)
	between(4*time.Minute, 4*time.Minute+soon)
	f.aged(reading{now: now, rows: []Row{{WrittenAt: now.Add(-time.Hour)}}}, asked)
	f.aged(reading{now: now}, asked.Add(time.Minute))
	between(4*time.Minute, 4*time.Minute+soon)
	f.aged(reading{now: now, rows: []Row{{WrittenAt: now.Add(time.Hour)}}}, asked) // the database's clock was set back
	between(0, soon)
	slept := time.Now().Add(-time.Minute).Round(0) // only the time of day went on
	f.fresh.Store(&slept)
	between(time.Minute, time.Minute+soon)
}

// TestReloadIsRepeated: a view that could not be loaded does not count as fresh.
func TestReloadIsRepeated(t *testing.T) {
	dsn := database(t)
	n := start(t, dsn, "a", func(c *Config) { c.Poll = 50 * time.Millisecond })
	n.mu.Lock()
	n.fail = nil
	n.mu.Unlock()
	testwait.Until(t, soon, "ready", isReady(n))
	n.mu.Lock()
	n.fail, n.why = os.ErrInvalid, nil
	n.mu.Unlock()
	n.Forget()
	testwait.Until(t, soon, "tried again and again", func() bool { return len(n.reloads()) >= 3 })
	testwait.Until(t, soon, "old", func() bool { return n.Age() > 300*time.Millisecond })
	n.mu.Lock()
	n.fail = nil
	n.mu.Unlock()
	testwait.Until(t, soon, "young", func() bool { return n.Age() < 300*time.Millisecond })
	if why := n.reloads(); !slices.Contains(why, string(reloadDoubt)) {
		t.Errorf("reloaded for %q", why)
	}
}

// TestRemoval: old rows go, and who has not seen them loads everything anew.
func TestRemoval(t *testing.T) {
	dsn := database(t)
	c := connect(t, dsn)
	away := testReader{conn: connect(t, dsn), applied: map[uint64]int{}}
	if _, err := away.read(t.Context(), Row{}); err != nil {
		t.Fatal(err)
	}
	open, err := connect(t, dsn).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late := appendTo(t, open, "b", "late")
	first := appendTo(t, c, "b", "first")
	n := start(t, dsn, "a", func(c *Config) { c.Poll, c.Keep = 50*time.Millisecond, 200*time.Millisecond })
	rows := func() (ids []int64) {
		r, err := c.Query(t.Context(), `SELECT xid FROM feed`)
		if err != nil {
			t.Fatal(err)
		}
		if ids, err = pgx.CollectRows(r, pgx.RowTo[int64]); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	testwait.Until(t, soon, "the first row removed", func() bool { return !slices.Contains(rows(), int64(first)) })
	if _, err := away.read(t.Context(), Row{}); err != nil || !slices.Contains(away.reloads, reloadRemoved) {
		t.Errorf("who missed the first row read on: %v, %v", away.reloads, err)
	}
	// What nobody can have seen stays, however old it is.
	if err := open.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "the late row", func() bool { return n.seen("late") })
	testwait.Until(t, soon, "the late row removed", func() bool { return !slices.Contains(rows(), int64(late)) })
	if got := n.reloads(); len(got) != 1 {
		t.Errorf("reloads: %q", got)
	}
}

// TestCopyOfAnotherCluster: rows from a future that never was are no news.
func TestCopyOfAnotherCluster(t *testing.T) {
	dsn := database(t)
	c := connect(t, dsn)
	execute(t, c, `INSERT INTO feed (xid, node, written_at, changes) VALUES (4000000000, 'x', 1, 'of elsewhere')`)
	execute(t, c, `INSERT INTO feed_floor (one, snapshot) VALUES (1, '4000000000:4000000000:')`)
	n := start(t, dsn, "a", func(c *Config) { c.Poll = 50 * time.Millisecond })
	testwait.Until(t, soon, "young", func() bool { return n.Age() < 5*time.Second })
	appendTo(t, c, "b", "news")
	testwait.Until(t, soon, "news", func() bool { return n.seen("news") })
	if n.seen("of elsewhere") || len(n.reloads()) != 1 {
		t.Errorf("got %v, reloads %q", slices.Collect(maps.Keys(n.got)), n.reloads())
	}
}

// TestDeaf: notifications that do not arrive are noticed, and cost time but no change.
func TestDeaf(t *testing.T) {
	dsn := database(t)
	n := start(t, dsn, "a", func(c *Config) {
		c.Poll = 50 * time.Millisecond
		c.Connect = func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, dsn) } // nobody hears it
	})
	told := func(n *node) bool { return strings.Contains(n.log.String(), "transaction pooler") }
	testwait.Until(t, soon, "noticed", func() bool { return told(n) })
	appendTo(t, connect(t, dsn), "b", "unheard")
	testwait.Until(t, soon, "read all the same", func() bool { return n.seen("unheard") })
	hears := start(t, dsn, "b", func(c *Config) { c.Poll = 50 * time.Millisecond })
	testwait.Until(t, soon, "ready", isReady(hears))
	for range 2 * deafAfter {
		appendTo(t, connect(t, dsn), "c", "heard")
		testwait.Until(t, soon, "heard", func() bool {
			hears.mu.Lock()
			defer hears.mu.Unlock()
			h := hears.got["heard"]
			delete(hears.got, "heard")
			return h > 0
		})
	}
	if told(hears) {
		t.Errorf("who hears was told:\n%s", hears.log.String())
	}
}

// pooled is a way to the database through PgBouncer.
func pooled(t *testing.T, dsn, mode string) string {
	t.Helper()
	way := server.Pooled(t, dsn, mode)
	if way == "" {
		if os.Getenv("GATEHOUSE_TEST_STRICT") == "1" {
			t.Fatal("PgBouncer is missing")
		}
		t.Skip("PgBouncer is missing")
	}
	return way
}

// TestSessionPooler: a node behind a pooler that gives it a connection of its own is woken like any other, and reads what it
// missed when that was ended: nothing here waits for a poll, of which there is one an hour.
func TestSessionPooler(t *testing.T) {
	dsn := database(t)
	n := start(t, pooled(t, dsn, testpg.PerSession), "a", func(c *Config) { c.Poll = time.Hour })
	testwait.Until(t, soon, "ready", isReady(n))
	c := connect(t, dsn)
	for i := range 3 {
		text := fmt.Sprint("announced ", i)
		appendTo(t, c, "b", text)
		testwait.Until(t, soon, "told", func() bool { return n.seen(text) })
		execute(t, c, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname=current_database() AND pid<>pg_backend_pid()`)
		text = fmt.Sprint("missed ", i)
		appendTo(t, c, "b", text)
		testwait.Until(t, soon, "read when it listens again", func() bool { return n.seen(text) })
	}
	if got := n.reloads(); len(got) != 1 || strings.Contains(n.log.String(), "transaction pooler") {
		t.Errorf("reloads: %q\n%s", got, n.log.String())
	}
}

// TestPooler: a node that follows through a real transaction pooler is told that nothing is
// announced to it, and reads everything all the same.
func TestPooler(t *testing.T) {
	dsn := database(t)
	pooled := pooled(t, dsn, testpg.PerTransaction)
	n := start(t, pooled, "a", func(c *Config) { c.Poll = 50 * time.Millisecond })
	testwait.Until(t, soon, "noticed", func() bool { return strings.Contains(n.log.String(), "transaction pooler") })
	c := connect(t, dsn)
	for _, text := range []string{"one", "two", "three"} {
		appendTo(t, c, "b", text)
		testwait.Until(t, soon, "read all the same", func() bool { return n.seen(text) })
	}
}

// TestNotCurrent: what a server says that another one has taken over from is not applied,
// and another one is looked for.
func TestNotCurrent(t *testing.T) {
	dsn := database(t)
	var old atomic.Bool
	var connected atomic.Int64
	n := start(t, dsn, "a", func(c *Config) {
		connect := c.Connect
		c.Connect = func(ctx context.Context) (*pgx.Conn, error) { connected.Add(1); return connect(ctx) }
		c.Current = func(*pgx.Conn) bool { return !old.Load() }
	})
	testwait.Until(t, soon, "young", func() bool { return n.Age() < time.Second })
	old.Store(true)
	appendTo(t, connect(t, dsn), "b", "one")
	before := connected.Load()
	testwait.Until(t, soon, "connected anew", func() bool { return connected.Load() >= before+3 })
	if n.seen("one") {
		t.Error("applied")
	}
	old.Store(false)
	testwait.Until(t, soon, "applied at last", func() bool { return n.seen("one") })
}

// TestNewRefusesParts: a follower that lacks a part would skip what it is for.
func TestNewRefusesParts(t *testing.T) {
	whole := Config{
		Connect: func(context.Context) (*pgx.Conn, error) { return nil, nil },
		Current: func(*pgx.Conn) bool { return true },
		Exec:    func(context.Context, string, ...any) (int64, error) { return 0, nil },
		Query:   func(context.Context, string, []any, func(func(...any) error) error) error { return nil },
		Node:    "a", Apply: func([]Row) {}, Reload: func(context.Context, string) error { return nil },
	}
	if _, err := New(whole); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"Connect": func(c *Config) { c.Connect = nil }, "Current": func(c *Config) { c.Current = nil }, "Exec": func(c *Config) { c.Exec = nil }, "Query": func(c *Config) { c.Query = nil }, "Node": func(c *Config) { c.Node = "" },
		"Apply": func(c *Config) { c.Apply = nil }, "Reload": func(c *Config) { c.Reload = nil },
	} {
		c := whole
		if spoil(&c); func() error { _, err := New(c); return err }() == nil {
			t.Errorf("made without %s", name)
		}
	}
}
