package store_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/store"
)

var socketDir = regexp.MustCompile(`host=(\S+)`)

// TestMuteServer: of two servers the first takes connections and says nothing, as what is
// left of a primary may. The other one is found at once, and from then on asked first.
func TestMuteServer(t *testing.T) {
	cfg := postgresConfig(t)
	dir, err := os.MkdirTemp("", "mute") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(); _ = os.RemoveAll(dir) })
	var asked atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			defer c.Close()
		}
	}()
	cfg.DSN = gatehouse.Secret(socketDir.ReplaceAllString(cfg.DSN.Reveal(), "host="+dir+",$1") + " target_session_attrs=read-write")
	cfg.Shared = true
	began := time.Now()
	db := open(t, cfg)
	do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "x", "1") })
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the first change took %v", took)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("who says nothing was asked %d times", n)
	}
}

// TestWayGoesSilent: connections that say nothing any more cost nobody more than the time
// in which that is noticed; another way that the DSN names is taken then.
func TestWayGoesSilent(t *testing.T) {
	cfg := postgresConfig(t)
	straight := socketDir.FindStringSubmatch(cfg.DSN.Reveal())[1]
	silent, dsn := postgres.Held(t, cfg.DSN.Reveal(), "gatehouse")
	cfg.DSN = gatehouse.Secret(strings.Replace(dsn, " user=", ","+straight+" user=", 1))
	cfg.Shared = true
	db := open(t, cfg)
	t.Cleanup(silent.Release)
	many := func() { // on connections of their own
		t.Helper()
		var open, done sync.WaitGroup
		open.Add(10)
		for i := range 10 {
			done.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
					err := tx.PutSetting(ctx, fmt.Sprint("many", i), "1")
					open.Done()
					open.Wait()
					return err
				}); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
	}
	many()
	silent.Hold()
	testwait.Until(t, 20*time.Second, "an old view", func() bool { return db.Age() > 2*time.Second })
	testwait.Until(t, 20*time.Second, "a young view", func() bool { return db.Age() < time.Second })
	many()
}

// TestLockElsewhere: when the server that answers is not the one that gave the lock, which
// may be gone without a word, the lock is taken again where it counts.
func TestLockElsewhere(t *testing.T) {
	cfg := postgresConfig(t)
	cfg.Shared = true
	db := open(t, cfg)
	before := db.Takings()
	db.Strange()
	execute(t, cfg, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='gatehouse feed' AND datname=current_database()`)
	testwait.Until(t, 20*time.Second, "the lock taken again", func() bool {
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "x", "1") })
		return db.Takings() == before+1
	})
}
