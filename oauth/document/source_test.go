package document

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

const id = "https://app.example.com/c"

// world is everything around a source.
type world struct {
	fetches int
	body    string
	age     string
	err     error
	slow    time.Duration
	realm   gatehouse.Realm
	stored  client.Client
	kept    []client.Metadata
	askers  []string
	tooMany bool
	mu      sync.Mutex
}

func (w *world) Fetch(ctx context.Context, address, accept string) ([]byte, http.Header, error) {
	w.mu.Lock()
	w.fetches++
	w.mu.Unlock()
	if w.slow > 0 {
		select {
		case <-time.After(w.slow):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	return []byte(w.body), http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Cache-Control": {w.age}}, w.err
}

func (w *world) Described(_ gatehouse.Realm, m client.Metadata) (client.Metadata, error) {
	return m, nil
}

func (w *world) KeepDescribed(_ context.Context, realm, id string, m client.Metadata) (client.Client, error) {
	w.kept = append(w.kept, m)
	w.stored = client.Client{Realm: realm, ID: id, Metadata: m, Version: w.stored.Version + 1, Disabled: w.stored.Disabled}
	return w.stored, nil
}

func (w *world) says(name string) {
	w.body = `{"client_id":"` + id + `","client_name":"` + name + `","redirect_uris":["https://app.example.com/back"]}`
}

func newWorld(t *testing.T) (*world, *Source) {
	t.Helper()
	w := &world{realm: gatehouse.Realm{Name: "main", Settings: gatehouse.RealmSettings{ClientDocumentHosts: []string{"*"}}}}
	w.says("App")
	s, err := New(Config{Fetcher: w, Clients: w, Realm: func(context.Context, string) (gatehouse.Realm, error) { return w.realm, nil },
		Stored: func(context.Context, string, string) (client.Client, error) { return w.stored, nil },
		Allow: func(_ context.Context, address string) (time.Duration, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.askers = append(w.askers, address)
			return time.Minute, !w.tooMany
		}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return w, s
}

// named is who a source says the client is: its name, or the code of the error.
func named(t *testing.T, s *Source) string {
	c, err := s.Client(gatehouse.WithRequest(t.Context(), gatehouse.RequestFacts{Address: "192.0.2.1"}), "main", id)
	if err != nil {
		return gatehouse.CodeOf(err)
	}
	return c.Metadata.Name
}

// TestKept: a document is fetched once for as long as it says, within bounds; what it says goes on for a day where nobody answers, and no longer; what is
// no document is not kept.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(t)
		step := func(what, want string, fetches int) {
			t.Helper()
			if got := named(t, s); got != want || w.fetches != fetches {
				t.Errorf("%s: %q after %d fetches, want %q after %d", what, got, w.fetches, want, fetches)
			}
		}
		w.age = "max-age=120"
		step("new", "App", 1)
		w.says("Other")
		time.Sleep(119 * time.Second)
		step("as long as it says", "App", 1)
		time.Sleep(time.Second)
		w.age = "no-store, max-age=0"
		step("longer", "Other", 2)
		time.Sleep(59 * time.Second)
		step("a minute at least", "Other", 2)
		time.Sleep(time.Second)
		w.err = errors.New("away")
		step("nobody answers", "Other", 3)
		step("nobody is asked at once again", "Other", 3)
		time.Sleep(time.Minute)
		step("still nobody", "Other", 4)
		time.Sleep(24 * time.Hour)
		step("for a day", "client_document_unavailable", 5)
		step("an error is not kept", "client_document_unavailable", 6)
		w.err = nil
		step("it is back", "Other", 7)
		time.Sleep(time.Minute)
		w.body = "{}"
		step("it is none any more", "client_document_refused", 8)
		w.err = errors.New("away")
		step("and is not taken for what it was", "client_document_unavailable", 9)
		w.says("App")
		w.err = nil
		step("mended", "App", 10)
		w.realm.UpdatedAt = time.Now()
		step("the realm says something else", "App", 11)
		w.realm.Settings.ClientDocumentHosts = []string{"other.example.com"}
		step("not of this host", "not_found", 11)
	})
}

// TestFetches: who asks chooses the address; how often it is fetched follows from his network address, and from how many there are.
func TestFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(t)
		w.slow = 2 * time.Second
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if got := named(t, s); got != "App" {
					t.Error(got)
				}
			})
		}
		gone, leave := context.WithCancel(t.Context()) // whoever began it may leave
		all.Go(func() { _, _ = s.Client(gone, "main", id) })
		time.Sleep(time.Second)
		leave()
		all.Wait()
		if w.fetches != 1 {
			t.Errorf("%d fetches of one document", w.fetches)
		}
		asked := len(w.askers)
		if got := named(t, s); got != "App" || len(w.askers) != asked {
			t.Errorf("%s; what is known counts", got)
		}
		for _, a := range w.askers[:20] {
			if a != "192.0.2.1" && a != "" {
				t.Errorf("counted as %q", a)
			}
		}
		w.tooMany, w.slow = true, 0
		s.known.Clear()
		if _, err := s.Client(t.Context(), "main", id); gatehouse.KindOf(err) != gatehouse.RateLimited || w.fetches != 1 {
			t.Errorf("%v", err)
		}
		w.tooMany, w.slow = false, time.Hour
		began := time.Now()
		if got := named(t, s); got != "client_document_unavailable" || time.Since(began) > fetchTime {
			t.Errorf("%s after %s", got, time.Since(began))
		}
		for range maxFetches {
			s.turns <- struct{}{}
		}
		before := w.fetches
		if got := named(t, s); got != "client_document_unavailable" || w.fetches != before {
			t.Errorf("%s, %d fetches", got, w.fetches-before)
		}
	})
}

