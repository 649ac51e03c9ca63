package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/decimal"
	"github.com/gatehouse-auth/gatehouse/token"
)

func newResolver(t *testing.T, h http.Handler, now func() time.Time, patience time.Duration) (*gateway.Resolver, *gateway.Upstreams) {
	t.Helper()
	api := httptest.NewServer(h)
	t.Cleanup(api.Close)
	ups, err := gateway.NewUpstreams([]gateway.Upstream{{Name: "api", URL: api.URL + "/base"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ups.Close)
	res, err := gateway.NewResolver(gateway.ResolverConfig{Upstreams: ups, Asserter: newAsserter(t), Timeout: patience, MaxBytes: 1000, MaxCached: 2, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return res, ups
}

func TestResolverAnswers(t *testing.T) {
	answers := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/base/ok b":
			fmt.Fprintf(w, `{"owner":1234567890123456789,"n":3.0,"f":0.10,"assertion":%t,"auth":%q}`, r.Header.Get("X-Gatehouse-Assertion") != "", r.Header.Get("Authorization"))
		case "/base/missing":
			w.WriteHeader(404)
		case "/base/gone":
			w.WriteHeader(410)
		case "/base/error":
			w.WriteHeader(500)
			_, _ = io.WriteString(w, `{"owner":"usr_a"}`)
		case "/base/redirect":
			http.Redirect(w, r, "/base/ok%20b", http.StatusFound)
		case "/base/array":
			_, _ = io.WriteString(w, `[1]`)
		case "/base/null":
			_, _ = io.WriteString(w, `null`)
		case "/base/duplicate":
			_, _ = io.WriteString(w, `{"owner":"usr_a","owner":"usr_b"}`)
		case "/base/large":
			_, _ = io.WriteString(w, `{"a":"`+strings.Repeat("x", 993)+`"}`) // one byte too many
		case "/base/html":
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `{}`)
		case "/base/slow":
			<-r.Context().Done()
			panic(http.ErrAbortHandler) // an answer now could still reach the resolver that has just given up
		}
	})
	res, _ := newResolver(t, answers, time.Now, time.Minute)
	hasty, _ := newResolver(t, answers, time.Now, 200*time.Millisecond)
	route := &enforce.Route{Upstream: "api", Realm: "main"}
	m, err := res.FetchEntity(context.Background(), route, "/ok%20b")
	if err != nil || m["owner"] != int64(1234567890123456789) || m["n"] != int64(3) || m["f"] != decimal.Number("0.1") || m["assertion"] != true || m["auth"] != "" {
		t.Errorf("%v %v", m, err)
	}
	for path, want := range map[string]gatehouse.Kind{
		"/missing": gatehouse.NotFound, "/gone": gatehouse.NotFound, "/error": gatehouse.BadGateway, "/redirect": gatehouse.BadGateway,
		"/array": gatehouse.BadGateway, "/null": gatehouse.BadGateway, "/duplicate": gatehouse.BadGateway, "/large": gatehouse.BadGateway,
		"/html": gatehouse.BadGateway,
		// What a caller's parameter may try to become.
		"/../admin": gatehouse.NotFound, "//evil.example/x": gatehouse.NotFound, "http://evil.example/ok": gatehouse.NotFound,
		"/a%2f..%2fb": gatehouse.NotFound, "relative": gatehouse.NotFound, "": gatehouse.NotFound,
	} {
		if m, err := res.FetchEntity(context.Background(), route, path); !errors.Is(err, want) || m != nil {
			t.Errorf("%s: %v, %v; want %v", path, m, err, want)
		}
	}
	if m, err := hasty.FetchEntity(context.Background(), route, "/slow"); !errors.Is(err, gatehouse.GatewayTimeout) || m != nil {
		t.Errorf("/slow: %v, %v", m, err)
	}
	if _, err := res.FetchEntity(context.Background(), &enforce.Route{Upstream: "other"}, "/ok"); err == nil {
		t.Error("an unknown upstream answered")
	}
}

func TestResolverCache(t *testing.T) {
	var asked atomic.Int32
	var during func()
	now := time.Unix(1_700_000_000, 0)
	res, _ := newResolver(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		if during != nil {
			during()
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"n":%d}`, n)
	}), func() time.Time { return now }, time.Minute)
	route := &enforce.Route{Upstream: "api", Resource: &enforce.ResourceRule{MaxAge: time.Minute}}
	fetch := func(path string, want int) {
		t.Helper()
		m, err := res.FetchEntity(context.Background(), route, path)
		if err != nil || m["n"] != int64(want) {
			t.Errorf("%s: %v %v, want %d", path, m, err, want)
		}
	}
	fetch("/d/1", 1)
	fetch("/d/1", 1)
	now = now.Add(time.Minute)
	fetch("/d/1", 2)
	res.Forget("api", "/d/1")
	fetch("/d/1", 3)
	res.Forget("api", "/d/1/share")
	fetch("/d/1", 4)
	res.Forget("api", "/d")
	fetch("/d/1", 5)
	res.Forget("api", "/d/11")
	res.Forget("other", "/d/1")
	fetch("/d/1", 5)
	during = func() { res.Forget("api", "/d/2") } // a write passes the fetch
	fetch("/d/2", 6)
	during = nil
	fetch("/d/2", 7)
	fetch("/d/1", 5)
	fetch("/d/3", 8) // two are kept: /d/2 goes
	fetch("/d/1", 5)
	fetch("/d/2", 9)
	route.Resource.MaxAge = 0
	fetch("/d/2", 10)
}

// TestWriteForgets: a write through the gateway ends what was kept about it.
func TestWriteForgets(t *testing.T) {
	owner := "usr_a"
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PUT" {
			owner = "usr_b"
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"owner":%q}`, owner)
	})
	res, ups := newResolver(t, h, time.Now, time.Minute)
	s := start(t, h)
	s.cfg.Upstreams, s.cfg.Resolver = ups, res
	g, err := gateway.New(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	route := &enforce.Route{Upstream: "api", Resource: &enforce.ResourceRule{MaxAge: time.Hour}}
	m, _ := res.FetchEntity(context.Background(), route, "/d/1")
	if m["owner"] != "usr_a" {
		t.Fatal(m)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest("PUT", "/d/1", nil))
	if m, _ = res.FetchEntity(context.Background(), route, "/d/1"); w.Code != 200 || m["owner"] != "usr_b" {
		t.Errorf("%d, then decided on %v", w.Code, m)
	}
}

