package server_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/store"
)

const checkedConfig = `issuer: http://127.0.0.1:0
data: data
listen:
  auth: {address: "127.0.0.1:0"}
  gateway: {address: "127.0.0.1:0"}
upstreams:
  api: {url: "http://127.0.0.1:3000"}
routes:
  - match: GET /a
    authenticated: true
`

// house is a directory with a configuration and a master key.
type house struct {
	t    *testing.T
	dir  string
	path string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{t, dir, filepath.Join(dir, "gatehouse.yaml")}
	h.write("gatehouse.yaml", checkedConfig)
	if err := server.GenerateMasterKey(h.at("data/master.key")); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) at(name string) string { return filepath.Join(h.dir, name) }

func (h *house) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(h.at(name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// change replaces a text of the configuration.
func (h *house) change(from, to string) {
	h.t.Helper()
	b, err := os.ReadFile(h.path)
	if err != nil || !strings.Contains(string(b), from) {
		h.t.Fatalf("%v: the case changes nothing: %s", err, from)
	}
	h.write("gatehouse.yaml", strings.Replace(string(b), from, to, 1))
}

func (h *house) check() (server.Checked, error) {
	return server.CheckConfig(context.Background(), h.path, nil)
}

// serve starts a server as the command does, and ends it.
func (h *house) serve() error {
	cfg, err := server.LoadToStart(context.Background(), h.path, nil)
	if err != nil {
		return err
	}
	cfg.Log.Level = "error"
	s, err := server.New(context.Background(), cfg)
	if err == nil {
		s.Close(context.Background())
	}
	return err
}

// database opens what a start has made, runs a statement or more, and lets it go.
func (h *house) database(statements ...string) {
	h.t.Helper()
	if err := h.serve(); err != nil {
		h.t.Fatal(err)
	}
	db, err := sql.Open("sqlite", h.at("data/gatehouse.db"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			h.t.Fatal(err)
		}
	}
}

// files are what stands in the house, with sizes and times.
func (h *house) files() string {
	h.t.Helper()
	var b strings.Builder
	err := filepath.Walk(h.dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			b.WriteString(strings.Join([]string{path, info.Mode().String(), info.ModTime().String(), "\n"}, " "))
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return b.String()
}

// TestCheckRefusesAsStart: what a start refuses a check refuses, in the same words, and
// the other way round; a check changes nothing.
func TestCheckRefusesAsStart(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(h *house)
		want  []string // "" for a good one
	}{
		"good":                    {func(*house) {}, nil},
		"good, used":              {func(h *house) { h.database() }, nil},
		"no master key":           {func(h *house) { os.Remove(h.at("data/master.key")) }, []string{"master_key_file: master key: ", "gatehouse init"}},
		"another key":             {func(h *house) { h.database(); newKey(h) }, []string{"master_key_file: is not the key of this database: "}},
		"key of no form":          {func(h *house) { h.write("data/master.key", "hunter2") }, []string{"master_key_file: master key: "}},
		"key for all":             {func(h *house) { os.Chmod(h.at("data/master.key"), 0o644) }, []string{"master_key_file: master key: ", "chmod 600"}},
		"key that is none":        {func(h *house) { os.Remove(h.at("data/master.key")); os.Mkdir(h.at("data/master.key"), 0o700) }, []string{"master_key_file: "}},
		"data is a file":          {func(h *house) { h.change("data: data", "data: gatehouse.yaml\nmaster_key_file: data/master.key") }, []string{":2:1: data: write ", "not a directory"}},
		"data below one":          {func(h *house) { h.change("data: data", "data: gatehouse.yaml/x\nmaster_key_file: data/master.key") }, []string{":2:1: data: ", "not a directory"}},
		"database is a directory": {func(h *house) { os.MkdirAll(h.at("data/gatehouse.db/x"), 0o700) }, []string{"store: ", "is a directory"}},
		"lock is a directory":     {func(h *house) { os.MkdirAll(h.at("data/gatehouse.db.lock"), 0o700) }, []string{"store: ", "is a directory"}},
		"no database":             {func(h *house) { h.write("data/gatehouse.db", strings.Repeat("hunter2 ", 1000)) }, []string{"store: ", "(store_unavailable)", "not a database"}},
		"newer database":          {func(h *house) { h.database(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`) }, []string{"store: ", "(store_newer)", "999"}},
		"moved database":          {func(h *house) { h.database(`INSERT INTO settings (name, value) VALUES ('move.to', '{}')`) }, []string{"store: ", "(store_moved)"}},
		"sealed value":            {func(h *house) { h.database(`UPDATE settings SET value='AAAA' WHERE name='identity.account_key'`) }, []string{"master_key_file: ", "identity.account_key"}},
		"heads":                   {func(h *house) { h.write("data/audit.heads", "{") }, []string{"data: audit: heads of the logs"}},
		"audit in no directory":   {func(h *house) { h.change("data: data", "data: data\naudit: {file: none/audit.log}") }, []string{":3:9: audit.file: ", "none: no such file"}},
		"audit for all": {func(h *house) {
			h.write("audit.log", "")
			os.Chmod(h.at("audit.log"), 0o644)
			h.change("data: data", "data: data\naudit: {file: audit.log}")
		}, []string{"audit.file: audit: others may read"}},
		"audit is a directory": {func(h *house) { h.change("data: data", "data: data\naudit: {file: data}") }, []string{"audit.file: ", "is a directory"}},
		"no certificate": {func(h *house) {
			h.change(`auth: {address: "127.0.0.1:0"`, `auth: {address: "127.0.0.1:0", cert_file: c.pem, key_file: k.pem`)
		}, []string{"listen.auth.cert_file: ", "c.pem: no such file"}},
		"bad certificate": {func(h *house) {
			h.write("c.pem", "x")
			h.write("k.pem", "x")
			h.change(`gateway: {address: "127.0.0.1:0"`, `gateway: {address: "127.0.0.1:0", cert_file: c.pem, key_file: k.pem`)
		}, []string{"listen.gateway.cert_file: "}},
		"listener of no name": {func(h *house) { h.change(`gateway: {address: "127.0.0.1:0"`, `gateway: {address: "name.invalid:0"`) }, []string{"listen.gateway.address: ", "name.invalid"}},
		"the same port": {func(h *house) {
			h.change(`gateway: {address: "127.0.0.1:0"`, `gateway: {address: "127.0.0.1:7"`)
			h.change(`auth: {address: "127.0.0.1:0"`, `auth: {address: "127.0.0.1:7"`)
		}, []string{"listen.gateway.address: listen.auth has this port already"}},
		"CA file": {func(h *house) { h.change(`"http://127.0.0.1:3000"`, `"https://127.0.0.1:3000", ca_file: ca.pem`) }, []string{":7:", "upstreams.api.ca_file: ", "no such file"}},
		"CA file of nothing": {func(h *house) {
			h.write("ca.pem", "x")
			h.change(`"http://127.0.0.1:3000"`, `"https://127.0.0.1:3000", ca_file: ca.pem`)
		}, []string{"upstreams.api.ca_file: ", "holds no certificate"}},
		"CA file of the limits": {func(h *house) {
			h.change("data: data", "data: data\nlimits: {redis: {url: 'rediss://127.0.0.1:6379', ca_file: ca.pem}}")
		}, []string{":3:", "limits.redis.ca_file: ", "no such file"}},
		"no list of breached passwords": {func(h *house) { h.change("data: data", "data: data\npasswords: {breached_file: none}") },
			[]string{":3:", "passwords.breached_file: ", "none: no such file"}},
		"damaged list of breached passwords": {func(h *house) {
			h.write("list", strings.Repeat("gatehouse-breach", 1000))
			h.change("data: data", "data: data\npasswords: {breached_file: list}")
		}, []string{"passwords.breached_file: ", "breached build"}},
		"certificate for the limits": {func(h *house) {
			h.change("data: data", "data: data\nlimits: {redis: {url: 'rediss://127.0.0.1:6379', cert_file: c.pem, key_file: k.pem}}")
		}, []string{":3:", "limits.redis.cert_file: ", "no such file"}},
		"CA file without TLS": {func(h *house) {
			h.write("ca.pem", "x")
			h.change(`"http://127.0.0.1:3000"`, `"http://127.0.0.1:3000", ca_file: ca.pem`)
		}, []string{"upstreams.api.ca_file: for https:// URLs only"}},
		"upstream port":            {func(h *house) { h.change(`:3000"`, `:99999"`) }, []string{"upstreams.api.url: a port from 1 to 65535"}},
		"upstream port 0":          {func(h *house) { h.change(`:3000"`, `:0"`) }, []string{"upstreams.api.url: a port from 1 to 65535"}},
		"upstream port of letters": {func(h *house) { h.change(`:3000"`, `:http"`) }, []string{"upstreams.api.url: the port is a number"}},
		"upstream without a host":  {func(h *house) { h.change(`127.0.0.1:3000"`, `:3000"`) }, []string{"upstreams.api.url: an absolute"}},
		"http2 over TLS":           {func(h *house) { h.change(`"http://127.0.0.1:3000"`, `"https://127.0.0.1:3000", http2: true`) }, []string{"upstreams.api.http2: for http:// URLs only"}},
		"identity in Host":         {func(h *house) { h.change(`3000"`, `3000", headers: {Host: subject}`) }, []string{"upstreams.api.headers.Host: this header cannot carry identity"}},
		"proxy on a socket":        {func(h *house) { h.change("data: data", "data: data\ntrusted_proxies: [unix]") }, []string{":3:19: trusted_proxies[0]: no listener is a UNIX socket"}},
		"a duration":               {func(h *house) { h.change("authenticated: true", "authenticated: true\n    timeout: 5 minutes") }, []string{"routes[0].timeout: a duration is a number with a unit"}},
		"no YAML":                  {func(h *house) { h.change("data: data", "data: [") }, []string{"gatehouse.yaml:"}},
		"no DSN": {func(h *house) {
			h.change("data: data", "data: data\nstore: {driver: postgres, dsn: \"not a dsn hunter2\"}")
		}, []string{"store: ", "(store_config)"}},
		"nobody there": {func(h *house) {
			h.change("data: data", "data: data\nstore: {driver: postgres, dsn: \"postgres://u:hunter2@127.0.0.1:1/d\"}")
		}, []string{"store: ", "(store_unavailable)"}},
		"everything at once": {func(h *house) {
			os.Remove(h.at("data/master.key"))
			h.write("data/gatehouse.db", "no database, and longer than its head would be: nothing in it means anything to anybody at all......")
			h.change("data: data", "data: data\naudit: {file: none/audit.log, queue: many}")
			h.change(`:3000"`, `:3000", ca_file: ca.pem, plain_headers: maybe`)
		}, []string{"audit.queue: a whole number", "audit.file: ", "master_key_file: ", "store: ", "upstreams.api.ca_file: ", "upstreams.api.plain_headers: true or false"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			tc.spoil(h)
			before := h.files()
			_, checked := h.check()
			if after := h.files(); after != before {
				t.Errorf("the check changed files:\n%s\nwere\n%s", after, before)
			}
			served := h.serve()
			if (checked == nil) != (len(tc.want) == 0) || (served == nil) != (checked == nil) {
				t.Fatalf("check: %v\nstart: %v", checked, served)
			}
			if checked == nil {
				return
			}
			if checked.Error() != served.Error() {
				t.Errorf("check: %v\nstart: %v", checked, served)
			}
			for _, want := range tc.want {
				if !strings.Contains(checked.Error(), want) {
					t.Errorf("%q is not told:\n%v", want, checked)
				}
			}
			if strings.Contains(checked.Error(), "hunter2") {
				t.Errorf("shows a value: %v", checked)
			}
		})
	}
}

func newKey(h *house) {
	os.Remove(h.at("data/master.key"))
	if err := server.GenerateMasterKey(h.at("data/master.key")); err != nil {
		h.t.Fatal(err)
	}
}

// TestCheckBesideServer: a check reads the database of a server that runs, with what was
// written a moment ago, and the server goes on.
func TestCheckBesideServer(t *testing.T) {
	h := newHouse(t)
	h.change("    authenticated: true", "    roles: [bos]\n    scopes: [users:raed]\n  - {match: /b, authenticated: true, realm: mian}\n  - {match: /c, any_of: [{scopes: [write]}, {scopes: [nothing]}]}\n  - {match: /d, closed: true, realm: nowhere}")
	cfg, err := server.LoadConfig(h.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log.Level = "error"
	s, err := server.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A new realm has none of its own yet: they may be still to be made.
	got, err := h.check()
	if err != nil || len(got.Warnings) < 4 || !strings.Contains(got.Database, "schema version") {
		t.Fatalf("%+v %v", got, err)
	}
	for _, want := range []string{`routes[0].roles[0]: realm main has no role "bos"`, `routes[1].realm: there is no realm "mian"; did you mean main?`} {
		if !strings.Contains(strings.Join(got.Warnings, "\n"), want) {
			t.Errorf("%s is not warned of: %q", want, got.Warnings)
		}
	}
	err = server.Database(s).Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		now := time.Now()
		main, err := tx.Realm(ctx, gatehouse.MainRealm)
		if err != nil {
			return err
		}
		main.Settings.Scopes = map[string]string{"users:read": "Read users", "write": "Write"}
		if err := tx.UpdateRealm(ctx, main); err != nil {
			return err
		}
		if err := tx.PutRole(ctx, policy.Role{Realm: "main", Name: "boss", UpdatedAt: now}); err != nil {
			return err
		}
		return tx.InsertRealm(ctx, gatehouse.Realm{Name: "other", CreatedAt: now, UpdatedAt: now})
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.check()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`:10:13: routes[0].roles[0]: realm main has no role "bos"; did you mean boss?`,
		`:11:14: routes[0].scopes[0]: realm main has no scope "users:raed"; did you mean users:read?`,
		`routes[1].realm: there is no realm "mian"; did you mean main?`,
		`routes[2].any_of[1].scopes[0]: realm main has no scope "nothing"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not told: %v", want, err)
		}
	}
	if strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("tells more: %v", err)
	}
	h.change("[bos]", "[boss, "+policy.RoleAdmin+"]")
	h.change("users:raed", "users:read")
	h.change("mian", "other")
	h.change("nothing", "users:read")
	if got, err := h.check(); err != nil || len(got.Warnings) != 0 {
		t.Errorf("%+v %v", got, err)
	}
}

// TestCheckPostgres: the same of a database on PostgreSQL, also while a server has it.
func TestCheckPostgres(t *testing.T) {
	h := newHouse(t)
	h.change("data: data", "data: data\nstore: {driver: postgres, dsn: \""+postgresStore(t).DSN+"\"}")
	for range 2 { // not made yet, and made
		if _, err := h.check(); err != nil {
			t.Fatal(err)
		}
		cfg, err := server.LoadConfig(h.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Log.Level = "error"
		s, err := server.New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.check()
		s.Close(context.Background())
		if err != nil || !strings.Contains(got.Database, "schema version") {
			t.Fatalf("beside a server: %+v %v", got, err)
		}
	}
	newKey(h)
	_, checked := h.check()
	served := h.serve()
	if checked == nil || served == nil || checked.Error() != served.Error() || !strings.Contains(checked.Error(), "is not the key of this database") {
		t.Errorf("check: %v\nstart: %v", checked, served)
	}
}
