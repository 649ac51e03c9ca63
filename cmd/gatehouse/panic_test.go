package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestPanicCommands: `gatehouse panic` prints what was ended, then the proof, then a signed checkpoint
// that has the event, as text and as JSON; `panic undo` lets the account in again, and what
// nobody may read any more is told to be missing and is no failure.
func TestPanicCommands(t *testing.T) {
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
	call := func(args ...string) (said, told string) {
		t.Helper()
		var stdout, stderr strings.Builder
		if code := run(t.Context(), append([]string{"gatehouse"}, args...), nil, &stdout, &stderr, []string{"GATEHOUSE_URL=" + ready.Issuer, "GATEHOUSE_TOKEN=" + ready.Token}); code != exitOK {
			t.Fatalf("%q: exit code %d: %s%s", args, code, stdout.String(), stderr.String())
		}
		return stdout.String(), stderr.String()
	}
	// has sees that the log of which this is the checkpoint has the event.
	has := func(index int64, note string) {
		t.Helper()
		if lines := strings.Split(note, "\n"); len(lines) < 5 || sizeOf(note) <= index || !strings.HasPrefix(lines[len(lines)-2], "— ") {
			t.Errorf("event %d, and this checkpoint:\n%s", index, note)
		}
	}
	call("user", "create", "mallory", "--service")
	call("realm", "create", "acme")
	key, _ := call("--json", "key", "create", "--owner", "mallory", "--name", "k")
	var made struct{ Key struct{ ID string } }
	if err := json.Unmarshal([]byte(key), &made); err != nil || made.Key.ID == "" {
		t.Fatalf("%v: %s", err, key)
	}
	for _, args := range [][]string{{"key", made.Key.ID}, {"user", "mallory"}, {"user", "mallory"}, {"client", "some-app"}, {"client", "some-app"}, {"realm", "acme"}} {
		said, told := call(append([]string{"panic"}, args...)...)
		m := regexp.MustCompile(`(?s)^proven after \d+ ms: .*\nrecorded as event (\d+) of the log that ends with this checkpoint:\n(.*)$`).FindStringSubmatch(told)
		if said == "" || m == nil {
			t.Fatalf("panic %q: %s%s", args, said, told)
		}
		index, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		has(index, strings.ReplaceAll(m[2], "\n  ", "\n"))
	}
	if said, told := call("panic", "undo", "user", "mallory"); !strings.HasPrefix(said, "mallory is enabled") || !strings.HasPrefix(told, "proven after") {
		t.Errorf("%s%s", said, told)
	}
	_, told := call("--json", "panic", "user", "mallory")
	lines := json.NewDecoder(strings.NewReader(told))
	var proof struct{ Wait struct{ Outcome string } }
	var point struct {
		Event      int64
		Checkpoint string
	}
	if err := lines.Decode(&proof); err != nil || proof.Wait.Outcome != "proven" {
		t.Errorf("%v: %s", err, told)
	}
	if err := lines.Decode(&point); err != nil {
		t.Errorf("%v: %s", err, told)
	}
	has(point.Event, point.Checkpoint)
	if _, told := call("panic", "realm", "main", "--including-me"); !strings.HasPrefix(told, "proven after") || !strings.Contains(told, "no checkpoint has the event yet, or you may not read the log") {
		t.Errorf("%s", told)
	}
}
