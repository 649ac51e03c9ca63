package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/store"
)

// cutter stands between the store and PostgreSQL, and cuts a connection at its COMMIT.
type cutter struct {
	socket string
	mu     sync.Mutex
	cut    string // "": nothing; "before", "during" or "after" the server's work on the next COMMIT, "ended": behind its answer, or "late": so long before that it comes when nobody waits any more
	cuts   int
	direct bool          // no pooler: the id of the server's process is its own
	hold   chan struct{} // "late": closed to let the COMMIT through after all
	done   chan struct{} // "late": closed when the server has ended the connection
}

// arm has the next COMMIT cut.
func (c *cutter) arm(when string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = when
}

func (c *cutter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts
}

// take returns what to do with a message of a client.
func (c *cutter) take(message []byte) (when string) {
	// The statement has the name that pgx gave it; after the empty name of a portal it is run.
	prepared := sha256.Sum256([]byte("commit"))
	if !bytes.Contains(message, []byte("\x00stmtcache_"+hex.EncodeToString(prepared[:24])+"\x00")) {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if when, c.cut = c.cut, ""; when != "" {
		c.cuts++
	}
	return when
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", c.socket)
	if err != nil {
		return
	}
	defer server.Close()
	answers := make(chan struct{})
	lost, ended := false, false // guarded by mu
	var mu sync.Mutex
	go func() {
		defer close(answers)
		defer client.Close() // whoever asks the server to cancel waits for its hanging up
		buf := make([]byte, 1<<16)
		for {
			n, err := server.Read(buf)
			mu.Lock()
			drop, end := lost, ended
			mu.Unlock()
			if end {
				if at, found := behindCommit(buf[:n]); found {
					_, _ = client.Write(append(slices.Clone(buf[:at]), sessionEnded...))
					return
				}
			}
			if !c.direct {
				hidesBackend(buf[:n])
			}
			if n > 0 && !drop {
				if _, err := client.Write(buf[:n]); err != nil {
					return
				}
			}
			if n > 0 && drop { // the server has answered the COMMIT: nobody will hear it
				return
			}
			if err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		switch c.take(buf[:n]) {
		case "before":
			return
		case "during":
			if _, err := server.Write(buf[:n]); err == nil {
				_ = client.Close()
				<-answers
			}
			return
		case "after":
			mu.Lock()
			lost = true
			mu.Unlock()
			if _, err := server.Write(buf[:n]); err == nil {
				<-answers
			}
			return
		case "late":
			_ = client.Close()
			<-c.hold
			_, _ = server.Write(buf[:n])
			_ = server.(*net.UnixConn).CloseWrite()
			<-answers
			close(c.done)
			return
		case "ended":
			mu.Lock()
			ended = true
			mu.Unlock()
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// sessionEnded is what a server says to a session that an administrator ends
// (ErrorResponse, FATAL, 57P01).
const sessionEnded = "E\x00\x00\x00\x47SFATAL\x00VFATAL\x00C57P01\x00Mterminating connection due to administrator\x00\x00"

// behindCommit returns where the answer to a COMMIT ends in what a server says
// (CommandComplete).
func behindCommit(answer []byte) (at int, found bool) {
	tag := []byte("C\x00\x00\x00\x0bCOMMIT\x00")
	at = bytes.Index(answer, tag)
	return at + len(tag), at >= 0
}

// hidesBackend gives another process id in what a server says at the start of a session
// (BackendKeyData: 'K', a length of 12, the id, a key), as a pooler does.
func hidesBackend(answer []byte) {
	if i := bytes.Index(answer, []byte{'K', 0, 0, 0, 12}); i >= 0 && len(answer) >= i+13 && bytes.Contains(answer[:i], []byte("server_version")) {
		copy(answer[i+5:], []byte{0, 0, 0, 1})
	}
}

// behindCutter returns a configuration that leads through a cutter.
func behindCutter(t *testing.T) (store.Config, *cutter) {
	t.Helper()
	cfg := postgresConfig(t)
	direct, err := pgx.ParseConfig(cfg.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{socket: filepath.Join(direct.Host, fmt.Sprintf(".s.PGSQL.%d", direct.Port))}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() { defer conns.Done(); c.serve(conn) }()
		}
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	cfg.DSN = gatehouse.Secret(strings.Replace(cfg.DSN.Reveal(), "host="+direct.Host, "host="+host+" port="+port, 1))
	return cfg, c
}

// TestCommitIsLookedUp cuts the connection before and after the server has the COMMIT, and
// ends the session behind the answer. What was recorded is looked up: the change is made once,
// is told of, and the caller hears so.
func TestCommitIsLookedUp(t *testing.T) {
	cfg, cut := behindCutter(t)
	db := open(t, cfg)
	changes := changesOf(db)
	for _, when := range []string{"before", "after", "ended"} {
		for _, tells := range []bool{true, false} {
			name := fmt.Sprintf("%s, tells %v", when, tells)
			changes()
			cuts, runs := cut.count(), 0
			cut.arm(when)
			err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				runs++
				if err := tx.AppendEvents(ctx, gatehouse.Event{Realm: name, Kind: "x.y"}); err != nil {
					return err
				}
				if tells {
					return tx.PutRole(ctx, policy.Role{Realm: name, Name: "r"})
				}
				return tx.PutSetting(ctx, name, "1")
			})
			if err != nil || cut.count() != cuts+1 {
				t.Errorf("%s: %v after %d cuts", name, err, cut.count()-cuts)
			}
			if want := map[string]int{"before": 2, "after": 1, "ended": 1}[when]; runs != want {
				t.Errorf("%s: run %d times, want %d", name, runs, want)
			}
			if got := must(db.UnsequencedBatches(t.Context(), name, 10))(t); len(got) != 1 {
				t.Errorf("%s: %d batches", name, len(got))
			}
			var want []gatehouse.Change
			if tells {
				want = one(gatehouse.TopicRole, name, "r", policy.Role{Realm: name, Name: "r"})
			}
			same(t, changes(), want)
		}
	}

	// What was answered need not be looked up.
	runs := 0
	cut.arm("ended")
	do(t, db, func(ctx context.Context, tx *store.Tx) error { runs++; return putRole("answered")(ctx, tx) })
	if runs != 1 {
		t.Errorf("what was committed is run %d times", runs)
	}
	same(t, changes(), one(gatehouse.TopicRole, "main", "answered", policy.Role{Realm: "main", Name: "answered"}))

	// What recorded nothing cannot be found: the caller is told that it failed, and
	// everybody to look again.
	cut.arm("after")
	wantKind(t, db.Update(t.Context(), putRole("unrecorded")), gatehouse.Unavailable)
	same(t, changes(), one(gatehouse.TopicRole, "main", "unrecorded", nil))
}

// TestCommitUnderWay cuts the connection while the server is still at the COMMIT, which a
// synchronous standby holds up. Nothing is run again before its outcome is sure, behind a
// pooler too.
func TestCommitUnderWay(t *testing.T) {
	cfg, cut := behindCutter(t)
	db := open(t, cfg)
	changes := changesOf(db)
	release := withoutStandby(t, cfg)
	cut.arm("during")
	runs, done := 0, make(chan error, 1)
	go func() { done <- db.Update(context.Background(), recorded(&runs)) }()
	testwait.Until(t, soon, "the cut", func() bool { return cut.count() == 1 })
	testwait.Outlast(500 * time.Millisecond) // it is looked up meanwhile
	release()
	if err := <-done; err != nil || runs != 1 {
		t.Errorf("run %d times: %v", runs, err)
	}
	same(t, changes(), one(gatehouse.TopicRole, "main", "r", policy.Role{Realm: "main", Name: "r"}))
	if got := must(db.UnsequencedBatches(t.Context(), "main", 10))(t); len(got) != 1 {
		t.Errorf("%d batches", len(got))
	}
}

// recorded is a change with its event; it counts how often it is run.
func recorded(runs *int) change {
	return func(ctx context.Context, tx *store.Tx) error {
		*runs++
		if err := tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "x.y"}); err != nil {
			return err
		}
		return tx.PutRole(ctx, policy.Role{Realm: "main", Name: "r"})
	}
}

// withoutStandby has the server wait at each COMMIT for a standby that is not there, until
// release is called or the test ends.
func withoutStandby(t *testing.T, cfg store.Config) (release func()) {
	t.Helper()
	admin := must(pgx.Connect(t.Context(), cfg.DSN.Reveal()))(t)
	set := func(statement string) {
		for _, s := range []string{statement, `SELECT pg_reload_conf()`} {
			if _, err := admin.Exec(context.Background(), s); err != nil {
				t.Error(err)
			}
		}
	}
	set(`ALTER SYSTEM SET synchronous_standby_names='nobody'`)
	release = sync.OnceFunc(func() {
		set(`ALTER SYSTEM RESET synchronous_standby_names`)
		_ = admin.Close(context.Background())
	})
	t.Cleanup(release)
	testwait.Until(t, soon, "the setting", func() (on bool) {
		err := admin.QueryRow(t.Context(), `SELECT current_setting('synchronous_standby_names')<>''`).Scan(&on)
		return err == nil && on
	})
	return release
}

// TestCommitComesLate: a transaction that was sent in one go, and that the network holds back
// until nobody waits for it any more and it was made again, is not made then.
func TestCommitComesLate(t *testing.T) {
	cfg, cut := behindCutter(t)
	cut.direct, cut.hold, cut.done = true, make(chan struct{}), make(chan struct{})
	db := open(t, cfg)
	cut.arm("late")
	do(t, db, func(ctx context.Context, tx *store.Tx) error {
		return tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "x.y"})
	})
	if cut.count() != 1 {
		t.Error("nothing was held back")
	}
	close(cut.hold)
	<-cut.done
	if got := must(db.UnsequencedBatches(t.Context(), "main", 10))(t); len(got) != 1 {
		t.Errorf("%d batches", len(got))
	}
}

// TestCommitThatWaitsForAStandby: a session that is ended while its COMMIT waits for a
// synchronous standby has committed, and the server breaks the connection off.
func TestCommitThatWaitsForAStandby(t *testing.T) {
	cfg := postgresConfig(t)
	db := open(t, cfg)
	changes := changesOf(db)
	withoutStandby(t, cfg)
	admin := must(pgx.Connect(t.Context(), cfg.DSN.Reveal()))(t)
	defer func() { _ = admin.Close(context.Background()) }()
	ended := func() (n int) {
		if err := admin.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE wait_event='SyncRep' AND datname=current_database()`).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	runs, done := 0, make(chan error, 1)
	go func() { done <- db.Update(context.Background(), recorded(&runs)) }()
	testwait.Until(t, soon, "the wait", func() bool { return ended() > 0 })
	if err := <-done; err != nil || runs != 1 {
		t.Errorf("run %d times: %v", runs, err)
	}
	same(t, changes(), one(gatehouse.TopicRole, "main", "r", policy.Role{Realm: "main", Name: "r"}))
}
