//go:build unix

package faults_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// network is the way of one node to both databases, through Toxiproxy: it can be cut
// and slowed. Toxiproxy's version is that of tools/go.mod.
type network struct {
	api   string
	names []string
}

var toxiproxy = sync.OnceValues(func() (string, error) {
	program := filepath.Join(filepath.Dir(binary), "toxiproxy")
	build := exec.Command("go", "build", "-modfile=../tools/go.mod", "-o", program, "github.com/Shopify/toxiproxy/v2/cmd/server")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
})

// newNetwork leads to each of the addresses, and returns where each is reached.
func newNetwork(t *testing.T, to ...string) (*network, []string) {
	t.Helper()
	program, err := toxiproxy()
	if err != nil {
		t.Fatal(err)
	}
	at := freeAddress(t)
	_, port, _ := net.SplitHostPort(at)
	cmd := exec.Command(program, "-host", "127.0.0.1", "-port", port)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Toxiproxy: %s", tail(said.String(), 1000))
		}
	})
	n := &network{api: "http://" + at}
	testwait.Until(t, 20*time.Second, "Toxiproxy answers", func() bool {
		resp, err := http.Get(n.api + "/version")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	var ways []string
	for i, upstream := range to {
		name, way := fmt.Sprintf("db%d", i+1), freeAddress(t)
		n.ask(t, "POST", "/proxies", map[string]any{"name": name, "listen": way, "upstream": upstream, "enabled": true})
		n.names, ways = append(n.names, name), append(ways, way)
	}
	return n, ways
}

func (n *network) ask(t *testing.T, method, path string, body any) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, n.api+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("Toxiproxy: %s %s: %s", method, path, resp.Status)
	}
}

// cut ends all connections and refuses new ones, until join.
func (n *network) cut(t *testing.T)  { n.enable(t, false) }
func (n *network) join(t *testing.T) { n.enable(t, true) }

func (n *network) enable(t *testing.T, enabled bool) {
	t.Helper()
	for _, name := range n.names {
		n.ask(t, "POST", "/proxies/"+name, map[string]any{"enabled": enabled})
	}
}

// spoil adds a toxic in both directions, and returns what takes it away.
func (n *network) spoil(t *testing.T, kind string, attributes map[string]any) (mend func()) {
	t.Helper()
	streams := []string{"upstream", "downstream"}
	for _, name := range n.names {
		for _, stream := range streams {
			n.ask(t, "POST", "/proxies/"+name+"/toxics", map[string]any{"name": kind + stream, "type": kind, "stream": stream, "attributes": attributes})
		}
	}
	return func() {
		for _, name := range n.names {
			for _, stream := range streams {
				n.ask(t, "DELETE", "/proxies/"+name+"/toxics/"+kind+stream, nil)
			}
		}
	}
}
