package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// house is a store of users in memory, a recorder, and a service over them with
// the real hasher.
type house struct {
	*Service
	clock  *clock
	hasher *credential.Hasher
	log    bytes.Buffer

	mu     sync.Mutex
	users  map[string]User // by key
	events []gatehouse.Event
	broken error
	onRun  func()
	reads  int // by name
	byID   int
}

func (h *house) UserByKey(_ context.Context, realm, key string) (User, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.byName(realm, key)
}

// inTx is the store within a transaction, which holds the lock.
type inTx struct{ *house }

func (h inTx) UserByKey(_ context.Context, realm, key string) (User, error) {
	return h.byName(realm, key)
}

func (h *house) byName(realm, key string) (User, error) {
	h.reads++
	if u, ok := h.users[key]; ok && u.Realm == realm && h.broken == nil {
		return u, nil
	}
	if h.broken != nil {
		return User{}, h.broken
	}
	return User{}, fmt.Errorf("users: %w", gatehouse.NotFound)
}

func (h *house) User(_ context.Context, realm, id string) (User, error) {
	h.byID++
	for _, u := range h.users {
		if u.ID == id && u.Realm == realm {
			return u, nil
		}
	}
	return User{}, gatehouse.NotFound
}

func (h *house) UpdateUser(_ context.Context, u User) error {
	was, err := h.User(context.Background(), u.Realm, u.ID)
	if err != nil || was.Version != u.Version {
		return gatehouse.Conflict
	}
	h.byID--
	delete(h.users, was.UsernameKey)
	u.Version++
	h.users[u.UsernameKey] = u
	return nil
}

func (h *house) UserByDirectoryID(_ context.Context, realm, id string) (User, error) {
	for _, u := range h.users {
		if u.DirectoryID == id && u.Realm == realm {
			return u, nil
		}
	}
	return User{}, gatehouse.NotFound
}

func (h *house) InsertUser(_ context.Context, u User) error {
	if _, taken := h.users[u.UsernameKey]; taken {
		return gatehouse.Conflict
	}
	h.users[u.UsernameKey] = u
	return nil
}

func (h *house) AppendEvents(_ context.Context, events ...gatehouse.Event) error {
	h.events = append(h.events, events...)
	return nil
}

func (h *house) run(ctx context.Context, fn func(context.Context, Tx) error) error {
	if h.onRun != nil {
		h.onRun()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return fn(ctx, inTx{h})
}

func (h *house) Record(e *gatehouse.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, *e)
}

func (h *house) put(u User) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users[u.UsernameKey] = u
}

func (h *house) last() gatehouse.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return gatehouse.Event{}
	}
	return h.events[len(h.events)-1]
}

const alicePassword = gatehouse.Secret("velvet otter canyon 47")

