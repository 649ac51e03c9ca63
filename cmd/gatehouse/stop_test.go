//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestTerminate: SIGTERM lets a request end that runs, and the process ends well; a
// second one lets it wait for nothing.
func TestTerminate(t *testing.T) {
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "ok")
	}))
	defer api.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "gatehouse.yaml")
	text := fmt.Sprintf("issuer: http://127.0.0.1:8080\ndata: data\nlisten: {auth: {address: \"127.0.0.1:0\"}, gateway: {address: \"127.0.0.1:0\"}}\n"+
		"upstreams: {api: {url: %q}}\nshutdown: {grace: 1h}\nroutes:\n  - {match: GET /a, anonymous: true}\n", api.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := server.GenerateMasterKey(filepath.Join(dir, "data", "master.key")); err != nil {
		t.Fatal(err)
	}
	for name, twice := range map[string]bool{"once": false, "twice": true} {
		t.Run(name, func(t *testing.T) {
			program, err := exec.LookPath("gatehouse") // which TestMain makes
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program, "--json", "serve", "--config", path)
			var log strings.Builder
			cmd.Stderr = &log
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill() }()
			var ready struct{ Gateway string }
			if err := json.NewDecoder(out).Decode(&ready); err != nil {
				t.Fatal(err)
			}
			status := make(chan string, 1)
			go func() {
				resp, err := http.Get(ready.Gateway + "/a")
				if err != nil {
					status <- err.Error()
					return
				}
				resp.Body.Close()
				status <- resp.Status
			}()
			<-asked
			signal := func() {
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			signal()
			testwait.Until(t, 10*time.Second, "nobody is let in", func() bool {
				resp, err := http.Get(ready.Gateway + "/none")
				if err == nil {
					resp.Body.Close()
				}
				return err != nil
			})
			want := "200 OK"
			if twice {
				want = "503 Service Unavailable"
				signal()
			} else {
				answer <- struct{}{}
			}
			select {
			case got := <-status:
				if got != want {
					t.Errorf("%s, want %s", got, want)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it waits for the request")
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, log.String())
			}
		})
	}
}
