package faults_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// bound is how long any answer may take while something is broken: the audit
// queue's patience (5 s) and the store's (5 s), and a slow machine.
const bound = 15 * time.Second

// known is what the node knows from before the fault.
type known struct {
	key, doomed, dead string // API keys: good, to be revoked during the fault, revoked before it
	access, refresh   string
	saved             string // checkpoint
}

// prepare makes credentials of every kind, and uses them so that they are known.
func prepare(t *testing.T, n *node) (k known) {
	t.Helper()
	n.manage("POST", "/users", `{"username":"svc","kind":"service"}`).want(t, "create service", 201)
	key := func() string {
		a := n.manage("POST", "/keys", `{"owner":"svc","name":"k","environment":"live","scopes":[]}`).want(t, "create key", 201)
		n.secret(a.text("text"))
		n.private(a.text("text")).want(t, "new key", 200)
		return a.text("text")
	}
	k.key, k.doomed, k.dead = key(), key(), key()
	n.manage("POST", "/keys/"+keyID(k.dead)+"/revoke", "").want(t, "revoke", 200)
	var w truth
	w.person(t, n)
	login := n.do("POST", n.auth+"/tokens", "person:"+personPassword, "").want(t, "login", 200)
	k.access, k.refresh = login.text("access_token"), login.text("refresh_token")
	n.secret(k.access, k.refresh)
	n.private(k.access).want(t, "token", 200)
	k.saved = n.checkpoint(t)
	return k
}

// during asks for everything while writes fail. What was acknowledged all the
// same is returned; it must be there afterwards. mustFail says that no write can
// work at all.
func during(t *testing.T, n *node, k known, mustFail bool) (acknowledged []string) {
	t.Helper()
	within := func(a answer, what string) answer {
		t.Helper()
		if a.took > bound || a.status == 0 {
			t.Errorf("%s: %d %v after %v", what, a.status, a.err, a.took)
		}
		return a
	}
	refused := func(a answer, what string, success int) bool {
		t.Helper()
		within(a, what)
		if a.status == success && !mustFail {
			return false
		}
		if a.status != 503 || a.code() == "" || strings.Contains(a.body, n.dir) || strings.Contains(strings.ToLower(a.body), "sqlite") {
			t.Errorf("%s: %d %s, want a 503 that names a code and nothing of the inside", what, a.status, a.body)
		}
		return true
	}
	for i := range 3 {
		name := fmt.Sprintf("during-%d-%d", i, time.Now().UnixNano())
		if !refused(n.manage("POST", "/users", fmt.Sprintf(`{"username":%q,"kind":"service"}`, name)), "create user", 201) {
			acknowledged = append(acknowledged, name)
		}
	}
	// A revocation that failed is reported as failed.
	if !refused(n.manage("POST", "/keys/"+keyID(k.doomed)+"/revoke", ""), "revoke key", 200) {
		n.private(k.doomed).want(t, "key revoked during the fault", 401)
	}
	refused(n.do("POST", n.auth+"/tokens/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, k.refresh)), "refresh", 200)
	// What is known is judged from memory, unless a change broke off while it was
	// committed: nobody knows then what it changed, so everything is forgotten. The log
	// says so, a moment after a request may have met it.
	key, access, known := within(n.private(k.key), "known key"), within(n.private(k.access), "known token"), []int{200}
	if (key.status != 200 || access.status != 200) && testwait.For(2*time.Second, func() bool {
		said := n.logged()[n.quiet:]
		return strings.Contains(said, "the outcome of a commit is not known") || strings.Contains(said, "everything is loaded anew")
	}) {
		known = append(known, 503)
	}
	key.want(t, "known key", known...)
	access.want(t, "known token", known...)
	// A revocation forgets the key; where it cannot be read again the answer is 503.
	within(n.private(k.dead), "revoked key").want(t, "revoked key", 401, 503)
	within(n.private(k.key[:len(k.key)-6]+"abcdef"), "wrong key").want(t, "wrong key", 401, 503)
	return acknowledged
}

// after waits until writes work again by themselves, and looks for what is lost.
func after(t *testing.T, n *node, k known, acknowledged []string) {
	t.Helper()
	name := fmt.Sprintf("after-%d", time.Now().UnixNano())
	took := eventually(t, 15*time.Second, "writes work again", func() bool {
		return n.manage("POST", "/users", fmt.Sprintf(`{"username":%q,"kind":"service"}`, name)).status == 201
	})
	t.Logf("writes worked again after %v", took.Round(time.Millisecond))
	for _, s := range append(acknowledged, name) {
		n.manage("GET", "/users/"+s, "").want(t, "acknowledged user "+s, 200)
	}
	n.private(k.key).want(t, "known key", 200)
	n.private(k.dead).want(t, "revoked key", 401)
	n.manage("POST", "/keys/"+keyID(k.doomed)+"/revoke", "").want(t, "revoke at last", 200)
	n.private(k.doomed).want(t, "revoked at last", 401)
	// The client whose refresh failed tries again.
	a := n.do("POST", n.auth+"/tokens/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, k.refresh)).want(t, "refresh again", 200)
	token := a.text("access_token")
	n.secret(token, a.text("refresh_token"))
	n.private(token).want(t, "token", 200)
	n.do("DELETE", n.auth+"/tokens", token, "").want(t, "end", 204)
	n.private(token).want(t, "ended token", 401)
	n.verify(t, k.saved, n.checkpoint(t))
	// And a restart finds the same.
	n.kill()
	n.start(t)
	for _, s := range append(acknowledged, name) {
		n.manage("GET", "/users/"+s, "").want(t, "after a restart, user "+s, 200)
	}
	n.private(k.doomed).want(t, "after a restart, revoked key", 401)
	n.private(token).want(t, "after a restart, ended token", 401)
	n.verify(t, k.saved)
}

// inject makes system calls of the running process fail until the returned
// function is called. Only threads that exist then are followed; -f takes the
// others as they come.
func (n *node) inject(t *testing.T, rule string) (end func()) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		lacks(t, "strace is not installed (Debian: apt-get install strace)")
	}
	calls, _, _ := strings.Cut(rule, ":")
	var out strings.Builder
	c := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+calls, "-e", "inject="+rule,
		"-p", fmt.Sprint(n.process.Process.Pid))
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = c.Wait(); close(done) }()
	testwait.Until(t, 5*time.Second, "strace attaches to every thread", func() bool {
		select {
		case <-done:
			lacks(t, "strace cannot attach here: "+out.String())
		default:
		}
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", n.process.Process.Pid))
		return err == nil && len(threads) > 0 && !slices.ContainsFunc(threads, func(file string) bool {
			status, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(status), "TracerPid:\t0") // a thread that ended needs none
		})
	})
	return sync.OnceFunc(func() {
		_ = c.Process.Signal(os.Interrupt) // detaches
		<-done
	})
}