func newHouse(t *testing.T, change func(*Config)) *house {
	t.Helper()
	h := &house{clock: newClock(), users: map[string]User{}}
	var err error
	if h.hasher, err = credential.NewHasher(credential.HasherConfig{}); err != nil {
		t.Fatal(err)
	}
	phc, err := h.hasher.Hash(context.Background(), alicePassword)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []User{
		{ID: "usr_alice", Username: "Alice", UsernameKey: "alice", PasswordHash: phc},
		{ID: "usr_dora", Username: "dora", UsernameKey: "dora", PasswordHash: phc, Disabled: true},
		{ID: "usr_nora", Username: "nora", UsernameKey: "nora"},
		{ID: "usr_bert", Username: "bert", UsernameKey: "bert", PasswordHash: "$argon2id$v=19$m=999999999,t=1,p=1$x$y"},
	} {
		u.Realm, u.Kind, u.Version = "main", gatehouse.KindUser, 1
		h.users[u.UsernameKey] = u
	}
	th, err := NewThrottle(ThrottleConfig{Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Users: h, Run: h.run, Recorder: h, Passwords: h.hasher, Policy: &credential.PasswordPolicy{}, Throttle: th,
		Now: h.clock.Now, Logger: slog.New(slog.NewTextHandler(&h.log, nil)), AccountKey: bytes.Repeat([]byte{7}, 32)}
	if change != nil {
		change(&cfg)
	}
	if h.Service, err = NewService(cfg); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) try(username string, password gatehouse.Secret, address string) (User, error) {
	ctx := gatehouse.WithRequestID(context.Background(), "req_1")
	return h.VerifyPassword(ctx, Attempt{Realm: "main", Username: username, Password: password, Address: address})
}

// ASVS: 16.2.1, 16.3.1
func TestVerifyPassword(t *testing.T) {
	h := newHouse(t, nil)
	for _, name := range []string{"alice", "Alice", "ＡＬＩＣＥ"} {
		u, err := h.try(name, alicePassword, "192.0.2.1")
		if err != nil || u.ID != "usr_alice" {
			t.Fatalf("%s: %+v %v", name, u, err)
		}
	}
	e := h.last()
	want := gatehouse.Event{Time: h.clock.now, Realm: "main", Kind: "login.success", Outcome: gatehouse.OutcomeSuccess, RequestID: "req_1", Address: "192.0.2.1",
		Actor:  gatehouse.Actor{Kind: gatehouse.KindUser, ID: "usr_alice", Name: "Alice", Scheme: gatehouse.SchemeBasic},
		Target: gatehouse.Target{Type: "user", ID: "usr_alice"}}
	if d := cmp.Diff(want, e); d != "" {
		t.Error(d)
	}
	if _, err := h.VerifyPassword(context.Background(), Attempt{Realm: "other", Username: "alice", Password: alicePassword, Address: "192.0.2.1"}); gatehouse.CodeOf(err) != "invalid_credentials" {
		t.Error("another realm:", err)
	}
}

// One answer for every refusal, and exactly one evaluation of the same hash
// function with the same parameters.
//
// ASVS: 6.3.8, 16.3.1
func TestRefusalsAreAlike(t *testing.T) {
	h := newHouse(t, nil)
	long := gatehouse.Secret(strings.Repeat("x", 2000))
	for i, tt := range []struct {
		username, reason string
		password         gatehouse.Secret
		evaluations      int64
	}{
		{"alice", ReasonWrongPassword, "wrong password here", 1},
		{"mallory", ReasonUnknownUser, "wrong password here", 1},
		{"not a username", ReasonUnknownUser, "wrong password here", 1},
		{strings.Repeat("x", 5000), ReasonUnknownUser, "wrong password here", 1},
		{"", ReasonUnknownUser, "wrong password here", 1},
		{"dora", ReasonDisabled, "wrong password here", 1},
		{"dora", ReasonDisabled, alicePassword, 1},
		{"nora", ReasonNoPassword, "", 0},
		{"nora", ReasonNoPassword, "wrong password here", 1},
		{"bert", ReasonBadHash, "wrong password here", 1},
		{"alice", ReasonWrongPassword, "", 0},
		{"alice", ReasonWrongPassword, long, 0},
		{"mallory", ReasonUnknownUser, long, 0},
	} {
		before := h.hasher.Stats()
		u, err := h.try(tt.username, tt.password, addr(i))
		after := h.hasher.Stats()
		if err != error(credential.ErrInvalidCredentials) || u.ID != "" {
			t.Errorf("%.20q: %v", tt.username, err)
		}
		if n, w := after.Evaluations-before.Evaluations, after.Work-before.Work; n != tt.evaluations || w != tt.evaluations*2*19456 {
			t.Errorf("%.20q: %d evaluations, work %d", tt.username, n, w)
		}
		if e := h.last(); len(h.events) != i+1 || e.Kind != "login.failure" || e.Reason != tt.reason || e.Outcome != gatehouse.OutcomeFailure || e.Actor != (gatehouse.Actor{}) {
			t.Errorf("%.20q: event %+v", tt.username, e)
		}
	}
	if s := h.Stats(); s.Failed != 13 || s.Verified != 0 {
		t.Errorf("%+v", s)
	}
}

func TestUnknownUsernameIsNotRecorded(t *testing.T) {
	h := newHouse(t, nil)
	for _, name := range []string{"hunter2hunter2", "my secret pass phrase"} {
		_, _ = h.try(name, "hunter2hunter2", "192.0.2.1")
		e := h.last()
		if text := fmt.Sprintf("%+v", e) + h.log.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "phrase") {
			t.Error(text)
		}
		if e.Target.Type != "account" || !strings.HasPrefix(e.Target.ID, "acc_") {
			t.Errorf("%+v", e.Target)
		}
	}
	again := newHouse(t, nil)
	_, _ = again.try("HUNTER2hunter2", "x", "192.0.2.1")
	if again.last().Target != h.events[0].Target {
		t.Error("the stand-in differs under the same key")
	}
}

