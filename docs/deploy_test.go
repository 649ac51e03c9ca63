//go:build unix

package docs_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestUnit does what the systemd unit says: its commands run, nothing is written
// outside of the one directory that it leaves writable, and what systemd knows of
// confinement is used.
//
// ASVS: 13.2.2
func TestUnit(t *testing.T) {
	t.Parallel()
	const unit = "../deploy/systemd/gatehouse.service"
	b, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			settings[name] = append(settings[name], value)
		}
	}
	for name, want := range map[string]string{"User": "gatehouse", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes",
		"ReadWritePaths": "/srv/gatehouse/data", "CapabilityBoundingSet": "", "PrivateTmp": "yes", "MemoryDenyWriteExecute": "yes",
		"RestrictNamespaces": "yes", "LimitCORE": "0", "UMask": "0077"} {
		if got := settings[name]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}

	sh := newShell(t)
	dir := filepath.Join(sh.dir, "srv")
	data := filepath.Join(dir, "data")
	run := func(line string) *exec.Cmd {
		words := strings.Fields(strings.NewReplacer("/usr/bin/gatehouse", sh.program, "/srv/gatehouse", dir).Replace(line))
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		cmd.Dir, cmd.Env = sh.dir, sh.env()
		return cmd
	}
	setUp := regexp.MustCompile(`gatehouse init .*`).FindString(string(b))
	if out, err := run("/usr/bin/" + setUp + " --listen " + sh.auth + " --gateway " + sh.gateway).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", setUp, err, out)
	}
	for _, line := range settings["ExecStartPre"] {
		if out, err := run(line).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	before := filesOutside(t, sh.dir, data)
	serve := run(settings["ExecStart"][0])
	var log strings.Builder
	serve.Stdout, serve.Stderr = &log, &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	up := answers(t, "http://"+sh.auth+"/.well-known/jwks.json")
	_ = serve.Process.Signal(os.Interrupt)
	if err := serve.Wait(); err != nil || !up {
		t.Fatalf("it answered: %v; it ended with %v\n%s", up, err, &log)
	}
	if after := filesOutside(t, sh.dir, data); !slices.Equal(before, after) {
		t.Errorf("written outside of data:\nbefore %q\nafter  %q", before, after)
	}
}

// TestUnitVerified lets systemd itself judge the unit: nothing in it is unknown,
// and what the service may still do is little.
func TestUnitVerified(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("GATEHOUSE_TEST_STRICT") != "" {
			t.Fatal("systemd-analyze is missing")
		}
		t.Skip("systemd-analyze is missing; make test installs it")
	}
	units, err := filepath.Glob("../deploy/systemd/gatehouse*")
	if err != nil || len(units) < 3 {
		t.Fatalf("found only %q: %v", units, err)
	}
	sh := newShell(t)
	for _, unit := range units {
		b, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(sh.dir, filepath.Base(unit)) // verify wants the program to be there
		if err := os.WriteFile(copied, []byte(strings.ReplaceAll(string(b), "/usr/bin/gatehouse", sh.program)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range units {
		copied := filepath.Join(sh.dir, filepath.Base(unit))
		checks := [][]string{{"verify", copied}}
		if filepath.Ext(unit) == ".service" {
			checks = append(checks, []string{"security", "--offline=true", "--threshold=15", copied})
		}
		for _, args := range checks {
			out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
			if err != nil || args[0] == "verify" && len(out) > 0 {
				t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
			}
		}
	}
}

// TestBackupUnit: the backup comes first, and what is then removed are old backups and
// nothing else.
func TestBackupUnit(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../deploy/systemd/gatehouse-backup.service")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindAllStringSubmatch(string(b), -1)
	if len(lines) != 2 || lines[0][1] != "/usr/bin/gatehouse backup" {
		t.Fatalf("it runs %q", lines)
	}
	dir := t.TempDir()
	for name, age := range map[string]int{"old.backup": 20, "young.backup": 3, "old.note": 20} {
		file, when := filepath.Join(dir, name), time.Now().AddDate(0, 0, -age)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
	}
	words := strings.Fields(strings.ReplaceAll(lines[1][1], "/srv/gatehouse/data/backups", dir)) // as systemd: without a shell
	if out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if want := []string{filepath.Join(dir, "old.note"), filepath.Join(dir, "young.backup")}; err != nil || !slices.Equal(left, want) {
		t.Errorf("%q are left, not %q", left, want)
	}
}

// answers polls an address until it gives 200, for as long as a start may take.
func answers(t *testing.T, url string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return true
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// filesOutside lists the files of dir, with size and time, but not those in but.
func filesOutside(t *testing.T, dir, but string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if file == but {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			info, err := d.Info()
			if err != nil {
				return err
			}
			list = append(list, file+" "+info.ModTime().String())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestPostgresRole makes the role of deploy/postgres-role.sql and runs a whole
// Gatehouse as it: the tables are made, and everything that a demo needs is
// stored. What the role has no need of it cannot do.
//
// ASVS: 13.2.2
func TestPostgresRole(t *testing.T) {
	t.Parallel()
	pg, err := testpg.Start()
	if errors.Is(err, testpg.ErrMissing) && os.Getenv("GATEHOUSE_TEST_STRICT") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pg.Stop)
	owner := pg.DSN(t)
	script, err := os.ReadFile("../deploy/postgres-role.sql")
	if err != nil {
		t.Fatal(err)
	}
	admin := connect(t, owner)
	if _, err := admin.Exec(t.Context(), string(script)); err != nil {
		t.Fatal(err)
	}
	role := strings.Replace(owner, "user=postgres", "user=gatehouse", 1)
	demo, err := server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "d"), Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0",
		Store: server.StoreConfig{Driver: "postgres", DSN: role}, Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	defer demo.Close(context.Background())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, demo.Gateway+"/documents", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("alice", demo.Users["alice"].Password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("a call is answered %s", res.Status)
	}

	as := connect(t, role)
	var tables int
	if err := as.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'gatehouse'`).Scan(&tables); err != nil || tables < 10 {
		t.Fatalf("%d tables in its schema: %v", tables, err)
	}
	for _, denied := range []string{`CREATE TABLE public.mine (a INT)`, `CREATE SCHEMA mine`, `CREATE TEMPORARY TABLE mine (a INT)`, `CREATE ROLE mine`,
		`CREATE DATABASE mine`, `SELECT rolpassword FROM pg_authid`, `SELECT pg_read_file('/etc/hostname')`, `ALTER ROLE gatehouse SUPERUSER`,
		`COPY (SELECT 1) TO PROGRAM 'true'`, `SET ROLE postgres`} {
		if _, err := as.Exec(t.Context(), denied); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v", denied, err)
		}
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
