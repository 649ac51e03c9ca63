package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestFloodOfRefusals: twenty thousand requests of somebody without a credential, over
// real sockets, in every way that is refused, leave a few kilobytes behind, and every
// one of them is accounted for.
func TestFloodOfRefusals(t *testing.T) {
	if testing.Short() {
		t.Skip("20,000 requests")
	}
	h := newHouse(t)
	h.cfg.Routes = []enforce.Route{{Pattern: "/here", Upstream: "api", Authenticated: true}}
	h.cfg.Upstreams = map[string]gateway.Upstream{"api": {URL: "http://127.0.0.1:1"}}
	h.start()
	key := h.bootstrap()
	h.stop()
	before := h.databaseBytes()
	h.start()
	const all, workers = 20_000, 8
	var wg sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	var example string
	for n := range workers {
		wg.Go(func() {
			for i := range all / workers {
				r, err := http.NewRequestWithContext(t.Context(), "GET", h.s.GatewayURL()+[]string{"/here", "/nowhere/" + strconv.Itoa(i)}[i%2], nil)
				if err != nil {
					t.Error(err)
					return
				}
				switch i % 5 { // each in its own way, with everything in it that a caller can choose
				case 1:
					r.Header.Set("Authorization", fmt.Sprintf("Bearer ghk_live_%d_%d", n, i))
				case 2:
					r.SetBasicAuth("", strconv.Itoa(i))
				case 3:
					r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", n, i/256, i%256))
					r.Header.Set("X-Request-Id", fmt.Sprintf("mine-%d-%d", n, i))
				case 4:
					r.Method, r.Host = "PURGE", fmt.Sprintf("h%d.example", i)
				}
				res, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode < 400 || res.StatusCode > 499 {
					t.Errorf("%d", res.StatusCode)
				}
				if n == 0 && i == all/workers-1 {
					example = res.Header.Get("X-Request-Id")
				}
			}
		})
	}
	wg.Wait()
	out := h.want("explain", "GET", "/admin/v1/realms/main/explain/"+example, key, "", 200)
	if events, _ := out["events"].([]any); out["counted"] != true || len(events) == 0 {
		t.Errorf("a request that was counted is explained by %v", out)
	}
	h.stop()
	if grown := h.databaseBytes() - before; grown > 100<<10 {
		t.Errorf("the database grew by %d bytes", grown)
	} else {
		t.Logf("the database grew by %d bytes", grown)
	}
	db, err := store.Open(t.Context(), storeConfig(h.cfg, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	batches, err := db.Batches(context.Background(), gatehouse.MainRealm, audit.BatchQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	single, counted := 0, 0
	for _, b := range batches {
		events, err := audit.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			n, _ := strconv.Atoi(e.Detail["count"])
			switch {
			case e.Kind == audit.KindAuditCounted && e.Detail["kind"] == audit.KindRequestDecide:
				counted += n
			case e.Kind == audit.KindRequestDecide:
				single++
			}
		}
	}
	if single+counted != all || single > 600 { // a minute may end meanwhile
		t.Errorf("%d events and %d counted of %d", single, counted, all)
	}
}

// databaseBytes is the size of the database while nobody uses it.
func (h *house) databaseBytes() (n int64) {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.cfg.Data, "gatehouse.db*"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			h.t.Fatal(err)
		}
		n += st.Size()
	}
	return n
}
