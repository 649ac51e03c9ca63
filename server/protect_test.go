package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server"
)

// TestProtectPinsNothingBeforeItRuns: a start that fails, say because a port is in
// use, leaves no file whose flags would count at the next one.
func TestProtectPinsNothingBeforeItRuns(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "data")
	o := server.ProtectOptions{Upstream: "http://127.0.0.1:3000", Data: dir, Listen: "127.0.0.1:18080", Gateway: "127.0.0.1:18081"}
	p, err := server.PrepareProtect(ctx, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.Path); !os.IsNotExist(err) {
		t.Errorf("written before it ran: %v", err)
	}
	o.Listen = "127.0.0.1:28080" // the other one was in use
	if p, err = server.PrepareProtect(ctx, o, nil); err != nil {
		t.Fatal(err)
	}
	if p.Config.Listen.Auth.Address != o.Listen || filepath.Dir(p.Config.MasterKeyFile) != dir {
		t.Errorf("%+v", p.Config.Listen)
	}
	if err := p.Keep(); err != nil {
		t.Fatal(err)
	}

	// Once it has run, the file counts, and flags that say something else are told.
	given := server.ProtectOptions{Listen: "127.0.0.1:38080", Gateway: o.Gateway, OpenAPI: "other.yaml"}
	if p, err = server.PrepareProtect(ctx, o, nil); err != nil || p.Config.Listen.Auth.Address != "127.0.0.1:28080" {
		t.Fatalf("%v %+v", err, p.Config.Listen)
	}
	told := strings.Join(p.Differences(given), "\n")
	if !strings.Contains(told, "127.0.0.1:38080 has no effect") || !strings.Contains(told, "other.yaml is not read again") || strings.Contains(told, "--gateway") {
		t.Errorf("told: %s", told)
	}
	o.Upstream = "http://127.0.0.1:4000"
	if _, err = server.PrepareProtect(ctx, o, nil); err == nil || !strings.Contains(err.Error(), "protects http://127.0.0.1:3000") {
		t.Errorf("another API: %v", err)
	}
}

// TestProtectReadsAnAddress: the document may be where the API serves it.
func TestProtectReadsAnAddress(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/openapi.json" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"openapi":"3.1.0","paths":{"/a":{"get":{"security":[]}}}}`))
	}))
	defer api.Close()
	got, err := server.ReadOpenAPI(context.Background(), api.URL+"/openapi.json")
	if err != nil || len(got.Routes) != 1 || !got.Routes[0].Anonymous || got.Routes[0].Upstream != "api" {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := server.ReadOpenAPI(context.Background(), api.URL+"/none"); err == nil {
		t.Errorf("%+v", got)
	}
	if got, err := server.ReadOpenAPI(context.Background(), filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Errorf("%+v", got)
	}
}
