package store_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/secrets"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

// raceEnv tells the test binary that it is one of two processes that want the same: it
// holds the DSN and the master key.
const raceEnv = "GATEHOUSE_STORE_RACE_CHILD"

// contest is something that N callers of one process want at once.
type contest struct {
	Thing string
	Arg   string // what they bring
	N     int
}

// outcome is what they got: whoever won brings what he has, and how often each reason was
// told to the others.
type outcome struct {
	Won  []string
	Lost map[string]int
}

// racer is a process of a node, with the parts that decide who wins.
type racer struct {
	db     *store.DB
	grants *grant.Service
	users  *users.Service
	keeper secrets.Keeper
	ring   *keyring.Ring
}

func newRacer(db *store.DB, masterKey string) (*racer, error) {
	key, err := seal.ParseMasterKey(masterKey)
	if err != nil {
		return nil, err
	}
	box, err := seal.NewBox(key)
	if err != nil {
		return nil, err
	}
	r := &racer{db: db}
	if r.keeper.Run, err = store.Run[secrets.Tx](db); err != nil {
		return nil, err
	}
	r.keeper.Box = box
	runGrants, err := store.Run[grant.Tx](db)
	if err != nil {
		return nil, err
	}
	r.grants, err = grant.New(grant.Config{Run: runGrants, Issuer: func(string) string { return "https://id.example" },
		NewStatus:    func(time.Time) (list, index int64) { return 21000, time.Now().UnixNano() },
		Sign:         func(context.Context, string, *token.Access) (string, error) { return "signed", nil },
		SignID:       func(context.Context, string, token.Algorithm, *token.ID) (string, error) { return "signed", nil },
		SuccessorKey: bytes.Repeat([]byte{7}, 32), Find: db.Once, Consent: db.Consent, Box: box})
	if err != nil {
		return nil, err
	}
	first, err := store.Run[users.BootstrapTx](db)
	if err != nil {
		return nil, err
	}
	r.users = users.New(users.Config{Kernel: &kernel.Kernel{Realms: db, Now: time.Now, Record: func(*gatehouse.Event) {}}, Users: db,
		Bootstraps: first, Passwords: quickHash{}, KeyPrefix: "ghk", BootstrapKey: bytes.Repeat([]byte{9}, 32)})
	keys, err := store.Run[keyring.Tx](db)
	if err != nil {
		return nil, err
	}
	r.ring, err = keyring.New(keyring.Config{Store: db, Run: keys, Box: box})
	return r, err
}

// quickHash hashes in no time, so that all callers come to the database together.
type quickHash struct{}

func (quickHash) NewPasswordHash(context.Context, gatehouse.Realm, identity.User, gatehouse.Secret) (string, error) {
	return "$argon2id$", nil
}
func (quickHash) CheckPassword(context.Context, identity.User, gatehouse.Secret) error { return nil }

// attempt is one caller. What it returns without an error is what he won.
func (r *racer) attempt(ctx context.Context, c contest, n int) (won string, err error) {
	update := func(fn change) error { return r.db.Update(ctx, fn) }
	switch c.Thing {
	case "refresh":
		t, err := r.grants.Renew(ctx, grant.Order{Realm: "main", Client: grant.FirstPartyClient}, gatehouse.Secret(c.Arg))
		return t.RefreshToken.Reveal(), err
	case "first administrator":
		b, err := r.users.Bootstrap(ctx, users.NewBootstrap{Secret: gatehouse.Secret(c.Arg), Username: fmt.Sprintf("first-%d-%d", os.Getpid(), n), Password: "p"})
		return b.User.ID, err
	case "first secret":
		s, _, err := r.users.NewBootstrapSecret(ctx)
		return s.Reveal(), err
	case "secret of the installation":
		s, err := r.keeper.Get(ctx, c.Arg, 32)
		return string(fmt.Appendf(nil, "%x", s)), err
	case "take":
		err := update(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.TakeOnce(ctx, once.KindTicket, onceKey(c.Arg), time.Now())
			return err
		})
		return "", err
	case "claim":
		return "", update(func(ctx context.Context, tx *store.Tx) error {
			return tx.PutOnce(ctx, once.Record{Kind: kindClaim, Key: onceKey(c.Arg), ExpiresAt: time.Now().Add(time.Minute)})
		})
	case "version":
		u := exampleUser()
		u.DisplayName = fmt.Sprint(os.Getpid(), n)
		return u.DisplayName, update(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateUser(ctx, u) })
	case "status place":
		g := exampleGrant()
		g.ID, g.StatusList, g.StatusIdx = fmt.Sprintf("grt_%d_%d", os.Getpid(), n), 30000, 7
		return g.ID, update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertGrant(ctx, g) })
	case "end of a grant":
		return "", update(func(ctx context.Context, tx *store.Tx) error {
			_, ended, err := tx.EndGrant(ctx, "main", c.Arg, time.Now(), "test")
			if err == nil && !ended {
				err = gatehouse.ErrVersionConflict
			}
			return err
		})
	case "key usage":
		runs := 0
		err := update(func(ctx context.Context, tx *store.Tx) error {
			runs++
			return tx.AddKeyUsage(ctx, usageInNoOrder(n))
		})
		return fmt.Sprint("runs: ", runs), err
	case "signing key":
		return "", r.ring.EnsureRealm(ctx, "main")
	}
	return "", fmt.Errorf("no contest is called %q", c.Thing)
}

