package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/store"
)

func configMakers() map[string]func(testing.TB) store.Config {
	return map[string]func(testing.TB) store.Config{store.DriverSQLite: sqliteConfig, store.DriverPostgres: postgresConfig}
}

// filled makes a database with something in every table, more rows than one statement
// takes, and rows that are large.
func filled(t *testing.T, cfg store.Config) (rows []string) {
	t.Helper()
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db)
	do(t, db, func(ctx context.Context, tx *store.Tx) error {
		for n := range 200 {
			if err := tx.PutRole(ctx, policy.Role{Realm: "main", Name: fmt.Sprintf("role-%03d", n), Parents: []string{}}); err != nil {
				return err
			}
		}
		for n := range 3 {
			e := policy.EntityRecord{Realm: "main", Type: "Big", ID: fmt.Sprint(n), Attributes: map[string]any{"text": strings.Repeat("ß", 400_000)}}
			if err := tx.PutEntity(ctx, e); err != nil {
				return err
			}
		}
		if err := tx.InsertMail(ctx, mail.Record{ID: "mail_1", Realm: "main", Kind: mail.KindTest, Once: "o", Recipient: []byte{0, 255}, SealedTo: []byte{1},
			State: mail.Waiting, CreatedAt: moment(1), EndsAt: moment(2), ExpiresAt: moment(3)}); err != nil {
			return err
		}
		if err := tx.PutFailures(ctx, identity.Failures{Key: make([]byte, 16), State: []byte(`{}`), ExpiresAt: moment(30)}); err != nil {
			return err
		}
		return tx.PutOnce(ctx, once.Record{Kind: once.KindTicket, Key: onceKey("moved"), Sealed: []byte{0xff, 0, 1}, ExpiresAt: moment(30)})
	})
	do(t, db, func(ctx context.Context, tx *store.Tx) error {
		return tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "x.y", Time: moment(2), ID: "evt_2"})
	})
	waiting := must(db.UnsequencedBatches(t.Context(), "main", 10))(t)
	do(t, db, func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.SequenceBatches(ctx, "main", 0, waiting), tx.PutAuditRemoval(ctx, audit.Removal{Realm: "main", Size: 1, Position: 1,
			Time: moment(3), Before: moment(2), Note: []byte("— removed\n")}))
	})
	for _, s := range []string{`INSERT INTO audit_lanes (realm, lane, stored, arrived) VALUES ('other',0,3,1)`,
		`INSERT INTO audit_taken (realm, lane, batches) VALUES ('other',0,3)`} {
		if _, err := rawDB(t, cfg).ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rawDB(t, cfg).ExecContext(t.Context(), `INSERT INTO personal_salts (user_id, realm, salt) VALUES ('usr_1','main',$1)`, []byte{0, 255}); err != nil {
		t.Fatal(err)
	}
	rows = rowsOf(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func moveEvent(_ context.Context, copied *store.Tx) (gatehouse.Event, error) {
	_, err := copied.Realm(context.Background(), "main")
	return gatehouse.Event{Realm: "main", Kind: audit.KindStoreMove, Outcome: gatehouse.OutcomeSuccess, ID: "evt_move", Time: moment(99)}, err
}

// arrived compares a database with the rows that were moved into it: only the event of
// the move, and what counts events, is new.
func arrived(t *testing.T, cfg store.Config, before []string) {
	t.Helper()
	db := open(t, cfg)
	after := rowsOf(t, db)
	var lost, extra []string
	for _, line := range before {
		if !slices.Contains(after, line) {
			lost = append(lost, line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			extra = append(extra, line)
		}
	}
	// The position of the newest batch, or on PostgreSQL its lane if it had been there, and the number of rows at the end.
	if gone := len(lost); gone != 2 && (gone != 1 || cfg.Driver != store.DriverPostgres) || len(extra) != 3 || !strings.Contains(strings.Join(extra, ""), "evt_move") {
		t.Errorf("lost %q\nextra %q", lost, extra)
	}
	if _, err := db.Once(t.Context(), once.KindTicket, onceKey("moved")); err != nil {
		t.Errorf("the ticket: %v", err)
	}
	goesOn(t, db)
}

// TestMove moves everything from each kind of database to each kind. The source is not
// opened again, by whatever means, and what was moved can be moved on.
func TestMove(t *testing.T) {
	inOrder(t)
	for from, makeFrom := range configMakers() {
		for to, makeTo := range configMakers() {
			t.Run(from+" to "+to, func(t *testing.T) {
				src, dst := makeFrom(t), makeTo(t)
				before := filled(t, src)
				var told []store.Copied
				checked := false
				moved, err := store.Move(t.Context(), src, dst, store.MoveOptions{Event: moveEvent,
					Copied: func(c store.Copied) { told = append(told, c) },
					Check: func(ctx context.Context, db *store.DB) error {
						checked = true
						_, err := db.User(ctx, "main", "usr_1")
						return err
					}})
				if err != nil || !checked || moved.Finished {
					t.Fatalf("%+v, %v; checked: %v", moved, err, checked)
				}
				same(t, told, moved.Tables)
				for _, c := range told {
					if c.Rows == 0 {
						t.Errorf("%s is empty: nothing is shown of it", c.Table)
					}
				}
				arrived(t, dst, before)
				_, err = store.Open(t.Context(), src)
				wantCode(t, err, "store_moved")
				if !strings.Contains(err.Error(), moved.To) || strings.Contains(moved.To, "dbname=") {
					t.Errorf("where to? %v", err)
				}
				_, err = store.Move(t.Context(), src, makeTo(t), store.MoveOptions{Event: moveEvent})
				wantCode(t, err, "store_moved")
			})
		}
	}
}

// TestMoveThereAndBack: a database that came by a move can leave by one.
func TestMoveThereAndBack(t *testing.T) {
	first, second, third := sqliteConfig(t), postgresConfig(t), sqliteConfig(t)
	before := filled(t, first)
	for _, step := range []struct {
		from, to store.Config
		id       string
	}{{first, second, "evt_there"}, {second, third, "evt_back"}} {
		event := func(ctx context.Context, copied *store.Tx) (gatehouse.Event, error) {
			e, err := moveEvent(ctx, copied)
			e.ID = step.id
			return e, err
		}
		if _, err := store.Move(t.Context(), step.from, step.to, store.MoveOptions{Event: event}); err != nil {
			t.Fatal(err)
		}
	}
	for _, left := range []store.Config{first, second} {
		_, err := store.Open(t.Context(), left)
		wantCode(t, err, "store_moved")
	}
	db := open(t, third)
	after := rowsOf(t, db)
	for _, line := range before {
		if !slices.Contains(after, line) && !strings.HasPrefix(line, `{"end"`) && line != `["main",2]` {
			t.Errorf("lost: %.200s", line)
		}
	}
}

// TestMoveRefuses: nothing is moved that is in use, unknown, or would be mixed with
// something else; and nothing is changed by asking for it.
func TestMoveRefuses(t *testing.T) {
	inOrder(t)
	onBoth(t, func(t *testing.T, dst store.Config) {
		src := sqliteConfig(t)
		before := filled(t, src)
		wait := time.Duration(-1)
		move := func(from, to store.Config) error {
			from.LockWait, to.LockWait = wait, wait
			_, err := store.Move(t.Context(), from, to, store.MoveOptions{Event: moveEvent})
			return err
		}
		absent := sqliteConfig(t)
		wantCode(t, move(absent, dst), "store_config")
		if _, err := os.Stat(absent.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a database was made where there was none: %v", err)
		}
		wantCode(t, move(src, src), "store_config")
		wantCode(t, move(src, store.Config{}), "store_config")
		unused := sqliteConfig(t)
		if err := os.MkdirAll(filepath.Dir(unused.Path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(unused.Path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		wantCode(t, move(unused, dst), "store_config")

		running, err := store.Open(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, move(src, dst), "store_locked")
		if err := running.Close(); err != nil {
			t.Fatal(err)
		}
		running = must(store.Open(t.Context(), dst))(t)
		wantCode(t, move(src, dst), "store_locked")
		do(t, running, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "somebody", "else") })
		if err := running.Close(); err != nil {
			t.Fatal(err)
		}
		wait = 10 * time.Second // PostgreSQL lets a lock go a moment after its session was closed
		wantCode(t, move(src, dst), "store_not_empty")
		alter(t, dst, `DELETE FROM settings`)

		alter(t, src, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)
		wantCode(t, move(src, dst), "store_newer")
		alter(t, src, `DELETE FROM goose_db_version WHERE version_id=99999`)
		alter(t, dst, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)
		wantCode(t, move(src, dst), "store_newer")
		alter(t, dst, `DELETE FROM goose_db_version WHERE version_id=99999`)
		old := sqliteConfig(t)
		filled(t, old)
		alter(t, old, `DELETE FROM goose_db_version WHERE version_id > 5`)
		wantCode(t, move(old, dst), "store_schema_differs")

		same(t, rowsOf(t, open(t, src)), before)
	})
}

// alter changes a database from the outside.
func alter(t *testing.T, cfg store.Config, statement string) {
	t.Helper()
	raw := rawDB(t, cfg)
	if _, err := raw.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMoveNotices: a database that stores something else than it was given is found
// out, and nothing has moved.
func TestMoveNotices(t *testing.T) {
	spoil := map[string][]string{
		store.DriverSQLite: {`CREATE TRIGGER spoil AFTER INSERT ON roles WHEN NEW.name='role-117' BEGIN UPDATE roles SET description='x' WHERE name=NEW.name; END`},
		store.DriverPostgres: {`CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.description := ''x''; RETURN NEW; END'`,
			`CREATE TRIGGER spoil BEFORE INSERT ON roles FOR EACH ROW WHEN (NEW.name='role-117') EXECUTE FUNCTION spoil()`},
	}
	onBoth(t, func(t *testing.T, dst store.Config) {
		src := sqliteConfig(t)
		before := filled(t, src)
		if err := must(store.Open(t.Context(), dst))(t).Close(); err != nil {
			t.Fatal(err)
		}
		for _, statement := range spoil[dst.Driver] {
			alter(t, dst, statement)
		}
		_, err := store.Move(t.Context(), src, dst, store.MoveOptions{Event: moveEvent})
		wantCode(t, err, "store_move_differs")
		if realms := must(open(t, dst).Realms(t.Context()))(t); len(realms) > 0 {
			t.Error("something arrived")
		}
		same(t, rowsOf(t, open(t, src)), before)
	})
}

// TestMoveChecked: a copy that its check refuses is not served; the source goes on, and
// what it stores meanwhile is in the copy that is made then.
func TestMoveChecked(t *testing.T) {
	inOrder(t)
	onBoth(t, func(t *testing.T, dst store.Config) {
		src := sqliteConfig(t)
		filled(t, src)
		no := errors.New("no")
		_, err := store.Move(t.Context(), src, dst, store.MoveOptions{Event: moveEvent, Check: func(context.Context, *store.DB) error { return no }})
		if !errors.Is(err, no) {
			t.Fatal(err)
		}
		_, err = store.Open(t.Context(), dst)
		wantCode(t, err, "store_move_unfinished")
		db := must(store.Open(t.Context(), src))(t)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "later", "1") })
		before := rowsOf(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Move(t.Context(), src, dst, store.MoveOptions{Event: moveEvent}); err != nil {
			t.Fatal(err)
		}
		arrived(t, dst, before)
	})
}

// moveEnv tells the test binary that it is the child that moves and kills itself.
const moveEnv = "GATEHOUSE_STORE_MOVE_CHILD"

// moveChild moves, and is killed where it was told.
func moveChild() {
	parts := strings.SplitN(os.Getenv(moveEnv), "|", 4) // where, driver, source, target
	src, dst := store.Config{Driver: store.DriverSQLite, Path: parts[2]}, store.Config{Driver: parts[1], Path: parts[3]}
	if dst.Driver == store.DriverPostgres {
		dst.Path, dst.DSN = "", gatehouse.Secret(parts[3])
	}
	die := func(where string) {
		if where == parts[0] {
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
			select {}
		}
	}
	_, err := store.Move(context.Background(), src, dst, store.MoveOptions{Event: moveEvent, Copied: func(c store.Copied) { die(c.Table) },
		Check: func(context.Context, *store.DB) error { die("check"); return nil }})
	fmt.Println("moved", err)
}

// TestMoveKilled kills the program on its way, and between the two halves of its end:
// at every moment at most one of the two databases can be served, and the same command
// brings it to its end.
func TestMoveKilled(t *testing.T) {
	inOrder(t)
	for _, where := range []string{"realms", "roles", "audit_batches", "tickets", "check", "between the marks"} {
		t.Run(where, func(t *testing.T) {
			onBoth(t, func(t *testing.T, dst store.Config) {
				src := sqliteConfig(t)
				before := filled(t, src)
				sourceServes := true
				if where == "between the marks" {
					if _, err := store.Move(t.Context(), src, dst, store.MoveOptions{Event: moveEvent}); err != nil {
						t.Fatal(err)
					}
					mark := texts(t, rawDB(t, src), `SELECT value FROM settings WHERE name='move.to'`)
					alter(t, dst, `INSERT INTO settings (name, value) VALUES ('move.from','`+mark[0]+`')`)
					sourceServes = false
				} else {
					cmd := movingChild(t, where, src, dst)
					if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), "moved") {
						t.Fatalf("it was not killed: %s", out)
					}
				}
				opens := func(cfg store.Config) bool {
					db, err := store.Open(t.Context(), cfg)
					if err != nil {
						return false
					}
					defer db.Close()
					realms := must(db.Realms(t.Context()))(t)
					return len(realms) > 0 // an empty one is a new one, and serves nobody yet
				}
				if opens(src) != sourceServes || opens(dst) {
					t.Errorf("after it was killed, the source serves: %v, the target: %v", opens(src), opens(dst))
				}
				moved, err := store.Move(t.Context(), src, dst, store.MoveOptions{Event: moveEvent})
				if err != nil || moved.Finished == sourceServes {
					t.Fatalf("again: %+v, %v", moved, err)
				}
				arrived(t, dst, before)
				if opens(src) {
					t.Error("the source can be served beside the copy")
				}
			})
		})
	}
}

func movingChild(t *testing.T, where string, src, dst store.Config) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%s|%s", moveEnv, where, dst.Driver, src.Path, dst.Path+dst.DSN.Reveal()))
	return cmd
}

// held is what of the heap was in use when the collector looked last: what only waits
// to be collected is more on a busy machine, and nobody's.
func held() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return live[0].Value.Uint64()
}

// TestMoveInLittleMemory: what a move holds in memory does not grow with what it moves.
func TestMoveInLittleMemory(t *testing.T) {
	onBoth(t, func(t *testing.T, dst store.Config) {
		src := sqliteConfig(t)
		db := must(store.Open(t.Context(), src))(t)
		const rows, size = 160, 400 << 10
		text := strings.Repeat("x", size)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRealm(ctx, exampleRealm()) })
		for n := range rows {
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, fmt.Sprint(n), text) })
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		defer debug.SetGCPercent(debug.SetGCPercent(20)) // let it look often
		runtime.GC()
		before := held()
		done, peak := make(chan error), uint64(0)
		go func() {
			_, err := store.Move(t.Context(), src, dst, store.MoveOptions{Event: moveEvent})
			done <- err
		}()
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for moving := true; moving; {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				moving = false
			case <-tick.C:
				peak = max(peak, held())
			}
		}
		if peak > before+rows*size/2 {
			t.Errorf("%d MiB of memory for %d MiB of rows", (peak-before)>>20, rows*size>>20)
		}
	})
}
