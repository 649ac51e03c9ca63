//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestHangup: SIGHUP reads the routes anew, opens the rotated file of the audit log,
// keeps what was in force when the file is wrong, and ends nothing.
func TestHangup(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer api.Close()
	dir := t.TempDir()
	record := filepath.Join(dir, "audit.log")
	path := filepath.Join(dir, "gatehouse.yaml")
	write := func(routes string) {
		more := "" // what the routes name besides
		if strings.Contains(routes, "upstream: other") {
			more = ", other: {url: \"http://127.0.0.1:9\"}"
		}
		t.Helper()
		text := fmt.Sprintf("issuer: http://127.0.0.1:8080\ndata: data\nlisten: {auth: {address: \"127.0.0.1:0\"}, gateway: {address: \"127.0.0.1:0\"}}\n"+
			"upstreams: {api: {url: %q}%s}\naudit: {file: %q}\nlog: {level: error}\nroutes:\n%s", api.URL, more, record, routes)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("  - {match: GET /a, anonymous: true, upstream: api}\n")
	if err := server.GenerateMasterKey(filepath.Join(dir, "data", "master.key")); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	out, say := io.Pipe()
	ended := make(chan int, 1)
	var complaints strings.Builder
	go func() {
		ended <- run(ctx, []string{"gatehouse", "--json", "serve", "--config", path}, nil, say, &complaints, nil)
		say.Close()
	}()
	defer func() { stop(); <-ended }()
	var ready struct{ Gateway string }
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		t.Fatalf("%v: %s", err, complaints.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	status := func() int {
		resp, err := http.Get(ready.Gateway + "/a")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	hangup := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	reloads := func(file, outcome string) func() bool {
		return func() bool {
			text, _ := os.ReadFile(file)
			for e := range strings.Lines(string(text)) {
				if strings.Contains(e, `"config.reload"`) && strings.Contains(e, outcome) {
					return true
				}
			}
			return false
		}
	}
	if got := status(); got != 200 {
		t.Fatalf("before: %d", got)
	}

	write("  - {match: GET /a, authenticated: true, upstream: api}\n")
	if err := os.Rename(record, record+".1"); err != nil {
		t.Fatal(err)
	}
	hangup()
	testwait.Until(t, 10*time.Second, "the new routes are in force", func() bool { return status() == 401 })
	testwait.Until(t, 10*time.Second, "the reload is in the new file", reloads(record, `"success"`))

	// Each of these is wrong, and changes nothing.
	for name, routes := range map[string]string{
		"unknown key":    "  - {match: GET /a, anonymus: true}\n",
		"no route":       "  - {match: GET /a}\n",
		"a new upstream": "  - {match: GET /a, anonymous: true, upstream: other}\n",
	} {
		write(routes)
		if err := os.Rename(record, record+"."+strings.ReplaceAll(name, " ", "-")); err != nil {
			t.Fatal(err)
		}
		hangup()
		testwait.Until(t, 10*time.Second, name+" is refused", reloads(record, `"error"`))
		if got := status(); got != 401 {
			t.Errorf("%s: %d", name, got)
		}
	}
	select {
	case code := <-ended:
		t.Errorf("it ended with %d: %s", code, complaints.String())
		ended <- code
	default:
	}
}
