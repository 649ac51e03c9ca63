package faults_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// another makes a second process of n's installation, which finds the database at dsn.
func (n *node) another(t *testing.T, dsn string) *node {
	t.Helper()
	cfg := n.cfg
	cfg.dsn = dsn
	b := newNode(t, cfg)
	text, err := os.ReadFile(b.config)
	if err == nil {
		err = os.WriteFile(b.config, []byte(strings.NewReplacer("issuer: "+b.auth, "issuer: "+n.auth,
			"master_key_file: "+b.dir, "master_key_file: "+n.dir).Replace(string(text))), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.adminKey = n.adminKey
	return b
}

// way leads to the socket of a server, and can be cut.
type way struct {
	to    string
	mu    sync.Mutex
	away  bool
	conns []net.Conn
}

func newWay(t *testing.T, dsn string) (*way, string) {
	t.Helper()
	dir := regexp.MustCompile(`host=(\S+)`).FindStringSubmatch(dsn)[1]
	own, err := os.MkdirTemp("", "way") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	const socket = ".s.PGSQL.5432"
	l, err := net.Listen("unix", filepath.Join(own, socket))
	if err != nil {
		t.Fatal(err)
	}
	w := &way{to: filepath.Join(dir, socket)}
	go w.accept(l)
	t.Cleanup(func() { _ = l.Close(); w.set(true); _ = os.RemoveAll(own) })
	return w, strings.Replace(dsn, "host="+dir, "host="+own, 1)
}

func (w *way) accept(l net.Listener) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("unix", w.to)
		w.mu.Lock()
		if w.away || err != nil {
			_ = from.Close()
			if err == nil {
				_ = to.Close()
			}
		} else {
			w.conns = append(w.conns, from, to)
			for _, ends := range [][2]net.Conn{{from, to}, {to, from}} {
				go func() {
					_, _ = io.Copy(ends[0], ends[1])
					_, _ = ends[0].Close(), ends[1].Close()
				}()
			}
		}
		w.mu.Unlock()
	}
}

// set cuts the way, or mends it.
func (w *way) set(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away = away; away {
		for _, c := range w.conns {
			_ = c.Close()
		}
		w.conns = nil
	}
}

// TestStoppedNode stops one of two processes for longer than its view may be old, ends at the other one
// what it knows to be good, and wakes it, with the database out of its reach: no request that came after
// the end was acknowledged is let in, not even one that lay in its socket; and once it reaches the database it
// answers as before.
func TestStoppedNode(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	needPostgres(t)
	if !long {
		t.Parallel() // it waits, beside TestThreeNodes
	}
	stopped := maxStaleness + 2*time.Second
	if long {
		stopped = 20 * time.Second
	}
	a := newNode(t, nodeConfig{dsn: postgres.DSN(t)})
	a.start(t)
	k := prepare(t, a)
	w, dsn := newWay(t, a.cfg.dsn)
	b := a.another(t, dsn)
	b.start(t)
	for _, credential := range []string{k.key, k.doomed, k.access} {
		testwait.Until(t, 20*time.Second, "the second one lets in", func() bool { return b.private(credential).status == 200 })
	}
	b.signal(t, syscall.SIGSTOP)
	wake := sync.OnceFunc(func() { b.signal(t, syscall.SIGCONT) })
	defer wake()
	began := time.Now()
	a.manage("POST", "/keys/"+keyID(k.doomed)+"/revoke", "").want(t, "revoke", 200)
	a.do("DELETE", a.auth+"/tokens", k.access, "").want(t, "the end of a token", 204)
	ended := []string{k.doomed, k.access}
	var asked sync.WaitGroup
	for i := range 8 { // they lie in the socket of the one that is stopped
		asked.Go(func() {
			if got := b.private(ended[i%2]); got.status == 200 {
				t.Error("a request that waited while the process was stopped was let in by what it knew before")
			}
		})
	}
	w.set(true)
	if testwait.For(stopped-time.Since(began), func() bool { return a.private(k.key).status != 200 }) {
		t.Error("the other one refuses")
	}
	wake()
	if testwait.For(2*time.Second, func() bool { return b.private(k.doomed).status == 200 || b.private(k.access).status == 200 }) {
		t.Error("let in after it woke up")
	}
	asked.Wait()
	b.private(k.key).want(t, "without the database", 503)
	w.set(false)
	eventually(t, 15*time.Second, "it answers as before", func() bool { return b.private(k.key).status == 200 })
	for _, credential := range ended {
		b.private(credential).want(t, "what was ended", 401)
	}
	a.verify(t, k.saved, a.checkpoint(t))
}

