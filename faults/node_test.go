package faults_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// long asks for the full numbers instead of a sample of them.
var long = os.Getenv("GATEHOUSE_TEST_LONG") == "1"

var (
	binary    string         // the program, built once
	postgres  *testpg.Server // nil when it is not installed
	noPostgre error
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "gatehouse-faults-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "gatehouse")
		build := exec.Command("go", "build", "-o", binary, "../cmd/gatehouse")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		if postgres, noPostgre = testpg.Start(); noPostgre != nil && !errors.Is(noPostgre, testpg.ErrMissing) {
			fmt.Fprintln(os.Stderr, noPostgre)
			return 1
		}
		if postgres != nil {
			defer postgres.Stop()
		}
		return m.Run()
	}())
}

var operatorPassword = rand.Text()

// lacks skips the test, or fails it where everything is to be there.
func lacks(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_STRICT") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func needPostgres(t *testing.T) {
	t.Helper()
	if postgres == nil {
		lacks(t, noPostgre.Error())
	}
}

func onBoth(t *testing.T, test func(t *testing.T, n *node)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newNode(t, nodeConfig{})) })
	t.Run("postgres", func(t *testing.T) {
		needPostgres(t)
		test(t, newNode(t, nodeConfig{dsn: postgres.DSN(t)}))
	})
}

// node is one installation of Gatehouse: its directory, its addresses, and the
// process when one runs.
type node struct {
	dir, data, config string
	auth, gateway     string // base URLs; they stay the same over restarts
	admin             string // URL of the management API of realm main
	metrics           string // base URL, where there is one
	host              string // as callers name it, where that is not what its URL says
	program           string // binary, where it is not the one that all have
	client            *http.Client
	env               []string // of the process, beside what all have
	cfg               nodeConfig
	adminKey          string
	process           *exec.Cmd
	exited            chan struct{}

	mu      sync.Mutex
	log     bytes.Buffer
	secrets []string
	quiet   int // how much of the log was written before the fault of now
}

type nodeConfig struct {
	dsn      string // PostgreSQL; SQLite when empty
	data     string // directory for the data; in the node's own when empty
	queue    int    // audit.queue
	overflow string
}

// upstream is the API behind all gateways.
var upstream = sync.OnceValue(func() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
})

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func newNode(t *testing.T, cfg nodeConfig) *node {
	t.Helper()
	n := &node{dir: t.TempDir(), client: plain, cfg: cfg}
	auth, gateway := freeAddress(t), freeAddress(t)
	n.auth, n.gateway = "http://"+auth, "http://"+gateway
	n.admin = n.auth + "/admin/v1/realms/main"
	n.config = filepath.Join(n.dir, "gatehouse.yaml")
	if out, err := exec.Command(binary, "init", "--listen", auth, "--gateway", gateway, n.dir).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	n.data = filepath.Join(n.dir, "data")
	if cfg.data != "" {
		n.data = cfg.data
	}
	audit := ""
	if cfg.queue > 0 {
		audit = fmt.Sprintf("audit: {queue: %d, overflow: %s}\n", cfg.queue, cfg.overflow)
	}
	store := "store: {driver: sqlite}\n"
	if cfg.dsn != "" {
		store = "store: {driver: postgres}\n"
	}
	// Requests come from many addresses, as the trusted proxy that the test is says,
	// so that no limit by address is what answers.
	text := fmt.Sprintf(`issuer: %s
data: %s
master_key_file: %s
listen:
  auth: {address: %q}
  gateway: {address: %q}
trusted_proxies: ["127.0.0.0/8"]
%s%supstreams:
  api: {url: %q}
routes:
  - {match: GET /public, anonymous: true, rate_address: 100000/1s}
  - {match: GET /private, authenticated: true, rate_address: 100000/1s, rate_principal: 100000/1s}
`, n.auth, n.data, filepath.Join(n.dir, "data", "master.key"), auth, gateway, store, audit, upstream().URL)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.cleanup(t)
	return n
}

// cleanup has the process end with the test, and its log looked at.
func (n *node) cleanup(t *testing.T) {
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("the end of the node's log:\n%s", tail(n.logged(), 4000))
		}
		n.checkLog(t)
	})
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// Write takes the process's output.
func (n *node) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(p)
}

func (n *node) logged() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// secret remembers a text that no log may hold.
func (n *node) secret(s ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.secrets = append(n.secrets, s...)
}

// checkLog looks for what must never be in a log.
func (n *node) checkLog(t *testing.T) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	log := n.log.String()
	for _, s := range n.secrets {
		if s != "" && strings.Contains(log, s) {
			t.Errorf("the log holds a secret: %.12s…", s)
		}
	}
	for _, bad := range []string{"panic", "goroutine ", "DATA RACE", "does not match its last signed checkpoint"} {
		if i := strings.Index(log, bad); i >= 0 {
			t.Errorf("the log holds %q: %s", bad, log[max(0, i-200):min(len(log), i+600)])
		}
	}
}

