package feed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/testpg"
)

// server is this test binary's PostgreSQL; nil when it is not installed, and then
// why says what is missing.
var (
	server *testpg.Server
	why    error
)

func TestMain(m *testing.M) {
	var err error
	if server, err = testpg.Start(); err != nil {
		if !errors.Is(err, testpg.ErrMissing) {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		why = err
	}
	code := m.Run()
	if server != nil {
		server.Stop()
	}
	os.Exit(code)
}

// database makes one with the feed's tables.
func database(t testing.TB) (dsn string) {
	t.Helper()
	if server == nil {
		if os.Getenv("GATEHOUSE_TEST_STRICT") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	dsn = server.DSN(t)
	c := connect(t, dsn)
	execute(t, c, `CREATE TABLE feed (xid BIGINT NOT NULL PRIMARY KEY, node TEXT NOT NULL, written_at BIGINT NOT NULL, changes TEXT)`)
	execute(t, c, `CREATE TABLE sole_node (one BIGINT NOT NULL PRIMARY KEY, node TEXT NOT NULL)`)
	execute(t, c, `CREATE TABLE feed_floor (one BIGINT NOT NULL PRIMARY KEY, snapshot TEXT NOT NULL)`)
	execute(t, c, `CREATE TABLE nodes (id TEXT NOT NULL PRIMARY KEY, host TEXT NOT NULL, version TEXT NOT NULL, addresses TEXT NOT NULL,
		started_at BIGINT NOT NULL, max_staleness BIGINT NOT NULL, seen_at BIGINT NOT NULL, history TEXT NOT NULL, position TEXT NOT NULL, age BIGINT NOT NULL, answers TEXT NOT NULL DEFAULT '')`)
	return dsn
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hangUp(c) })
	return c
}

func hangUp(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = c.Close(ctx)
}

// executor runs statements: a connection or a transaction.
type executor interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func execute(t testing.TB, c *pgx.Conn, statement string, args ...any) int64 {
	t.Helper()
	tag, err := c.Exec(t.Context(), statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return tag.RowsAffected()
}

// appendTo appends one row by c.
func appendTo(t testing.TB, c executor, node, changes string) uint64 {
	t.Helper()
	statement, args := Append(node, changes)
	var xid uint64
	var notified string
	var written int64
	err := c.QueryRow(t.Context(), statement, args...).Scan(&xid, &notified, &written)
	if err != nil {
		t.Fatal(err)
	}
	return xid
}

// counter counts how often the feed is read over a connection.
type counter struct{ atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if q.SQL == readRows {
		c.Add(1)
	}
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
