package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/token"
)

// issuing is an issuer whose answers a test chooses. It counts its fetches.
type issuing struct {
	asked  atomic.Int64
	answer func(ctx context.Context) (string, error)
}

func (i *issuing) Fetch(ctx context.Context, _, _ string) ([]byte, http.Header, error) {
	i.asked.Add(1)
	text, err := i.answer(ctx)
	return []byte(text), nil, err
}

// listsOf makes a cache of the lists of an issuer, with a clock that the test sets and a log.
func listsOf(t *testing.T, key *token.Key, i *issuing, now func() time.Time) (*statusLists, *bytes.Buffer) {
	t.Helper()
	keys, err := token.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s, err := newStatusLists(RemoteConfig{Issuer: "https://auth.example", Algorithms: []token.Algorithm{"ES256"},
		Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: now}, "https://auth.example/status/", keys, i)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s, &log
}

func newKey(t *testing.T) *token.Key {
	t.Helper()
	key, err := token.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signedList is an empty list that was issued at a time.
func signedList(t *testing.T, key *token.Key, number int64, issued time.Time, ttl int) string {
	t.Helper()
	text, err := key.Sign(token.TypeStatusList, fmt.Appendf(nil,
		`{"iss":"https://auth.example","sub":"https://auth.example/status/%d","iat":%d,"exp":%d,"ttl":%d,"status_list":{"bits":1,"lst":"eNoDAAAAAAE"}}`,
		number, issued.Unix(), issued.Unix()+600, ttl))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestFetchesAndTheirLog: when a list is fetched again after a fetch, and when a failure
// is worth a line in the log.
func TestFetchesAndTheirLog(t *testing.T) {
	key := newKey(t)
	begin := time.Now().Truncate(time.Second)
	at := begin
	down := errors.New("issuer is down")
	i := &issuing{}
	s, log := listsOf(t, key, i, func() time.Time { return at })
	l := s.list(7, begin)
	for _, step := range []struct {
		what    string
		after   time.Duration // of the beginning
		err     error
		fetched bool
		logged  bool
	}{
		{"the first", 0, down, true, true},
		{"at the same moment", 0, down, false, false},
		{"just before the cool-down is over", statusCooldown - 1, down, false, false},
		{"when it is over", statusCooldown, down, true, false},
		{"just before the next line in the log", 30*time.Second - 1, down, true, false},
		{"the cool-down holds then, too", 30 * time.Second, down, false, false},
		{"the next line", 35 * time.Second, down, true, true},
		{"not at once again", 40 * time.Second, down, true, false},
		{"exactly so long after the line before", 65 * time.Second, down, true, true},
		{"a clock that was set back a little", 65*time.Second - 1, down, true, false},
		{"a clock that was set back far", 30 * time.Second, down, true, true},
		{"the issuer is back", 100 * time.Second, nil, true, false},
	} {
		at = begin.Add(step.after)
		i.answer = func(context.Context) (string, error) {
			if step.err != nil {
				return "", step.err
			}
			return signedList(t, key, 7, at, 30), nil
		}
		log.Reset()
		before := i.asked.Load()
		done := s.start(l, at)
		s.wg.Wait()
		if (i.asked.Load() != before) != step.fetched || (done != nil) != step.fetched {
			t.Errorf("%s: %d fetches", step.what, i.asked.Load()-before)
		}
		if (log.Len() > 0) != step.logged || step.logged && (!strings.Contains(log.String(), "issuer is down") || !strings.Contains(log.String(), "list=7")) {
			t.Errorf("%s: logged %q", step.what, log.String())
		}
	}
	if !l.current.Load().counts(at) {
		t.Error("the list that came does not count")
	}
}

// TestFetchesEnd: who closes the guard ends the fetch that runs, without a line in the
// log, and none begins after it.
func TestFetchesEnd(t *testing.T) {
	began := make(chan struct{})
	i := &issuing{answer: func(ctx context.Context) (string, error) {
		close(began)
		<-ctx.Done()
		return "", ctx.Err()
	}}
	s, log := listsOf(t, newKey(t), i, time.Now)
	l := s.list(7, s.clock())
	done := s.start(l, s.clock())
	if again := s.start(l, s.clock()); again != done {
		t.Error("a second fetch of one list began beside the first")
	}
	<-began
	s.close()
	<-done
	if log.Len() > 0 {
		t.Errorf("logged: %s", log)
	}
	if s.start(l, s.clock().Add(time.Hour)) != nil || i.asked.Load() != 1 {
		t.Error("a fetch began after the end")
	}
}

// TestWhichListCounts: a list in force is replaced by one that is as new, and not by an
// older one, while it counts.
func TestWhichListCounts(t *testing.T) {
	key := newKey(t)
	at := time.Now().Truncate(time.Second)
	i := &issuing{}
	s, _ := listsOf(t, key, i, func() time.Time { return at })
	l := s.list(7, at)
	first := at
	for _, step := range []struct {
		what   string
		after  time.Duration
		issued time.Duration // of the list that comes
		good   bool
	}{
		{"the first", 0, 0, true},
		{"the same again", 10 * time.Second, 0, true},
		{"an older one", 20 * time.Second, -time.Second, false},
		{"a newer one", 30 * time.Second, 30 * time.Second, true},
		{"the first again", 40 * time.Second, 0, false},
		{"an older one, when the newer one has expired", 650 * time.Second, 100 * time.Second, true},
	} {
		at = first.Add(step.after)
		i.answer = func(context.Context) (string, error) { return signedList(t, key, 7, first.Add(step.issued), 30), nil }
		if err := s.renew(l); (err == nil) != step.good {
			t.Errorf("%s: %v", step.what, err)
		}
		if got := l.current.Load().issued; step.good && !got.Equal(first.Add(step.issued)) {
			t.Errorf("%s: the list in force is of %s", step.what, got)
		}
	}
	// A list with a number that is another's is none.
	i.answer = func(context.Context) (string, error) { return signedList(t, key, 8, at, 30), nil }
	if s.renew(l) == nil {
		t.Error("another list was taken for this one")
	}
}

// TestAgeOfAList: a list is as old as its issue says, however long a cache on the way had
// it, and one from the clock of an issuer that runs ahead is not younger than now.
func TestAgeOfAList(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		what    string
		issued  time.Duration
		refresh time.Duration // both from now on
	}{
		{"fresh", 0, 30 * time.Second},
		{"from a cache", -20 * time.Second, 10 * time.Second},
		{"over its time already", -40 * time.Second, -10 * time.Second},
		{"issued by a clock that runs ahead", 4 * time.Second, 30 * time.Second},
	} {
		b := newStatusBits(nil, token.StatusList{IssuedAt: now.Add(c.issued), TTL: 30 * time.Second, ExpiresAt: now.Add(time.Minute)}, now)
		if got := b.refresh.Sub(now); got != c.refresh || !b.issued.Equal(now.Add(c.issued)) {
			t.Errorf("%s: fetched again after %s", c.what, got)
		}
		for at, want := range map[time.Duration]bool{0: true, time.Minute - 1: true, time.Minute: false, -leeway: true, -leeway - 1: false} {
			if got := b.counts(now.Add(at)); got != want {
				t.Errorf("%s: counts after %s: %v", c.what, at, got)
			}
		}
	}
	if (*statusBits)(nil).counts(now) {
		t.Error("no list counts")
	}
}
