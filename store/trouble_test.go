package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestServerRefuses has PostgreSQL refuse a change with an error of each kind, at a statement
// and at the COMMIT. What another attempt may mend is run again, everything else is told as an
// outage; nothing of what failed is stored or told of, and afterwards all is well.
func TestServerRefuses(t *testing.T) {
	inOrder(t)
	const always = 1000
	for _, c := range []struct {
		code  string
		times int // how many attempts fail
		runs  int
	}{
		{"40001", 2, 3}, {"40P01", 2, 3}, {"40001", always, 10}, // serialization, deadlock
		{"53100", always, 1}, {"53200", always, 1}, {"53400", always, 1}, // disk full, out of memory, a limit
		{"57014", always, 1}, {"55P03", always, 1}, {"58030", always, 1}, // cancelled, a lock, the disk
	} {
		for _, trigger := range []string{`TRIGGER refuse BEFORE INSERT OR UPDATE ON roles`, `CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON roles DEFERRABLE INITIALLY DEFERRED`} {
			name := fmt.Sprintf("%s %d times, %s", c.code, c.times, strings.Fields(trigger)[0])
			t.Run(name, func(t *testing.T) {
				cfg, dbs := nodes(t, 1)
				db := dbs[0]
				changes := changesOf(db)
				execute(t, cfg, `CREATE SEQUENCE attempts`)
				execute(t, cfg, fmt.Sprintf(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
					$$BEGIN IF nextval('attempts')<=%d THEN RAISE EXCEPTION 'told to' USING ERRCODE='%s'; END IF; RETURN NEW; END$$`, c.times, c.code))
				execute(t, cfg, `CREATE `+trigger+` FOR EACH ROW EXECUTE FUNCTION refuse()`)
				runs := 0
				err := db.Update(t.Context(), recorded(&runs))
				stored := len(must(db.UnsequencedBatches(t.Context(), "main", 100))(t))
				if runs != c.runs {
					t.Errorf("run %d times, want %d", runs, c.runs)
				}
				if c.times < always {
					if err != nil || stored != 1 {
						t.Errorf("%v, %d stored", err, stored)
					}
					same(t, changes(), one(gatehouse.TopicRole, "main", "r", policy.Role{Realm: "main", Name: "r"}))
					return
				}
				wantCode(t, err, "store_unavailable")
				if told := changes(); stored != 0 || len(told) > 0 {
					t.Errorf("%d stored, told %v", stored, told)
				}
				execute(t, cfg, `DROP TRIGGER refuse ON roles`)
				do(t, db, recorded(&runs))
				if stored := len(must(db.UnsequencedBatches(t.Context(), "main", 100))(t)); stored != 1 {
					t.Errorf("%d stored afterwards", stored)
				}
			})
		}
	}
}

// TestDeadlockIsRunAgain: of two changes that wait for each other the server ends one, which
// is run again; both are made once.
func TestDeadlockIsRunAgain(t *testing.T) {
	_, dbs := nodes(t, 2)
	var runs [2]int
	var first sync.WaitGroup
	first.Add(2)
	done := make(chan error, 2)
	for i, db := range dbs {
		go func() {
			done <- db.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				runs[i]++
				if err := tx.PutSetting(ctx, strconv.Itoa(i), "1"); err != nil {
					return err
				}
				if runs[i] == 1 {
					first.Done()
					first.Wait()
				}
				if err := tx.PutSetting(ctx, strconv.Itoa(1-i), "1"); err != nil {
					return err
				}
				return tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "x.y"})
			})
		}()
	}
	for range dbs {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if stored := len(must(dbs[0].UnsequencedBatches(t.Context(), "main", 100))(t)); runs[0]+runs[1] != 3 || stored != 2 {
		t.Errorf("run %v times, %d stored", runs, stored)
	}
}

// timesRecorded is how often each event is stored, by the id of its target.
func timesRecorded(t *testing.T, db *store.DB) map[string]int {
	t.Helper()
	times, after := map[string]int{}, int64(0)
	for {
		page := must(db.Batches(t.Context(), "main", audit.BatchQuery{After: after, Limit: 1000}))(t)
		if len(page) == 0 {
			return times
		}
		for _, b := range page {
			after = b.Position
			for _, e := range must(audit.Decode(b))(t) {
				times[e.Target.ID]++
			}
		}
	}
}

// TestSessionsEndAtAnyMoment ends sessions of a node again and again, wherever they are, while
// many write: what is acknowledged is stored once, and nothing is stored twice.
func TestSessionsEndAtAnyMoment(t *testing.T) {
	enough := 50
	if os.Getenv("GATEHOUSE_TEST_LONG") != "" {
		enough = 5000
	}
	cfg, dbs := nodes(t, 1)
	db := dbs[0]
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	var acknowledged []string
	refused := 0
	for w := range 8 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				name := fmt.Sprintf("%d-%d", w, n)
				err := db.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
					if err := tx.PutRole(ctx, policy.Role{Realm: "main", Name: name}); err != nil {
						return err
					}
					return tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "x.y", Target: gatehouse.Target{ID: name}})
				})
				mu.Lock()
				if err == nil {
					if acknowledged = append(acknowledged, name); len(acknowledged) >= enough {
						cancel()
					}
				} else if refused++; gatehouse.CodeOf(err) != "store_unavailable" {
					t.Errorf("%s: %v", name, err)
				}
				mu.Unlock()
			}
		})
	}
	admin := must(pgx.Connect(t.Context(), cfg.DSN.Reveal()))(t)
	defer func() { _ = admin.Close(context.Background()) }()
	ended := 0
	for tick := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-tick.C { // those that are at work
		var n int
		if err := admin.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
			WHERE datname=current_database() AND pid<>pg_backend_pid() AND state<>'idle' ORDER BY random() LIMIT 1) AS s`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		ended += n
	}
	all.Wait()
	times := timesRecorded(t, db)
	for _, name := range acknowledged {
		if times[name] != 1 {
			t.Errorf("%s is acknowledged, and recorded %d times", name, times[name])
		}
	}
	for name, n := range times {
		if n > 1 {
			t.Errorf("%s is recorded %d times", name, n)
		}
	}
	if len(acknowledged) < enough || ended == 0 {
		t.Errorf("%d acknowledged, %d sessions ended: the load is no load", len(acknowledged), ended)
	}
	t.Logf("%d acknowledged, %d refused, %d sessions ended", len(acknowledged), refused, ended)
}

// sqlState is the code of an error of the server, "" for any other one.
func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// TestTooManyConnections: a server that has no room for a connection more is an outage to who
// needs one, and to nobody else. A node that has lost its own knows that its view gets old, and is
// back by itself when there is room again.
func TestTooManyConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until a view is old")
	}
	needPostgres(t)
	const most = 12
	own, err := testpg.StartWith(testpg.Settings{Port: 5432, Conf: fmt.Sprintf("listen_addresses = ''\nmax_connections = %d\nsuperuser_reserved_connections = 0\n", most)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Stop)
	cfg := store.Config{Driver: store.DriverPostgres, DSN: gatehouse.Secret(own.DSN(t)), Shared: true, LockWait: -1, Logger: quiet(t)}
	db := open(t, cfg)
	do(t, db, putRole("a"))
	testwait.Until(t, soon, "young", func() bool { return db.Age() < 3*time.Second })
	strangers := []*pgx.Conn{}
	leave := func() {
		for _, c := range strangers {
			_ = c.Close(context.Background())
		}
		strangers = nil
	}
	t.Cleanup(leave)
	occupy := func() {
		t.Helper()
		for {
			c, err := pgx.Connect(t.Context(), cfg.DSN.Reveal())
			if err != nil {
				if sqlState(err) != "53300" {
					t.Fatal(err)
				}
				return
			}
			strangers = append(strangers, c)
		}
	}
	occupy()
	if len(strangers) < 2 {
		t.Fatalf("room for %d", len(strangers))
	}
	// One connection of the pool is there: who has it goes on, others are told.
	release, inside, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- db.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			err := tx.PutRole(ctx, policy.Role{Realm: "main", Name: "first"})
			close(inside)
			<-release
			return err
		})
	}()
	<-inside
	refused := 0
	for range most {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := db.Update(ctx, putRole("second"))
		cancel()
		if err != nil {
			wantCode(t, err, "store_unavailable")
			refused++
		}
	}
	close(release)
	if err := <-done; err != nil || refused != most && roleNamesOf(t, db) == "" {
		t.Errorf("%v; %d of %d refused", err, refused, most)
	}
	// A node that loses all that it has, to strangers who are quicker.
	for lost := false; !lost; {
		if _, err := strangers[0].Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'gatehouse%'`); err != nil {
			t.Fatal(err)
		}
		occupy()
		var n int
		if err := strangers[0].QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'gatehouse%'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		lost = n == 0
	}
	testwait.Until(t, soon, "the view gets old", func() bool { return db.Age() > 3*time.Second })
	wantCode(t, db.Update(t.Context(), putRole("lost")), "store_unavailable")
	leave()
	testwait.Until(t, soon, "young again", func() bool { return db.Age() < 3*time.Second })
	do(t, db, putRole("back"))
	if names := roleNamesOf(t, db); strings.Contains(names, "lost") || !strings.Contains(names, "first") || !strings.Contains(names, "back") {
		t.Errorf("stored: %s", names)
	}
}

func roleNamesOf(t *testing.T, db *store.DB) (names string) {
	t.Helper()
	for _, r := range must(db.Roles(t.Context(), "main"))(t) {
		names += r.Name + " "
	}
	return names
}

// TestDiskFull: a database whose disk is full stores nothing by halves, and a node on it knows
// that its view gets old, since no heartbeat can be stored. Both end by themselves when there is room.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a disk")
	}
	needPostgres(t)
	who, err := user.Lookup("postgres")
	if os.Getuid() != 0 || err != nil {
		t.Skip("to make a small disk takes root, and the user postgres")
	}
	dir, err := os.MkdirTemp("", "gatehouse-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m,mode=700,uid="+who.Uid+",gid="+who.Gid, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := postgresConfig(t)
	name := must(pgx.ParseConfig(cfg.DSN.Reveal()))(t).Database
	main := cfg
	main.DSN = gatehouse.Secret(postgres.Local("postgres"))
	execute(t, main, `CREATE TABLESPACE small LOCATION '`+dir+`'`)
	t.Cleanup(func() {
		c, err := pgx.Connect(context.Background(), postgres.Local("postgres"))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.Close(context.Background()) }()
		for _, s := range []string{`DROP DATABASE ` + name + ` WITH (FORCE)`, `DROP TABLESPACE small`} {
			if _, err := c.Exec(context.Background(), s); err != nil {
				t.Error(err)
			}
		}
	})
	execute(t, main, `ALTER DATABASE `+name+` SET TABLESPACE small`)
	cfg.Shared, cfg.LockWait = true, -1
	db := open(t, cfg)
	changes := changesOf(db)
	write := func(name string) error {
		return db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "x.y", Target: gatehouse.Target{ID: name}}); err != nil {
				return err
			}
			return tx.PutRole(ctx, policy.Role{Realm: "main", Name: name, Description: strings.Repeat(name, 2000)})
		})
	}
	if err := write("before"); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "young", func() bool { return db.Age() < 3*time.Second })
	conn := must(pgx.Connect(t.Context(), cfg.DSN.Reveal()))(t)
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), `CREATE TABLE waste (v TEXT)`); err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 64; {
		// What is filled up to the last page leaves none for anybody.
		_, err := conn.Exec(t.Context(), `INSERT INTO waste SELECT string_agg(md5(random()::text||i::text),'') FROM generate_series(1,$1::int/32) AS i, generate_series(1,8) AS j GROUP BY j`, size)
		switch {
		case sqlState(err) == "53100":
			size /= 2
		case err != nil:
			t.Fatal(err)
		}
	}
	changes()
	written, failed := []string{"before"}, []string{}
	for i := 0; len(failed) < 5; i++ { // pages that are there may have room
		name := "full-" + strconv.Itoa(i)
		if err := write(name); err != nil {
			wantCode(t, err, "store_unavailable")
			failed = append(failed, name)
			continue
		}
		written = append(written, name)
	}
	if told := changes(); len(told) != len(written)-1 {
		t.Errorf("%d changes told of %d", len(told), len(written)-1)
	}
	testwait.Until(t, soon, "the view gets old, or there is room for a heartbeat", func() bool {
		var room bool
		err := conn.QueryRow(t.Context(), `SELECT max(written_at)>(extract(epoch FROM clock_timestamp())*1000000)::bigint-2000000 FROM feed`).Scan(&room)
		return err == nil && (room || db.Age() > 3*time.Second)
	})
	if _, err := conn.Exec(t.Context(), `DROP TABLE waste`); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "it stores again", func() bool { return write("after") == nil })
	testwait.Until(t, soon, "young again", func() bool { return db.Age() < 3*time.Second })
	times, names := timesRecorded(t, db), roleNamesOf(t, db)
	for _, name := range append(written, "after") {
		if times[name] < 1 || !strings.Contains(names, name+" ") {
			t.Errorf("%s is acknowledged, recorded %d times, and among %s", name, times[name], names)
		}
	}
	for _, name := range failed {
		if times[name] != 0 || strings.Contains(names, name+" ") {
			t.Errorf("%s is refused, recorded %d times, and among %s", name, times[name], names)
		}
	}
}
