package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
)

// soon is long enough for a node to learn of something on a busy machine.
const soon = 20 * time.Second

// nodes opens one database in as many processes would.
func nodes(t *testing.T, n int) (cfg store.Config, dbs []*store.DB) {
	t.Helper()
	cfg = postgresConfig(t)
	cfg.Shared, cfg.LockWait = true, -1
	for range n {
		dbs = append(dbs, open(t, cfg))
	}
	return cfg, dbs
}

// TestNodesTellEachOther: each kind of change that one node commits is told by the
// other node's store, so that its subscribers forget the record; revocations come
// whole. The writer's own subscribers are told once.
func TestNodesTellEachOther(t *testing.T) {
	_, dbs := nodes(t, 2)
	a, b := dbs[0], dbs[1]
	own, others := changesOf(a), changesOf(b)
	key, imported := exampleKey(), exampleKey()
	imported.ID, imported.Imported, imported.Hash = "k2", true, []byte("other")
	bit := revocation.NewStatusBit("main", 21000, 9)
	cut := revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSubject, ID: "usr_1", Before: moment(5), ExpiresAt: moment(20)}
	forever := revocation.Cutoff{Realm: "main", Kind: revocation.CutoffRealm, Before: moment(6)}
	for name, c := range map[string]struct {
		write change
		whole any
	}{
		"realm":  {func(ctx context.Context, tx *store.Tx) error { return tx.InsertRealm(ctx, exampleRealm()) }, nil},
		"user":   {func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, exampleUser()) }, nil},
		"key":    {func(ctx context.Context, tx *store.Tx) error { return tx.InsertKey(ctx, key) }, nil},
		"import": {func(ctx context.Context, tx *store.Tx) error { return tx.InsertKey(ctx, imported) }, nil},
		"role": {func(ctx context.Context, tx *store.Tx) error {
			return tx.PutRole(ctx, policy.Role{Realm: "main", Name: "r"})
		}, nil},
		"entity": {func(ctx context.Context, tx *store.Tx) error {
			return tx.PutEntity(ctx, policy.EntityRecord{Realm: "main", Type: "T", ID: "1"})
		}, nil},
		"bit":     {func(ctx context.Context, tx *store.Tx) error { return tx.InsertStatusBit(ctx, bit) }, bit},
		"list":    {func(ctx context.Context, tx *store.Tx) error { return tx.PutSignedList(ctx, exampleList(1)) }, nil},
		"cut-off": {func(ctx context.Context, tx *store.Tx) error { return tx.PutCutoff(ctx, cut) }, cut},
		"forever": {func(ctx context.Context, tx *store.Tx) error { return tx.PutCutoff(ctx, forever) }, forever},
	} {
		do(t, a, c.write)
		wrote := own()
		if len(wrote) != 1 {
			t.Fatalf("%s: the writer was told %v", name, wrote)
		}
		var heard []gatehouse.Change
		testwait.Until(t, soon, name, func() bool { heard = append(heard, others()...); return len(heard) > 0 })
		want := wrote[0]
		want.Value = c.whole
		same(t, heard, []gatehouse.Change{want})
	}
	do(t, b, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "a", "1") }) // tells nothing
	do(t, b, func(ctx context.Context, tx *store.Tx) error {
		return tx.PutRole(ctx, policy.Role{Realm: "main", Name: "back"})
	})
	var heard []gatehouse.Change
	testwait.Until(t, soon, "the way back", func() bool { heard = append(heard, own()...); return len(heard) > 0 })
	same(t, heard, one(gatehouse.TopicRole, "main", "back", nil))
}

// TestNodesAndOneAlone: who needs the database for himself is kept away by any number of
// nodes that share it, and the other way round.
func TestNodesAndOneAlone(t *testing.T) {
	cfg, dbs := nodes(t, 2)
	alone := cfg
	alone.Shared = false
	_, err := store.Open(t.Context(), alone)
	wantCode(t, err, "store_locked")
	for _, db := range dbs {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	alone.LockWait = soon // the server may need a moment to notice who left
	db := must(store.Open(t.Context(), alone))(t)
	_, err = store.Open(t.Context(), cfg)
	wantCode(t, err, "store_locked")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	lite := sqliteConfig(t)
	lite.Shared = true
	_, err = store.Open(t.Context(), lite)
	wantCode(t, err, "store_config")
}

// TestNodesStartTogether: the first start of several nodes at once leaves one schema.
func TestNodesStartTogether(t *testing.T) {
	cfg := postgresConfig(t)
	cfg.Shared, cfg.LockWait = true, -1
	opened := make(chan error, 4)
	dbs := make(chan *store.DB, cap(opened))
	for range cap(opened) {
		go func() {
			db, err := store.Open(context.Background(), cfg)
			opened <- err
			if err == nil {
				dbs <- db
			}
		}()
	}
	for range cap(opened) {
		if err := <-opened; err != nil {
			t.Error(err)
			continue
		}
		db := <-dbs
		t.Cleanup(func() { _ = db.Close() })
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "a", "1") })
	}
}