// hold has N callers wait for the start, then attempt, and returns what came of it.
func (r *racer) hold(c contest, start <-chan struct{}) outcome {
	out := outcome{Lost: map[string]int{}}
	var mu sync.Mutex
	var all sync.WaitGroup
	for n := range c.N {
		all.Go(func() {
			<-start
			won, err := r.attempt(context.Background(), c, n)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				reason := gatehouse.CodeOf(err)
				if reason == "" {
					reason = err.Error()
				}
				out.Lost[reason]++
				return
			}
			out.Won = append(out.Won, won)
		})
	}
	all.Wait()
	return out
}

// raceChild is one of the two processes: a contest on each line, then a line that starts
// it.
func raceChild() {
	fail := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	var with raceSetup
	fail(json.Unmarshal([]byte(os.Getenv(raceEnv)), &with))
	db, err := store.Open(context.Background(), store.Config{Driver: store.DriverPostgres, DSN: gatehouse.Secret(with.DSN), Shared: true, LockWait: 10 * time.Second})
	fail(err)
	r, err := newRacer(db, with.MasterKey)
	fail(err)
	fmt.Println("open")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var c contest
		fail(json.Unmarshal(lines.Bytes(), &c))
		start := make(chan struct{})
		done := make(chan outcome, 1)
		go func() { done <- r.hold(c, start) }()
		fmt.Println("ready")
		lines.Scan()
		close(start)
		text, err := json.Marshal(<-done)
		fail(err)
		fmt.Println(string(text))
	}
	fail(db.Close())
}

type raceSetup struct{ DSN, MasterKey string }

// process is a child as its parent sees it.
type process struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func startRacer(t *testing.T, cfg store.Config, masterKey string) *process {
	t.Helper()
	env := must(json.Marshal(raceSetup{cfg.DSN.Reveal(), masterKey}))(t)
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env, cmd.Stderr = append(os.Environ(), raceEnv+"="+string(env)), os.Stderr
	in, out := must(cmd.StdinPipe())(t), must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Longer than the test takes on a slow machine, so that none hangs for good.
	bound := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		bound.Stop()
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	p := &process{t: t, in: in, out: bufio.NewScanner(out)}
	p.out.Buffer(nil, 1<<20)
	p.read("open")
	return p
}

func (p *process) read(want string) string {
	p.t.Helper()
	if !p.out.Scan() || want != "" && p.out.Text() != want {
		p.t.Fatalf("the other process says %q, not %q", p.out.Text(), want)
	}
	return p.out.Text()
}

// arena is where a contest is held: in two processes on PostgreSQL, in one on SQLite.
type arena struct {
	t  *testing.T
	db *store.DB // to look at what became of it
	// race has n callers attempt the thing, all at once.
	race func(thing, arg string, n int) outcome
}

// inArenas runs a test on both databases.
func inArenas(t *testing.T, test func(a *arena)) {
	masterKey := seal.GenerateMasterKey(time.Now()).Reveal().Reveal()
	t.Run("sqlite", func(t *testing.T) {
		db := open(t, sqliteConfig(t))
		r := must(newRacer(db, masterKey))(t)
		test(&arena{t, db, func(thing, arg string, n int) outcome {
			start := make(chan struct{})
			close(start)
			return r.hold(contest{thing, arg, n}, start)
		}})
	})
	t.Run("postgres", func(t *testing.T) {
		cfg := postgresConfig(t)
		cfg.Shared = true
		db := open(t, cfg)
		both := []*process{startRacer(t, cfg, masterKey), startRacer(t, cfg, masterKey)}
		test(&arena{t, db, func(thing, arg string, n int) outcome {
			t.Helper()
			for _, p := range both {
				if err := json.NewEncoder(p.in).Encode(contest{thing, arg, n / 2}); err != nil {
					t.Fatal(err)
				}
			}
			for _, p := range both {
				p.read("ready")
			}
			for _, p := range both {
				_, _ = p.in.Write([]byte("go\n"))
			}
			all := outcome{Lost: map[string]int{}}
			for _, p := range both {
				var part outcome
				if err := json.Unmarshal([]byte(p.read("")), &part); err != nil {
					t.Fatal(err)
				}
				all.Won = append(all.Won, part.Won...)
				for reason, k := range part.Lost {
					all.Lost[reason] += k
				}
			}
			return all
		}})
	})
}

// one checks that of n callers one won and all others were told the same.
func (a *arena) one(thing, arg string, n int, reason string) string {
	a.t.Helper()
	got := a.race(thing, arg, n)
	if len(got.Won) != 1 || got.Lost[reason] != n-1 {
		a.t.Fatalf("%s: %d won; lost: %v", thing, len(got.Won), got.Lost)
	}
	return got.Won[0]
}

