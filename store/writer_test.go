package store

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// stoppedWriter is a group commit without its goroutine, so that a test says
// which transactions share a commit.
func stoppedWriter(t *testing.T) (*DB, *sqliteEngine) {
	t.Helper()
	cfg := Config{Driver: DriverSQLite, Path: filepath.Join(t.TempDir(), "db"), LockWait: -1}
	if err := cfg.defaults(); err != nil {
		t.Fatal(err)
	}
	db := &DB{logger: cfg.Logger}
	b, _, err := connectSQLite(t.Context(), cfg, db)
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), b, latest); err != nil {
		t.Fatal(err)
	}
	e := &sqliteEngine{write: b.write, read: b.read, db: db, now: time.Now, logger: slog.New(slog.DiscardHandler)}
	db.Queries = Queries{c: &preparedPool{db: b.read}}
	t.Cleanup(func() {
		e.reset()
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	return db, e
}

// together runs functions in one commit and returns their answers.
func together(e *sqliteEngine, fns ...func(context.Context, *Tx) error) (answers []error) {
	var calls []*call
	for _, fn := range fns {
		calls = append(calls, &call{ctx: context.Background(), fn: fn, answer: make(chan error, 1)})
	}
	e.open = calls
	for len(e.open) > 0 {
		e.commit()
	}
	for _, c := range calls {
		answers = append(answers, public(<-c.answer))
	}
	return answers
}

func putRole(name string) func(context.Context, *Tx) error {
	return func(ctx context.Context, tx *Tx) error {
		return tx.PutRole(ctx, policy.Role{Realm: "main", Name: name})
	}
}

func roleNames(t *testing.T, db *DB) (names string) {
	t.Helper()
	roles, err := db.Roles(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles {
		names += r.Name
	}
	return names
}

var errOwn = gatehouse.E(gatehouse.Conflict, "own", "")

// TestCommitFails makes the COMMIT itself fail, by a foreign key that is checked
// only then.
func TestCommitFails(t *testing.T) {
	db, e := stoppedWriter(t)
	told := ""
	db.Subscribe(func(c gatehouse.Change) { told += c.ID })
	answers := together(e, putRole("a"),
		func(ctx context.Context, tx *Tx) error {
			if _, err := tx.raw.exec(ctx, `PRAGMA defer_foreign_keys=ON`, nil); err != nil {
				return err
			}
			return tx.InsertRefresh(ctx, grant.Refresh{Hash: []byte("x"), GrantID: "none", Realm: "main"})
		},
		func(context.Context, *Tx) error { return errOwn }, putRole("b"))
	for i, err := range answers {
		if want := map[bool]gatehouse.Kind{true: gatehouse.Conflict, false: gatehouse.Unavailable}[i == 2]; !errors.Is(err, want) {
			t.Errorf("answer %d: %v, want %v", i, err, want)
		}
	}
	if told != "" || roleNames(t, db) != "" {
		t.Errorf("told %q, stored %q of a commit that failed", told, roleNames(t, db))
	}
	if answers := together(e, putRole("c")); answers[0] != nil || told != "c" || roleNames(t, db) != "c" {
		t.Errorf("the writer did not go on: %v, told %q", answers, told)
	}
}

// TestWriterHangs: while the writer is held up, nobody else waits for it without
// end, and nobody who has waited in vain is written later.
func TestWriterHangs(t *testing.T) {
	db, e := stoppedWriter(t)
	e.queue, e.closing, e.wait = make(chan *call), make(chan struct{}), 50*time.Millisecond
	e.running.Add(1)
	go e.loop()
	defer e.stop()
	hanging, release, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		first <- e.run(t.Context(), func(ctx context.Context, tx *Tx) error {
			close(hanging)
			<-release
			return putRole("a")(ctx, tx)
		})
	}()
	<-hanging
	if err := e.run(t.Context(), putRole("b")); !errors.Is(public(err), gatehouse.Unavailable) {
		t.Errorf("a transaction whose turn did not come: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the one that was held up: %v", err)
	}
	if err := e.run(t.Context(), putRole("c")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if got := roleNames(t, db); got != "ac" {
		t.Errorf("stored %q", got)
	}
}

// TestAutomaticRollback is what SQLite does on a full disk: it undoes the whole
// transaction in the middle of a batch. Who wrote before is told; who comes after
// is run again in a transaction of its own.
func TestAutomaticRollback(t *testing.T) {
	db, e := stoppedWriter(t)
	told := ""
	db.Subscribe(func(c gatehouse.Change) { told += c.ID })
	answers := together(e, putRole("a"), func(ctx context.Context, tx *Tx) error {
		_, err := tx.raw.exec(ctx, `ROLLBACK`, nil)
		return errors.Join(err, errOwn)
	}, putRole("b"), putRole("c"))
	if !errors.Is(answers[0], gatehouse.Unavailable) || answers[1] == nil || answers[2] != nil || answers[3] != nil {
		t.Errorf("%v", answers)
	}
	if told != "bc" || roleNames(t, db) != "bc" {
		t.Errorf("told %q, stored %q", told, roleNames(t, db))
	}
}

// TestConnectionLost takes the writer's connection away between two commits.
func TestConnectionLost(t *testing.T) {
	db, e := stoppedWriter(t)
	if answers := together(e, putRole("a")); answers[0] != nil {
		t.Fatal(answers)
	}
	_ = e.conn.conn.Raw(func(any) error { return errDiscard })
	if answers := together(e, putRole("b")); !errors.Is(answers[0], gatehouse.Unavailable) {
		t.Errorf("%v", answers)
	}
	if answers := together(e, putRole("c")); answers[0] != nil || roleNames(t, db) != "ac" {
		t.Errorf("%v, stored %q", answers, roleNames(t, db))
	}
}

// TestDiagnose pins what may be called a success, a retry, or an outage.
func TestDiagnose(t *testing.T) {
	for code, want := range map[string]trouble{"23505": troubleUnique, "23503": troubleReference, "22021": troubleText, "40001": troubleRetry,
		"40P01": troubleRetry, "57P01": troubleConnection, "57P02": troubleConnection, "57P03": troubleConnection, "08006": troubleConnection,
		"25P03": troubleConnection, "25P04": troubleConnection, "53100": troubleUnavailable, "53200": troubleUnavailable, "53300": troubleUnavailable, "58030": troubleUnavailable,
		"57014": troubleUnavailable, "25006": troubleUnavailable, "XX001": troubleUnavailable, "28P01": troubleUnavailable, "42601": troubleLogic, "": troubleLogic} {
		if got := diagnosePostgres(code); got != want {
			t.Errorf("%s: %v, want %v", code, got, want)
		}
	}
	for code, want := range map[int]trouble{13: troubleUnavailable, 10: troubleUnavailable, 778: troubleUnavailable, 5: troubleUnavailable,
		11: troubleUnavailable, 2067: troubleUnique, 1555: troubleUnique, 787: troubleReference, 3091: troubleLogic, 1: troubleLogic} {
		if got := diagnoseSQLite(code); got != want {
			t.Errorf("%d: %v, want %v", code, got, want)
		}
	}
}
