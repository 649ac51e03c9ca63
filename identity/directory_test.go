package identity

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/gatehouse-auth/gatehouse"
)

// shelf is a store of one user whose reads a test can hold up.
type shelf struct {
	mu    sync.Mutex
	user  User
	err   error
	reads atomic.Int64
	gate  chan struct{} // when set, a read that has read waits for it
}

func (s *shelf) User(ctx context.Context, _, _ string) (User, error) {
	s.reads.Add(1)
	s.mu.Lock()
	u, err, gate := s.user, s.err, s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return User{}, ctx.Err()
		}
	}
	return u, err
}

func (s *shelf) set(u User, gate chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user, s.gate = u, gate
}

func newDirectory(t *testing.T, s *shelf, c *clock) *Directory {
	t.Helper()
	d, err := NewDirectory(DirectoryConfig{Store: s, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDirectory(t *testing.T) {
	ctx := context.Background()
	c, s := newClock(), &shelf{user: User{Realm: "main", ID: "usr_a", Version: 1}}
	d := newDirectory(t, s, c)
	version := func(want, reads int64) {
		t.Helper()
		u, err := d.User(ctx, "main", "usr_a")
		if err != nil || u.Version != want || s.reads.Load() != reads {
			t.Fatalf("version %v after %d reads, %v; want %d after %d", u, s.reads.Load(), err, want, reads)
		}
	}
	version(1, 1)
	version(1, 1)
	s.set(User{Realm: "main", ID: "usr_a", Version: 2}, nil)
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicKey, Realm: "main", ID: "usr_a"})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "other", ID: "usr_a"})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "other"})
	version(1, 1)
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "usr_a"})
	version(2, 2)
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main"})
	version(2, 3)
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser}) // others may have written, in any realm
	version(2, 4)
	c.advance(time.Minute - time.Nanosecond)
	version(2, 4)
	c.advance(time.Minute + time.Nanosecond)
	version(2, 5)
	if got := d.Stats(); got.Misses != 5 || got.Hits != 3 {
		t.Errorf("%+v", got)
	}
	if _, err := d.User(ctx, "other", "usr_a"); !errors.Is(err, gatehouse.NotFound) {
		t.Error("a user of another realm:", err)
	}
	// A store that fails is not papered over with what was known before.
	c.advance(2 * time.Minute)
	s.err = errors.New("database away")
	if u, err := d.User(ctx, "main", "usr_a"); err == nil || u != nil {
		t.Errorf("%v %v", u, err)
	}
}

// A user who is asked for is read again in time, and nobody waits for that.
func TestDirectoryRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		s := &shelf{user: User{Realm: "main", ID: "usr_a", Version: 1}}
		d := newDirectory(t, s, c)
		if _, err := d.User(t.Context(), "main", "usr_a"); err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		s.set(User{Realm: "main", ID: "usr_a", Version: 2}, gate)
		c.advance(90*time.Second + time.Nanosecond)
		for range 3 { // the read hangs, and they are answered
			if u, err := d.User(t.Context(), "main", "usr_a"); err != nil || u.Version != 1 {
				t.Fatalf("%+v %v", u, err)
			}
		}
		close(gate)
		synctest.Wait()
		if u, err := d.User(t.Context(), "main", "usr_a"); err != nil || u.Version != 2 || s.reads.Load() != 2 {
			t.Fatalf("%+v %v after %d reads", u, err, s.reads.Load())
		}
	})
}

// A read that began before a change and ends after it must neither be kept nor
// be joined by those who ask after the change.
func TestDirectoryStaleRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		gate := make(chan struct{})
		s := &shelf{user: User{Realm: "main", ID: "usr_a", Version: 1}, gate: gate}
		d := newDirectory(t, s, newClock())
		go func() { _, _ = d.User(ctx, "main", "usr_a") }()
		synctest.Wait() // the first read holds version 1 in its hands

		s.set(User{Realm: "main", ID: "usr_a", Version: 2}, nil)
		d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "usr_a"})
		if u, err := d.User(ctx, "main", "usr_a"); err != nil || u.Version != 2 {
			t.Errorf("after the change: %+v %v", u, err)
		}
		d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "usr_a"})
		close(gate)
		synctest.Wait() // the first read ends, with nothing newer in the cache
		if u, err := d.User(ctx, "main", "usr_a"); err != nil || u.Version != 2 {
			t.Errorf("after the late read: %+v %v", u, err)
		}
	})
}