func TestThrottleComesBeforeTheHash(t *testing.T) {
	for _, name := range []string{"alice", "mallory"} {
		h := newHouse(t, nil)
		for i := range 6 {
			if _, err := h.try(name, gatehouse.Secret(fmt.Sprint("wrong password ", i)), "192.0.2.1"); gatehouse.CodeOf(err) != "invalid_credentials" {
				t.Fatalf("%s %d: %v", name, i, err)
			}
		}
		before, reads := h.hasher.Stats().Evaluations, h.reads
		_, err := h.try(name, alicePassword, "192.0.2.1")
		var e *gatehouse.Error
		if !errors.As(err, &e) || e.Kind != gatehouse.RateLimited || e.Code != "too_many_attempts" || e.RetryAfter != time.Second {
			t.Errorf("%s: %v", name, err)
		}
		if h.hasher.Stats().Evaluations != before || h.reads != reads {
			t.Error("a refused attempt was hashed, or looked up")
		}
		if _, err := h.VerifyPassword(context.Background(), Attempt{Realm: "other", Username: name, Password: "x", Address: "192.0.2.1"}); gatehouse.CodeOf(err) != "invalid_credentials" {
			t.Errorf("%s in another realm: %v", name, err)
		}
		h.events = h.events[:len(h.events)-1]
		if ev := h.last(); ev.Kind != "login.throttled" || ev.Reason != ReasonThrottled || ev.Target.Type != "account" {
			t.Errorf("%+v", ev)
		}
	}
}

func TestCacheOfVerifiedPasswords(t *testing.T) {
	h := newHouse(t, nil)
	evaluations := func(username string, password gatehouse.Secret, ok bool) int64 {
		t.Helper()
		before := h.hasher.Stats().Evaluations
		if _, err := h.try(username, password, "192.0.2.1"); (err == nil) != ok {
			t.Fatalf("%s: %v", username, err)
		}
		return h.hasher.Stats().Evaluations - before
	}
	if evaluations("alice", alicePassword, true) != 1 || evaluations("alice", alicePassword, true) != 0 {
		t.Fatal("a password is hashed at each request")
	}
	if len(h.events) != 1 || h.Stats().CacheHits != 1 {
		t.Errorf("%d events, %+v", len(h.events), h.Stats())
	}
	for range 2 {
		if evaluations("alice", "wrong password here", false) != 1 {
			t.Error("a failure is remembered")
		}
	}
	h.clock.advance(time.Minute - time.Nanosecond)
	if evaluations("alice", alicePassword, true) != 0 {
		t.Error("forgotten before its time")
	}
	h.clock.advance(time.Nanosecond)
	if evaluations("alice", alicePassword, true) != 1 {
		t.Error("remembered beyond a minute")
	}

	u := h.users["alice"]
	u.Disabled = true
	h.put(u)
	if evaluations("alice", alicePassword, false) != 1 {
		t.Error("a disabled user took another path")
	}
	u.Disabled = false
	u.Version++
	h.put(u)
	if evaluations("alice", alicePassword, true) != 1 {
		t.Error("a changed user is taken from the cache")
	}
	u.ID = "usr_alice_again" // made anew from the very same record, as after a restore
	h.put(u)
	if evaluations("alice", alicePassword, true) != 1 {
		t.Error("another account is taken from the cache, and leaves no event")
	}
	u.PasswordHash, _ = h.hasher.Hash(context.Background(), "another fine password")
	h.put(u)
	if evaluations("alice", alicePassword, false) != 1 {
		t.Error("the old password works")
	}
}