// TestSlowWriteForgets: what was fetched while a write was under way is fetched again
// after it: as soon as the caller sees an answer, and also when the API gave none.
func TestSlowWriteForgets(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"answered": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"still answered": func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			var owner atomic.Value
			owner.Store("usr_a")
			begun, commit := make(chan struct{}), make(chan struct{})
			var holding atomic.Bool
			during, hold := make(chan struct{}), make(chan struct{})
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "PUT" {
					close(begun)
					<-commit
					owner.Store("usr_b")
					answer(w, r)
					return
				}
				says := owner.Load()
				if r.URL.Path == "/base/d/1/held" && holding.Swap(false) {
					close(during)
					<-hold
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"owner":%q}`, says)
			})
			res, ups := newResolver(t, h, time.Now, time.Minute)
			s := start(t, h)
			s.cfg.Upstreams, s.cfg.Resolver = ups, res
			g, err := gateway.New(s.cfg)
			if err != nil {
				t.Fatal(err)
			}
			srv := httptest.NewServer(g)
			t.Cleanup(srv.Close)
			route := &enforce.Route{Upstream: "api", Resource: &enforce.ResourceRule{MaxAge: time.Hour}}
			fetch := func(path, want string) {
				t.Helper()
				if m, err := res.FetchEntity(context.Background(), route, path); err != nil || m["owner"] != want {
					t.Errorf("%s: decided on %v, %v, want %s", path, m, err, want)
				}
			}
			fetch("/d/1", "usr_a")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			written := make(chan error, 1)
			go func() {
				req, _ := http.NewRequestWithContext(ctx, "PUT", srv.URL+"/d/1", nil)
				res, err := http.DefaultClient.Do(req)
				if err == nil {
					t.Cleanup(func() { _ = res.Body.Close() })
				}
				written <- err
			}()
			<-begun
			fetch("/d/1", "usr_a") // and this is kept
			// Another one is asked for now, and arrives after the write.
			holding.Store(true)
			late := make(chan struct{})
			go func() { fetch("/d/1/held", "usr_a"); close(late) }()
			<-during
			close(commit)
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			fetch("/d/1", "usr_b")
			close(hold)
			<-late
			fetch("/d/1/held", "usr_b")
		})
	}
}

func TestAsserterReuse(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	key := ring{}
	a, err := gateway.NewAsserter(gateway.AsserterConfig{Keys: &key, Issuer: func(string) string { return "https://auth.example" },
		Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	key = newRing(t)
	assert := func(p *gatehouse.Principal, aud string) string {
		t.Helper()
		s, err := a.Assert(p, aud)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := assert(alice, "api")
	again := *alice // another value that says the same
	if assert(&again, "api") != first {
		t.Error("signed twice for the same")
	}
	fewer := *alice
	fewer.Scopes = []string{"read"}
	sent := *alice
	sent.Act = &gatehouse.Act{Subject: "cli_b", Act: &gatehouse.Act{Subject: "cli_a"}}
	acted := assert(&sent, "api")
	if u, err := token.Peek(acted); err != nil || !strings.Contains(string(u.Claims), `"act":{"sub":"cli_b","act":{"sub":"cli_a"}}`) {
		t.Errorf("%s %v", u.Claims, err)
	}
	may := *alice
	may.Details = `[{"type":"payment","amount":"1.00"}]`
	detailed := assert(&may, "api")
	if u, err := token.Peek(detailed); err != nil || !strings.Contains(string(u.Claims), `,"authorization_details":[{"type":"payment","amount":"1.00"}]`) {
		t.Errorf("%s %v", u.Claims, err)
	}
	for name, other := range map[string]string{"audience": assert(alice, "other"), "scopes": assert(&fewer, "api"), "actor": acted, "detail": detailed} {
		if other == first {
			t.Errorf("another %s, the same assertion", name)
		}
	}
	now = now.Add(14 * time.Second)
	if assert(alice, "api") != first {
		t.Error("signed anew too early")
	}
	now = now.Add(time.Second)
	second := assert(alice, "api")
	if second == first {
		t.Error("an assertion was used longer than it may be")
	}
	key = newRing(t)
	if assert(alice, "api") == second {
		t.Error("a key that is active no more still speaks")
	}
	if _, err := a.Assert(&gatehouse.Principal{Realm: "main", Kind: gatehouse.KindAnonymous, ID: "x"}, "api"); err == nil {
		t.Error("asserted nobody")
	}
	if _, err := a.Assert(alice, ""); err == nil {
		t.Error("asserted to nobody")
	}
}
