package store_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/lease"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/store"
)

// stillHeld gives a context in which this process believes that it holds the lease, as one
// that was stopped in the middle of its work does.
func stillHeld(t *testing.T, db *store.DB, name, holder string, term time.Duration) (context.Context, lease.Lease) {
	t.Helper()
	var inner context.Context
	k := lease.NewKeeper(lease.Config{Store: keeping{db}, Holder: holder, Term: term, Logger: quiet(t)})
	if err := k.Hold(t.Context(), name, func(ctx context.Context) error { inner = ctx; return nil }); err != nil {
		t.Fatal(err)
	}
	return context.WithoutCancel(inner), lease.From(inner).Lease
}

// keeping gives no lease back.
type keeping struct{ *store.DB }

func (keeping) ReleaseLease(context.Context, lease.Lease) error { return nil }

// TestLeases: a lease has one holder, by the database's clock; each new one has a higher
// epoch, and who is not the holder any more renews and releases nothing.
func TestLeases(t *testing.T) {
	cfg, dbs := nodes(t, 2)
	cfg.Shared = true
	ctx, a, b := t.Context(), dbs[0], dbs[1]
	const long = time.Hour
	first := must(a.AcquireLease(ctx, "w", "a", long))(t)
	same(t, first, lease.Lease{Name: "w", Holder: "a", Epoch: 1})
	_, err := b.AcquireLease(ctx, "w", "b", long)
	wantCode(t, err, "lease_held")
	same(t, must(b.AcquireLease(ctx, "other", "b", long))(t).Epoch, int64(1))
	same(t, must(b.LeasesOfOthers(ctx, "b"))(t), []string{"w"})
	same(t, must(b.LeasesOfOthers(ctx, "c"))(t), []string{"other", "w"})
	same(t, must(a.RenewLeases(ctx, "a", long))(t), []lease.Lease{first})
	same(t, must(b.RenewLeases(ctx, "nobody", long))(t), []lease.Lease{})
	if err := b.ReleaseLease(ctx, lease.Lease{Name: "w", Holder: "b", Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	_, err = b.AcquireLease(ctx, "w", "b", long)
	wantCode(t, err, "lease_held")
	if err := a.ReleaseLease(ctx, first); err != nil {
		t.Fatal(err)
	}
	same(t, must(b.LeasesOfOthers(ctx, "b"))(t), nil)
	second := must(b.AcquireLease(ctx, "w", "b", 50*time.Millisecond))(t)
	same(t, second, lease.Lease{Name: "w", Holder: "b", Epoch: 2})
	if err := a.ReleaseLease(ctx, first); err != nil { // late
		t.Fatal(err)
	}
	same(t, must(a.RenewLeases(ctx, "a", long))(t), []lease.Lease{})
	var third lease.Lease
	testwait.Until(t, soon, "the lease runs out", func() bool {
		third, err = a.AcquireLease(ctx, "w", "a", long)
		return err == nil
	})
	same(t, third.Epoch, int64(3))
	same(t, must(b.RenewLeases(ctx, "b", long))(t), []lease.Lease{{Name: "other", Holder: "b", Epoch: 1}})
}

// TestOneOfManyTakesALease: of those who ask at once, one gets it.
func TestOneOfManyTakesALease(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		for round := range 5 {
			var got atomic.Int32
			var all sync.WaitGroup
			name := string(rune('a' + round))
			free := must(db.AcquireLease(t.Context(), name, "before", time.Hour))(t)
			if err := db.ReleaseLease(t.Context(), free); err != nil {
				t.Fatal(err)
			}
			for i := range 8 {
				all.Go(func() {
					switch l, err := db.AcquireLease(t.Context(), name, string(rune('A'+i)), time.Hour); {
					case err == nil && l.Epoch == 2:
						got.Add(1)
					case err == nil && l.Epoch > 2: // alone: from whoever was first
					case !errors.Is(err, lease.ErrHeld):
						t.Error(l, err)
					}
				})
			}
			all.Wait()
			if got.Load() != 1 {
				t.Errorf("%d took it first", got.Load())
			}
		}
	})
}

