package examples_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// nginx runs Debian's nginx before a server, as one who says no more than proxy_pass gets it, with these further lines. It
// returns its address, and what it has logged so far of requests that are over.
func nginx(t *testing.T, to, more string) (base string, log func() string) {
	t.Helper()
	program := "/usr/sbin/nginx"
	if _, err := os.Stat(program); err != nil {
		missing(t, "nginx")
	}
	dir, at := t.TempDir(), "127.0.0.1:"+freePort(t)
	conf := "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\nevents { worker_connections 256; }\nhttp {\n access_log access.log;\n"
	for _, d := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		conf += " " + d + "_temp_path " + d + ";\n"
	}
	conf += " server { listen " + at + "; location / { proxy_pass " + to + "; " + more + " } }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var out output
	cmd := exec.Command(program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	if !testwait.For(soon, func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}) {
		t.Fatalf("nginx does not listen: %s", out.String())
	}
	return "http://" + at, func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "access.log"))
		return string(text)
	}
}

// TestGuardsBehindNginx: nginx as it comes, which holds answers back, passes the stream on at once: each guard sees an end
// within a second. Where it was told to hold back even that, or compresses what it passes on, guards poll or follow, and see
// it as soon.
func TestGuardsBehindNginx(t *testing.T) {
	if testing.Short() {
		t.Skip("starts other programs; runs without -short")
	}
	for _, g := range guards {
		if g.name == "python-asgi" {
			continue // it follows as python-wsgi does
		}
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, newFacade(t), "http://127.0.0.1:9", "", nil)
			key := h.followKey(t)
			for _, c := range []struct {
				name, lines string
				polls       bool
			}{
				{"as it comes", "", false},
				{"compressing", "gzip on; gzip_types text/event-stream; gzip_proxied any; gzip_min_length 0;", false},
				{"holding back", "proxy_ignore_headers X-Accel-Buffering;", true},
			} {
				t.Run(c.name, func(t *testing.T) {
					front, log := nginx(t, h.server.AuthURL(), c.lines)
					p := guarded{h: h, base: start(t, g.app(t, "ISSUER="+h.URL, "EVENTS_URL="+front+"/admin/v1/realms/main/revocations/events",
						"GATEHOUSE_KEY="+key, "MAX_STALENESS=10"))}
					p.withinASecond(t)
					if polls := strings.Contains(log(), "events?wait="); polls != c.polls {
						t.Errorf("it polls: %t\n%s", polls, log())
					}
				})
			}
		})
	}
}