// TestPanicWhileStopped stops one of three processes and ends, at another one, everything of an
// account that the stopped one knows to be good: the third confirms with its verdicts, the
// stopped one is silent, which is proven no sooner than its view may be old; and when it wakes, nothing is
// let in that was ended, not even by a request that lay in its socket.
func TestPanicWhileStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	needPostgres(t)
	a := newNode(t, nodeConfig{dsn: postgres.DSN(t)})
	a.start(t)
	k := prepare(t, a)
	b, c := a.another(t, a.cfg.dsn), a.another(t, a.cfg.dsn)
	b.start(t)
	c.start(t)
	ended := []string{k.key, k.doomed}
	for _, credential := range append([]string{k.access}, ended...) {
		testwait.Until(t, 20*time.Second, "all let in", func() bool { return b.private(credential).status == 200 && c.private(credential).status == 200 })
	}
	b.signal(t, syscall.SIGSTOP)
	wake := sync.OnceFunc(func() { b.signal(t, syscall.SIGCONT) })
	defer wake()
	var asked sync.WaitGroup
	proven := make(chan answer, 1)
	began := time.Now()
	asked.Go(func() { proven <- a.manage("POST", "/users/svc/panic?wait=nodes&wait_for=15s", "{}") })
	testwait.Until(t, 3*time.Second, "the third one knows", func() bool { return c.private(k.key).status == 401 })
	for i := range 8 { // they lie in the socket of the one that is stopped
		asked.Go(func() {
			if got := b.private(ended[i%2]); got.status == 200 {
				t.Error("a request that waited while the process was stopped was let in by what it knew before")
			}
		})
	}
	got := (<-proven).want(t, "the panic", 200)
	if took := time.Since(began); took < maxStaleness {
		t.Errorf("proven after %v, while a node could go by what it knew for %v", took, maxStaleness)
	}
	wait, _ := got.json["wait"].(map[string]any)
	nodes, _ := wait["nodes"].([]any)
	states := map[string]int{}
	for _, n := range nodes {
		n := n.(map[string]any)
		states[n["state"].(string)]++
		verdicts, _ := n["verdicts"].([]any)
		if want := map[string]int{"confirmed": 3, "silent": 0}[n["state"].(string)]; len(verdicts) != want { // the account and two keys
			t.Errorf("%v: %d verdicts, want %d", n, len(verdicts), want)
		}
		for _, v := range verdicts {
			if v.(map[string]any)["refused"] != true {
				t.Errorf("%v", n)
			}
		}
	}
	if wait["outcome"] != "proven" || states["confirmed"] != 2 || states["silent"] != 1 {
		t.Errorf("%s", got.body)
	}
	wake()
	if testwait.For(2*time.Second, func() bool { return b.private(k.key).status == 200 || b.private(k.doomed).status == 200 }) {
		t.Error("let in after it woke up")
	}
	asked.Wait()
	eventually(t, 15*time.Second, "it answers as before", func() bool { return b.private(k.access).status == 200 })
	for _, credential := range ended {
		b.private(credential).want(t, "what was ended", 401)
	}
	a.verify(t, k.saved, a.checkpoint(t))
}
