package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

func TestSecondProcessIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		cfg.LockWait = -1
		_, err := store.Open(t.Context(), cfg)
		wantCode(t, err, "store_locked")
		cfg.LockWait = 60 * time.Millisecond
		_, err = store.Open(t.Context(), cfg)
		wantCode(t, err, "store_locked")
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "a", "1") })
	})
}

func TestReopen(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		for i := range 3 {
			db, err := store.Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				if i > 0 {
					same(t, must(tx.Setting(ctx, "a"))(t), fmt.Sprint(i-1))
				}
				return tx.PutSetting(ctx, "a", fmt.Sprint(i))
			})
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestBadConfig(t *testing.T) {
	for name, cfg := range map[string]store.Config{
		"nothing": {}, "unknown": {Driver: "mysql", Path: "x"}, "no path": {Driver: "sqlite"}, "both": {Driver: "sqlite", Path: "x", DSN: "y"},
		"dsn":   {Driver: "postgres", DSN: "postgres://u:hunter2@[bad"},
		"async": {Driver: "postgres", DSN: "host=/nonexistent password=hunter2 synchronous_commit=off"},
	} {
		_, err := store.Open(t.Context(), cfg)
		if gatehouse.CodeOf(err) != "store_config" || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := store.Open(t.Context(), store.Config{Driver: "postgres", DSN: "host=/nonexistent password=hunter2 dbname=x", LockWait: -1})
	if gatehouse.CodeOf(err) != "store_unavailable" || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("no server: %v", err)
	}
	_, err = store.Open(t.Context(), store.Config{Driver: "sqlite", Path: "/dev/null/x/y"})
	wantCode(t, err, "store_unavailable")
}

// ASVS: 13.3.2, 14.2.4
func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes; the data directory's ACL decides")
	}
	cfg := sqliteConfig(t)
	db := open(t, cfg)
	do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "a", "1") })
	backup := filepath.Join(t.TempDir(), "backup")
	if err := db.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(cfg.Path), "*"))
	if len(files) < 3 {
		t.Errorf("files: %v", files)
	}
	for _, f := range append(files, backup, filepath.Dir(cfg.Path)) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", f, info.Mode())
		}
	}
}

