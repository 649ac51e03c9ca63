package logout_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/logout"
	"github.com/gatehouse-auth/gatehouse/token"
)

// waiting is a store in memory, and the clients of which it knows.
type waiting struct {
	mu     sync.Mutex
	due    map[logout.Record]time.Time
	events []gatehouse.Event
	posts  []string // to whom, and when
	began  time.Time
	answer map[string]int // status by client; 0 is none at all
}

func (w *waiting) DueLogouts(_ context.Context, now time.Time, _ int) (out []logout.Record, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r, at := range w.due {
		if !at.After(now) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b logout.Record) int { return cmp.Or(w.due[a].Compare(w.due[b]), cmp.Compare(b.Tries, a.Tries)) })
	return out, nil
}

func (w *waiting) EndLogout(_ context.Context, r logout.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.due[r]; !ok {
		return gatehouse.ErrVersionConflict
	}
	delete(w.due, r)
	return nil
}

func (w *waiting) DelayLogout(ctx context.Context, r logout.Record, next time.Time) error {
	if err := w.EndLogout(ctx, r); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Tries++
	w.due[r] = next
	for other, at := range w.due {
		if other.Client == r.Client && at.Before(next) {
			w.due[other] = next
		}
	}
	return nil
}

func (w *waiting) AppendEvents(_ context.Context, events ...gatehouse.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, events...)
	return nil
}

// starts has w be worked on until stop.
func (w *waiting) starts(t *testing.T) (stop func()) {
	w.began = time.Now()
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	s := logout.New(logout.Config{Store: w, Run: func(ctx context.Context, fn func(context.Context, logout.Settling) error) error { return fn(ctx, w) },
		Client: func(_ context.Context, _, id string) (c client.Client, err error) {
			if c.ID = id; id == "gone" {
				return c, gatehouse.ErrNotFound
			}
			c.Metadata.BackchannelURI = "https://app.example/" + id
			return c, nil
		},
		Signer: func(context.Context, string, token.Algorithm) (*token.Key, error) { return key, nil },
		Issuer: func(string) string { return "https://id.example" },
		Post: func(_ context.Context, c client.Client, address string, form url.Values) (int, error) {
			if c.ID == "slow" {
				time.Sleep(5 * time.Second)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.posts = append(w.posts, c.ID+" "+time.Since(w.began).String())
			if status := w.answer[c.ID]; status != 0 {
				return status, nil
			}
			return 0, gatehouse.E(gatehouse.BadGateway, "egress_failed", "").With(errors.New(address))
		}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Work(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func (w *waiting) add(session, id string) {
	w.due[logout.Record{Realm: "main", Session: session, Client: id, User: "usr_1", EndsAt: time.Now().Add(logout.TryFor)}] = time.Now()
}

// TestSenderTriesAgain: a client that does not take it is told again, later each time, and at last no more; the others are told meanwhile.
func TestSenderTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &waiting{due: map[logout.Record]time.Time{}, answer: map[string]int{"good": 200, "empty": 204, "bad": 500}}
		for _, id := range []string{"good", "bad", "empty", "slow", "gone"} {
			w.add("ses_1", id)
		}
		w.add("ses_2", "bad")
		stop := w.starts(t)
		time.Sleep(9 * time.Second)
		w.mu.Lock()
		if got := len(w.events); got != 3 || len(w.posts) != 4 {
			t.Errorf("after the first round: %v %v", w.events, w.posts)
		}
		w.mu.Unlock()
		time.Sleep(14 * time.Second) // 10 s later, and no sooner
		w.mu.Lock()
		if n := len(slices.DeleteFunc(slices.Clone(w.posts), func(p string) bool { return p[:3] != "bad" })); n != 2 {
			t.Errorf("%v", w.posts)
		}
		w.mu.Unlock()
		time.Sleep(26 * time.Hour)
		stop()
		failed := map[string]string{}
		for _, e := range w.events {
			if e.Kind == "logout.failed" {
				failed[e.Target.ID+e.Detail["client_id"]] = e.Reason
			}
		}
		if len(w.due) != 0 || len(w.events) != 6 || failed["ses_1bad"] != "too_old" || failed["ses_2bad"] != "too_old" || failed["ses_1slow"] != "too_old" || failed["ses_1gone"] != "no_address" {
			t.Errorf("%v %v %v", w.due, failed, w.events)
		}
		if n := len(w.posts); n > 150 {
			t.Errorf("%d tries", n)
		}
	})
}

// TestSenderAtAnother: what somebody else noted meanwhile stands.
func TestSenderAtAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &waiting{due: map[logout.Record]time.Time{}, answer: map[string]int{"slow": 200}}
		w.add("ses_1", "slow")
		stop := w.starts(t)
		time.Sleep(2 * time.Second)
		w.mu.Lock()
		clear(w.due)
		w.mu.Unlock()
		time.Sleep(10 * time.Second)
		stop()
		if len(w.events) != 0 {
			t.Errorf("%v", w.events)
		}
	})
}
