package gateway_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestResolverOnOthers: after a reload, what an API of another address has said is not
// used for the one that has its name now; and a write that began before the reload is
// heeded by requests that began after it.
func TestResolverOnOthers(t *testing.T) {
	owner := func(name string) *gateway.Upstreams {
		var asked atomic.Int64
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"owner":"%s %d"}`, name, asked.Add(1))
		}))
		t.Cleanup(api.Close)
		ups, err := gateway.NewUpstreams([]gateway.Upstream{{Name: "api", URL: api.URL}})
		if err != nil {
			t.Fatal(err)
		}
		return ups
	}
	first, second := owner("first"), owner("second")
	before, err := gateway.NewResolver(gateway.ResolverConfig{Upstreams: first, Asserter: newAsserter(t)})
	if err != nil {
		t.Fatal(err)
	}
	after, again := before.On(second), before.On(second).On(first)
	route := &enforce.Route{Upstream: "api", Realm: "main", Resource: &enforce.ResourceRule{Type: "D", MaxAge: time.Hour}}
	ask := func(r *gateway.Resolver, want string) {
		t.Helper()
		m, err := r.FetchEntity(context.Background(), route, "/d/1")
		if err != nil || m["owner"] != want {
			t.Errorf("%v %v, want %s", m, err, want)
		}
	}
	ask(before, "first 1")
	ask(after, "second 1")
	ask(after, "second 1")
	ask(again, "first 1") // kept over a reload
	before.Forget("api", "/d/1")
	ask(after, "second 2")
	ask(again, "first 2")
}

// TestRenew: upstreams that stay the same keep their connections over a reload; others,
// and those whose CA file may have changed, get new ones.
func TestRenew(t *testing.T) {
	var opened atomic.Int64
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	api.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	api.Start()
	defer api.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	list := []gateway.Upstream{{Name: "api", URL: api.URL}, {Name: "secure", URL: secure.URL, CAFile: ca}}
	ups, err := gateway.NewUpstreams(list)
	if err != nil {
		t.Fatal(err)
	}
	serve := func(ups *gateway.Upstreams) {
		t.Helper()
		p, err := enforce.New(enforce.Config{Authenticator: keyed{world}, Decider: noDecider{}, Recorder: &tape{}, Limiter: limit.New(limit.Config{})})
		if err == nil {
			err = p.SetRoutes([]enforce.Route{{Pattern: "/", Anonymous: true, Upstream: "api"}})
		}
		if err != nil {
			t.Fatal(err)
		}
		g, err := gateway.New(gateway.Config{Enforcer: gateway.Pipeline(p), Upstreams: ups, Asserter: newAsserter(t)})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	serve(ups)
	same, err := ups.Renew(list)
	if err != nil {
		t.Fatal(err)
	}
	ups.CloseBut(same)
	serve(same)
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for an upstream that stayed", n)
	}
	list[0].PlainHeaders = true
	other, err := same.Renew(list)
	if err != nil {
		t.Fatal(err)
	}
	same.CloseBut(other)
	serve(other)
	if n := opened.Load(); n != 2 {
		t.Errorf("%d connections after a change", n)
	}
	if err := os.WriteFile(ca, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Renew(list); err == nil {
		t.Error("a CA file without a certificate was taken")
	}
}