// TestNewerDatabase: a program that does not know the schema must not touch it.
func TestNewerDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db, err := store.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		raw := rawDB(t, cfg)
		if _, err := raw.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`); err != nil {
			t.Fatal(err)
		}
		_, err = store.Open(t.Context(), cfg)
		wantCode(t, err, "store_newer")
	})
}

func rawDB(t *testing.T, cfg store.Config) *sql.DB {
	t.Helper()
	driver, name := "pgx", cfg.DSN.Reveal()
	if cfg.Driver == store.DriverSQLite {
		driver, name = "sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(cfg.Path)
	}
	raw, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	return raw
}

// TestSchema: the two databases have the same columns, SQLite's tables are
// strict, PostgreSQL's text compares by bytes, and a backup knows every table.
func TestSchema(t *testing.T) {
	columns := map[string][]string{}
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		raw := rawDB(t, cfg)
		list, loose := `SELECT m.name||'.'||c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type='table' ORDER BY 1`,
			`SELECT name FROM pragma_table_list WHERE schema='main' AND strict=0 AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`
		if cfg.Driver == store.DriverPostgres {
			list = `SELECT table_name||'.'||column_name COLLATE "C" FROM information_schema.columns WHERE table_schema='public' ORDER BY 1`
			loose = `SELECT table_name||'.'||column_name FROM information_schema.columns WHERE table_schema='public'
				AND data_type='text' AND collation_name IS DISTINCT FROM 'C' OR table_schema='public' AND data_type NOT IN ('text','bigint','bytea','boolean') AND table_name NOT LIKE 'goose_%'`
		}
		if got := texts(t, raw, loose); len(got) > 0 {
			t.Errorf("loose: %v", got)
		}
		var tables []string
		for _, c := range texts(t, raw, list) {
			table, _, _ := strings.Cut(c, ".")
			if strings.HasPrefix(table, "goose_") || strings.HasPrefix(table, "sqlite_") {
				continue
			}
			columns[cfg.Driver] = append(columns[cfg.Driver], c)
			tables = append(tables, table)
		}
		var dump bytes.Buffer
		if err := db.DumpAll(t.Context(), &dump); err != nil {
			t.Fatal(err)
		}
		for _, table := range slices.Compact(tables) {
			switch table {
			case "tickets": // none lives long, and used must stay used
				continue
			case "status_lists": // made anew when somebody asks; a restore ends what the old ones let live
				continue
			case "leases": // nobody holds anything in a copy
				continue
			case "sole_node", "feed", "feed_floor", "nodes": // news for nodes that run on this very database
				continue
			}
			if !strings.Contains(dump.String(), `{"table":"`+table+`"`) {
				t.Errorf("a backup lacks the table %s", table)
			}
		}
	})
	if postgres != nil {
		same(t, columns[store.DriverPostgres], columns[store.DriverSQLite])
	}
}

func texts(t *testing.T, raw *sql.DB, query string) (list []string) {
	t.Helper()
	rows, err := raw.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// fill writes at least one row to every table.
func fill(t *testing.T, db *store.DB) {
	t.Helper()
	do(t, db, func(ctx context.Context, tx *store.Tx) error {
		k, pages := exampleKey(), exampleClient()
		pages.Metadata.Origins = []string{"https://app.example"}
		return errors.Join(tx.InsertRealm(ctx, exampleRealm()), tx.InsertUser(ctx, exampleUser()), tx.InsertKey(ctx, k),
			tx.AddKeyUsage(ctx, usageOf(k.ID)), tx.PutRole(ctx, policy.Role{Realm: "main", Name: "r", Parents: []string{}}),
			tx.PutPolicy(ctx, policy.Document{Realm: "main", ID: "p", Text: "// \"quoted\" \\ \n", Disabled: true}),
			tx.PutSchema(ctx, policy.Schema{Realm: "main", Text: ""}), tx.PutEntity(ctx, policy.EntityRecord{Realm: "main", Type: "T", ID: "🦊"}),
			tx.InsertSigningKey(ctx, token.StoredKey{Realm: "main", KID: "k", PublicJWK: []byte{}, Private: []byte{0, 255}, State: token.KeyActive}),
			tx.InsertGrant(ctx, exampleGrant()), tx.InsertSession(ctx, exampleSession()), tx.PutSessionHost(ctx, gatehouse.Session{Realm: "main", ID: "ses_1", Host: "a.example", SecretID: "h1", SecretHash: []byte{0, 255}}), tx.InsertFactor(ctx, factor.Factor{Realm: "main", UserID: "usr_1", ID: "fac_1", Kind: factor.TOTP, Sealed: []byte{0, 255}, CreatedAt: moment(1), Version: 1}), tx.InsertPasskey(ctx, examplePasskey()), tx.InsertProviderLink(ctx, exampleLink()), tx.PutProviderSecret(ctx, "main", "acme", []byte{0, 255}, moment(1)), tx.InsertClient(ctx, pages), tx.InsertInitialToken(ctx, client.InitialToken{Realm: "main", ID: "crt_1", Note: "docs", Hash: []byte{0, 255}, Left: 1, CreatedAt: moment(1), ExpiresAt: moment(9)}), tx.InsertConsent(ctx, exampleConsent()), tx.InsertIssued(ctx, grant.Issued{Listener: &grant.Listener{Realm: "main", Session: "ses_1", Client: "cli_1", User: "usr_1", Ends: moment(9)}}), tx.InsertRefresh(ctx, grant.Refresh{Hash: []byte{0xff, 0}, GrantID: "grt_1", Realm: "main"}),
			tx.InsertOpaqueToken(ctx, opaqueOf("main")), tx.InsertStatusBit(ctx, revocation.StatusBit{Realm: "main", List: 1, Index: 2, ExpiresAt: moment(1)}),
			tx.PutCutoff(ctx, revocation.Cutoff{Realm: "main", Kind: revocation.CutoffRealm, Before: moment(1)}), tx.PutSetting(ctx, "", "v"),
			tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "x.y", Time: moment(1), ID: "evt_1"}),
			tx.PutHead(ctx, audit.Head{Tiles: []audit.Tile{{Realm: "main", Width: 1, Data: make([]byte, 32)}},
				Filters:    []audit.SearchFilter{{Realm: "main", First: 1, Last: 1, Events: 1, MinTime: moment(1), MaxTime: moment(1), Bits: []byte{0xff, 0}}},
				Checkpoint: audit.SignedCheckpoint{Realm: "main", Size: 1, Time: moment(1), Note: []byte("— note\n")}}))
	})
}

// TestBackup moves everything from each kind of database to each kind, and
// compares what the copies say of themselves.
func TestBackup(t *testing.T) {
	makers := map[string]func(testing.TB) store.Config{"sqlite": sqliteConfig, "postgres": postgresConfig}
	for from := range makers {
		t.Run(from, func(t *testing.T) {
			ctx, db := t.Context(), open(t, makers[from](t))
			fill(t, db)
			path := filepath.Join(t.TempDir(), "backup.gz")
			if err := os.WriteFile(path, []byte("older"), 0o600); err != nil {
				t.Fatal(err)
			}
			// While the server runs and writes.
			stop, stopped := context.WithCancel(ctx)
			var all sync.WaitGroup
			all.Go(func() {
				for stop.Err() == nil {
					_ = db.Update(stop, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "busy", "x") })
				}
			})
			if err := db.Backup(ctx, path); err != nil {
				t.Fatal(err)
			}
			stopped()
			all.Wait()
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".gatehouse-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			for to := range makers {
				t.Run("to "+to, func(t *testing.T) {
					cfg := makers[to](t)
					if err := store.Restore(ctx, cfg, reader(t, path), ""); err != nil {
						t.Fatal(err)
					}
					wantCode(t, store.Restore(ctx, cfg, reader(t, path), ""), "store_not_empty")
					copied := open(t, cfg)
					do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "busy", "") })
					do(t, copied, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "busy", "") })
					same(t, must(copied.User(ctx, "main", "usr_1"))(t), exampleUser())
					same(t, must(copied.Realm(ctx, "main"))(t), exampleRealm())
					same(t, rowsOf(t, copied), rowsOf(t, db))
					fillMore(t, copied)
				})
			}
		})
	}
}

func reader(t *testing.T, path string) io.Reader {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b)
}

// rowsOf is the dump of a database, sorted, with the one difference in types
// taken out.
func rowsOf(t *testing.T, db *store.DB) []string {
	t.Helper()
	var dump bytes.Buffer
	if err := db.DumpAll(t.Context(), &dump); err != nil {
		t.Fatal(err)
	}
	numbers := strings.NewReplacer(",true,", ",1,", ",false,", ",0,", ",true]", ",1]", ",false]", ",0]")
	lines := strings.Split(numbers.Replace(numbers.Replace(dump.String())), "\n") // twice: neighbours share a comma
	slices.Sort(lines)
	return lines
}

// fillMore shows that a restored log goes on where it was.
func fillMore(t *testing.T, db *store.DB) {
	t.Helper()
	do(t, db, func(ctx context.Context, tx *store.Tx) error {
		return tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "x.y"})
	})
	goesOn(t, db)
}

// goesOn checks that what is new in the log of main has the place after what was there.
func goesOn(t *testing.T, db *store.DB) {
	t.Helper()
	takeIn(t, db)
	batches := must(db.Batches(t.Context(), "main", audit.BatchQuery{}))(t)
	same(t, []int64{batches[0].Position, batches[1].Position}, []int64{1, 2})
}

func TestBadBackups(t *testing.T) {
	db := open(t, sqliteConfig(t))
	fill(t, db)
	var good bytes.Buffer
	if err := db.DumpAll(t.Context(), &good); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(good.String(), "\n")
	replace := func(old, new string) string { return strings.Replace(good.String(), old, new, 1) }
	for name, c := range map[string]struct{ text, code string }{
		"empty":     {"", "backup_invalid"},
		"no header": {strings.Join(lines[1:], ""), "backup_invalid"},
		"cut off":   {strings.Join(lines[:len(lines)-2], ""), "backup_invalid"},
		"cut short": {good.String()[:good.Len()/2], "backup_invalid"},
		"a row less": {func() string {
			i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "[") })
			return strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "")
		}(), "backup_invalid"},
		"table":         {replace(`"table":"realms"`, `"table":"sqlite_schema"`), "backup_invalid"},
		"column":        {replace(`"columns":["name"`, `"columns":["name) VALUES (1); --"`), "backup_invalid"},
		"newer":         {replace(`"schema":`, `"schema":9`), "store_newer"},
		"other format":  {replace(`"gatehouse_backup":1`, `"gatehouse_backup":2`), "backup_invalid"},
		"twice":         {replace(lines[len(lines)-2], strings.Join(lines[1:], "")), "already_exists"},
		"broken gzip":   {"\x1f\x8b\x00\x00", "backup_invalid"},
		"object as row": {replace("[", "{"), "backup_invalid"},
	} {
		cfg := sqliteConfig(t)
		err := store.Restore(t.Context(), cfg, strings.NewReader(c.text), "")
		if gatehouse.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
		fresh := open(t, cfg) // all or nothing
		if realms := must(fresh.Realms(t.Context()))(t); len(realms) > 0 {
			t.Errorf("%s: something was loaded", name)
		}
	}
}

// TestServerRestarts takes the PostgreSQL server down and up again under a store
// that is open: nothing stays broken, and nobody is told that a write worked
// while it was away.
func TestServerRestarts(t *testing.T) {
	cfg := postgresConfig(t)
	ctx, db := t.Context(), open(t, cfg)
	put := func(v string) error {
		return db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "a", v) })
	}
	if err := put("1"); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Down(); err != nil {
		t.Fatal(err)
	}
	wantKind(t, put("2"), gatehouse.Unavailable)
	_, err := db.Setting(ctx, "a")
	wantKind(t, err, gatehouse.Unavailable)
	wantKind(t, db.Ping(ctx), gatehouse.Unavailable)
	changes := changesOf(db)
	if err := postgres.Up(); err != nil {
		t.Fatal(err)
	}
	same(t, must(db.Setting(ctx, "a"))(t), "1")
	if err := put("3"); err != nil {
		t.Fatal(err)
	}
	// Another process could have had the database: everything is to be read anew.
	if got := changes(); len(got) != 11 || got[0] != (gatehouse.Change{Topic: gatehouse.TopicRealm}) {
		t.Errorf("%v", got)
	}
	cfg.LockWait = -1
	_, err = store.Open(ctx, cfg)
	wantCode(t, err, "store_locked")
}

// TestSessionsAreCut ends the server's sessions under load, as a fail-over does.
// A transaction that had not come to its COMMIT is run again.
func TestSessionsAreCut(t *testing.T) {
	cfg := postgresConfig(t)
	ctx, db := t.Context(), open(t, cfg)
	admin, err := pgx.Connect(ctx, cfg.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(ctx)
	runs := 0
	do(t, db, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.PutSetting(ctx, "a", fmt.Sprint(runs)); err != nil {
			return err
		}
		if runs++; runs == 1 {
			if _, err := admin.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname=current_database()
				AND state='idle in transaction'`); err != nil {
				return err
			}
		}
		return tx.PutSetting(ctx, "b", fmt.Sprint(runs))
	})
	same(t, runs, 2)
	same(t, must(db.Setting(ctx, "a"))(t)+must(db.Setting(ctx, "b"))(t), "12")

	// Reads outside of a transaction find a new connection by themselves.
	for range 3 {
		if _, err := admin.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname=current_database() AND pid<>pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
		same(t, must(db.Setting(ctx, "b"))(t), "2")
	}
}

