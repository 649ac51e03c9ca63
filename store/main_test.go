package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/store"
)

// postgres is the server of this test binary; nil when it is not installed, and
// then why says what is missing.
var (
	postgres *testpg.Server
	why      error
)

func TestMain(m *testing.M) {
	if os.Getenv(crashEnv) != "" {
		crashChild()
		return
	}
	if os.Getenv(nodeEnv) != "" {
		nodeChild()
		return
	}
	if os.Getenv(moveEnv) != "" {
		moveChild()
		return
	}
	if os.Getenv(guessEnv) != "" {
		guessChild()
		return
	}
	if os.Getenv(raceEnv) != "" {
		raceChild()
		return
	}
	var err error
	if postgres, err = testpg.Start(); err != nil {
		if !errors.Is(err, testpg.ErrMissing) {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		why = err
	}
	code := m.Run()
	if postgres != nil {
		postgres.Stop()
	}
	os.Exit(code)
}

// onBoth runs a test on an empty database of each kind.
func onBoth(t *testing.T, test func(t *testing.T, cfg store.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, sqliteConfig(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, postgresConfig(t)) })
}

func sqliteConfig(t testing.TB) store.Config {
	// The name checks that the path is escaped in the driver's URI.
	return store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "da ta", "gate?house%20#1.db"), LockWait: -1, Logger: quiet(t)}
}

func postgresConfig(t testing.TB) store.Config {
	t.Helper()
	needPostgres(t)
	return store.Config{Driver: store.DriverPostgres, DSN: gatehouse.Secret(postgres.DSN(t)), LockWait: 5 * time.Second, Logger: quiet(t)}
}

func quiet(testing.TB) *slog.Logger { return slog.New(slog.DiscardHandler) }

func open(t testing.TB, cfg store.Config) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// do runs a transaction that must succeed.
func do(t testing.TB, db *store.DB, fn func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, err error, kind gatehouse.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want kind %v", err, kind)
	}
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if got := gatehouse.CodeOf(err); err == nil || got != code {
		t.Fatalf("got %v, want code %s", err, code)
	}
}

// moment is a time with all its microseconds.
func moment(n int) time.Time {
	return time.Date(2026, 11, 22, 7, 5, 3, 123456000, time.UTC).Add(time.Duration(n) * time.Second)
}

// needPostgres skips a test for want of PostgreSQL, or fails it under `make
// test`, which provides it.
func needPostgres(t testing.TB) {
	t.Helper()
	switch {
	case postgres != nil:
	case os.Getenv("GATEHOUSE_TEST_STRICT") == "1":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

// inOrder leaves a test out of -short, and with it out of the race detector (scripts/race): it
// does one thing after another, for long, and the detector would see nothing in it that it
// does not see in the others.
func inOrder(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("one thing after another, for long; runs without -short")
	}
}
