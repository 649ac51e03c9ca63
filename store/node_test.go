package store_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/lease"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/store"
)

// nodeEnv tells the test binary that it is one of several processes on one PostgreSQL:
// what it does, its name, and the DSN.
const nodeEnv = "GATEHOUSE_STORE_NODE_CHILD"

// nodeTerm is short, so that a test need not wait long for a lease.
const nodeTerm = 2 * time.Second

// nodeChild is the process of a node: "hold" writes under a lease what it is told on its
// standard input, "leased" and "unleased" append events and sequence them.
func nodeChild() {
	parts := strings.SplitN(os.Getenv(nodeEnv), "|", 3)
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	db, err := store.Open(ctx, store.Config{Driver: store.DriverPostgres, DSN: gatehouse.Secret(parts[2]), Shared: true})
	fail(err)
	keeper := lease.NewKeeper(lease.Config{Store: db, Holder: parts[1], Term: nodeTerm, Logger: slog.New(slog.DiscardHandler)})
	if parts[0] == "hold" {
		commands := bufio.NewScanner(os.Stdin)
		fail(keeper.Hold(ctx, "w", func(ctx context.Context) error {
			fmt.Println("held", lease.From(ctx).Epoch)
			writeAsTold(context.WithoutCancel(ctx), db, commands)
			return nil
		}))
		return
	}
	sequencer := crashSequencer(db, 5*time.Millisecond)
	go func() {
		if parts[0] == "unleased" {
			fail(sequencer.Run(ctx))
		}
		fail(keeper.Hold(ctx, "audit sequencer", sequencer.Run))
	}()
	go func() { fail(sequencer.Watch(ctx)) }()
	for w := range 4 {
		go func() {
			pace := time.Tick(2 * time.Millisecond)
			for n := 0; ; n++ {
				<-pace
				name := fmt.Sprintf("%s-%d-%d", parts[1], w, n)
				err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
					return tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "x.y", Target: gatehouse.Target{ID: name}})
				})
				if err == nil { // who was stopped in a transaction may find it ended
					_, _ = os.Stdout.WriteString("stored " + name + "\n")
				}
			}
		}()
	}
	for range time.Tick(20 * time.Millisecond) {
		if _, err := sequencer.Broken(); err != nil {
			fmt.Println("broken", err)
		}
	}
}

// writeAsTold writes each line that it reads, under the lease of ctx. "in …" stays in the
// transaction until another line comes.
func writeAsTold(ctx context.Context, db *store.DB, commands *bufio.Scanner) {
	for commands.Scan() {
		value, inside := strings.CutPrefix(commands.Text(), "in ")
		err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.PutSetting(ctx, "done", value); err != nil {
				return err
			}
			if inside {
				fmt.Println("inside")
				commands.Scan()
				inside = false // the transaction may run again
			}
			return nil
		})
		if err != nil {
			fmt.Println("refused", gatehouse.CodeOf(err))
			continue
		}
		fmt.Println("wrote", value)
	}
}

// nodeProcess is a node of a test.
type nodeProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // all that it says
}

func startNode(t *testing.T, what, name, dsn string) *nodeProcess {
	t.Helper()
	p := &nodeProcess{t: t, cmd: exec.Command(os.Args[0], "-test.run=^$"), lines: make(chan string, 1<<17)}
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%s", nodeEnv, what, name, dsn))
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // also when it is stopped
		<-ended
		_ = p.cmd.Wait()
	})
	return p
}

