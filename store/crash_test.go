package store_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/store"
)

// crashEnv tells the test binary that it is the child that gets killed.
const crashEnv = "GATEHOUSE_STORE_CRASH_CHILD"

const crashWriters = 16

// crashChild writes numbered rows, each with an event in the same transaction,
// and prints a number when it is acknowledged, until it is killed.
func crashChild() {
	ctx := context.Background()
	parts := strings.SplitN(os.Getenv(crashEnv), "|", 3)
	cfg := store.Config{Driver: parts[0], LockWait: 10 * time.Second}
	if cfg.Driver == store.DriverSQLite {
		cfg.Path = parts[2]
	} else {
		cfg.DSN = gatehouse.Secret(parts[2])
	}
	first, err := strconv.ParseInt(parts[1], 10, 64)
	fail := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	fail(err)
	db, err := store.Open(ctx, cfg)
	fail(err)
	if _, err := db.Realm(ctx, "main"); errors.Is(err, gatehouse.NotFound) {
		fail(db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertRealm(ctx, gatehouse.Realm{Name: "main"})
		}))
	}
	go func() { fail(crashSequencer(db, 5*time.Millisecond).Run(ctx)) }()
	var next atomic.Int64
	next.Store(first)
	for range crashWriters {
		go func() {
			for {
				n := next.Add(1)
				fail(db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
					name := fmt.Sprintf("row-%08d", n)
					if err := tx.PutSetting(ctx, name, strconv.FormatInt(n, 10)); err != nil {
						return err
					}
					return tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "setting.put", Target: gatehouse.Target{Type: "setting", ID: name},
						Outcome: gatehouse.OutcomeSuccess})
				}))
				// One small write to a pipe is whole or absent.
				_, _ = os.Stdout.WriteString(strconv.FormatInt(n, 10) + "\n")
			}
		}()
	}
	select {}
}

// crashKey signs the checkpoints of the crash test; that it is known matters to
// nobody.
func crashKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

func crashSequencer(db *store.DB, interval time.Duration) *audit.Sequencer {
	run, err := store.Run[audit.SequencerTx](db)
	if err != nil {
		panic(err)
	}
	s, err := audit.NewSequencer(audit.SequencerConfig{Run: run, Pending: db, Key: crashKey(), Interval: interval,
		Origin: func(realm string) string { return audit.Origin("gatehouse.example", realm) }})
	if err != nil {
		panic(err)
	}
	return s
}

// verifyAfterKill checks the log against the checkpoints of the rounds before,
// goes on where the killed sequencer stopped, and checks all of it.
func verifyAfterKill(t *testing.T, db *store.DB, saved [][]byte) (newest []byte) {
	t.Helper()
	ctx := t.Context()
	key := must(audit.NewKey("main", crashKey().Public().(ed25519.PublicKey)))(t)
	if err := crashSequencer(db, time.Hour).Sequence(ctx, "main"); err != nil {
		t.Fatal(err)
	}
	report := must(audit.VerifyLog(ctx, db, key, audit.VerifyOptions{Saved: saved}))(t)
	if !report.OK() || report.Saved != len(saved) {
		t.Errorf("the log does not verify: %+v", report)
	}
	if waiting := must(db.UnsequencedBatches(ctx, "main", 1))(t); len(waiting) > 0 || report.Size != must(db.AuditHead(ctx, "main"))(t) {
		t.Errorf("a part of the log is not covered: %d lines, %d waiting", report.Size, len(waiting))
	}
	return must(db.Checkpoints(ctx, "main", 1))(t)[0].Note
}

// TestKill kills a writing process twenty times with SIGKILL, each time on what
// the last one left, and looks for everything that was acknowledged.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds a database")
	}
	onBoth(t, func(t *testing.T, cfg store.Config) {
		cfg.LockWait = 10 * time.Second // PostgreSQL notices a dead client in its own time
		var acknowledged []int64
		var last int64
		var saved [][]byte
		for round := range 20 {
			got := killOnce(t, cfg, last)
			acknowledged = append(acknowledged, got...)
			last, saved = checkAfterKill(t, cfg, acknowledged, saved)
			if t.Failed() {
				t.Fatalf("round %d", round)
			}
		}
		if len(acknowledged) < 100 {
			t.Fatalf("only %d writes were acknowledged: the load is no load", len(acknowledged))
		}
		t.Logf("%d acknowledged writes survived 20 kills", len(acknowledged))
	})
}

func killOnce(t *testing.T, cfg store.Config, last int64) (acknowledged []int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	place := cfg.Path + cfg.DSN.Reveal()
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d|%s", crashEnv, cfg.Driver, last, place))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill sync.Once
	for lines := bufio.NewScanner(out); lines.Scan(); {
		// The clock starts with the first answer, so that the load is on.
		kill.Do(func() {
			time.AfterFunc(time.Duration(rand.IntN(150))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		})
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			t.Fatalf("the child says %q", lines.Text())
		}
		acknowledged = append(acknowledged, n)
	}
	_ = cmd.Wait() // killed, as it says
	return acknowledged
}

// checkAfterKill opens what the killed process left and returns the highest
// number in it, and saved with the newest checkpoint of its log.
func checkAfterKill(t *testing.T, cfg store.Config, acknowledged []int64, saved [][]byte) (last int64, _ [][]byte) {
	t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if w := must(db.AuditWaiting(ctx, "main"))(t); len(w.Gaps) > 0 || w.Missing > 0 {
		t.Errorf("taken for missing: %+v", w)
	}
	saved = append(saved, verifyAfterKill(t, db, saved))
	events := map[string]int{}
	var after int64
	for {
		batches, err := db.Batches(ctx, "main", audit.BatchQuery{After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(batches) == 0 {
			break
		}
		for _, b := range batches {
			if b.Position != after+1 {
				t.Errorf("position %d follows %d", b.Position, after)
			}
			after = b.Position
			decoded, err := audit.Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range decoded {
				events[e.Target.ID]++
			}
		}
	}
	for _, n := range acknowledged {
		if events[fmt.Sprintf("row-%08d", n)] != 1 {
			t.Errorf("write %d was acknowledged and has %d events", n, events[fmt.Sprintf("row-%08d", n)])
		}
	}
	for name, count := range events {
		value, err := db.Setting(ctx, name)
		if err != nil || count != 1 {
			t.Errorf("%s has %d events and %q, %v", name, count, value, err)
			continue
		}
		n, _ := strconv.ParseInt(value, 10, 64)
		last = max(last, n)
	}
	// Nothing without its event, and nothing half written.
	for n := last + 1; n < last+2*crashWriters; n++ {
		if v, err := db.Setting(ctx, fmt.Sprintf("row-%08d", n)); err == nil {
			t.Errorf("row %s has no event", v)
		}
	}
	return last, saved
}
