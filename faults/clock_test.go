//go:build unix

package faults_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// clockOff builds the program as it is on a machine whose clock is off by what CLOCK_OFF
// says. A static program cannot be given another clock from outside; one line is replaced
// where it asks for the time.
func clockOff(t *testing.T) (program string) {
	t.Helper()
	const from, line = "../server/server.go", "\treturn time.Now\n"
	text, err := os.ReadFile(from)
	if err != nil || strings.Count(string(text), line) != 1 {
		t.Fatalf("%s takes its time from elsewhere: %v", from, err)
	}
	path, err := filepath.Abs(from)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	other, overlay := filepath.Join(dir, "server.go"), filepath.Join(dir, "overlay.json")
	changed := strings.Replace(string(text), line, `	off, err := time.ParseDuration(os.Getenv("CLOCK_OFF"))
	if err != nil {
		panic(err)
	}
	return func() time.Time { return time.Now().Add(off) }
`, 1)
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: other}})
	if err == nil {
		err = os.WriteFile(other, []byte(changed), 0o600)
	}
	if err == nil {
		err = os.WriteFile(overlay, list, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "gatehouse")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-overlay", overlay, "-o", program, "../cmd/gatehouse")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// clocks sees that a node whose clock is off says so, and that it makes no difference where
// somebody logs in and where he is ended: what was issued before is refused by all, what is
// issued afterwards is good at all.
func (h *house) clocks(t *testing.T, off ...int) {
	t.Helper()
	for _, i := range off {
		if body := h.nodes[i].do("GET", h.nodes[i].metrics+"/readyz", "", "").want(t, "/readyz", 200).body; !strings.Contains(body, "clock_off") {
			t.Errorf("node %d, whose clock is off, is %s", i+1, body)
		}
		eventually(t, 5*time.Second, "the log says so", func() bool { return strings.Contains(h.nodes[i].logged(), "the clock of this machine is off") })
	}
	h.front.manage("POST", "/users", fmt.Sprintf(`{"username":"punctual","password":%q}`, personPassword)).want(t, "create user", 201)
	everywhere := func(what, token string, status int) {
		t.Helper()
		for i, n := range h.nodes {
			testwait.Until(t, 5*time.Second, fmt.Sprintf("%s at node %d: %d", what, i+1, status), func() bool { return n.private(token).status == status })
		}
	}
	for at, issuer := range h.nodes {
		for by, ender := range h.nodes {
			login := func() (access, refresh string) {
				t.Helper()
				a := issuer.do("POST", issuer.auth+"/tokens", "punctual:"+personPassword, "").want(t, "login", 200)
				h.front.secret(a.text("access_token"), a.text("refresh_token"))
				return a.text("access_token"), a.text("refresh_token")
			}
			pair := fmt.Sprintf("issued by node %d, ended by node %d", at+1, by+1)
			access, refresh := login()
			everywhere(pair+", before", access, 200)
			ender.manage("POST", "/users/punctual/revoke", "").want(t, "revoke", 204)
			everywhere(pair, access, 401)
			issuer.do("POST", issuer.auth+"/tokens/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, refresh)).want(t, pair+", renewed", 400)
			access, _ = login()
			everywhere(pair+", after", access, 200)
		}
	}
}