// TestVerifiedPasswordNeedsNoStore: Basic sends the password with each request,
// and no request waits for the database; but each change of the account counts at
// once, and who is refused costs the same reads whoever it is.
func TestVerifiedPasswordNeedsNoStore(t *testing.T) {
	var d *Directory
	h := newHouse(t, func(c *Config) {
		var err error
		if d, err = NewDirectory(DirectoryConfig{Store: c.Users.(DirectoryStore), Now: c.Now}); err != nil {
			t.Fatal(err)
		}
		c.Subjects = d
	})
	try := func(username string, password gatehouse.Secret, id string, reads int) {
		t.Helper()
		before := h.reads + h.byID
		u, err := h.try(username, password, "192.0.2.1")
		if (err == nil) != (id != "") || u.ID != id || h.reads+h.byID-before != reads {
			t.Errorf("%s: %q %v after %d reads", username, u.ID, err, h.reads+h.byID-before)
		}
	}
	change := func(f func(u *User)) {
		u := h.users["alice"]
		delete(h.users, "alice")
		f(&u)
		u.Version++
		h.put(u)
		d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: u.ID})
	}
	// The first attempt reads by name and hashes, the second reads by name and
	// fills the directory; then nothing is read until something changes.
	login := func(username string) {
		t.Helper()
		try(username, alicePassword, "usr_alice", 1)
		try(username, alicePassword, "usr_alice", 2)
		for range 3 {
			try(username, alicePassword, "usr_alice", 0)
		}
	}
	login("alice")
	try("Alice", alicePassword, "usr_alice", 0)
	try("alice", "wrong password here", "", 1)
	try("mallory", "wrong password here", "", 1)
	change(func(u *User) { u.Roles = []string{"more"} })
	login("alice") // another version of the account
	change(func(u *User) { u.Disabled = true })
	try("alice", alicePassword, "", 1)
	change(func(u *User) { u.Disabled = false })
	login("alice")
	// The name goes to somebody else.
	other := h.users["bert"]
	change(func(u *User) { u.UsernameKey = "alicia" })
	delete(h.users, "bert")
	other.UsernameKey = "alice"
	h.put(other)
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: other.ID})
	try("alice", alicePassword, "", 1)
	login("alicia")
	// In another realm the name is another's.
	if _, err := h.VerifyPassword(t.Context(), Attempt{Realm: "shop", Username: "alicia", Password: alicePassword, Address: "192.0.2.1"}); err == nil {
		t.Error("a password counts in another realm")
	}
	for range 3 { // minutes: what was in memory ends, and comes back
		h.clock.advance(2 * time.Minute)
		try("alicia", "wrong password here", "", 1) // known long ago: the same reads as for nobody
		try("mallory", "wrong password here", "", 1)
		login("alicia")
	}
}

// TestCacheKeepsMany: the passwords of several accounts are remembered side by side
// by default, and where somebody writes a size that is none.
func TestCacheKeepsMany(t *testing.T) {
	for _, size := range []int{0, -1} {
		h := newHouse(t, func(c *Config) { c.CacheSize, c.CacheTTL = size, time.Minute }) // which is the most
		zoe := h.users["alice"]
		zoe.ID, zoe.Username, zoe.UsernameKey = "usr_zoe", "zoe", "zoe"
		h.put(zoe)
		for round := range 2 {
			for _, name := range []string{"alice", "zoe"} {
				if _, err := h.try(name, alicePassword, "192.0.2.1"); err != nil {
					t.Fatal(err)
				}
			}
			if n := h.Stats().CacheHits; n != int64(2*round) {
				t.Errorf("size %d: %d answers from memory in round %d", size, n, round)
			}
		}
	}
}

// TestFrame: no two lists of parts give the same bytes; otherwise one account could
// be counted as, or a password be remembered for, another.
func TestFrame(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"ab", "c"}, {"a", "bc"}, {"abc"}, {"a", "b", "c"}, {"a\x00", "bc"}, {"a", "\x00bc"}} {
		bytes := string(frame(parts...))
		if before, ok := seen[bytes]; ok {
			t.Errorf("%q and %q are one", before, parts)
		}
		seen[bytes] = parts
	}
}

func TestCacheSwitchedOff(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.CacheTTL = -1 })
	for range 2 {
		before := h.hasher.Stats().Evaluations
		if _, err := h.try("alice", alicePassword, "192.0.2.1"); err != nil || h.hasher.Stats().Evaluations != before+1 {
			t.Error(err)
		}
	}
}

const imported = "$2a$05$abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe"