// start runs `gatehouse serve`, under a wrapper when one is given, and returns
// when it answers. It must come up by itself, whatever happened before.
func (n *node) start(t *testing.T, wrap ...string) {
	t.Helper()
	began := time.Now()
	program := binary
	if n.program != "" {
		program = n.program
	}
	args := append(append([]string{}, wrap...), program, "serve", "--config", n.config)
	n.process = exec.Command(args[0], args[1:]...)
	n.process.Env = append(environ(), n.env...)
	if n.cfg.dsn != "" {
		n.process.Env = append(n.process.Env, "GATEHOUSE_STORE_DSN="+n.cfg.dsn)
	}
	var out bytes.Buffer
	n.process.Stdout, n.process.Stderr = &out, n
	if err := n.process.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	n.exited = exited
	go func(p *exec.Cmd) { _ = p.Wait(); close(exited) }(n.process)
	if !testwait.For(20*time.Second, func() bool {
		resp, err := http.Get(n.gateway + "/public")
		if err == nil {
			resp.Body.Close()
			return true
		}
		select {
		case <-n.exited:
			t.Fatalf("the process ended instead of starting:\n%s", tail(n.logged(), 4000))
		default:
		}
		return false
	}) {
		t.Fatalf("no answer after %v:\n%s", time.Since(began), tail(n.logged(), 4000))
	}
	if n.adminKey == "" {
		n.bootstrap(t, &out)
	}
}

// environ is the test's environment without what would configure the program.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "GATEHOUSE_") })
}

// bootstrap makes the first administrator with the secret that was printed.
func (n *node) bootstrap(t *testing.T, out *bytes.Buffer) {
	t.Helper()
	var last answer
	if !testwait.For(5*time.Second, func() bool {
		for f := range strings.FieldsSeq(out.String()) {
			if len(f) != 43 {
				continue
			}
			last = n.do("POST", n.auth+"/admin/v1/bootstrap", "", fmt.Sprintf(`{"secret":%q,"username":"operator","password":%q}`, f, operatorPassword))
			if last.status == 200 || last.status == 201 {
				n.adminKey = last.text("api_key")
				n.secret(f, n.adminKey, operatorPassword)
				return true
			}
		}
		return false
	}) {
		t.Fatalf("no administrator could be made: %d %s %v", last.status, last.body, last.err)
	}
}

// kill ends the process as a power cut would, as far as the process can tell.
func (n *node) kill() {
	if n.process == nil {
		return
	}
	_ = n.process.Process.Kill()
	<-n.exited
	n.process = nil
}

// answer is what a request got; status 0 means that nothing came back.
type answer struct {
	status int
	body   string
	json   map[string]any
	took   time.Duration
	err    error
}

func (a answer) code() string { s, _ := a.json["code"].(string); return s }
func (a answer) text(member string) string {
	s, _ := a.json[member].(string)
	return s
}

func (a answer) want(t *testing.T, what string, statuses ...int) answer {
	t.Helper()
	for _, s := range statuses {
		if a.status == s {
			return a
		}
	}
	t.Errorf("%s: %d %s %v (after %v), want %v", what, a.status, a.body, a.err, a.took, statuses)
	return a
}

// patience is longer than any answer may take.
const patience = 20 * time.Second

var plain = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// do sends a request; credential is an API key, a token, or "user:password".
func (n *node) do(method, url, credential, body string) (a answer) {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, url, in)
	if err != nil {
		return answer{err: err}
	}
	if r.Host = n.host; body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if user, password, ok := strings.Cut(credential, ":"); ok {
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	} else if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", mathrand.IntN(256), mathrand.IntN(256), mathrand.IntN(256)))
	r.Header.Set("X-Forwarded-Proto", "https")
	began := time.Now()
	defer func() { a.took = time.Since(began) }()
	resp, err := n.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{err: err} // half an answer acknowledges nothing
	}
	a = answer{status: resp.StatusCode, body: string(b)}
	_ = json.Unmarshal(b, &a.json)
	return a
}

func (n *node) manage(method, path, body string) answer {
	return n.do(method, n.admin+path, n.adminKey, body)
}

// private asks the gateway with a credential.
func (n *node) private(credential string) answer {
	return n.do("GET", n.gateway+"/private", credential, "")
}

// checkpoint returns the newest signed checkpoint, as an auditor would keep it.
func (n *node) checkpoint(t *testing.T) string {
	t.Helper()
	var a answer
	if !testwait.For(10*time.Second, func() bool {
		a = n.manage("GET", "/audit/checkpoint", "")
		return a.status == 200 && a.text("note") != ""
	}) {
		t.Fatalf("no checkpoint: %d %s", a.status, a.body)
	}
	return a.text("note")
}

// verify proves the log with the program itself, against saved checkpoints,
// oldest first.
func (n *node) verify(t *testing.T, saved ...string) {
	t.Helper()
	prove := func(saved []string) {
		args := []string{"audit", "verify", "--json"}
		for i, note := range saved {
			file := filepath.Join(n.dir, fmt.Sprintf("saved.%d.checkpoint", i))
			if err := os.WriteFile(file, []byte(note), 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, "--checkpoint", file)
		}
		cmd := exec.Command(binary, args...)
		cmd.Env = append(environ(), "GATEHOUSE_URL="+n.auth, "GATEHOUSE_TOKEN="+n.adminKey)
		out, err := cmd.CombinedOutput()
		var report struct {
			OK bool `json:"ok"`
		}
		if err != nil || json.Unmarshal(out, &report) != nil || !report.OK {
			t.Errorf("audit verify: %v\n%s", err, out)
		}
	}
	if len(saved) == 0 {
		prove(nil)
	}
	for part := range slices.Chunk(saved, 16) { // one call takes no more
		prove(part)
	}
}

// eventually waits for a condition that must come true by itself.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	if !testwait.For(within, ok) {
		t.Errorf("%s: not within %v", what, within)
	}
	return time.Since(began)
}