// TestSystemCallsFail: the disk reports errors, or became read-only.
func TestSystemCallsFail(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, tc := range []struct{ name, rule, says string }{
		{"fsync EIO", "fsync,fdatasync:error=EIO", "disk I/O error"},
		{"write EIO", "pwrite64:error=EIO", "disk I/O error"},
		{"read-only", "pwrite64,ftruncate:error=EROFS", ""},
		{"disk full", "pwrite64:error=ENOSPC", "full"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNode(t, nodeConfig{})
			n.start(t)
			k := prepare(t, n)
			end := n.inject(t, tc.rule)
			defer end()
			acknowledged := during(t, n, k, true)
			end()
			after(t, n, k, acknowledged)
			if log := n.logged(); !strings.Contains(log, tc.says) || !strings.Contains(log, "ERROR") {
				t.Errorf("the log does not say %q", tc.says)
			}
		})
	}
}

// TestDiskFull fills a real, tiny file system, and makes room again.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here (needs root), TestSystemCallsFail covers ENOSPC: %s", out)
	}
	n := newNode(t, nodeConfig{data: dir})
	t.Cleanup(func() {
		n.kill()
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
	n.start(t)
	k := prepare(t, n)
	// Leave nothing, as a neighbour's log file would.
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	f.Close()
	// What SQLite has allocated already may take some writes more.
	var acknowledged []string
	for range 4 {
		acknowledged = append(acknowledged, during(t, n, k, false)...)
	}
	eventually(t, 10*time.Second, "the disk is really full", func() bool {
		return n.manage("POST", "/users", fmt.Sprintf(`{"username":"full-%d","kind":"service"}`, time.Now().UnixNano())).status == 503
	})
	// Whoever has no credential is refused as before, and leaves nothing behind.
	for range 100 {
		if a := n.private(""); a.status != 401 || a.took > bound {
			t.Errorf("nobody: %d %s after %v", a.status, a.body, a.took)
		}
	}
	if warned := strings.Count(n.logged(), "little room is left on the disk"); warned != 1 {
		t.Errorf("the operator was warned %d times", warned)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	after(t, n, k, acknowledged)
	eventually(t, 15*time.Second, "the change of the disk is in the record", func() bool {
		return strings.Contains(n.manage("GET", "/audit/events?kind=disk.space", "").body, `"disk_low"`)
	})
}

// TestQueueFull keeps the disk broken until the audit queue is full: with
// "block" nothing passes that cannot be recorded, soon and with a clear answer;
// with "drop" requests pass and are counted.
func TestQueueFull(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, overflow := range []string{"block", "drop"} {
		t.Run(overflow, func(t *testing.T) {
			n := newNode(t, nodeConfig{queue: 16, overflow: overflow})
			n.start(t)
			k := prepare(t, n)
			end := n.inject(t, "fsync,fdatasync:error=EIO")
			defer end()
			counts := map[int]int{}
			var slowest time.Duration
			var mu sync.Mutex
			ask := func() {
				a := n.private(k.key)
				mu.Lock()
				defer mu.Unlock()
				counts[a.status]++
				slowest = max(slowest, a.took)
				if a.status == 503 && a.code() != "audit_unavailable" {
					t.Errorf("a full queue is answered %s", a.body)
				}
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 15 {
						ask()
					}
				})
			}
			wg.Wait()
			revoked := n.private(k.dead).want(t, "revoked key", 401)
			slowest = max(slowest, revoked.took)
			if slowest > bound {
				t.Errorf("an answer took %v", slowest)
			}
			if overflow == "block" && (counts[503] == 0 || counts[200] > 16+8) || overflow == "drop" && counts[200] != 120 {
				t.Errorf("answers: %v", counts)
			}
			end()
			eventually(t, 15*time.Second, "requests pass again", func() bool { return n.private(k.key).status == 200 })
			eventually(t, 5*time.Second, "the log tells how many were dropped", func() bool {
				return strings.Contains(n.manage("GET", "/audit/events?kind=audit.dropped&limit=50", "").body, `"queue_full"`)
			})
			after(t, n, k, nil)
			t.Logf("answers %v, slowest %v", counts, slowest.Round(time.Millisecond))
		})
	}
}