// ASVS: 11.2.2
func TestRehash(t *testing.T) {
	h := newHouse(t, nil)
	u := User{ID: "usr_iris", Realm: "main", Kind: gatehouse.KindUser, Username: "iris", UsernameKey: "iris", PasswordHash: imported, Version: 5, PasswordAt: h.clock.now.Add(-time.Hour)}
	h.put(u)
	if _, err := h.try("iris", "wrong password here", "192.0.2.1"); err == nil || h.users["iris"].PasswordHash != imported {
		t.Fatal("a wrong password changed the hash")
	}
	got, err := h.try("iris", "correct horse ünïcode", "192.0.2.1")
	stored := h.users["iris"]
	if err != nil || !strings.HasPrefix(stored.PasswordHash, "$argon2id$") || stored.Version != 6 || !stored.PasswordAt.Equal(u.PasswordAt) {
		t.Fatalf("%v %+v", err, stored)
	}
	if d := cmp.Diff(stored, got); d != "" {
		t.Error(d)
	}
	if e := h.events[1]; e.Kind != "user.rehash" || e.Target.ID != "usr_iris" || e.RequestID != "req_1" {
		t.Errorf("%+v", e)
	}
	before := h.hasher.Stats().Evaluations
	if _, err := h.try("iris", "correct horse ünïcode", "192.0.2.1"); err != nil || h.hasher.Stats().Evaluations != before || h.Stats().Rehashed != 1 {
		t.Error("the new hash is not what the cache knows", err)
	}
	if strings.Contains(h.log.String(), "argon2") {
		t.Error(h.log.String())
	}
}

// A password that was changed while the old one was being verified stays.
func TestRehashDoesNotOverwrite(t *testing.T) {
	h := newHouse(t, nil)
	h.put(User{ID: "usr_iris", Realm: "main", Kind: gatehouse.KindUser, Username: "iris", UsernameKey: "iris", PasswordHash: imported, Version: 5})
	h.onRun = func() {
		u := h.users["iris"]
		u.PasswordHash, u.Version = "changed", 6
		h.put(u)
	}
	if u, err := h.try("iris", "correct horse ünïcode", "192.0.2.1"); err != nil || u.ID != "usr_iris" || h.users["iris"].PasswordHash != "changed" ||
		len(h.events) != 1 || h.Stats().Rehashed != 0 {
		t.Errorf("%+v %v %+v", u, err, h.users["iris"])
	}
	// Nor does a broken store refuse a right password.
	h = newHouse(t, func(c *Config) {
		c.Run = func(context.Context, func(context.Context, Tx) error) error { return errors.New("disk full") }
	})
	h.put(User{ID: "usr_iris", Realm: "main", Kind: gatehouse.KindUser, Username: "iris", UsernameKey: "iris", PasswordHash: imported, Version: 5})
	if _, err := h.try("iris", "correct horse ünïcode", "192.0.2.1"); err != nil || !strings.Contains(h.log.String(), "disk full") {
		t.Error(err, h.log.String())
	}
	// What was not committed, the user's new version among it, is not handed out.
	h = newHouse(t, nil)
	run := h.cfg.Run
	h.cfg.Run = func(ctx context.Context, fn func(context.Context, Tx) error) error {
		if err := run(ctx, fn); err != nil {
			return err
		}
		return errors.New("the commit failed")
	}
	h.put(User{ID: "usr_iris", Realm: "main", Kind: gatehouse.KindUser, Username: "iris", UsernameKey: "iris", PasswordHash: imported, Version: 5})
	if u, err := h.try("iris", "correct horse ünïcode", "192.0.2.1"); err != nil || u.PasswordHash != imported || u.Version != 5 || h.Stats().Rehashed != 0 {
		t.Errorf("%+v %v", u, err)
	}
}

// misled is a store that answers with somebody else.
type misled struct{ u User }

func (m misled) UserByKey(context.Context, string, string) (User, error) { return m.u, nil }

func TestStoreAnswersWithAnother(t *testing.T) {
	for _, change := range []func(*User){func(u *User) { u.Realm = "other" }, func(u *User) { u.UsernameKey = "alicia" }} {
		h := newHouse(t, nil)
		u := h.users["alice"]
		change(&u)
		h.cfg.Users = misled{u}
		if got, err := h.try("alice", alicePassword, "192.0.2.1"); gatehouse.CodeOf(err) != "invalid_credentials" {
			t.Errorf("%+v %v", got, err)
		}
	}
}