// TestTestpgNeedsNoNetwork looks at the sockets of our own server only: other
// PostgreSQL servers may run on the machine. A listener of this test shows that
// ss can tell whose a socket is.
func TestTestpgNeedsNoNetwork(t *testing.T) {
	needPostgres(t)
	if _, err := exec.LookPath("ss"); err != nil {
		t.Skip("ss is not installed (Debian: apt-get install iproute2)")
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	out, err := exec.Command("ss", "-ltnp").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	listens := func(pid int) bool { return strings.Contains(string(out), fmt.Sprintf("pid=%d,", pid)) }
	if !listens(os.Getpid()) {
		t.Fatalf("ss does not tell which process listens:\n%s", out)
	}
	if listens(postgres.PID()) {
		t.Errorf("the server of the tests listens on the network:\n%s", out)
	}
}

// BenchmarkInsert is one event and one row in a transaction, from 64 callers.
func BenchmarkInsert(b *testing.B) {
	for name, make := range map[string]func(testing.TB) store.Config{"sqlite": sqliteConfig, "postgres": postgresConfig} {
		b.Run(name, func(b *testing.B) {
			db := open(b, make(b))
			var mu sync.Mutex
			n := 0
			b.SetParallelism(max(1, 64/runtime.GOMAXPROCS(0)))
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					mu.Lock()
					n++
					u := exampleUser()
					u.ID = fmt.Sprintf("usr_%d", n)
					u.UsernameKey = u.ID
					mu.Unlock()
					if err := db.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
						if err := tx.InsertUser(ctx, u); err != nil {
							return err
						}
						return tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "user.create", Target: gatehouse.Target{Type: "user", ID: u.ID}})
					}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
		})
	}
}
