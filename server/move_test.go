package server_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/store"
)

// installation is a server on a directory that can be stopped and started.
type installation struct {
	cfg server.Config
	s   *server.Server
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	path, err := server.InitConfig(t.TempDir(), "http://127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := server.LoadConfig(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log.Level, cfg.Listen.Metrics.Address = "error", "127.0.0.1:0"
	i := &installation{cfg: cfg}
	t.Cleanup(i.stop)
	return i
}

func (i *installation) start(t *testing.T) {
	t.Helper()
	s, err := server.New(t.Context(), i.cfg)
	if err != nil {
		t.Fatal(err)
	}
	i.s = s
	// The issuer stays what it was, or no token of before would be good anyway.
	i.cfg.Issuer, i.cfg.Listen.Auth.Address = s.Issuer(), strings.TrimPrefix(s.AuthURL(), "http://")
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (i *installation) stop() {
	if i.s != nil {
		i.s.Close(context.Background())
		i.s = nil
	}
}

func (i *installation) want(t *testing.T, what string, status int, method, path, token string, opts ...string) map[string]any {
	t.Helper()
	if token != "" {
		opts = append(opts, "Authorization", "Bearer "+token)
	}
	a := call(t, method, i.s.AuthURL()+path, append(opts, "Content-Type", "application/json")...)
	if a.status != status {
		t.Fatalf("%s: %d %s, want %d", what, a.status, a.body, status)
	}
	return a.json
}

// TestMove serves an installation from SQLite, moves it to PostgreSQL, serves it from
// there, moves it to SQLite in another directory, and serves it from there. Nothing
// ends by it: keys, tokens and logins go on, what was revoked stays revoked, and the log
// goes on behind what was signed before. What was moved away from is not served again.
func TestMove(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, for long; runs without -short")
	}
	postgres := postgresStore(t)
	const password = "seven owls over a wet harbour"
	i := newInstallation(t)
	i.start(t)
	admin, err := i.s.FirstAdministrator(t.Context(), "root")
	if err != nil {
		t.Fatal(err)
	}
	root := admin.Reveal()
	const realm = "/admin/v1/realms/main"
	i.want(t, "user", 201, "POST", realm+"/users", root, "body", fmt.Sprintf(`{"username":"ann","password":%q}`, password))
	i.want(t, "other realm", 201, "POST", "/admin/v1/realms", root, "body", `{"name":"shop"}`)
	i.want(t, "user in it", 201, "POST", "/admin/v1/realms/shop/users", root, "body", `{"username":"ben"}`)
	login := func() (access, refresh string) {
		out := i.want(t, "login", 200, "POST", "/tokens", "", "basic", "ann:"+password)
		access, _ = out["access_token"].(string)
		refresh, _ = out["refresh_token"].(string)
		return access, refresh
	}
	key := func() (id, text string) {
		out := i.want(t, "key", 201, "POST", realm+"/keys", root, "body", `{"name":"k","owner":"root","scopes":["*"]}`)
		text, _ = out["text"].(string)
		k, _ := out["key"].(map[string]any)
		id, _ = k["id"].(string)
		return id, text
	}
	access, refresh := login()
	revoked, _ := login()
	i.want(t, "logout", 204, "DELETE", "/tokens", revoked)
	id, deadKey := key()
	_, goodKey := key()
	i.want(t, "revoke", 200, "POST", realm+"/keys/"+id+"/revoke", root, "body", `{}`)
	checkpoint := i.want(t, "checkpoint", 200, "GET", realm+"/audit/checkpoint", root)
	note, _ := checkpoint["note"].(string)

	good := func(stage string) {
		i.want(t, "a token "+stage, 200, "GET", "/admin/v1/me", access)
		i.want(t, "a key "+stage, 200, "GET", "/admin/v1/me", goodKey)
		i.want(t, "a revoked token "+stage, 401, "GET", "/admin/v1/me", revoked)
		i.want(t, "a revoked key "+stage, 401, "GET", "/admin/v1/me", deadKey)
		i.want(t, "a password "+stage, 200, "POST", "/tokens", "", "basic", "ann:"+password)
		out := i.want(t, "a login is renewed "+stage, 200, "POST", "/tokens/refresh", "", "body", fmt.Sprintf(`{"refresh_token":%q}`, refresh))
		access, _ = out["access_token"].(string)
		refresh, _ = out["refresh_token"].(string)
		for _, r := range []string{"main", "shop"} {
			saved := []string{}
			if r == "main" {
				saved = append(saved, note)
			}
			body, err := json.Marshal(map[string]any{"checkpoints": saved})
			if err != nil {
				t.Fatal(err)
			}
			out = i.want(t, "verify "+stage, 200, "POST", "/admin/v1/realms/"+r+"/audit/verify", root, "body", string(body))
			if ok, _ := out["ok"].(bool); !ok {
				t.Errorf("the log of %s does not verify %s: %v", r, stage, out)
			}
		}
		if a := call(t, "GET", i.s.MetricsURL()+"/readyz"); a.status != 200 {
			t.Errorf("not ready %s: %s", stage, a.body)
		}
	}
	good("before")

	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	for n, to := range []server.MoveOptions{{To: postgres}, {To: server.StoreConfig{Driver: "sqlite"}, Data: elsewhere}} {
		if _, err := server.Move(t.Context(), i.cfg, to); gatehouse.CodeOf(err) != "store_locked" {
			t.Fatalf("moved while a server runs: %v", err)
		}
		i.stop()
		var tables []store.Copied
		to.Copied = func(c store.Copied) { tables = append(tables, c) }
		moved, err := server.Move(t.Context(), i.cfg, to)
		if err != nil || len(tables) != len(moved.Tables) || len(tables) < 20 {
			t.Fatalf("%+v, %v", moved, err)
		}
		if strings.Contains(fmt.Sprint(moved), postgres.DSN) {
			t.Errorf("the connection string is told: %+v", moved)
		}
		if _, err := server.New(t.Context(), i.cfg); gatehouse.CodeOf(err) != "store_moved" {
			t.Fatalf("what was moved away from is served: %v", err)
		}
		i.cfg.Store.Driver, i.cfg.Store.DSN = to.To.Driver, to.To.DSN
		if to.Data != "" {
			i.cfg.Data = to.Data
			if _, err := os.Stat(filepath.Join(elsewhere, "master.key")); err == nil {
				t.Error("the master key was copied beside the database")
			}
		}
		i.start(t)
		good("after a move to " + to.To.Driver)
		out := i.want(t, "events", 200, "GET", realm+"/audit/events?kind=store.move", root)
		items, _ := out["items"].([]any)
		if len(items) != n+1 {
			t.Errorf("%d moves are recorded, not %d", len(items), n+1)
		}
		out = i.want(t, "ended", 200, "GET", realm+"/audit/events?kind=grant.end", root)
		if items, _ := out["items"].([]any); len(items) != 1 {
			t.Errorf("%d logins were ended, not the one that logged out", len(items))
		}
	}
}

// TestMoveKeepsABrokenLogWhereItIs: a log that does not verify is not carried into a
// database in which nobody knows what it was.
func TestMoveKeepsABrokenLogWhereItIs(t *testing.T) {
	server.InOrder(t)
	i := newInstallation(t)
	i.start(t)
	if _, err := i.s.FirstAdministrator(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	i.stop()
	data := filepath.Join(t.TempDir(), "next")
	db, err := sql.Open("sqlite", filepath.Join(i.cfg.Data, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	changed, err := db.ExecContext(t.Context(), `UPDATE audit_batches SET data=CAST(replace(CAST(data AS TEXT),'"admin.bootstrap"','"admin.bootstrop"') AS BLOB)
		WHERE coding=0 AND instr(CAST(data AS TEXT),'"admin.bootstrap"')>0`)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := changed.RowsAffected(); n == 0 {
		t.Fatalf("nothing was altered: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = server.Move(t.Context(), i.cfg, server.MoveOptions{To: server.StoreConfig{Driver: "sqlite"}, Data: data})
	if err == nil || !strings.Contains(err.Error(), "line_altered") {
		t.Errorf("it moved: %v", err)
	}
	i.start(t) // as before
}

// TestMoveNeedsTheMasterKey: who has the database alone gets no installation by it.
func TestMoveNeedsTheMasterKey(t *testing.T) {
	i := newInstallation(t)
	i.start(t)
	i.stop()
	other := i.cfg
	other.MasterKeyFile = filepath.Join(t.TempDir(), "other.key")
	if err := server.GenerateMasterKey(other.MasterKeyFile); err != nil {
		t.Fatal(err)
	}
	_, err := server.Move(t.Context(), other, server.MoveOptions{To: server.StoreConfig{Driver: "sqlite"}, Data: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "the master key is not the one of this database") {
		t.Errorf("%v", err)
	}
	i.start(t)
}
