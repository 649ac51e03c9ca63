//go:build unix

package faults_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/testpg"
)

// threeNodes is where the files are that an operator of three nodes is given.
const threeNodes = "../deploy/three-nodes"

// house is the installation of deploy/three-nodes, in processes on loopback: HAProxy,
// three nodes, PostgreSQL and its synchronous standby.
type house struct {
	db1, db2 *testpg.Server
	dsn      string // as the nodes have it
	readme   string
	port     string // of both databases
	password string // of the roles gatehouse and replicator
	nodes    [3]*node
	front    *node // through HAProxy
	proxy    *exec.Cmd
	socket   string // of HAProxy's administration
	said     strings.Builder
	at       func(text string) string // puts addresses of loopback for those of the files
	settings func(file string, replace ...string) testpg.Settings
	saved    []string // checkpoints
	truth    truth
	serial   atomic.Int64
}

// newHouse starts everything. prepare changes a node before its first start, and may be nil.
func newHouse(t *testing.T, prepare func(h *house, i int, n *node)) *house {
	t.Helper()
	needPostgres(t)
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		lacks(t, err.Error())
	}
	h := &house{}
	h.addresses(t)
	h.databases(t)
	for i := range h.nodes {
		h.nodes[i] = h.node(t, i)
		h.nodes[i].cfg.dsn = h.dsn
		if prepare != nil {
			prepare(h, i, h.nodes[i])
		}
	}
	h.nodes[0].start(t)
	for _, n := range h.nodes[1:] {
		n.adminKey = h.nodes[0].adminKey
		n.start(t)
	}
	h.haproxy(t, haproxy)
	t.Cleanup(func() { // before the logs are looked at
		for _, n := range h.nodes {
			n.secret(h.front.secrets...)
		}
	})
	h.whole(t, "the start", 30*time.Second)
	list := exec.Command(binary, "node", "list")
	list.Env = append(environ(), "GATEHOUSE_URL="+h.nodes[0].auth, "GATEHOUSE_TOKEN="+h.nodes[0].adminKey)
	if out, err := list.CombinedOutput(); err != nil || strings.Count(string(out), " live") != len(h.nodes) {
		t.Errorf("node list: %v\n%s", err, out)
	}
	return h
}

