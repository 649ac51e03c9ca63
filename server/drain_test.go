package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// stoppable is a server before an API, that is stopped with these bounds.
func stoppable(t *testing.T, bounds config.Shutdown, api http.HandlerFunc) *house {
	t.Helper()
	h := newHouse(t)
	up := httptest.NewServer(api)
	t.Cleanup(up.Close)
	h.cfg.Upstreams = map[string]gateway.Upstream{"api": {URL: up.URL}}
	h.cfg.Routes = []enforce.Route{{Pattern: "/", Upstream: "api", Anonymous: true}}
	h.cfg.Shutdown = bounds
	h.start()
	return h
}

// address is where the gateway listens.
func (h *house) address() string { return strings.TrimPrefix(h.s.GatewayURL(), "http://") }

// stopping begins to stop the server; what it returns is closed when that is done.
func (h *house) stopping(ctx context.Context) (done chan struct{}) {
	done = make(chan struct{})
	go func() { h.s.Close(ctx); close(done) }()
	return done
}

// load are clients that send requests one after the other, until nobody listens.
type load struct {
	t       *testing.T
	address string
	running sync.WaitGroup
	served  atomic.Int64 // requests that were answered by 200, to the end
	closed  atomic.Int64 // answers that said that their connection ends
}

func (l *load) lost(what string, err error) { l.t.Errorf("%s: a request is lost: %v", what, err) }

// nobodyListens reports whether nobody listens any more.
func nobodyListens(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// overHTTP1 asks over one connection for as long as the server keeps it, or over one for
// each request. POST is never sent again by itself.
func (l *load) overHTTP1(keep bool) {
	const request = "POST /x HTTP/1.1\r\nHost: api\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n%s\r\nhello"
	line := ""
	if !keep {
		line = "Connection: close\r\n"
	}
	var c net.Conn
	var in *bufio.Reader
	for {
		if c == nil {
			var err error
			if c, err = net.DialTimeout("tcp", l.address, 10*time.Second); err != nil {
				if !nobodyListens(err) {
					l.lost("connecting", err)
				}
				return
			}
			in = bufio.NewReader(c)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := fmt.Fprintf(c, request, line); err != nil {
			l.lost("sending", err)
			return
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			l.lost("answer", err)
			return
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			l.lost(resp.Status, err)
			return
		}
		l.served.Add(1)
		if resp.Close {
			if keep {
				l.closed.Add(1)
			}
			_ = c.Close()
			c = nil
		}
	}
}

// overHTTP2 asks over connections that many requests share.
func (l *load) overHTTP2(client *http.Client) {
	for {
		resp, err := client.Post("http://"+l.address+"/x", "text/plain", bytes.NewReader([]byte("hello")))
		if err != nil {
			if !nobodyListens(err) {
				l.lost("HTTP/2", err)
			}
			return
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			l.lost(resp.Status, err)
			return
		}
		resp.Body.Close()
		l.served.Add(1)
	}
}

// start sets the clients to work.
func (l *load) start() {
	for range 12 {
		l.running.Go(func() { l.overHTTP1(true) })
	}
	for range 6 {
		l.running.Go(func() { l.overHTTP1(false) })
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	for range 6 {
		l.running.Go(func() { l.overHTTP2(client) })
	}
}

// TestDrainLosesNothing stops the server under load: every request that a connection was
// there for is answered, and the API was asked for no other.
func TestDrainLosesNothing(t *testing.T) {
	for name, delay := range map[string]time.Duration{"at once": 0, "after a while": 300 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			h := stoppable(t, config.Shutdown{Delay: delay, Grace: 20 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				asked.Add(1)
				select {
				case <-time.After(3 * time.Millisecond):
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(w, "hello back")
			})
			l := &load{t: t, address: h.address()}
			l.start()
			testwait.Until(t, 20*time.Second, "there is a load", func() bool { return l.served.Load() > 300 })
			<-h.stopping(t.Context())
			l.running.Wait()
			if n, m := l.served.Load(), asked.Load(); n != m {
				t.Errorf("%d answers of %d reached the clients", n, m)
			}
			if l.closed.Load() < 12 {
				t.Errorf("only %d kept connections were told to end", l.closed.Load())
			}
			t.Logf("%d requests", l.served.Load())
		})
	}
}

// TestDrainSteps: first /readyz says so, and everything is still served, also over new
// connections; then nobody can connect, what runs ends by itself, and the end is recorded.
func TestDrainSteps(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	h := stoppable(t, config.Shutdown{Delay: 2 * time.Second, Grace: 20 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			asked <- struct{}{}
			<-answer
		}
		_, _ = io.WriteString(w, "ok")
	})
	ready := func() int {
		resp, err := http.Get(h.s.MetricsURL() + "/readyz")
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	get := func(path string) (*http.Response, error) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		resp, err := client.Get(h.s.GatewayURL() + path)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		return resp, err
	}
	if got := ready(); got != 200 {
		t.Fatalf("before: %d", got)
	}
	if resp, err := get("/"); err != nil || resp.Close {
		t.Fatalf("before: %v %v", resp, err)
	}
	gate := h.s.GatewayURL()
	done := h.stopping(t.Context())
	testwait.Until(t, time.Second, "it is not ready", func() bool { return ready() == 503 })
	resp, err := get("/")
	if err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("while it waits: %v %v", resp, err)
	}
	type result struct {
		resp *http.Response
		err  error
	}
	slow := make(chan result, 1)
	go func() { resp, err := get("/slow"); slow <- result{resp, err} }()
	<-asked
	testwait.Until(t, 10*time.Second, "nobody can connect", func() bool {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(gate, "http://"), 5*time.Second)
		if err == nil {
			_ = c.Close()
		}
		return nobodyListens(err)
	})
	if got := ready(); got != 503 {
		t.Errorf("while requests end: %d", got)
	}
	select {
	case <-done:
		close(answer)
		t.Fatal("it ended before the request that ran")
	case r := <-slow:
		close(answer)
		t.Fatalf("the request that ran was cut: %v", r.err)
	case <-time.After(time.Second):
	}
	close(answer)
	if r := <-slow; r.err != nil || r.resp.StatusCode != 200 || !r.resp.Close {
		t.Errorf("the request that ran: %v %v", r.resp, r.err)
	}
	<-done
	if got := ready(); got != 0 {
		t.Errorf("after the end: %d", got)
	}
}

