package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// TestNodeCommands: `gatehouse node list` shows who works on the database, as text and as
// JSON, and `gatehouse node remove` refuses what is not there.
func TestNodeCommands(t *testing.T) {
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
		Issuer string
		Token  string `json:"admin_token"`
	}
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		t.Fatalf("%v: %s", err, complaints.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	call := func(args ...string) (string, int) {
		var told strings.Builder
		code := run(t.Context(), append([]string{"gatehouse"}, args...), nil, &told, &told, []string{"GATEHOUSE_URL=" + ready.Issuer, "GATEHOUSE_TOKEN=" + ready.Token})
		return told.String(), code
	}
	text, code := call("--json", "node", "list")
	var all []struct {
		ID, State, Host, Version string
		Addresses                map[string]string
		Leases                   []string
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil || code != exitOK || len(all) != 1 {
		t.Fatalf("%v, exit code %d: %s", err, code, text)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if n := all[0]; n.State != "live" || n.Host != host || n.Version == "" || n.Addresses["auth"] != ready.Issuer || n.Addresses["gateway"] == "" {
		t.Errorf("%+v", n)
	}
	text, code = call("node", "list")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if code != exitOK || len(lines) != 2 || !strings.HasPrefix(lines[0], "ID") || !strings.HasPrefix(lines[1], all[0].ID) || !strings.Contains(lines[1], "live, answers") ||
		!strings.Contains(lines[1], ready.Issuer) {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if text, code = call("node", "remove", "node_none"); code != exitNotFound || !strings.Contains(text, "node_not_found") {
		t.Errorf("exit code %d: %s", code, text)
	}
}
