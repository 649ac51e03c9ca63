package server_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// TestFollowersDoNotHoldUpOthers: over the program's own listener, one who follows and does not read what comes is left after a
// while, and meanwhile others are told at once, on the same connection of HTTP/2 too.
func TestFollowersDoNotHoldUpOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a limit; runs without -short")
	}
	for name, protocols := range map[string]func(p *http.Protocols){
		"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) },
		"HTTP/2":   func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := demo(t)
			transport := &http.Transport{Protocols: new(http.Protocols)}
			protocols(transport.Protocols)
			t.Cleanup(transport.CloseIdleConnections)
			follow := func() *http.Response {
				r, err := http.NewRequestWithContext(t.Context(), "GET", d.Issuer+"/admin/v1/realms/main/revocations/events", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+d.AdminToken)
				r.Header.Set("Accept-Encoding", "gzip")
				res, err := transport.RoundTrip(r)
				if err != nil || res.StatusCode != 200 || res.Proto[:6] != name[:6] || res.Header.Get("Content-Encoding") != "" {
					t.Fatalf("%+v %v", res, err)
				}
				t.Cleanup(func() { res.Body.Close() })
				return res
			}
			idle, busy := follow(), follow()
			var told atomic.Int64
			go func() {
				in := bufio.NewScanner(busy.Body)
				in.Buffer(nil, 1<<20)
				for in.Scan() {
					if strings.HasPrefix(in.Text(), "event: cutoff") {
						told.Add(1)
					}
				}
			}()
			long := strings.Repeat("x", 16<<10)
			tell := func(n int) { // some at a time: who falls behind the journal is told all anew
				for range n {
					d.Tell(revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSubject, ID: long, Before: time.Now()})
				}
			}
			const all = 2000 // more than the sockets hold
			tell(all)
			testwait.Until(t, soon, "the other one", func() bool { return told.Load() >= all })
			began := time.Now()
			tell(1)
			testwait.Until(t, soon, "the other one, when the first is stuck", func() bool { return told.Load() > all })
			if took := time.Since(began); took > time.Second {
				t.Errorf("told after %v", took)
			}
			testwait.Outlast(12 * time.Second)
			ended := make(chan error, 1)
			go func() { _, err := io.Copy(io.Discard, idle.Body); ended <- err }()
			select {
			case err := <-ended:
				if err == nil || errors.Is(err, http.ErrBodyReadAfterClose) {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(soon):
				t.Error("the stream of one who does not read goes on")
			}
			tell(1)
			testwait.Until(t, soon, "the other one, at the end", func() bool { return told.Load() > all+1 })
		})
	}
}