// TestNodesCatchUp: after the server was away, a node has what another one wrote while it
// read nothing, and knows in between that its view gets old.
func TestNodesCatchUp(t *testing.T) {
	_, dbs := nodes(t, 2)
	a, b := dbs[0], dbs[1]
	heard := changesOf(b)
	testwait.Until(t, soon, "young", func() bool { return a.Age() < 3*time.Second && b.Age() < 3*time.Second })
	if err := postgres.Down(); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "old", func() bool { return b.Age() > 3*time.Second })
	if err := postgres.Up(); err != nil {
		t.Fatal(err)
	}
	heard()
	do(t, a, putRole("after"))
	var got []gatehouse.Change
	testwait.Until(t, soon, "told", func() bool {
		got = append(got, heard()...)
		return slices.ContainsFunc(got, func(c gatehouse.Change) bool {
			// Its lock was lost as well, so it may take everything for changed.
			return c.Topic == gatehouse.TopicRole && (c.ID == "after" || c.Realm == "" && c.ID == "")
		})
	})
	testwait.Until(t, soon, "young again", func() bool { return b.Age() < 3*time.Second })
}

// TestNodesDoubt: a node whose lock was lost asks everybody to load anew, since one that
// does not tell what it changes may have been there; what fails to load is tried again.
func TestNodesDoubt(t *testing.T) {
	cfg, dbs := nodes(t, 1)
	db := dbs[0]
	loads := make(chan struct{}, 100)
	failed := false
	db.OnReload(func(context.Context) error {
		loads <- struct{}{}
		if !failed {
			failed = true
			return gatehouse.Unavailable
		}
		return nil
	})
	changes := changesOf(db)
	admin := must(pgx.Connect(t.Context(), cfg.DSN.Reveal()))(t)
	defer func() { _ = admin.Close(context.Background()) }()
	if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype='advisory' AND pid<>pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "loaded twice", func() bool {
		_ = db.Update(t.Context(), putRole("a"))
		return len(loads) >= 2
	})
	all := func(c gatehouse.Change) bool { return c.Realm == "" && c.ID == "" && c.Value == nil }
	if got := changes(); !slices.ContainsFunc(got, all) {
		t.Errorf("told %v", got)
	}
	testwait.Until(t, soon, "young", func() bool { return db.Age() < 3*time.Second })
}

// TestNodesAndAnOutsider: while somebody has the database for himself, who does not tell
// what he changes, no node counts as up to date.
func TestNodesAndAnOutsider(t *testing.T) {
	cfg, dbs := nodes(t, 1)
	db := dbs[0]
	testwait.Until(t, soon, "young", func() bool { return db.Age() < 3*time.Second })
	admin := must(pgx.Connect(t.Context(), cfg.DSN.Reveal()))(t)
	defer func() { _ = admin.Close(context.Background()) }()
	testwait.Until(t, soon, "the lock", func() (got bool) {
		err := admin.QueryRow(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype='advisory' AND pid<>pg_backend_pid()`).Scan(new(bool))
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
		if err := admin.QueryRow(t.Context(), `SELECT pg_try_advisory_lock($1::int, hashtext('public'))`, 0x67617465).Scan(&got); err != nil {
			t.Fatal(err)
		}
		return got
	})
	testwait.Until(t, soon, "old", func() bool { return db.Age() > 3*time.Second })
	wantCode(t, db.Update(t.Context(), putRole("a")), "store_locked")
	changes := changesOf(db)
	if _, err := admin.Exec(t.Context(), `SELECT pg_advisory_unlock_all()`); err != nil {
		t.Fatal(err)
	}
	var got []gatehouse.Change
	testwait.Until(t, soon, "everything told", func() bool { got = append(got, changes()...); return len(got) >= 9 })
	testwait.Until(t, soon, "young again", func() bool { return db.Age() < 3*time.Second })
}

// TestManyChangesAtOnce: a transaction that changes more than is worth telling one by one
// has others load the topics, once each.
func TestManyChangesAtOnce(t *testing.T) {
	_, dbs := nodes(t, 2)
	heard := changesOf(dbs[1])
	do(t, dbs[0], func(ctx context.Context, tx *store.Tx) error {
		for i := range int64(10_001) {
			if err := tx.InsertStatusBit(ctx, revocation.NewStatusBit("main", 21000, i)); err != nil {
				return err
			}
		}
		return tx.PutRole(ctx, policy.Role{Realm: "main", Name: "r"})
	})
	var got []gatehouse.Change
	testwait.Until(t, soon, "told", func() bool { got = append(got, heard()...); return len(got) >= 2 })
	same(t, got, []gatehouse.Change{{Topic: gatehouse.TopicRevocation, Realm: "main"}, {Topic: gatehouse.TopicRole, Realm: "main"}})
}

func putRole(name string) change {
	return func(ctx context.Context, tx *store.Tx) error {
		return tx.PutRole(ctx, policy.Role{Realm: "main", Name: name})
	}
}

// TestFeedOfOneAlone: without other nodes nothing is written for them.
func TestFeedOfOneAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		do(t, db, putRole("a"))
		if got := texts(t, rawDB(t, cfg), `SELECT node FROM feed`); len(got) > 0 {
			t.Errorf("rows by %s", strings.Join(got, ", "))
		}
		if db.Age() != 0 {
			t.Errorf("a view that nobody else can make old is %v old", db.Age())
		}
	})
}
