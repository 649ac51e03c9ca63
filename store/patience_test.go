package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestSilentServer: a PostgreSQL that keeps its connections and says nothing holds up
// nobody for ever, whoever reads or writes, and however many hold all its connections
// already; when it speaks again, all goes on.
func TestSilentServer(t *testing.T) {
	cfg := postgresConfig(t)
	silent, dsn := postgres.Held(t, cfg.DSN.Reveal(), "gatehouse")
	cfg.DSN = gatehouse.Secret(dsn)
	cfg.Shared = true
	db := open(t, cfg)
	t.Cleanup(silent.Release) // before it is closed
	db.SetPatience(time.Second)
	do(t, db, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertRealm(ctx, gatehouse.Realm{Name: "main"})
	})
	const conns, callers = 16, 40
	var open sync.WaitGroup // until all connections of the pool are
	var done sync.WaitGroup
	open.Add(conns)
	for i := range conns {
		done.Go(func() {
			if err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				err := tx.PutSetting(ctx, fmt.Sprint("open", i), "1")
				open.Done()
				open.Wait()
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	silent.Hold()
	for _, c := range []struct { // reads first, on the connections that there are
		what string
		ask  func() error
	}{
		{"read", func() error { _, err := db.Realms(context.Background()); return err }},
		{"change", func() error {
			return db.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "x", "1") })
		}},
	} {
		answers := make(chan error, callers)
		for range callers {
			go func() { answers <- c.ask() }()
		}
		for range callers {
			select {
			case err := <-answers:
				if gatehouse.KindOf(err) != gatehouse.Unavailable {
					t.Errorf("a %s, and a silent server: %v", c.what, err)
				}
			case <-time.After(soon):
				t.Fatalf("a %s waits for a server that says nothing", c.what)
			}
		}
	}
	silent.Release()
	testwait.Until(t, soon, "it is read again", func() bool {
		realms, err := db.Realms(t.Context())
		return err == nil && len(realms) == 1
	})
}
