package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestDatabaseSetBackUnderNodes: the files of the database are those of before, under nodes that
// run. Each of them loads everything anew, alarms, and signs nothing more for the log, which
// therefore has one root for each size; who kept a checkpoint sees what is missing. Once an
// operator has said to each node that it was he, the log goes on, says so, and verifies, and
// whoever holds a checkpoint of what is gone can tell.
func TestDatabaseSetBackUnderNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, for long; runs without -short")
	}
	postgresStore(t) // or skips
	own, err := testpg.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Stop)
	d := demoOn(t, server.StoreConfig{Driver: "postgres", DSN: own.DSN(t)})
	d.StopServer(t.Context())
	cfgs, homes := make([]server.Config, 2), []string{t.TempDir(), t.TempDir()}
	start := func() (nodes []*server.Server) {
		t.Helper()
		for i := range cfgs {
			s, err := d.Another(t.Context(), homes[i], func(c *server.Config) { cfgs[i] = *c })
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, s)
		}
		return nodes
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	nodes := start()
	t.Cleanup(func() {
		for _, s := range nodes {
			s.Close(over)
		}
	})
	everywhere := func(what string, is func(s *server.Server) bool) {
		t.Helper()
		for _, s := range nodes {
			testwait.Until(t, soon, what, func() bool { return is(s) })
		}
	}
	restart := func(meanwhile func() error) {
		t.Helper()
		if err := errors.Join(own.Down(), meanwhile(), own.Up()); err != nil {
			t.Fatal(err)
		}
	}
	ready := func(status int) func(*server.Server) bool {
		return func(s *server.Server) bool { return call(t, "GET", s.MetricsURL()+"/readyz").status == status }
	}
	key := d.Users["alice"].APIKey
	asks := func(status int) func(*server.Server) bool {
		return func(s *server.Server) bool {
			return call(t, "GET", s.GatewayURL()+"/private", "bearer", key).status == status
		}
	}
	admin := []string{"bearer", d.AdminToken}
	manage := func(method, path string, more ...string) answer {
		t.Helper()
		return call(t, method, nodes[0].AuthURL()+"/admin/v1/realms/main"+path, append(more, admin...)...)
	}
	newest := func() string { // the newest checkpoint
		t.Helper()
		note, _ := manage("GET", "/audit/checkpoint").want(t, "the checkpoint", 200).json["note"].(string)
		return note
	}
	saved := func(note string) (ok bool, problems string) {
		t.Helper()
		body, err := json.Marshal(map[string]any{"checkpoints": []string{note}})
		if err != nil {
			t.Fatal(err)
		}
		got := manage("POST", "/audit/verify", "body", string(body)).want(t, "verify", 200)
		ok, _ = got.json["ok"].(bool)
		return ok, got.body
	}
	sequenced := func() {
		t.Helper()
		testwait.Outlast(2500 * time.Millisecond) // two rounds of the sequencer
		testwait.Until(t, soon, "all know the end of the log", func() bool {
			return metric(t, nodes[0], "gatehouse_audit_log_events") == metric(t, nodes[1], "gatehouse_audit_log_events")
		})
	}

	everywhere("a node answers", asks(200))
	sequenced()
	kept := newest()
	var back func() error
	restart(func() (err error) { back, err = own.Keep(); return err })
	everywhere("ready after a restart", ready(200))
	manage("PUT", "/policies/nobody", "body", `{"text":"forbid(principal, action, resource);"}`).want(t, "a policy", 200)
	everywhere("everything is forbidden", asks(403))
	sequenced()
	gone := newest()
	if ok, problems := saved(gone); !ok || gone == kept {
		t.Fatalf("before anything is lost: %s", problems)
	}

	restart(func() error { return back() })
	everywhere("the policy is forgotten", asks(200))
	everywhere("the metric tells", func(s *server.Server) bool { return metric(t, s, "gatehouse_audit_broken_logs") == "1" })
	everywhere("not ready", ready(503))
	testwait.Until(t, soon, "each node records it", func() bool {
		items, _ := manage("GET", "/audit/events?kind=audit.broken").json["items"].([]any)
		return len(items) == 2
	})
	before := newest()
	manage("PUT", "/policies/again", "body", `{"text":"forbid(principal, action, resource) when {false};"}`).want(t, "a change", 200)
	testwait.Outlast(3 * time.Second)
	if now := newest(); now != before {
		t.Errorf("a checkpoint was signed for the log that went back: %s after %s", now, before)
	}
	if ok, problems := saved(gone); ok || !strings.Contains(problems, "log_truncated") {
		t.Errorf("who has the checkpoint of what is gone is told %s", problems)
	}

	for _, s := range nodes {
		s.Close(over)
	}
	for i := range cfgs {
		if _, err := server.RestoreInPlace(t.Context(), cfgs[i]); err != nil {
			t.Fatal(err)
		}
	}
	nodes = start()
	everywhere("ready again", ready(200))
	testwait.Until(t, soon, "the log goes on", func() bool { return newest() != before })
	sequenced()
	if ok, problems := saved(kept); !ok {
		t.Errorf("what was not lost: %s", problems)
	}
	if ok, problems := saved(gone); ok {
		t.Errorf("who has the checkpoint of what is gone is told %s", problems)
	}
	if text := manage("GET", "/audit/events?kind=backup.restore").want(t, "the restore", 200).body; !strings.Contains(text, "replaced_head") {
		t.Errorf("recorded: %s", text)
	}
	everywhere("the log is not broken", func(s *server.Server) bool { return metric(t, s, "gatehouse_audit_broken_logs") == "0" })
}