// TestDrainEndsStreams: what never ends by itself has until shutdown.grace is over and no
// longer; who waits for an answer gets one, and each is recorded as what it was.
func TestDrainEndsStreams(t *testing.T) {
	const grace = 700 * time.Millisecond
	h := stoppable(t, config.Shutdown{Grace: grace}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
		case "/socket":
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
			return
		}
		<-r.Context().Done()
	})
	key := h.bootstrap()
	open := func(request string) (net.Conn, *bufio.Reader) {
		t.Helper()
		c, err := net.Dial("tcp", h.address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, request)
		return c, bufio.NewReader(c)
	}
	_, events := open("GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
	_, socket := open("GET /socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	_, waiting := open("GET /waits HTTP/1.1\r\nHost: h\r\n\r\n")
	if resp, err := http.ReadResponse(events, nil); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	if resp, err := http.ReadResponse(socket, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	testwait.Until(t, 5*time.Second, "three run", func() bool { return h.running() == 3 })
	began := time.Now()
	done := h.stopping(t.Context())
	ends := make(chan time.Duration, 2)
	for _, r := range []*bufio.Reader{events, socket} {
		go func() { _, _ = io.Copy(io.Discard, r); ends <- time.Since(began) }()
	}
	resp, err := http.ReadResponse(waiting, nil)
	if err != nil || resp.StatusCode != 503 || !resp.Close {
		t.Errorf("who waits for an answer: %v %v", resp, err)
	} else if b, _ := io.ReadAll(resp.Body); !strings.Contains(string(b), `"server_stopping"`) {
		t.Errorf("%s", b)
	}
	for range 2 {
		if took := <-ends; took < grace || took > grace+endTime {
			t.Errorf("a stream ended after %v", took)
		}
	}
	<-done
	if took := time.Since(began); took > grace+2*endTime {
		t.Errorf("it took %v", took)
	}
	h.s = nil
	h.start()
	found := map[string]bool{}
	testwait.Until(t, 10*time.Second, "all three are recorded", func() bool {
		_, out := h.call("GET", h.s.AuthURL()+"/admin/v1/realms/main/audit/events?kind=request.decide&limit=100", key, "")
		items, _ := out["items"].([]any)
		for _, e := range items {
			if e := e.(map[string]any); e["reason"] == "server_stopping" && e["outcome"] == "error" {
				found[e["path"].(string)] = true
			}
		}
		return found["/events"] && found["/socket"] && found["/waits"]
	})
}

// running is how many requests run.
func (h *house) running() (n int64) {
	for _, l := range h.s.listeners {
		n += l.running.Load()
	}
	return n
}

// TestDrainHurries: who asks twice waits for nothing.
func TestDrainHurries(t *testing.T) {
	h := stoppable(t, config.Shutdown{Delay: time.Hour, Grace: time.Hour}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	go func() {
		resp, err := http.Get(h.s.GatewayURL())
		if err == nil {
			resp.Body.Close()
		}
	}()
	testwait.Until(t, 5*time.Second, "one runs", func() bool { return h.running() == 1 })
	ctx, hurry := context.WithCancel(t.Context())
	done := h.stopping(ctx)
	testwait.Until(t, 5*time.Second, "it has begun", h.s.leaving.Load)
	hurry()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
}

// TestDrainGoAway: a connection of HTTP/2 is told to go with the first answer while the
// server waits, and one without requests when it ends; no connection is just cut.
func TestDrainGoAway(t *testing.T) {
	h := stoppable(t, config.Shutdown{Delay: time.Second, Grace: 10 * time.Second}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	dial := func() *http2.Framer {
		c, err := net.Dial("tcp", h.address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, http2.ClientPreface)
		f := http2.NewFramer(c, c)
		_ = f.WriteSettings()
		return f
	}
	ask := func(f *http2.Framer, id uint32) {
		// :method GET, :scheme http, :path / and a name of 1 byte for :authority.
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x82, 0x86, 0x84, 0x41, 0x01, 'h'}, EndStream: true, EndHeaders: true})
	}
	// next reads until an answer has ended, or a GOAWAY came.
	next := func(f *http2.Framer) (answered, goAway bool, err error) {
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return false, false, err
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if !frame.IsAck() {
					_ = f.WriteSettingsAck()
				}
			case *http2.DataFrame:
				if frame.StreamEnded() {
					return true, false, nil
				}
			case *http2.GoAwayFrame:
				if frame.ErrCode != http2.ErrCodeNo {
					t.Errorf("GOAWAY with %v", frame.ErrCode)
				}
				return false, true, nil
			}
		}
	}
	busy, idle := dial(), dial()
	for _, f := range []*http2.Framer{busy, idle} {
		ask(f, 1)
		if answered, _, err := next(f); !answered {
			t.Fatalf("before: %v", err)
		}
	}
	done := h.stopping(t.Context())
	testwait.Until(t, time.Second, "it stops", h.s.leaving.Load)
	ask(busy, 3)
	answered, goAway := false, false
	for !answered || !goAway {
		a, g, err := next(busy)
		if err != nil {
			t.Fatalf("answered %v, told to go %v: %v", answered, goAway, err)
		}
		answered, goAway = answered || a, goAway || g
	}
	for _, l := range h.s.listeners {
		if l.net.leaving.Load() {
			t.Error("it was told to go at the end only")
		}
	}
	if _, goAway, err := next(idle); !goAway {
		t.Errorf("the idle connection was cut: %v", err)
	}
	<-done
}