// TestTurns: few fetches at once are for one network address, and whoever has as many as that keeps nobody else from any.
func TestTurns(t *testing.T) {
	_, s := newWorld(t)
	var done []func()
	for range maxFetchesOf {
		end, ok := s.turn("192.0.2.1")
		if !ok {
			t.Fatal("too few")
		}
		done = append(done, end)
	}
	if _, ok := s.turn("192.0.2.1"); ok {
		t.Error("one more")
	}
	end, ok := s.turn("192.0.2.2")
	if !ok {
		t.Fatal("another address")
	}
	for _, end := range append(done, end) {
		end()
	}
	if len(s.busy) != 0 || len(s.turns) != 0 {
		t.Errorf("%v, %d are left", s.busy, len(s.turns))
	}
}

// TestStored: what is stored is what the document says, from the first time that a person lets it have something; nobody is asked about one
// that is disabled.
func TestStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(t)
		c, err := s.Client(t.Context(), "main", id)
		if err != nil || c.Version <= 1 || !c.Unverified() || c.Secret.Hash != nil || len(w.kept) != 0 {
			t.Fatalf("%+v %v", c, err)
		}
		if err := s.Keep(t.Context(), client.Client{Realm: "main", ID: "cli_1"}); err != nil || len(w.kept) != 0 {
			t.Errorf("%v: a client that is registered is kept: %v", err, w.kept)
		}
		for range 2 {
			if err := s.Keep(t.Context(), c); err != nil || len(w.kept) != 1 {
				t.Fatalf("%v %v", err, w.kept)
			}
		}
		if c, err := s.Client(t.Context(), "main", id); err != nil || c.Version != 1 || w.fetches != 1 {
			t.Errorf("%+v %v, %d fetches", c, err, w.fetches)
		}
		w.says("Other")
		time.Sleep(time.Hour)
		if c, err := s.Client(t.Context(), "main", id); err != nil || c.Version != 2 || c.Metadata.Name != "Other" || len(w.kept) != 2 {
			t.Errorf("%+v %v %v", c, err, w.kept)
		}
		w.stored.Version = 7 // another node saw it change
		if _, err := s.Client(t.Context(), "main", id); err != nil || w.fetches != 3 {
			t.Errorf("%v, %d fetches", err, w.fetches)
		}
		w.stored.Disabled = true
		time.Sleep(time.Hour)
		if c, err := s.Client(t.Context(), "main", id); err != nil || !c.Disabled || w.fetches != 3 {
			t.Errorf("%+v %v, %d fetches", c, err, w.fetches)
		}
	})
}

// TestIsJSON: what is not called JSON is a page of somebody's, perhaps of a stranger.
func TestIsJSON(t *testing.T) {
	for text, want := range map[string]bool{"application/json": true, "application/JSON; charset=utf-8": true, "application/client+json": true,
		"": false, "text/html": false, "text/json": false, "text/plain; x=+json": false, "image/svg+json": false, "application/jsonx": false} {
		if isJSON(text) != want {
			t.Errorf("%s: %t", text, !want)
		}
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "required") {
		t.Error(err)
	}
}
