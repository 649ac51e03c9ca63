package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/store"
)

func TestText(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		for _, bad := range []string{"a\x00b", "\x00", "\xff", "a\xc3", "\xed\xa0\x80"} {
			_, err := db.User(ctx, "main", bad)
			wantCode(t, err, "text_invalid")
			for name, write := range map[string]change{
				"column": func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "a", bad) },
				"list": func(ctx context.Context, tx *store.Tx) error {
					u := exampleUser()
					u.Roles = []string{bad}
					return tx.InsertUser(ctx, u)
				},
				"realm": func(ctx context.Context, tx *store.Tx) error {
					return tx.AppendEvents(ctx, gatehouse.Event{Realm: bad, Kind: "x.y"})
				},
			} {
				err := db.Update(ctx, write)
				if !errors.Is(err, gatehouse.Invalid) || gatehouse.CodeOf(err) != "text_invalid" {
					t.Errorf("%s %q: %v", name, bad, err)
				}
			}
		}
		err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutEntity(ctx, policy.EntityRecord{Realm: "main", Type: "T", ID: "1", Attributes: map[string]any{"a": "\xff"}})
		})
		wantCode(t, err, "text_invalid")

		// What is text stays what it was: no folding, no normalizing, no trimming.
		texts := []string{"a", "A", "é", "e\u0301", "ß", "SS", "🦊", " a", "a ", "'; DROP TABLE users; --", "$1", "%", "\r\n\t", "\ufffd", "ﬀ"}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, s := range texts {
				if err := tx.PutSetting(ctx, s, s); err != nil {
					return err
				}
			}
			return nil
		})
		for _, s := range texts {
			same(t, must(db.Setting(ctx, s))(t), s)
		}
	})
}

func TestLargeValues(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		b := audit.Batch{ID: "bat_1", Realm: "main", Count: 1, MinTime: moment(0), MaxTime: moment(0), Data: bytes.Repeat([]byte{0, 1, 255, '\n'}, 4<<20)}
		doc := policy.Document{Realm: "main", ID: "p", Text: strings.Repeat("// 🦊\n", 1<<18)}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.AppendBatch(ctx, b), tx.PutPolicy(ctx, doc))
		})
		got := must(db.Batches(ctx, "main", audit.BatchQuery{}))(t)
		if len(got) != 1 || !bytes.Equal(got[0].Data, b.Data) {
			t.Error("16 MB came back changed")
		}
		same(t, must(db.Policy(ctx, "main", "p"))(t).Text == doc.Text, true)
	})
}

var errOurs = errors.New("ours")

