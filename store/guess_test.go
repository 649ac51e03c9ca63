package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/store"
)

// guessEnv tells the test binary that it is a process whose passwords are guessed.
const guessEnv = "GATEHOUSE_STORE_GUESS_CHILD"

// guessChild lets sixteen guessers try at one account, each time from another address, and
// says so before it looks at a password, until it is killed or nobody may try any more.
func guessChild() {
	fail := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	var with guessSetup
	fail(json.Unmarshal([]byte(os.Getenv(guessEnv)), &with))
	db, err := store.Open(context.Background(), store.Config{Driver: with.Driver, Path: with.Path, DSN: gatehouse.Secret(with.DSN),
		Shared: with.Driver == store.DriverPostgres, LockWait: 10 * time.Second})
	fail(err)
	key, next := make([]byte, 32), make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			next <- struct{}{}
		}
	}()
	failures, err := store.Run[identity.FailureTx](db)
	fail(err)
	run, err := store.Run[identity.Tx](db)
	fail(err)
	// A hundred at once instead of over many hours: the bound is the same.
	steps := identity.Steps{Free: 100, Base: time.Second, Cap: time.Second, Hard: 100, HardWait: 24 * time.Hour, Forget: 24 * time.Hour}
	throttle, err := identity.NewThrottle(identity.ThrottleConfig{Now: time.Now, Run: failures, Key: key, Pair: steps, Account: steps, GlobalBurst: 1e9})
	fail(err)
	people, err := identity.NewService(identity.Config{Users: db, Run: run, Recorder: nobody{}, Passwords: toldPasswords{next},
		Policy: credential.NewPasswordPolicy(), Throttle: throttle, Now: time.Now, AccountKey: key})
	fail(err)
	fmt.Println("open")
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for {
				n := rand.Uint32()
				address := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
				_, err := people.VerifyPassword(context.Background(), identity.Attempt{Realm: "main", Username: "victim",
					Password: gatehouse.Secret(fmt.Sprint(n)), Address: address})
				switch gatehouse.CodeOf(err) {
				case "invalid_credentials":
				case "too_many_attempts":
					return
				default:
					fail(fmt.Errorf("guessed, or %w", err))
				}
			}
		})
	}
	all.Wait()
	fmt.Println("no more")
	select {} // until killed
}

type guessSetup struct{ Driver, Path, DSN string }

type nobody struct{}

func (nobody) Record(*gatehouse.Event) {}

// toldPasswords says that a password is looked at, and finds it wrong when it is told to go
// on.
type toldPasswords struct{ next chan struct{} }

func (toldPasswords) Hash(context.Context, gatehouse.Secret) (string, error) { return "", nil }
func (p toldPasswords) Verify(context.Context, string, gatehouse.Secret) (bool, bool, error) {
	_, _ = os.Stdout.WriteString("try\n")
	<-p.next
	return false, false, nil
}
func (p toldPasswords) VerifyDummy(ctx context.Context, s gatehouse.Secret) error {
	_, _, err := p.Verify(ctx, "", s)
	return err
}

// guess runs such a process and returns how many passwords it looked at; it kills it after
// so many, or when it lets nobody try any more.
func guess(t *testing.T, cfg store.Config, most int) (tries int, over bool) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	env, err := json.Marshal(guessSetup{cfg.Driver, cfg.Path, cfg.DSN.Reveal()})
	var in io.Writer
	var out io.Reader
	if err == nil {
		cmd.Env = append(os.Environ(), guessEnv+"="+string(env))
		out, err = cmd.StdoutPipe()
	}
	if err == nil {
		in, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return 0, true
	}
	bound := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer bound.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch line := lines.Text(); line {
		case "open":
		case "try":
			if tries++; tries == most {
				_ = cmd.Process.Kill()
			} else if tries < most {
				_, _ = io.WriteString(in, "\n")
			}
		case "no more":
			over = true
			_ = cmd.Process.Kill()
		default:
			t.Error(line)
		}
	}
	_ = cmd.Wait() // killed, as it says
	return tries, over
}

// TestHundredGuesses: two processes on PostgreSQL, one on SQLite, that are killed again and
// again while many guess at one account, look at a hundred passwords together.
//
// ASVS: 6.3.1
func TestHundredGuesses(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		at := map[string]int{store.DriverSQLite: 1, store.DriverPostgres: 2}[cfg.Driver]
		tries, rounds, over := 0, 0, false
		for ; !over && rounds < 40; rounds++ {
			var all sync.WaitGroup
			var mu sync.Mutex
			ended := 0
			for range at {
				all.Go(func() {
					n, o := guess(t, cfg, 11)
					mu.Lock()
					defer mu.Unlock()
					if tries += n; o {
						ended++
					}
				})
			}
			all.Wait()
			over = ended == at
		}
		if !over || tries > 100 || tries < 40 || rounds < 3 {
			t.Errorf("%d passwords were looked at in %d rounds; the end: %v", tries, rounds, over)
		}
		t.Logf("%d passwords in %d rounds", tries, rounds)
	})
}

// TestFailures: what is stored of attempts is replaced only by who has seen it, and goes
// after its end.
func TestFailures(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		put := func(f identity.Failures) error {
			return db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.PutFailures(ctx, f) })
		}
		f := identity.Failures{Key: []byte{0, 255}, State: []byte(`{"a":1}`), ExpiresAt: moment(10)}
		_, err := db.Failures(t.Context(), f.Key)
		wantKind(t, err, gatehouse.NotFound)
		if err := put(f); err != nil {
			t.Fatal(err)
		}
		wantKind(t, put(f), gatehouse.Conflict)
		f.Version = 1
		same(t, must(db.Failures(t.Context(), f.Key))(t), f)
		f.State, f.ExpiresAt = []byte(`{"a":2}`), moment(20)
		if err := put(f); err != nil {
			t.Fatal(err)
		}
		wantKind(t, put(f), gatehouse.Conflict)
		f.Version = 2
		same(t, must(db.Failures(t.Context(), f.Key))(t), f)
		f.ExpiresAt = time.Time{}
		wantKind(t, put(f), gatehouse.Internal)
		for _, c := range []struct{ before, n int }{{20, 0}, {21, 1}} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				n, err := tx.PurgeFailures(ctx, moment(c.before), 10)
				same(t, n, int64(c.n))
				return err
			})
		}
	})
}