// addresses finds free ports: the machines of the files become addresses of loopback.
func (h *house) addresses(t *testing.T) {
	t.Helper()
	var pairs []string
	for _, p := range []string{"443", "8080", "8081", "9090", "5432"} {
		l, err := net.Listen("tcp", "127.0.77.10:0")
		if err != nil {
			lacks(t, "this system has one address of loopback: "+err.Error())
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		pairs = append(pairs, ":"+p, ":"+port, "port "+p, "port "+port)
	}
	change := strings.NewReplacer(append(pairs, "10.0.0.", "127.0.77.")...)
	h.at = change.Replace
}

// file is one of deploy/three-nodes with its addresses replaced, and what else has to be;
// each text that is to be replaced must be there.
func (h *house) file(t *testing.T, name string, replace ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(threeNodes, name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%s has no %q", name, replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return h.at(text)
}

// databases makes the primary and its standby as the README says.
func (h *house) databases(t *testing.T) {
	t.Helper()
	hba := h.file(t, "postgresql/pg_hba.conf", "hostssl", "host", "10.0.0.0/30", "127.0.0.0/8", "10.0.0.20/30", "127.0.0.0/8")
	_, h.port, _ = strings.Cut(h.at(":5432"), ":")
	var port int
	if _, err := fmt.Sscan(h.port, &port); err != nil {
		t.Fatal(err)
	}
	h.settings = func(name string, replace ...string) testpg.Settings {
		return testpg.Settings{Port: port, HBA: hba, Conf: h.file(t, "postgresql/"+name, append(replace, "ssl = on", "ssl = off")...)}
	}
	readme, err := os.ReadFile(filepath.Join(threeNodes, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	h.readme, h.password = string(readme), rand.Text()
	if h.db1, err = testpg.StartWith(h.settings("primary.conf")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.db1.Stop)
	h.commands(t, h.db1, "do without:", h.password)
	h.db2 = h.follow(t, "10.0.0.21", "db2", h.settings("standby.conf"))
	h.waitedFor(t, h.db1)
	text := h.file(t, "README.md", "PASSWORD", h.password, "sslmode=verify-full&sslrootcert=/etc/gatehouse/db-ca.pem", "sslmode=disable")
	_, text, found := strings.Cut(text, "postgres://")
	h.dsn = "postgres://" + strings.Fields(text)[0]
	if !found || !strings.HasSuffix(h.dsn, "sslmode=disable") {
		t.Fatalf("the README names %s", h.dsn)
	}
}

func sql(t *testing.T, dsn, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func query[T any](t *testing.T, dsn, statement string) (value T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), statement).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// node makes the directory of one node.
func (h *house) node(t *testing.T, i int) *node {
	t.Helper()
	n := &node{dir: t.TempDir(), client: plain}
	n.config, n.data = filepath.Join(n.dir, "gatehouse.yaml"), filepath.Join(n.dir, "data")
	n.auth, n.gateway = h.at(fmt.Sprintf("http://10.0.0.%d:8080", i+1)), h.at(fmt.Sprintf("http://10.0.0.%d:8081", i+1))
	n.admin, n.metrics = n.auth+"/admin/v1/realms/main", h.at(fmt.Sprintf("http://10.0.0.%d:9090", i+1))
	n.env = []string{"GATEHOUSE_LISTEN_AUTH_ADDRESS=" + n.auth[7:], "GATEHOUSE_LISTEN_GATEWAY_ADDRESS=" + n.gateway[7:],
		"GATEHOUSE_LISTEN_METRICS_ADDRESS=" + n.metrics[7:],
		"GATEHOUSE_LIMITS_TOKENS=1000000/1s", "GATEHOUSE_LIMITS_ADMIN=1000000/1s", "GATEHOUSE_AUDIT_QUEUE=1000000"}
	if i == 0 {
		if out, err := exec.Command(binary, "init", "--issuer", "https://auth.example.com", n.dir).CombinedOutput(); err != nil {
			t.Fatalf("init: %v\n%s", err, out)
		}
	} else {
		key, err := os.ReadFile(filepath.Join(h.nodes[0].data, "master.key"))
		if err == nil {
			err = os.Mkdir(n.data, 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(n.data, "master.key"), key, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text := h.file(t, "gatehouse.yaml", "[10.0.0.10]", "[127.0.0.0/8]", "http://10.0.0.30:3000", upstream().URL,
		"- {match: /, authenticated: true}", `- {match: GET /public, anonymous: true}
  - {match: GET /private, authenticated: true}
  - {match: GET /live, authenticated: true, ticket: ticket}`)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.cleanup(t)
	return n
}

// haproxy runs HAProxy with the file, and makes the client that comes through it.
func (h *house) haproxy(t *testing.T, program string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-ha-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	pool := certificate(t, filepath.Join(dir, "gatehouse.pem"))
	h.socket = filepath.Join(dir, "admin.sock")
	replace := []string{"/etc/haproxy/gatehouse.pem", filepath.Join(dir, "gatehouse.pem"), "/run/haproxy/admin.sock", h.socket}
	if os.Getuid() != 0 {
		replace = append(replace, "user haproxy", "", "group haproxy", "")
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(h.file(t, "haproxy.cfg", replace...)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "-c", "-f", file).CombinedOutput(); err != nil || strings.Contains(string(out), "[WARNING]") {
		t.Fatalf("haproxy -c: %v\n%s", err, out)
	}
	h.proxy = exec.Command(program, "-db", "-f", file)
	h.proxy.Stdout, h.proxy.Stderr = &h.said, &h.said
	if err := h.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.proxy.Process.Kill()
		_ = h.proxy.Wait()
		if t.Failed() {
			t.Logf("HAProxy: %s", tail(h.said.String(), 4000))
		}
	})
	// Callers come from many addresses, so that no limit by address is what answers.
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		from := net.IPv4(127, byte(mathrand.IntN(256)), byte(mathrand.IntN(256)), byte(1+mathrand.IntN(250)))
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
		return d.DialContext(ctx, network, h.at("10.0.0.10:443"))
	}
	h.front = &node{dir: t.TempDir(), auth: "https://auth.example.com", gateway: "https://api.example.com", admin: "https://auth.example.com/admin/v1/realms/main",
		adminKey: h.nodes[0].adminKey, client: &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 64,
			TLSClientConfig: &tls.Config{RootCAs: pool}}}}
}

// certificate writes one for the names of the example, with its key, and returns who
// believes it.
func certificate(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.com"}, DNSNames: []string{"auth.example.com", "api.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	if err := os.WriteFile(file, append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), 0o600); err != nil {
		t.Fatal(err)
	}
	return pool
}

// up counts the nodes to which HAProxy sends requests.
func (h *house) up(t *testing.T) (count int) {
	t.Helper()
	conn, err := net.Dial("unix", h.socket)
	if err != nil {
		return 0 // it starts
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "show stat\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(line, ","); len(f) > 17 && f[0] == "auth" && strings.HasPrefix(f[1], "gw") && f[17] == "UP" {
			count++
		}
	}
	return count
}

// whole waits until each node makes changes, and HAProxy has all of them, which nobody
// helped.
func (h *house) whole(t *testing.T, after string, within time.Duration) {
	t.Helper()
	began := time.Now()
	for i, n := range h.nodes {
		eventually(t, within, fmt.Sprintf("node %d makes changes after %s", i+1, after), func() bool {
			hasty := *plain // a change that began at a server which is gone waits for as long as a transaction may take
			hasty.Timeout = 3 * time.Second
			asking := node{client: &hasty, adminKey: n.adminKey, admin: n.admin}
			return asking.manage("POST", "/users", fmt.Sprintf(`{"username":"whole-%d","kind":"service"}`, h.serial.Add(1))).status == 201
		})
	}
	eventually(t, within, "all nodes are ready after "+after, func() bool { return h.up(t) == len(h.nodes) })
	took := time.Since(began)
	t.Logf("%s: all nodes ready after %v", after, took.Round(100*time.Millisecond))
}

// stop ends a node as systemd does, and waits for it.
func (n *node) stop(t *testing.T) {
	t.Helper()
	n.signal(t, syscall.SIGTERM)
	<-n.exited
	if code := n.process.ProcessState.ExitCode(); code != 0 {
		t.Errorf("a node that was told to stop ended with %d:\n%s", code, tail(n.logged(), 2000))
	}
	n.process = nil
}

func (n *node) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := n.process.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