// TestDirectoryKeepsBesideChanges: what is read while others change is kept all the
// same, and what is read while all may have changed is not.
func TestDirectoryKeepsBesideChanges(t *testing.T) {
	for name, c := range map[string]struct {
		change gatehouse.Change
		kept   bool
	}{
		"another user":                {gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "usr_b"}, true},
		"a user of another realm":     {gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "other", ID: "usr_b"}, true},
		"this user":                   {gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "usr_a"}, false},
		"all users of the realm":      {gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main"}, false},
		"all users":                   {gatehouse.Change{Topic: gatehouse.TopicUser}, false},
		"something that is not users": {gatehouse.Change{Topic: gatehouse.TopicKey}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			s := &shelf{user: User{Realm: "main", ID: "usr_a", Version: 1}, gate: gate}
			d := newDirectory(t, s, newClock())
			for c.kept && c.change.ID != "" && d.counter(subject{c.change.Realm, c.change.ID}) == d.counter(subject{"main", "usr_a"}) {
				c.change.ID += "b" // one of 256 shares the counter of usr_a, and would not be kept
			}
			go func() { _, _ = d.User(t.Context(), "main", "usr_a") }()
			synctest.Wait()
			d.Apply(c.change)
			close(gate)
			synctest.Wait()
			if _, kept := d.Recent("main", "usr_a"); kept != c.kept {
				t.Errorf("%s changed: kept %v", name, kept)
			}
		})
	}
}

func TestDirectoryReadsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &shelf{user: User{Realm: "main", ID: "usr_a", Version: 1}, gate: gate}
		d := newDirectory(t, s, newClock())
		ctx, cancel := context.WithCancel(context.Background())
		var good, left atomic.Int64
		for i := range 20 {
			if i == 1 {
				synctest.Wait() // the first one is reading
			}
			go func() {
				c := context.Background()
				if i == 0 {
					c = ctx // and does not take the others along when it leaves
				}
				switch _, err := d.Subject(c, "main", "usr_a"); {
				case err == nil:
					good.Add(1)
				case errors.Is(err, context.Canceled):
					left.Add(1)
				}
			}()
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(gate)
		synctest.Wait()
		if good.Load() != 19 || left.Load() != 1 || s.reads.Load() != 1 {
			t.Errorf("%d good, %d left, %d reads", good.Load(), left.Load(), s.reads.Load())
		}
	})
}

// crowd is a store in which every name is somebody, made anew at each read.
type crowd struct {
	reads atomic.Int64
	gate  chan struct{} // when set, a read waits for it
}

func (c *crowd) User(_ context.Context, realm, id string) (User, error) {
	c.reads.Add(1)
	if c.gate != nil {
		<-c.gate
	}
	return User{Realm: strings.Clone(realm), ID: strings.Clone(id), Kind: gatehouse.PrincipalKind(strings.Clone("user")), Username: id,
		UsernameKey: strings.Clone(id), Roles: []string{strings.Clone("editor")}, Groups: []string{strings.Clone("staff")}}, nil
}