func TestRollback(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		changes := changesOf(db)
		write := func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertUser(ctx, exampleUser()); err != nil {
				return err
			}
			return tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "user.create"})
		}
		nothing := func(name string) {
			t.Helper()
			if _, err := db.User(ctx, "main", "usr_1"); !errors.Is(err, gatehouse.NotFound) {
				t.Errorf("%s: a row stayed: %v", name, err)
			}
			if b := must(db.Batches(ctx, "main", audit.BatchQuery{}))(t); len(b) > 0 {
				t.Errorf("%s: an event stayed", name)
			}
			if c := changes(); len(c) > 0 {
				t.Errorf("%s: subscribers were told %v", name, c)
			}
		}
		var kept *store.Tx
		for name, c := range map[string]struct {
			fn   change
			want func(error) bool
		}{
			"its error": {func(ctx context.Context, tx *store.Tx) error { kept = tx; return errors.Join(write(ctx, tx), errOurs) },
				func(err error) bool { return errors.Is(err, errOurs) }},
			"a panic": {func(ctx context.Context, tx *store.Tx) error { _ = write(ctx, tx); panic("boom") },
				func(err error) bool {
					return gatehouse.KindOf(err) == gatehouse.Internal && strings.Contains(err.Error(), "boom")
				}},
			"a swallowed failure": {func(ctx context.Context, tx *store.Tx) error {
				_ = write(ctx, tx)
				_ = tx.InsertRefresh(ctx, grant.Refresh{Hash: []byte("x"), GrantID: "none", Realm: "main"})
				if err := tx.PutSetting(ctx, "after", "failure"); gatehouse.CodeOf(err) != "reference_missing" {
					t.Errorf("a statement ran after a failed one: %v", err)
				}
				return nil
			}, func(err error) bool { return gatehouse.CodeOf(err) == "reference_missing" }},
			"a swallowed failure without events": {func(ctx context.Context, tx *store.Tx) error {
				_ = tx.InsertUser(ctx, exampleUser())
				_ = tx.InsertRefresh(ctx, grant.Refresh{Hash: []byte("x"), GrantID: "none", Realm: "main"})
				return nil
			}, func(err error) bool { return gatehouse.CodeOf(err) == "reference_missing" }},
			"an unusable event": {func(ctx context.Context, tx *store.Tx) error {
				_ = write(ctx, tx)
				_ = tx.AppendEvents(ctx, gatehouse.Event{Realm: "main"})
				return nil
			}, func(err error) bool { return gatehouse.KindOf(err) == gatehouse.Internal }},
			"nesting": {func(ctx context.Context, tx *store.Tx) error {
				_ = write(ctx, tx)
				return db.Update(ctx, write)
			}, func(err error) bool { return strings.Contains(err.Error(), "inside of another") }},
		} {
			if err := db.Update(ctx, c.fn); err == nil || !c.want(err) {
				t.Errorf("%s: %v", name, err)
			}
			nothing(name)
		}
		if err := kept.PutSetting(ctx, "late", "1"); gatehouse.KindOf(err) != gatehouse.Internal || err == nil {
			t.Errorf("a transaction wrote after its end: %v", err)
		}

		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		ran := false
		err := db.Update(cancelled, func(ctx context.Context, tx *store.Tx) error { ran = true; return write(ctx, tx) })
		if ran || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before its start: ran %v, %v", ran, err)
		}
		nothing("cancelled")

		// Conflict and not found leave the transaction usable on both.
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := write(ctx, tx); err != nil {
				return err
			}
			wantKind(t, tx.InsertUser(ctx, exampleUser()), gatehouse.Conflict)
			_, err := tx.User(ctx, "main", "nobody")
			wantKind(t, err, gatehouse.NotFound)
			u, err := tx.User(ctx, "main", "usr_1") // sees its own writes
			same(t, u, exampleUser())
			return err
		})
		same(t, len(must(db.Batches(ctx, "main", audit.BatchQuery{}))(t)), 1)
	})
}

// TestGoexit is what a test's FailNow inside of a transaction does.
func TestGoexit(t *testing.T) {
	db := open(t, sqliteConfig(t))
	for range 3 {
		done := make(chan error)
		go func() {
			done <- db.Update(t.Context(), func(context.Context, *store.Tx) error { runtime.Goexit(); return nil })
		}()
		wantKind(t, <-done, gatehouse.Internal)
	}
	do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "a", "1") })
}

// TestNeighbours runs good and bad transactions together: none disturbs another.
func TestNeighbours(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		changes := changesOf(db)
		var all sync.WaitGroup
		var mu sync.Mutex
		good := map[string]bool{}
		for i := range 64 {
			all.Go(func() {
				name := fmt.Sprintf("r%02d", i)
				err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
					if err := tx.PutRole(ctx, policy.Role{Realm: "main", Name: name}); err != nil {
						return err
					}
					switch i % 4 {
					case 1:
						return errOurs
					case 2:
						panic("boom")
					case 3:
						return tx.InsertRefresh(ctx, grant.Refresh{Hash: []byte("x"), GrantID: "none", Realm: "main"})
					}
					return nil
				})
				if (err == nil) != (i%4 == 0) {
					t.Errorf("%d: %v", i, err)
				}
				mu.Lock()
				defer mu.Unlock()
				good[name] = err == nil
			})
		}
		all.Wait()
		stored := map[string]bool{}
		for _, r := range must(db.Roles(ctx, "main"))(t) {
			stored[r.Name] = true
		}
		told := map[string]bool{}
		for _, c := range changes() {
			told[c.ID] = true
		}
		for name, want := range good {
			if stored[name] != want || told[name] != want {
				t.Errorf("%s: succeeded %v, stored %v, told %v", name, want, stored[name], told[name])
			}
		}
	})
}

