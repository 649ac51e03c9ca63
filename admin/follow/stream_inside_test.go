package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// TestBoundOfAllStreams: two thousand on a node, a hundred of one account; one that ends makes room.
func TestBoundOfAllStreams(t *testing.T) {
	s := New(Config{})
	who := func(n int) account { return account{"main", fmt.Sprint("svc_", n)} }
	for n := range maxStreams / maxOfAccount {
		for range maxOfAccount {
			if err := s.begin(who(n)); err != nil {
				t.Fatalf("%d: %v", n, err)
			}
		}
		if n+1 < maxStreams/maxOfAccount && s.begin(who(n)) == nil {
			t.Fatalf("more than %d of one account", maxOfAccount)
		}
	}
	var e *gatehouse.Error
	if err := s.begin(who(-1)); !errors.As(err, &e) || e.Code != "too_many_streams" || e.RetryAfter == 0 {
		t.Fatalf("one more than %d: %v", maxStreams, err)
	}
	s.end(who(3))
	if err := s.begin(who(-1)); err != nil {
		t.Errorf("one that ended makes no room: %v", err)
	}
	if s.begin(who(3)) == nil {
		t.Error("it makes more than one")
	}
	s.end(who(-1))
	for n := range maxStreams / maxOfAccount {
		for s.open[who(n)] > 0 {
			s.end(who(n))
		}
	}
	if len(s.open) != 0 || len(s.of) != 0 || s.all != 0 {
		t.Errorf("%d accounts and %d realms are kept that have no stream", len(s.open), len(s.of))
	}
	for n := range maxOfRealm {
		if err := s.begin(account{"acme", fmt.Sprint("svc_", n/maxOfAccount)}); err != nil {
			t.Fatalf("%d of a realm: %v", n, err)
		}
	}
	if s.begin(account{"acme", "svc_x"}) == nil {
		t.Error("one realm takes them all")
	}
	if err := s.begin(account{"other", "svc_x"}); err != nil {
		t.Errorf("of another realm: %v", err)
	}
}

// slow is a journal that takes a while to tell everything, and then has nothing new.
type slow struct{ asked int }

func (j *slow) Since(revocation.Position, string) ([]revocation.Entry, revocation.Position, bool) {
	j.asked++
	return nil, revocation.Position{}, j.asked > 1
}
func (*slow) After(revocation.Position) <-chan struct{} { return nil }
func (*slow) Snapshot(string, func(int64, []int64) error, func(revocation.Cutoff) error) error {
	time.Sleep(5 * time.Second) // of the bubble
	return nil
}

// TestAsOf: what is told is as of when it was read, however long the telling takes, and a heartbeat as of when it beats.
func TestAsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		follower := &gatehouse.Principal{Realm: "main", ID: "svc_1", Kind: gatehouse.KindService, Scheme: gatehouse.SchemeAPIKey}
		s := New(Config{Kernel: &kernel.Kernel{Now: time.Now, Decide: func(context.Context, *gatehouse.Principal, string, string, string, string) gatehouse.Decision {
			return gatehouse.Decision{Allowed: true}
		}}, Journal: &slow{}, Issuer: func(string) string { return "" }, Current: func() error { return nil }})
		out := httptest.NewRecorder()
		ctx, cancel := context.WithTimeout(t.Context(), 8500*time.Millisecond)
		defer cancel()
		(&stream{s: s, who: account{"main", "svc_1"}, realm: "main"}).serve(out, httptest.NewRequestWithContext(ctx, "GET", "/", nil),
			func() (*gatehouse.Principal, error) { return follower, nil })
		var got []string
		for _, line := range strings.Split(out.Body.String(), "\n") {
			var d struct{ Time int64 }
			if text, ok := strings.CutPrefix(line, "data: "); ok && json.Unmarshal([]byte(text), &d) == nil {
				got = append(got, time.UnixMilli(d.Time).Sub(began).String())
			}
		}
		// reload and ready of the beginning, five seconds long, and the heartbeats, of which one was due meanwhile.
		if want := []string{"0s", "0s", "5s", "6s", "8s"}; !slices.Equal(got, want) {
			t.Errorf("told as of %v, want %v", got, want)
		}
	})
}

// endless is a journal whose snapshot does not end, as long as somebody takes it.
type endless struct{ told int }

func (*endless) Since(revocation.Position, string) ([]revocation.Entry, revocation.Position, bool) {
	return nil, revocation.Position{}, false
}
func (*endless) After(revocation.Position) <-chan struct{} { return nil }
func (j *endless) Snapshot(_ string, places func(int64, []int64) error, _ func(revocation.Cutoff) error) error {
	for {
		j.told++
		if err := places(1, make([]int64, maxPlaces)); err != nil {
			return err
		}
	}
}

// stuck is a client that takes so many bytes and nothing more. A write waits until its deadline, or for ever.
type stuck struct {
	http.ResponseWriter
	takes    int
	deadline time.Time
}

func (w *stuck) SetWriteDeadline(d time.Time) error { w.deadline = d; return nil }
func (w *stuck) FlushError() error                  { return nil }
func (w *stuck) Write(b []byte) (int, error) {
	if w.takes -= len(b); w.takes >= 0 {
		return len(b), nil
	}
	if w.deadline.IsZero() {
		time.Sleep(24 * time.Hour) // of the bubble
	}
	time.Sleep(time.Until(w.deadline))
	return 0, os.ErrDeadlineExceeded
}

// TestReaderWhoDoesNotRead: it is left, its place is free again, and what it has not read is kept nowhere.
func TestReaderWhoDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &endless{}
		s := New(Config{Kernel: &kernel.Kernel{Now: time.Now}, Journal: j, Issuer: func(string) string { return "https://auth.example" }, Current: func() error { return nil }})
		who := account{"main", "svc_1"}
		if err := s.begin(who); err != nil {
			t.Fatal(err)
		}
		st := &stream{s: s, who: who, realm: "main"}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		began := time.Now()
		st.serve(&stuck{ResponseWriter: httptest.NewRecorder(), takes: 1 << 20}, r, nil)
		if took := time.Since(began); took > writeTime {
			t.Errorf("left after %v", took)
		}
		if s.all != 0 || len(s.open) != 0 {
			t.Error("its place is not free")
		}
		// One event more than a part may be there when a part is written.
		if c := st.out.Cap(); c > 4*partSize || j.told > 2<<20/maxPlaces {
			t.Errorf("%d bytes are held, and it was told %d events", c, j.told)
		}
	})
}