// TestLeaseOfOneAlone: who has the database to himself takes a lease at once, with a term
// or without one, also from somebody who was killed and could not give it back.
func TestLeaseOfOneAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		for i, term := range []time.Duration{0, time.Hour, 0, 0, time.Hour, time.Hour} {
			l := must(db.AcquireLease(t.Context(), "w", string(rune('a'+i)), term))(t)
			same(t, l.Epoch, int64(i+1))
		}
	})
	t.Run("of several", func(t *testing.T) {
		cfg, dbs := nodes(t, 2)
		must(dbs[0].AcquireLease(t.Context(), "w", "a", time.Hour))(t)
		if err := dbs[0].Close(); err != nil { // without giving it back, as if it was killed
			t.Fatal(err)
		}
		testwait.Until(t, soon, "the last one takes it", func() bool {
			_, err := dbs[1].AcquireLease(t.Context(), "w", "b", time.Hour)
			return err == nil
		})
		if err := dbs[1].Close(); err != nil {
			t.Fatal(err)
		}
		db := open(t, cfg)
		same(t, must(db.AcquireLease(t.Context(), "w", "c", time.Hour))(t).Epoch, int64(3))
	})
}

// TestFence: whoever works under a lease that another one has taken since writes nothing,
// whatever it believes, and its work is told to end. A new epoch is another holder.
func TestFence(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		put := func(ctx context.Context, value string) error {
			return db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "x.y"}); err != nil {
					return err
				}
				return tx.PutSetting(ctx, "done", value)
			})
		}
		under, first := stillHeld(t, db, "w", "a", 0)
		if err := put(under, "first"); err != nil {
			t.Fatal(err)
		}
		for _, taker := range []string{"b", "a"} {
			must(db.AcquireLease(t.Context(), "w", taker, 0))(t)
			err := put(under, "stale")
			wantCode(t, err, "lease_lost")
			same(t, must(db.Setting(t.Context(), "done"))(t), "first")
			same(t, len(must(db.UnsequencedBatches(t.Context(), "main", 10))(t)), 1)
		}
		if err := db.ReleaseLease(t.Context(), lease.Lease{Name: "w", Holder: "a", Epoch: first.Epoch + 2}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, put(under, "stale"), "lease_lost")
		if err := put(t.Context(), "without a lease"); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFenceHoldsToTheCommit: nobody takes the lease between the look at it and the commit.
func TestFenceHoldsToTheCommit(t *testing.T) {
	cfg, dbs := nodes(t, 2)
	ctx, raw := t.Context(), rawDB(t, cfg)
	gate := must(raw.Conn(ctx))(t)
	for _, statement := range []string{
		`CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END'`,
		`CREATE CONSTRAINT TRIGGER wait_at_commit AFTER INSERT ON settings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_commit()`,
		`SELECT pg_advisory_lock(77)`,
	} {
		if _, err := gate.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	waits := func(what string) bool {
		var n int
		err := raw.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname=current_database() AND wait_event_type='Lock' AND query ILIKE $1`, what).Scan(&n)
		return err == nil && n > 0
	}
	under, _ := stillHeld(t, dbs[0], "w", "a", time.Microsecond)
	wrote, took := make(chan error, 1), make(chan error, 1)
	go func() {
		wrote <- dbs[0].Update(under, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "done", "1") })
	}()
	testwait.Until(t, soon, "the commit waits", func() bool { return waits("commit%") })
	go func() { _, err := dbs[1].AcquireLease(ctx, "w", "b", time.Hour); took <- err }()
	testwait.Until(t, soon, "who wants the lease waits for the commit", func() bool { return waits("%leases%") || len(took) > 0 })
	if len(took) > 0 {
		t.Error("the lease was taken from a transaction that was about to commit")
	}
	if _, err := gate.ExecContext(ctx, `SELECT pg_advisory_unlock(77)`); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-wrote, <-took); err != nil {
		t.Error(err)
	}
}

// TestStoppedNodesLocksEnd: a transaction that says nothing holds up others for some
// seconds at most, where there are others. It is rolled back then, and run anew when its
// process goes on.
func TestStoppedNodesLocksEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes five seconds")
	}
	_, dbs := nodes(t, 2)
	inside, leave, left := make(chan bool, 10), make(chan bool), make(chan error, 1)
	runs := 0
	go func() {
		left <- dbs[0].Update(context.WithoutCancel(t.Context()), func(ctx context.Context, tx *store.Tx) error {
			runs++
			if err := tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "x.y"}); err != nil {
				return err
			}
			err := tx.PutSetting(ctx, "done", "stopped")
			inside <- true
			<-leave
			return err
		})
	}()
	<-inside
	begun := time.Now()
	do(t, dbs[1], func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "done", "other") })
	if waited := time.Since(begun); waited > soon {
		t.Errorf("the other one waited for %v", waited)
	}
	same(t, must(dbs[1].Setting(t.Context(), "done"))(t), "other")
	close(leave)
	if err := <-left; err != nil || runs != 2 {
		t.Errorf("run %d times: %v", runs, err)
	}
	same(t, must(dbs[1].Setting(t.Context(), "done"))(t), "stopped")
}
