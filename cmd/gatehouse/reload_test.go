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

// TestConfigReload: `gatehouse config reload` tells what changed, what waits for a restart,
// and what is wrong with which line, each with its exit code; it takes an administrator.
func TestConfigReload(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer api.Close()
	ctx, stop := context.WithCancel(t.Context())
	out, say := io.Pipe()
	ended := make(chan int, 1)
	var complaints strings.Builder
	data := t.TempDir()
	go func() {
		ended <- run(ctx, []string{"gatehouse", "--json", "protect", api.URL, "--data", data, "--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0"},
			nil, say, &complaints, []string{"GATEHOUSE_LOG_LEVEL=error"})
		say.Close()
	}()
	defer func() { stop(); <-ended }()
	var ready struct {
		Issuer, Gateway, Config string
		Token                   string `json:"admin_token"`
	}
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		t.Fatalf("%v: %s", err, complaints.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	good, err := os.ReadFile(ready.Config)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(text string, code int, want ...string) {
		t.Helper()
		if err := os.WriteFile(ready.Config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var told strings.Builder
		got := run(t.Context(), []string{"gatehouse", "config", "reload"}, nil, &told, &told, []string{"GATEHOUSE_URL=" + ready.Issuer, "GATEHOUSE_TOKEN=" + ready.Token})
		if got != code {
			t.Errorf("exit code %d, want %d", got, code)
		}
		for _, w := range want {
			if !strings.Contains(told.String(), w) {
				t.Errorf("%q is not in\n%s", w, told.String())
			}
		}
	}
	text := string(good)
	reload(text, exitOK, "nothing else is in force than before")
	more := text + "  - {id: shut, match: GET /shut, closed: true}\n"
	reload(more, exitOK, ready.Config+" is in force; changed:", "routes[shut] added")
	if resp, err := http.Get(ready.Gateway + "/shut"); err != nil || resp.StatusCode != 404 {
		t.Errorf("%v %v", resp, err)
	}
	waits := strings.Replace(text, "key_prefix: ghk", "key_prefix: abc", 1)
	if waits == text {
		waits = text + "key_prefix: abc\n"
	}
	reload(waits, exitConflict, "routes[shut] removed", "not in force before a restart:", "key_prefix changed")
	lines := strings.Count(text, "\n")
	reload(text+strings.Repeat("\n", 12)+"rotues: []\nlimts: {}\n", exitUsage, fmt.Sprintf("%s:%d:1: rotues: unknown key; did you mean routes?", ready.Config, lines+13), "(config_refused)")
	reload(text, exitOK, "nothing else is in force than before")

	var told strings.Builder
	if got := run(t.Context(), []string{"gatehouse", "config", "reload"}, nil, &told, &told, []string{"GATEHOUSE_URL=" + ready.Issuer,
		"GATEHOUSE_TOKEN=ghk_live_no"}); got != exitDenied {
		t.Errorf("somebody reloads: %d %s", got, told.String())
	}
}

// TestByNumbers: what is told of a file comes in the order of its lines.
func TestByNumbers(t *testing.T) {
	for _, pair := range [][2]string{{"f:9:1: a", "f:10:1: a"}, {"f:9:2: a", "f:9:10: a"}, {"a", "b"}, {"a", "ab"}, {"f:09", "f:10"}, {"9", "x"}} {
		if byNumbers(pair[0], pair[1]) >= 0 || byNumbers(pair[1], pair[0]) <= 0 || byNumbers(pair[0], pair[0]) != 0 {
			t.Errorf("%q comes before %q", pair[0], pair[1])
		}
	}
}

// TestHangup: SIGHUP reads the configuration anew, opens the rotated file of the audit log,
// keeps what was in force when the file is wrong, and ends nothing.
func TestHangup(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer api.Close()
	dir := t.TempDir()
	record := filepath.Join(dir, "audit.log")
	path := filepath.Join(dir, "gatehouse.yaml")
	write := func(routes string) {
		t.Helper()
		text := fmt.Sprintf("issuer: http://127.0.0.1:8080\ndata: data\nlisten: {auth: {address: \"127.0.0.1:0\"}, gateway: {address: \"127.0.0.1:0\"}}\n"+
			"upstreams: {api: {url: %q}}\naudit: {file: %q}\nlog: {level: error}\nroutes:\n%s", api.URL, record, routes)
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
		"unknown key": "  - {match: GET /a, anonymus: true}\n",
		"no route":    "  - {match: GET /a}\n",
		"no upstream": "  - {match: GET /a, anonymous: true, upstream: other}\n",
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
