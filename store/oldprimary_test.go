package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestOldPrimary promotes a standby while the primary goes on, so that two servers take
// themselves for it, as target_session_attrs ask for. Whoever has met the later one reads
// and writes nothing at the earlier one any more, and everybody meets it.
func TestOldPrimary(t *testing.T) {
	t.Parallel() // it waits
	earlier, later, dsn := pair(t)
	node := func() (*store.DB, *said) {
		log := &said{}
		return open(t, store.Config{Driver: store.DriverPostgres, DSN: gatehouse.Secret(dsn), Shared: true,
			Logger: slog.New(slog.NewTextHandler(log, nil))}), log
	}
	write := func(db *store.DB, name string) {
		t.Helper()
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, name, "1") })
	}
	has := func(s *testpg.Server, name string) bool {
		t.Helper()
		return holds(t, s, `SELECT EXISTS (SELECT 1 FROM settings WHERE name='`+name+`')`)
	}
	where := func(name string, e, l bool) {
		t.Helper()
		if got := has(earlier, name); got != e {
			t.Errorf("%s at the earlier primary: %v", name, got)
		}
		if got := has(later, name); got != l {
			t.Errorf("%s at the later primary: %v", name, got)
		}
	}

	// waitFor has each COMMIT at the earlier one wait for a standby of that name.
	waitFor := func(standby string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), earlier.Local("two"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		for _, statement := range []string{`ALTER SYSTEM SET synchronous_standby_names='` + standby + `'`, `SELECT pg_reload_conf()`} {
			if _, err := conn.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	db, log := node()
	write(db, "before")
	testwait.Until(t, soon, "the standby has it", func() bool { return has(later, "before") })
	if err := later.Promote(); err != nil {
		t.Fatal(err)
	}
	write(db, "unnoticed")
	where("unnoticed", true, false) // nobody can know; it is lost, as without a synchronous standby
	runs := 0
	if err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		runs++
		err := tx.PutSetting(ctx, "during", "1")
		if runs == 1 {
			db.LookAround(ctx)
		}
		return err
	}); err != nil || runs != 2 {
		t.Errorf("a transaction at whose end the primary was another one: run %d times, %v", runs, err)
	}
	where("during", false, true)
	write(db, "after")
	where("after", false, true)
	testwait.Until(t, soon, "a young view", func() bool { return db.Age() < time.Second })

	t.Run("the later one is away", func(t *testing.T) {
		if err := later.Down(); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			hurried, cancel := context.WithTimeout(t.Context(), time.Second)
			name := fmt.Sprint("nowhere", i)
			if err := db.Update(hurried, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, name, "1") }); err == nil || has(earlier, name) {
				t.Errorf("written to the earlier one: %v", err)
			}
			cancel()
		}
		testwait.Until(t, soon, "told", func() bool { return strings.Contains(log.String(), "another one was promoted in its place") })
		lost, _ := node() // knows of one only
		lost.SetPatience(time.Second)
		write(lost, "lost")
		if err := later.Up(); err != nil {
			t.Fatal(err)
		}
		testwait.Until(t, soon, "a young view again", func() bool { return db.Age() < time.Second })
		write(db, "again")
		where("again", false, true)
		// Nothing commits at the earlier one any more, so who is there looks elsewhere.
		waitFor("nobody")
		testwait.Until(t, soon, "the later one is found", func() bool {
			hurried, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_ = lost.Update(hurried, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "found", "1") })
			return has(later, "found")
		})
	})

	t.Run("a start with both", func(t *testing.T) {
		waitFor("") // it commits again, and is asked first
		began := time.Now()
		fresh, _ := node()
		write(fresh, "fresh")
		where("fresh", false, true)
		t.Logf("after %v", time.Since(began))
	})
}

// said is what a log was told.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// pair starts a primary with a standby that nobody waits for, and returns how to find the
// primary of the two, the first of which is asked first.
func pair(t *testing.T) (first, second *testpg.Server, dsn string) {
	t.Helper()
	needPostgres(t)
	settings := testpg.Settings{Port: 5432, Conf: "listen_addresses = ''\nmax_connections = 100\n"}
	start := func(s *testpg.Server, err error) *testpg.Server {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		return s
	}
	first = start(testpg.StartWith(settings))
	if _, err := first.Database("two"); err != nil {
		t.Fatal(err)
	}
	second = start(testpg.Follow(first.Local("postgres"), "", settings))
	host := func(s *testpg.Server) string { return socketDir.FindStringSubmatch(s.Local("two"))[1] }
	dsn = strings.Replace(first.Local("two"), "host="+host(first), "host="+host(first)+","+host(second), 1)
	return first, second, strings.Replace(dsn, "port=5432", "port=5432,5432", 1) + " target_session_attrs=read-write"
}

// TestFailover: a primary that hangs holds up nobody longer than it takes to find the one
// that was promoted in its place, neither those who wait for an answer of it nor those who
// would commit after them.
func TestFailover(t *testing.T) {
	t.Parallel() // it waits
	first, second, dsn := pair(t)
	db := open(t, store.Config{Driver: store.DriverPostgres, DSN: gatehouse.Secret(dsn), Shared: true, Logger: quiet(t)})
	do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRealm(ctx, exampleRealm()) })
	testwait.Until(t, soon, "the standby has it", func() bool { return holds(t, second, `SELECT count(*)>0 FROM realms`) })
	testwait.Until(t, soon, "a young view", func() bool { return db.Age() < time.Second })
	began := time.Now()
	hung := make(chan error, 2)
	atCommit := make(chan struct{})
	go func() {
		hung <- db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			err := putRole("commit")(ctx, tx)
			if err == nil && first.Freeze() != nil {
				t.Error("not frozen")
			}
			close(atCommit)
			return err
		})
	}()
	<-atCommit
	go func() { hung <- db.Update(t.Context(), putRole("statement")) }()
	if err := second.Promote(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what became of the first one nobody can say
		t.Log(<-hung)
	}
	do(t, db, putRole("after"))
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("changes waited for %v", took)
	} else {
		t.Logf("all goes on after %v", took)
	}
	if !holds(t, second, `SELECT count(*)>0 FROM roles WHERE name='after'`) {
		t.Error("the role is elsewhere")
	}
}

func holds(t *testing.T, s *testpg.Server, question string) (yes bool) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.Local("two"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), question).Scan(&yes); err != nil && !strings.Contains(err.Error(), "does not exist") {
		t.Fatal(err)
	}
	return yes
}
