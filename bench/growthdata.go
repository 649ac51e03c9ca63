package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/store"
)

// million is how much of a thing a full store has.
const million = 1_000_000

// makeTemplate makes a store with the migrations, the keys and one administrator.
func (b *growthBed) makeTemplate(ctx context.Context) error {
	b.template = filepath.Join(b.dir, "template")
	init := exec.CommandContext(ctx, b.binary, "init", b.template, "--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0")
	init.Env = environment()
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("init: %w\n%s", err, out)
	}
	config := filepath.Join(b.template, "gatehouse.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	const shipped = "http://127.0.0.1:3000"
	if !strings.Contains(string(text), shipped) {
		return errors.New("the shipped configuration has another upstream than this program knows")
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), shipped, b.upstream.line, 1)), 0o600); err != nil {
		return err
	}
	p, key, err := b.firstStart(ctx, nil, config, "a long password for growth")
	if err != nil {
		return err
	}
	b.admin = key
	p.stop()
	return nil
}

// firstStart starts a server on an empty store and makes its administrator, root.
func (b *testbed) firstStart(ctx context.Context, env []string, config, password string) (p *process, key string, err error) {
	p, out, err := launch(ctx, env, b.binary, "serve", "--config", config)
	if _, err := b.keep(p, err); err != nil {
		return nil, "", err
	}
	lines, secret := bufio.NewScanner(out), ""
	for secret == "" && lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.Contains(line, "is ready") {
			p.line = line
		} else if len(line) == 43 && !strings.Contains(line, " ") {
			secret = line
		}
	}
	go p.drain(out)
	if secret == "" {
		return nil, "", errors.New("the first start printed no one-time secret")
	}
	api, err := p.api("")
	if err != nil {
		return nil, "", err
	}
	var made struct {
		APIKey string `json:"api_key"`
	}
	err = api.Do(ctx, "POST", "/bootstrap", map[string]any{"secret": secret, "username": "root", "password": password}, &made)
	return p, made.APIKey, err
}

// address is one of a server's, by the word before it in its ready line.
func (p *process) address(word string) string {
	_, rest, _ := strings.Cut(p.line, word+" ")
	address, _, _ := strings.Cut(rest, ",")
	return strings.TrimSpace(address)
}

func (p *process) api(key string) (*client.Client, error) {
	return client.New(p.address("auth"), gatehouse.Secret(key))
}

// copy is a store of its own, with what fill puts into its database.
func (b *growthBed) copy(ctx context.Context, name string, fill func(db *sql.DB) error) (dir string, err error) {
	dir = filepath.Join(b.dir, name)
	if err := os.CopyFS(dir, os.DirFS(b.template)); err != nil {
		return "", err
	}
	if err := os.Chmod(filepath.Join(dir, "data", "master.key"), 0o600); err != nil {
		return "", err
	}
	if fill == nil {
		return dir, nil
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: database(dir)}).EscapedPath()+"?_pragma=synchronous(OFF)&_pragma=journal_mode(WAL)")
	if err != nil {
		return "", err
	}
	err = fill(db)
	if err == nil {
		_, err = db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	return dir, errors.Join(err, db.Close())
}

func database(dir string) string { return filepath.Join(dir, "data", "gatehouse.db") }

// open opens the database of a copy as the server does.
func (b *growthBed) open(ctx context.Context, dir string) (*store.DB, error) {
	return store.Open(ctx, store.Config{Driver: store.DriverSQLite, Path: database(dir)})
}

// serve starts the server on a copy.
func (b *growthBed) serve(ctx context.Context, dir string) (*process, error) {
	return b.keep(start(ctx, nil, b.binary, "serve", "--config", filepath.Join(dir, "gatehouse.yaml")))
}

// numbers is the beginning of a statement that knows c(n) with n from 0 to $1-1.
const numbers = `WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM c WHERE n+1<$1) `

// insert runs a statement that begins with [numbers].
func insert(ctx context.Context, db *sql.DB, n int, statement string, args ...any) error {
	res, err := db.ExecContext(ctx, "INSERT INTO "+strings.Replace(statement, "SELECT", numbers+"SELECT", 1), append([]any{n}, args...)...)
	if err != nil {
		return err
	}
	if got, err := res.RowsAffected(); err != nil || got != int64(n) {
		return fmt.Errorf("%d rows, not %d: %w", got, n, err)
	}
	return nil
}

// peak is the most resident memory that the process has had, in MiB.
func (p *process) peak() float64 { return p.memory("VmHWM:") }

// expect sends r and is an error unless the answer has the status.
func expect(ctx context.Context, r *http.Request, status int) error { return probe(ctx, r, status, "") }
