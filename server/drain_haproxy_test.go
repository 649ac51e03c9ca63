package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// TestDrainBehindHAProxy stops one of two servers behind HAProxy, which asks /readyz and
// sends nothing a second time, under load: no caller notices.
func TestDrainBehindHAProxy(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		if os.Getenv("GATEHOUSE_TEST_STRICT") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var asked [2]atomic.Int64
	var houses [2]*house
	servers := ""
	for i := range houses {
		houses[i] = stoppable(t, config.Shutdown{Delay: time.Second, Grace: 20 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			asked[i].Add(1)
			select {
			case <-time.After(2 * time.Millisecond):
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, "hello back")
		})
		_, health, _ := net.SplitHostPort(strings.TrimPrefix(houses[i].s.MetricsURL(), "http://"))
		servers += fmt.Sprintf("    server n%d %s check port %s\n", i, houses[i].address(), health)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := free.Addr().String()
	_ = free.Close()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	text := `
defaults
    mode http
    retries 0
    timeout connect 10s
    timeout client 30s
    timeout server 30s
    timeout check 10s
frontend in
    bind ` + front + `
    default_backend nodes
backend nodes
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200
    default-server inter 100ms fall 1 rise 1
` + servers
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := exec.Command(haproxy, "-db", "-f", file)
	var said strings.Builder
	proxy.Stdout, proxy.Stderr = &said, &said
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = proxy.Process.Kill(); _ = proxy.Wait() }()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	ask := func() error {
		r, err := http.NewRequest("POST", "http://"+front+"/x", io.NopCloser(strings.NewReader("hello"))) // which the client cannot send again
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != 200 {
			err = fmt.Errorf("%s %s", resp.Status, b)
		}
		return err
	}
	testwait.Until(t, 10*time.Second, "HAProxy answers", func() bool { return ask() == nil })
	var served atomic.Int64
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range 16 {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := ask(); err != nil {
					t.Errorf("a request is lost: %v", err)
					return
				}
				served.Add(1)
			}
		})
	}
	both := func() bool { return asked[0].Load() > 100 && asked[1].Load() > 100 }
	testwait.Until(t, 20*time.Second, "both serve", both)
	<-houses[0].stopping(t.Context())
	gone, now := asked[0].Load(), served.Load()
	testwait.Until(t, 20*time.Second, "the other serves on", func() bool { return served.Load() > now+200 })
	close(stop)
	running.Wait()
	if asked[0].Load() != gone {
		t.Error("the API behind the stopped server was asked again")
	}
	t.Logf("%d requests; %s", served.Load(), said.String())
}