// failing is a hasher that breaks.
type failing struct {
	Passwords
	err   error
	panic bool
}

func (f failing) Verify(context.Context, string, gatehouse.Secret) (bool, bool, error) {
	if f.panic {
		panic("argon2")
	}
	return true, false, f.err // an error outweighs what comes with it
}
func (f failing) VerifyDummy(context.Context, gatehouse.Secret) error { return f.err }

// ASVS: 16.5.3
func TestWhatBreaksRefuses(t *testing.T) {
	full := &gatehouse.Error{Kind: gatehouse.Unavailable, Code: "password_queue_full", RetryAfter: time.Second}
	for name, tt := range map[string]struct {
		broken error
		hasher failing
		code   string
		reason string
	}{
		"store":  {errors.New("database away"), failing{}, "directory_unavailable", "directory_unavailable"},
		"queue":  {nil, failing{err: full}, "password_queue_full", "password_queue_full"},
		"hasher": {nil, failing{err: errors.New("odd")}, "internal", "internal"},
		"panic":  {nil, failing{panic: true}, "internal", "internal"},
	} {
		h := newHouse(t, func(c *Config) { c.Passwords = tt.hasher })
		h.broken = tt.broken
		for range 20 { // what breaks is no failure of the caller
			u, err := h.try("alice", alicePassword, "192.0.2.1")
			if gatehouse.CodeOf(err) != tt.code || u.ID != "" {
				t.Fatalf("%s: %v", name, err)
			}
			if name == "panic" && len(h.events) > 4 {
				break // a panic keeps the count: nobody knows what had happened
			}
			if e := h.last(); e.Reason != tt.reason || e.Outcome != gatehouse.OutcomeError {
				t.Fatalf("%s: %+v", name, e)
			}
		}
	}
}

// slow counts evaluations and waits for a signal in each.
type slow struct {
	Passwords
	calls atomic.Int64
	gate  chan struct{}
}

func (s *slow) Verify(ctx context.Context, _ string, p gatehouse.Secret) (bool, bool, error) {
	s.calls.Add(1)
	select {
	case <-s.gate:
		return p == alicePassword, false, nil
	case <-ctx.Done():
		return false, false, ctx.Err()
	}
}

// Twenty requests of a client that starts are one attempt, not twenty failures.
func TestSameAttemptAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{gate: make(chan struct{})}
		h := newHouse(t, func(c *Config) { c.Passwords = s })
		var good, bad atomic.Int64
		for range 20 {
			go func() {
				if _, err := h.try("alice", alicePassword, "192.0.2.1"); err == nil {
					good.Add(1)
				} else {
					bad.Add(1)
				}
			}()
		}
		synctest.Wait()
		close(s.gate)
		synctest.Wait()
		if good.Load() != 20 || bad.Load() != 0 || s.calls.Load() != 1 || len(h.events) != 1 {
			t.Errorf("%d good, %d bad, %d evaluations, %d events", good.Load(), bad.Load(), s.calls.Load(), len(h.events))
		}
	})
}

// The same attempt from two networks is two: each is counted where it came from.
func TestSameAttemptFromTwoNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{gate: make(chan struct{})}
		h := newHouse(t, func(c *Config) { c.Passwords = s })
		for _, address := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.2"} {
			go func() { _, _ = h.try("alice", "wrong password here", address) }()
		}
		synctest.Wait()
		close(s.gate)
		synctest.Wait()
		addresses := map[string]bool{}
		for _, e := range h.events {
			addresses[e.Address] = true
		}
		if s.calls.Load() != 2 || len(h.events) != 2 || len(addresses) != 2 {
			t.Errorf("%d evaluations, events from %v", s.calls.Load(), addresses)
		}
	})
}