// all checks that everybody got the same.
func (a *arena) all(thing, arg string, n int) string {
	a.t.Helper()
	got := a.race(thing, arg, n)
	slices.Sort(got.Won)
	if len(got.Won) != n || got.Won[0] == "" || got.Won[0] != got.Won[n-1] {
		a.t.Fatalf("%s: %d got something, %d different; lost: %v", thing, len(got.Won), len(slices.Compact(got.Won)), got.Lost)
	}
	return got.Won[0]
}

// login opens a grant and returns its refresh token.
func (a *arena) login() grant.Tokens {
	a.t.Helper()
	r := must(newRacer(a.db, seal.GenerateMasterKey(time.Now()).Reveal().Reveal()))(a.t)
	p := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_1", AuthTime: time.Now()}
	return must(r.grants.Open(context.Background(), grant.Order{Realm: "main", Client: grant.FirstPartyClient}, p))(a.t)
}

func (a *arena) realm(grace time.Duration) {
	a.t.Helper()
	r := exampleRealm()
	r.Disabled, r.Settings.RefreshGrace = false, grace
	do(a.t, a.db, func(ctx context.Context, tx *store.Tx) error {
		err := tx.UpdateRealm(ctx, r)
		if errors.Is(err, gatehouse.NotFound) {
			err = tx.InsertRealm(ctx, r)
		}
		return err
	})
}

// TestOneWinner: a thousand callers at once, in two processes on PostgreSQL, each of whom
// brings the same thing that can be used once.
func TestOneWinner(t *testing.T) {
	inArenas(t, func(a *arena) {
		a.realm(-1)
		user := exampleUser()
		user.Roles = nil
		do(t, a.db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, user) })

		// A first start of many nodes: they agree on everything, and one makes an
		// administrator of it.
		a.all("secret of the installation", "some.key", 100)
		secret := a.all("first secret", "", 100)
		a.one("first administrator", secret, 1000, "bootstrap_refused")
		if ids := must(a.db.RoleHolders(t.Context(), "main", policy.RoleAdmin, true, 10))(t); len(ids) != 1 {
			t.Errorf("%d administrators", len(ids))
		}
		a.race("signing key", "", 100)
		if keys := must(a.db.SigningKeys(t.Context(), "main"))(t); len(keys) != 1 || keys[0].State != token.KeyActive {
			t.Errorf("%d signing keys: %+v", len(keys), keys)
		}

		do(t, a.db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutOnce(ctx, once.Record{Kind: once.KindTicket, Key: onceKey("k"), Sealed: []byte("s"), ExpiresAt: time.Now().Add(time.Hour)})
		})
		a.one("take", "k", 1000, "not_found")
		a.one("claim", "k", 1000, "already_exists")
		name := a.one("version", "", 200, "version_conflict")
		if u := must(a.db.User(t.Context(), "main", "usr_1"))(t); u.DisplayName != name || u.Version != user.Version+1 {
			t.Errorf("%s won, and the database has %+v", name, u)
		}
		a.one("status place", "", 200, "already_exists")

		// Without grace: one successor, and the second use ends the family, which the
		// winner's successor is a part of.
		tokens := a.login()
		next := a.one("refresh", tokens.RefreshToken.Reveal(), 1000, "invalid_grant")
		g := must(a.db.Grant(t.Context(), "main", tokens.GrantID))(t)
		if g.EndedAt.IsZero() || g.EndReason != grant.ReasonReuse {
			t.Errorf("the family goes on: %+v", g)
		}
		if got := a.race("refresh", next, 2); len(got.Won) != 0 {
			t.Error("the winner's token was good after the family had ended")
		}
		a.one("end of a grant", a.login().GrantID, 200, "version_conflict")
		if n := endsRecorded(t, a.db, tokens.GrantID); n != 1 {
			t.Errorf("the end by reuse is recorded %d times", n)
		}

		// With it, all lost answers of both processes are the same successor, which is
		// stored once and unused.
		a.realm(30 * time.Second)
		tokens = a.login()
		next = a.all("refresh", tokens.RefreshToken.Reveal(), 1000)
		next = a.all("refresh", next, 100)
		if g := must(a.db.Grant(t.Context(), "main", tokens.GrantID))(t); !g.EndedAt.IsZero() {
			t.Errorf("the family ended: %+v", g)
		}
		if got := a.race("refresh", tokens.RefreshToken.Reveal(), 2); len(got.Won) != 0 { // its successor is used
			t.Error("a token of two generations ago was good")
		}
		if got := a.race("refresh", next, 2); len(got.Won) != 0 {
			t.Error("and the family is not ended by it")
		}
	})
}

// endsRecorded counts the events that say that a grant ended because a token was used
// twice.
func endsRecorded(t *testing.T, db *store.DB, grantID string) (n int) {
	t.Helper()
	for after := int64(0); ; {
		batches := must(db.Batches(t.Context(), "main", audit.BatchQuery{After: after, Limit: 500}))(t)
		if len(batches) == 0 {
			return n
		}
		for _, b := range batches {
			after = b.Position
			if b.Kind == audit.KindTokenReuse && b.TargetID == grantID {
				n++
			}
		}
	}
}
