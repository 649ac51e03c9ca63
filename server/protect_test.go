package server_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/openapi"
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

// TestProtectRefusesAddresses: the operator names the address, and what it leads to is
// guarded as every other; what may be secret in it is not told.
func TestProtectRefusesAddresses(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /moved", http.RedirectHandler("/openapi.json", http.StatusFound))
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte("#"), openapi.MaxBytes+1))
	})
	mux.HandleFunc("GET /bad", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("swagger: '2.0'")) })
	api := httptest.NewServer(mux)
	defer api.Close()
	for place, says := range map[string]string{
		api.URL + "/none?key=s3cret":                               "404",
		api.URL + "/moved?key=s3cret":                              "302",
		api.URL + "/bad?key=s3cret":                                "only OpenAPI",
		api.URL + "/large":                                         "too large",
		"http://169.254.169.254/latest?key=s3cret":                 "may not be reached",
		"http://192.0.2.1/openapi.json?key=s3cret":                 "may not be reached",
		strings.Replace(api.URL, "http://", "http://u:s3cret@", 1): "credentials in the address",
		"ftp://127.0.0.1/openapi.yaml":                             "no such file",
	} {
		_, err := server.ReadOpenAPI(t.Context(), place)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", place, err)
		}
	}
}

// TestProtectedRoutesAreThoseOfTheDocument: what is written for later starts says what
// the document says, and the path to try is one that the first key can call.
func TestProtectedRoutesAreThoseOfTheDocument(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "api.yaml")
	if err := os.WriteFile(doc, []byte(`openapi: 3.1.0
security: [{login: [users:read]}]
paths:
  /a: {get: {}}
  /users: {get: {security: [{login: [users:read]}, {key: []}]}}
  /users/{id}.json: {get: {}}
  /users/{id}: {delete: {security: [{tls: []}]}}
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Tenant-Key}
    tls: {type: mutualTLS}
    login: {type: oauth2, flows: {clientCredentials: {tokenUrl: /t, scopes: {users:read: Read users}}}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	o := server.ProtectOptions{Upstream: "http://127.0.0.1:3000", OpenAPI: doc, Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:18080", Gateway: "127.0.0.1:18081"}
	p, err := server.PrepareProtect(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Keep(); err != nil {
		t.Fatal(err)
	}
	later, err := server.PrepareProtect(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(p.API.Routes)
	for i := range want {
		want[i].Environment = gatehouse.EnvironmentLive // a default that is filled in
	}
	if diff := cmp.Diff(want, later.Config.Routes); diff != "" || len(want) != 4 {
		t.Error(diff)
	}
	if p.TryPath() != "/users" {
		t.Errorf("to try: %s", p.TryPath())
	}
}
