package server_test

import (
	"bufio"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/server"
)

// follower reads the stream of revocations of the realm main.
type follower struct {
	t     *testing.T
	lines chan string // each line that is not empty; closed at the end
}

// follow opens the stream at a node.
func follow(t *testing.T, auth, key string) *follower {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", auth+"/admin/v1/realms/main/revocations/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	f := &follower{t, make(chan string, 1000)}
	go func() {
		defer close(f.lines)
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			if s.Text() != "" {
				f.lines <- s.Text()
			}
		}
	}()
	f.until("event: ready")
	return f
}

// until waits for a line that begins like this.
func (f *follower) until(begin string) {
	f.t.Helper()
	deadline := time.After(soon)
	for {
		select {
		case line, open := <-f.lines:
			if !open {
				f.t.Fatalf("the stream ended before %q", begin)
			}
			if strings.HasPrefix(line, begin) {
				return
			}
		case <-deadline:
			f.t.Fatalf("no %q", begin)
		}
	}
}

// TestRevocationsOfAnotherNode: whoever follows one node learns within a second of what was ended at another.
func TestRevocationsOfAnotherNode(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	f := follow(t, b.AuthURL(), a.AdminToken)
	var took []time.Duration
	for range 5 {
		access, _ := login(t, a, "bob")
		began := time.Now()
		call(t, "DELETE", a.Issuer+"/tokens", "bearer", access).want(t, "the end of a token", 204)
		f.until("event: status")
		f.until("event: ready")
		took = append(took, time.Since(began))
	}
	if slices.Sort(took); took[2] > time.Second {
		t.Errorf("told after %v", took)
	}
}

// TestStopEndsStreamsOfRevocations: a server that stops does not wait for those who follow until its grace is over.
func TestStopEndsStreamsOfRevocations(t *testing.T) {
	d, err := server.StartDemo(t.Context(), server.DemoConfig{Data: t.TempDir() + "/demo", Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0",
		Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	f := follow(t, d.Issuer, d.AdminToken)
	began := time.Now()
	done := make(chan struct{})
	go func() { d.Close(context.Background()); close(done) }()
	for range f.lines {
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stream ended after %v", took)
	}
	<-done
}