// TestOneRefreshWins is fifty callers with one refresh token.
func TestOneRefreshWins(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertGrant(ctx, exampleGrant()),
				tx.InsertRefresh(ctx, grant.Refresh{Hash: []byte("r0"), GrantID: "grt_1", Realm: "main", ExpiresAt: moment(9)}), tx.PutSetting(ctx, "once", "v"))
		})
		var won, taken, ended, reused atomic.Int64
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				if err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
					before, err := tx.Refresh(ctx, []byte("r0"))
					if err != nil {
						return err
					}
					ok, err := tx.UseRefresh(ctx, []byte("r0"), moment(i))
					if err != nil {
						return err
					}
					// Read and swap agree: nobody came in between.
					if ok != before.UsedAt.IsZero() {
						t.Errorf("read unused: %v, won: %v", before.UsedAt.IsZero(), ok)
					}
					if !ok {
						reused.Add(1)
						return nil
					}
					won.Add(1)
					return tx.InsertRefresh(ctx, grant.Refresh{Hash: []byte("r1"), GrantID: "grt_1", Realm: "main", Sequence: 1})
				}); err != nil {
					t.Error(err)
				}
				if err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
					a, err := tx.TakeSetting(ctx, "once", "v")
					if err != nil {
						return err
					}
					_, b, err := tx.EndGrant(ctx, "main", "grt_1", moment(1), "x")
					if a {
						taken.Add(1)
					}
					if b {
						ended.Add(1)
					}
					return err
				}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || reused.Load() != 49 || taken.Load() != 1 || ended.Load() != 1 {
			t.Errorf("won %d, reused %d, taken %d, ended %d", won.Load(), reused.Load(), taken.Load(), ended.Load())
		}
	})
}

// TestCompareAndSwap has many read, change and write one user; each lost swap is
// a Conflict or does not happen, and no change is lost.
func TestCompareAndSwap(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, exampleUser()) })
		var all sync.WaitGroup
		var won, lost atomic.Int64
		for range 20 {
			all.Go(func() {
				u, err := db.User(ctx, "main", "usr_1") // outside of the transaction: may be stale
				if err != nil {
					t.Error(err)
					return
				}
				switch err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateUser(ctx, u) }); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, gatehouse.Conflict):
					lost.Add(1)
				default:
					t.Error(err)
				}
				if err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
					u, err := tx.User(ctx, "main", "usr_1") // inside: cannot be
					if err != nil {
						return err
					}
					return tx.UpdateUser(ctx, u)
				}); err != nil {
					t.Errorf("read and written in one transaction: %v", err)
				}
			})
		}
		all.Wait()
		if v := must(db.User(ctx, "main", "usr_1"))(t).Version; v != 1+won.Load()+20 {
			t.Errorf("version %d after %d+20 changes (%d lost)", v, won.Load(), lost.Load())
		}
	})
}

// TestWriteSkew: of two administrators who each remove the other because there
// are two, one must be refused.
func TestWriteSkew(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		ids := []string{"usr_1", "usr_2"}
		for round := range 5 {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				for _, id := range ids {
					_ = tx.DeleteUser(ctx, "main", id)
					u := exampleUser()
					u.ID, u.UsernameKey, u.Roles = id, id, []string{"admin"}
					if err := tx.InsertUser(ctx, u); err != nil {
						return err
					}
				}
				return nil
			})
			var all sync.WaitGroup
			for _, id := range ids {
				all.Go(func() {
					err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
						users, err := tx.Users(ctx, "main", "", 10)
						if err != nil {
							return err
						}
						users = slices.DeleteFunc(users, func(u foundUser) bool { return len(u.Roles) == 0 })
						if len(users) < 2 {
							return errOurs
						}
						for _, u := range users {
							if u.ID == id {
								u.Roles = nil
								return tx.UpdateUser(ctx, u)
							}
						}
						return errOurs
					})
					if err != nil && !errors.Is(err, errOurs) {
						t.Error(err)
					}
				})
			}
			all.Wait()
			admins := slices.DeleteFunc(must(db.Users(ctx, "main", "", 10))(t), func(u foundUser) bool { return len(u.Roles) == 0 })
			if len(admins) != 1 {
				t.Fatalf("round %d: %d administrators are left", round, len(admins))
			}
		}
	})
}

// TestOrder: what a subscriber was told last is what is stored, however many
// write the same record.
func TestOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, exampleUser()) })
		var inside atomic.Int32
		var versions []int64
		seen := map[string]bool{}
		db.Subscribe(func(c gatehouse.Change) {
			if inside.Add(1) != 1 {
				t.Error("two changes at one time")
			}
			defer inside.Add(-1)
			if u, ok := c.Value.(foundUser); ok {
				versions = append(versions, u.Version)
			}
			seen[c.ID] = true
			if u, err := db.User(ctx, "main", "usr_1"); err != nil || len(versions) > 0 && u.Version < versions[len(versions)-1] {
				t.Error("a change was told before it could be read", err)
			}
		})
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for j := range 10 {
					name := fmt.Sprintf("%d-%d", i, j)
					if err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
						u, err := tx.User(ctx, "main", "usr_1")
						if err != nil {
							return err
						}
						return errors.Join(tx.UpdateUser(ctx, u), tx.PutRole(ctx, policy.Role{Realm: "main", Name: name}))
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if len(versions) != 160 || !slices.IsSorted(versions) || versions[159] != 161 {
			t.Errorf("versions %v", versions)
		}
		same(t, len(seen), 161)
	})
}