func TestDirectoryConfig(t *testing.T) {
	for i, cfg := range []DirectoryConfig{{}, {Store: &crowd{}}, {Now: newClock().Now}} {
		if _, err := NewDirectory(cfg); err == nil {
			t.Errorf("%d was accepted", i)
		}
	}
	// How many users are kept, by what is configured.
	const users = 500
	for size, kept := range map[int][2]int64{0: {users, users}, -1: {users, users}, 20: {1, 40}} {
		s := &crowd{}
		d, err := NewDirectory(DirectoryConfig{Store: s, Now: newClock().Now, Size: size})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for i := range users {
				if _, err := d.User(t.Context(), "main", fmt.Sprint("usr_", i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		found := d.Stats().Hits
		if size == 20 { // whoever asks for all in turn finds few, so count what is there
			found = int64(len(slices.Collect(d.users.Keys())))
		}
		if found < kept[0] || found > kept[1] {
			t.Errorf("size %d: %d of %d are kept", size, found, users)
		}
	}
}

// TestWhenUsersAreReadAgain: never before half of the greatest age, not all at one
// moment, and from the very moment on that is theirs.
func TestWhenUsersAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newClock(), &crowd{}
		d, err := NewDirectory(DirectoryConfig{Store: s, Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		now := c.now.UnixNano()
		moments := map[int64]bool{}
		for i := range 50 {
			id := fmt.Sprint("usr_", i)
			if _, err := d.User(t.Context(), "main", id); err != nil {
				t.Fatal(err)
			}
			k, _ := d.users.Get(subject{"main", id})
			if age := time.Duration(k.renew - now); age < time.Minute || age > 90*time.Second || k.until != now+int64(2*time.Minute) {
				t.Errorf("read again at the age of %s, used until that of %s", age, time.Duration(k.until-now))
			}
			moments[k.renew] = true
		}
		if len(moments) < 25 {
			t.Errorf("50 users have %d moments", len(moments))
		}
		k, _ := d.users.Get(subject{"main", "usr_1"})
		for _, step := range []struct {
			at    int64
			reads int64
		}{{k.renew - 1, 50}, {k.renew, 51}} {
			c.now = time.Unix(0, step.at)
			if _, err := d.User(t.Context(), "main", "usr_1"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := s.reads.Load(); n != step.reads {
				t.Errorf("%d ns from the moment: %d reads, want %d", step.at-k.renew, n, step.reads)
			}
		}
	})
	// However short the greatest age is, users are found.
	for age := time.Duration(1); age < 10; age++ {
		d, err := NewDirectory(DirectoryConfig{Store: &crowd{}, Now: newClock().Now, MaxAge: age})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.User(t.Context(), "main", "usr_1"); err != nil {
			t.Errorf("kept for %d ns: %v", age, err)
		}
	}
}

// TestRenewalFindsNobody: a user who is gone without a word is forgotten when he
// would be read again, not two minutes later.
func TestRenewalFindsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newClock(), &shelf{user: User{Realm: "main", ID: "usr_a"}}
		d := newDirectory(t, s, c)
		if _, err := d.User(t.Context(), "main", "usr_a"); err != nil {
			t.Fatal(err)
		}
		s.set(User{}, nil) // answers with somebody else, as for one who is not there
		c.advance(90*time.Second + time.Nanosecond)
		if _, err := d.User(t.Context(), "main", "usr_a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, ok := d.Recent("main", "usr_a"); ok {
			t.Error("a user who is gone is still known")
		}
	})
}

// TestNamesakesInTwoRealms: two who ask at once for one id in two realms get each
// their own.
func TestNamesakesInTwoRealms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &crowd{gate: make(chan struct{})}
		d, err := NewDirectory(DirectoryConfig{Store: s, Now: newClock().Now})
		if err != nil {
			t.Fatal(err)
		}
		for _, realm := range []string{"main", "shop"} {
			go func() {
				if u, err := d.User(t.Context(), realm, "usr_a"); err != nil || u.Realm != realm {
					t.Errorf("%s: %+v %v", realm, u, err)
				}
			}()
		}
		synctest.Wait()
		close(s.gate)
		synctest.Wait()
	})
}

// TestUsersShareTexts: what very many users have in common is in memory once.
func TestUsersShareTexts(t *testing.T) {
	d, err := NewDirectory(DirectoryConfig{Store: &crowd{}, Now: newClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	var texts [2][]string
	for i := range texts {
		runtime.GC() // which must not tear apart what they share
		u, err := d.User(t.Context(), "main", fmt.Sprint("usr_", i))
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = []string{u.Realm, string(u.Kind), u.Roles[0], u.Groups[0]}
		if unsafe.StringData(u.Username) != unsafe.StringData(u.UsernameKey) {
			t.Error("a username and its key, which are equal, are two texts")
		}
	}
	for i := range texts[0] {
		if unsafe.StringData(texts[0][i]) != unsafe.StringData(texts[1][i]) {
			t.Errorf("%q is in memory twice", texts[0][i])
		}
	}
	u := User{Username: "Alice", UsernameKey: "alice"}
	if u.share(strings.Clone); u.Roles != nil || u.UsernameKey != "alice" {
		t.Errorf("%+v", u)
	}
}