// Different guesses at once are counted before the first has failed; and one who
// hangs up is counted and recorded like one who waits.
func TestGuessesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{gate: make(chan struct{})}
		h := newHouse(t, func(c *Config) { c.Passwords = s })
		ctx, cancel := context.WithCancel(context.Background())
		for i := range 50 {
			go func() {
				_, _ = h.VerifyPassword(ctx, Attempt{Realm: "main", Username: "alice", Password: gatehouse.Secret(fmt.Sprint("guess ", i)), Address: "192.0.2.1"})
			}()
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(s.gate)
		synctest.Wait()
		failures := 0
		for _, e := range h.events {
			if e.Kind == "login.failure" && e.Outcome == gatehouse.OutcomeFailure {
				failures++
			}
		}
		if s.calls.Load() != 6 || failures != 6 || len(h.events) != 50+1 { // and that there are so many
			t.Errorf("%d evaluations, %d failures, %d events", s.calls.Load(), failures, len(h.events))
		}
	})
}

func TestNewPasswordHash(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.Policy = credential.NewPasswordPolicy() })
	ctx := context.Background()
	realm := gatehouse.Realm{Name: "main", Title: "Harbour Office", Settings: gatehouse.RealmSettings{BannedWords: []string{"tugboat"}}}
	u := User{Username: "Alice", UsernameKey: "alice", DisplayName: "Alice Pemberton", Email: "wonderland@example.com"}
	phc, err := h.NewPasswordHash(ctx, realm, u, alicePassword)
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := h.hasher.Verify(ctx, phc, alicePassword); !ok || err != nil {
		t.Error(ok, err)
	}
	for _, bad := range []struct {
		password gatehouse.Secret
		want     credential.Problem
	}{{"velvet otter", credential.PasswordTooShort}, {"alice-pemberton-alice", credential.PasswordContext}, {"wonderland-wonderland", credential.PasswordContext},
		{"harbour-office-2026", credential.PasswordContext}, {"tugboat!tugboat!tugboat", credential.PasswordContext}, {"passwordpassword1", credential.PasswordCommon}} {
		_, err := h.NewPasswordHash(ctx, realm, u, bad.password)
		var e *gatehouse.Error
		var problems problemsError
		if !errors.As(err, &e) || e.Code != "password_refused" || e.Kind != gatehouse.Unprocessable || !strings.Contains(e.Fields["password"], bad.want.Text()) ||
			!errors.As(err, &problems) || !strings.Contains(problems.Error(), string(bad.want)) {
			t.Errorf("%s: %v", bad.want, err)
		}
		if err != nil && strings.Contains(err.Error()+e.Fields["password"], bad.password.Reveal()) {
			t.Error("the password is in the error")
		}
	}
	realm.Settings.PasswordMinLength = 8
	if _, err := h.NewPasswordHash(ctx, realm, u, "vqx7Lm2p"); err != nil {
		t.Error(err)
	}
}

func TestAdministrationHelpers(t *testing.T) {
	h := newHouse(t, nil)
	ctx := gatehouse.WithRequest(context.Background(), gatehouse.RequestFacts{Address: "192.0.2.1"})
	alice := h.users["alice"]
	if err := h.CheckPassword(ctx, alice, alicePassword); err != nil || h.last().Address != "192.0.2.1" {
		t.Error(err, h.last().Address)
	}
	if err := h.CheckPassword(ctx, alice, "wrong password here"); gatehouse.CodeOf(err) != "invalid_credentials" {
		t.Error(err)
	}
	other := alice
	other.ID = "usr_other"
	if err := h.CheckPassword(ctx, other, alicePassword); gatehouse.CodeOf(err) != "invalid_credentials" {
		t.Error("another user's password:", err)
	}
}

func TestServiceConfigRefused(t *testing.T) {
	h := newHouse(t, nil)
	for i, change := range []func(*Config){
		func(c *Config) { c.Users = nil }, func(c *Config) { c.Run = nil }, func(c *Config) { c.Recorder = nil }, func(c *Config) { c.Passwords = nil },
		func(c *Config) { c.Policy = nil }, func(c *Config) { c.Throttle = nil }, func(c *Config) { c.Now = nil },
		func(c *Config) { c.CacheTTL = time.Hour }, func(c *Config) { c.AccountKey = []byte("short") },
	} {
		cfg := h.cfg
		cfg.CacheTTL = 0
		change(&cfg)
		if _, err := NewService(cfg); err == nil {
			t.Errorf("%d accepted", i)
		}
	}
}