// TestToldBeforeAnswer: the writer is answered when the subscribers know.
func TestToldBeforeAnswer(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		var told sync.Map
		db.Subscribe(func(c gatehouse.Change) {
			if c.ID == "bad" {
				panic("cannot")
			}
		})
		db.Subscribe(func(c gatehouse.Change) { told.Store(c.ID, true) })
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				name := fmt.Sprint(i)
				if err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
					return tx.PutRole(ctx, policy.Role{Realm: "main", Name: name})
				}); err != nil {
					t.Error(err)
				}
				if _, ok := told.Load(name); !ok {
					t.Errorf("%s was answered first", name)
				}
			})
		}
		all.Wait()
		err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutRole(ctx, policy.Role{Realm: "main", Name: "bad"})
		})
		wantCode(t, err, "change_not_applied")
		if _, ok := told.Load("bad"); !ok {
			t.Error("a panic kept the change from the others")
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutRole(ctx, policy.Role{Realm: "main", Name: "next"})
		})
	})
}

func TestRun(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		run, err := store.Run[interface {
			PutSetting(ctx context.Context, key, value string) error
			Setting(ctx context.Context, key string) (string, error)
		}](db)
		if err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), func(ctx context.Context, tx interface {
			PutSetting(ctx context.Context, key, value string) error
			Setting(ctx context.Context, key string) (string, error)
		}) error {
			return tx.PutSetting(ctx, "a", "1")
		}); err != nil {
			t.Fatal(err)
		}
		_, err = store.Run[interface {
			PutSetting(ctx context.Context, key, value string) (bool, error)
			NoSuchThing()
		}](db)
		if err == nil || !strings.Contains(err.Error(), "missing method NoSuchThing") {
			t.Errorf("%v", err)
		}
		if _, err := store.Run[store.Tx](db); err == nil {
			t.Error("a struct is no interface")
		}
		parts, err := store.Run[settingsTx](db)
		if err != nil {
			t.Fatal(err)
		}
		if err := parts(t.Context(), func(ctx context.Context, tx settingsTx) error {
			if v, err := tx.Setting(ctx, "a"); err != nil || v != "1" {
				t.Errorf("%q %v", v, err)
			}
			if err := tx.Setter.PutSetting(ctx, "a", "2"); err != nil {
				return err
			}
			v, err := tx.Inner.Getter.Setting(ctx, "a") // the same transaction in each part
			if v != "2" {
				t.Errorf("another part sees %q", v)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"a part that the store lacks": lackOf[struct{ Lacking }](db), "one within a part": lackOf[struct{ Inner struct{ Lacking } }](db),
			"a part that is no interface": lackOf[struct{ N int }](db), "one that cannot be set": lackOf[struct{ unset Getter }](db),
			"no part": lackOf[struct{}](db), "no struct of parts": lackOf[int](db),
		} {
			if err == nil {
				t.Errorf("%s is found when it is missed", what)
			}
		}
		for _, missing := range []error{lackOf[audit.SequencerTx](db), lackOf[audit.BatchWriter](db)} {
			if missing != nil {
				t.Error(missing)
			}
		}
		var _ audit.Reader = db
		var _ audit.PendingReader = db
	})
}

type (
	Getter interface {
		Setting(ctx context.Context, key string) (string, error)
	}
	Setter interface {
		PutSetting(ctx context.Context, key, value string) error
	}
	Lacking    interface{ NoSuchThing() }
	settingsTx struct {
		Getter
		Setter
		Inner struct{ Getter }
	}
)

func lackOf[T any](db *store.DB) error { _, err := store.Run[T](db); return err }

func TestClosed(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db, err := store.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for {
					if err := db.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "a", "1") }); err != nil {
						if gatehouse.CodeOf(err) != "store_unavailable" {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
		_, err = db.Realms(t.Context())
		wantKind(t, err, gatehouse.Unavailable)
	})
}