func (p *nodeProcess) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *nodeProcess) say(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

// says waits for the next line and compares it.
func (p *nodeProcess) says(want string) {
	p.t.Helper()
	select {
	case got := <-p.lines:
		if got != want {
			p.t.Fatalf("it says %q, not %q", got, want)
		}
	case <-time.After(soon):
		p.t.Fatalf("it does not say %q", want)
	}
}

// TestStoppedNodeCannotWrite: a process that is stopped past the end of its lease and wakes
// up writes nothing under it, between two transactions and in the middle of one, and
// whoever has the lease meanwhile need not wait for it to wake up.
func TestStoppedNodeCannotWrite(t *testing.T) {
	cfg, dbs := nodes(t, 1)
	cfg.DSN += " idle_in_transaction_session_timeout=2s"
	done := func() string { return must(dbs[0].Setting(t.Context(), "done"))(t) }
	a := startNode(t, "hold", "a", cfg.DSN.Reveal())
	a.says("held 1")
	a.say("first")
	a.says("wrote first")
	b := startNode(t, "hold", "b", cfg.DSN.Reveal())
	a.signal(syscall.SIGSTOP)
	b.says("held 2")
	b.say("second")
	b.says("wrote second")
	a.say("stale")
	a.signal(syscall.SIGCONT)
	a.says("refused lease_lost")
	same(t, done(), "second")

	b.say("in third")
	b.says("inside")
	b.signal(syscall.SIGSTOP) // with the row in its hands
	c := startNode(t, "hold", "c", cfg.DSN.Reveal())
	c.says("held 3")
	c.say("fourth")
	c.says("wrote fourth")
	b.say("go on")
	b.signal(syscall.SIGCONT)
	select {
	case line := <-b.lines:
		if !strings.HasPrefix(line, "refused ") {
			t.Errorf("it says %q", line)
		}
	case <-time.After(soon):
		t.Error("it says nothing")
	}
	same(t, done(), "fourth")
}

// TestNoFork: two processes append to one log, and one of them sequences it. It is stopped
// and woken again and again, at any moment, and the other one goes on; and then both
// sequence at once, under no lease at all. Nothing that was stored is lost or twice in the
// log, each size has one root, and everything verifies against every checkpoint.
func TestNoFork(t *testing.T) {
	for _, what := range []string{"leased", "unleased"} {
		t.Run(what, func(t *testing.T) {
			cfg, dbs := nodes(t, 1)
			cfg.DSN += " idle_in_transaction_session_timeout=1s"
			db := dbs[0]
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertRealm(ctx, gatehouse.Realm{Name: "main"})
			})
			all := []*nodeProcess{startNode(t, what, "a", cfg.DSN.Reveal()), startNode(t, what, "b", cfg.DSN.Reveal())}
			size := func() int64 { return must(db.AuditHead(t.Context(), "main"))(t) }
			grows := func(why string) {
				t.Helper()
				before := size()
				testwait.Until(t, soon, why, func() bool { return size() > before+20 })
			}
			for round := range 3 {
				grows("the log grows")
				all[round%2].signal(syscall.SIGSTOP)
				if what == "leased" {
					grows("the other one sequences")
				}
				all[round%2].signal(syscall.SIGCONT)
			}
			grows("both go on")
			var stored []string
			for _, p := range all {
				p.signal(syscall.SIGKILL)
				_ = p.cmd.Wait()
			}
			for _, p := range all {
				stored = append(stored, drain(t, p)...)
			}
			checkLog(t, db, stored)
		})
	}
}

// drain returns what a node that has ended says that it stored.
func drain(t *testing.T, p *nodeProcess) (stored []string) {
	t.Helper()
	for line := range p.lines {
		name, ok := strings.CutPrefix(line, "stored ")
		if !ok {
			t.Errorf("a node says %q", line)
		}
		stored = append(stored, name)
	}
	return stored
}

// checkLog takes the rest into the log and compares it with what was stored.
func checkLog(t *testing.T, db *store.DB, stored []string) {
	t.Helper()
	ctx := t.Context()
	if err := crashSequencer(db, time.Hour).Sequence(ctx, "main"); err != nil {
		t.Fatal(err)
	}
	var notes [][]byte
	for _, c := range must(db.Checkpoints(ctx, "main", 100_000))(t) {
		notes = append(notes, c.Note)
	}
	key := must(audit.NewKey("main", crashKey().Public().(ed25519.PublicKey)))(t)
	report := must(audit.VerifyLog(ctx, db, key, audit.VerifyOptions{Saved: notes}))(t)
	if !report.OK() || report.Waiting != 0 || report.Saved != len(notes) {
		t.Errorf("the log does not verify: %+v", report)
	}
	times := map[string]int{}
	next, position := int64(0), int64(0)
	for {
		page := must(db.Batches(ctx, "main", audit.BatchQuery{Sequenced: true, FirstIndex: next, LastIndex: -1, Limit: 1000}))(t)
		if len(page) == 0 {
			break
		}
		for _, b := range page {
			if b.FirstIndex != next || b.Position != position+1 {
				t.Fatalf("the batch at %d has the index %d and the position %d after %d", next, b.FirstIndex, b.Position, position)
			}
			next, position = next+b.Count, b.Position
			for _, e := range must(audit.Decode(b))(t) {
				times[e.Target.ID]++
			}
		}
	}
	if len(stored) < 100 || next != report.Size {
		t.Errorf("%d events were stored, %d are in the log of %d: the load is no load", len(stored), next, report.Size)
	}
	for _, name := range stored {
		if times[name] != 1 {
			t.Errorf("the event %s is in the log %d times", name, times[name])
		}
	}
	t.Log(strconv.Itoa(len(stored)), "events,", len(notes), "checkpoints")
}
