package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

func TestWebSocket(t *testing.T) {
	assertion := make(chan string, 1)
	s := start(t, websocket.Server{Handler: func(c *websocket.Conn) {
		assertion <- c.Request().Header.Get("X-Gatehouse-Assertion")
		var text string
		for websocket.Message.Receive(c, &text) == nil {
			_ = websocket.Message.Send(c, text)
		}
	}})
	c, err := websocket.Dial(strings.Replace(s.url, "http", "ws", 1)+"/ws", "", s.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"hello", strings.Repeat("x", 100_000)} {
		if err := websocket.Message.Send(c, text); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := websocket.Message.Receive(c, &got); err != nil || got != text {
			t.Fatalf("%d bytes came back, %v", len(got), err)
		}
	}
	if <-assertion == "" {
		t.Error("no assertion with the upgrade")
	}
	_ = c.Close()
	if x := s.f.last(t); x.status != 101 {
		t.Errorf("recorded %d", x.status)
	}
	s.f.verdict = deny(gatehouse.E(gatehouse.Denied, "no_permit", ""), nil)
	if _, err := websocket.Dial(strings.Replace(s.url, "http", "ws", 1)+"/ws", "", s.url); err == nil {
		t.Error("a refused upgrade went through")
	}
}

func TestStreamEndsWithCredential(t *testing.T) {
	s := start(t, websocket.Server{Handler: func(c *websocket.Conn) { _, _ = io.Copy(c, c) }})
	var c *websocket.Conn
	for life := 300 * time.Millisecond; c == nil; life *= 2 { // a slow machine needs a longer one to get in at all
		p := *alice
		p.ExpiresAt = time.Now().Add(life)
		s.f.verdict = allow(enforce.Route{}, &p)
		var err error
		if c, err = websocket.Dial(strings.Replace(s.url, "http", "ws", 1)+"/ws", "", s.url); err != nil && life > 10*time.Second {
			t.Fatal(err)
		}
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	var got string
	err := websocket.Message.Receive(c, &got)
	var timeout net.Error
	if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the connection outlived the credential: %v", err)
	}
}

// TestStreamEndsWhenTakenBack: a WebSocket and an event stream end soon after what
// let them in is taken back, and the record says why; until then they live.
func TestStreamEndsWhenTakenBack(t *testing.T) {
	events := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			if _, err := fmt.Fprint(w, "data: tick\n\n"); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	for name, upstream := range map[string]http.Handler{
		"WebSocket": websocket.Server{Handler: func(c *websocket.Conn) { _, _ = io.Copy(c, c) }}, "events": events} {
		t.Run(name, func(t *testing.T) {
			s := start(t, upstream, func(c *gateway.Config, _ *gateway.Upstream) { c.StreamCheck = 5 * time.Millisecond })
			var revoked atomic.Bool
			var checks atomic.Int64
			allowed, refused := allow(enforce.Route{}, alice), deny(gatehouse.E(gatehouse.Unauthenticated, "token_revoked", ""), nil)
			s.f.verdict = func(r *http.Request) enforce.Verdict {
				if checks.Add(1); revoked.Load() {
					return refused(r)
				}
				return allowed(r)
			}
			ended := make(chan struct{})
			if name == "events" {
				res, err := http.Get(s.url + "/events")
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				go func() { defer close(ended); _, _ = io.Copy(io.Discard, res.Body) }()
			} else {
				c, err := websocket.Dial(strings.Replace(s.url, "http", "ws", 1)+"/ws", "", s.url)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				go func() { defer close(ended); _, _ = io.Copy(io.Discard, c) }()
			}
			testwait.Until(t, 10*time.Second, "the stream is judged again", func() bool { return checks.Load() >= 4 })
			select {
			case <-ended:
				t.Fatal("it ended while it was allowed")
			default:
			}
			revoked.Store(true)
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Fatal("it lives on after the credential was revoked")
			}
			x := s.f.last(t)
			if last := x.steps[len(x.steps)-1]; last.Name != "forward" || last.Code != "access_ended" {
				t.Errorf("recorded %+v", x.steps)
			}
		})
	}
}

// TestUpgradeSmuggling: an upgrade to anything but WebSocket never reaches the
// upstream, so no tunnel opens past the checks.
func TestUpgradeSmuggling(t *testing.T) {
	s := start(t, http.HandlerFunc(echo))
	out := raw(t, s.addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
	if !strings.HasPrefix(out, "HTTP/1.1 200") || strings.Contains(out, "h2c") || strings.Contains(out, "AAMAAABk") {
		t.Errorf("%s", out)
	}
}

func TestServerSentEvents(t *testing.T) {
	next := make(chan struct{})
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}))
	s.f.verdict = allow(enforce.Route{Timeout: 200 * time.Millisecond}, alice)
	res, err := http.Get(s.url + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	for i := range 3 { // each event arrives before the upstream goes on
		line, err := in.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("event %d: %q %v", i, line, err)
		}
		_, _ = in.ReadString('\n')
		if i == 1 {
			testwait.Outlast(300 * time.Millisecond) // longer than the route's time-out, which is not for streams
		}
		next <- struct{}{}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("end of stream: %v", err)
	}
}

func TestStreamingUpload(t *testing.T) {
	got := make(chan string)
	s := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				got <- string(buf[:n])
			}
			if err != nil {
				close(got)
				return
			}
		}
	}))
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		res, err := http.Post(s.url+"/up", "text/plain", pr)
		if err == nil {
			_ = res.Body.Close()
		}
		done <- err
	}()
	for _, part := range []string{"one", "two", "three"} {
		if _, err := io.WriteString(pw, part); err != nil {
			t.Fatal(err)
		}
		if g := <-got; g != part { // before the next part is written
			t.Errorf("got %q", g)
		}
	}
	_ = pw.Close()
	if _, more := <-got; more {
		t.Error("more than was sent")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTrailers(t *testing.T) {
	var in http.Header
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		in = r.Trailer
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
	}))
	req, _ := http.NewRequest("POST", s.url+"/", io.NopCloser(strings.NewReader("data")))
	req.Trailer = http.Header{"X-Check": {"7"}, "X-Gatehouse-Subject": {"usr_evil"}, "Remote_user": {"evil"}}
	res, body := do(t, req)
	if body != "body" || res.Trailer.Get("X-Sum") != "42" {
		t.Errorf("%q, trailer %v", body, res.Trailer)
	}
	if in.Get("X-Check") != "7" || len(in) != 1 {
		t.Errorf("the upstream saw trailers %v", in)
	}
}

func TestBodyBounds(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			fmt.Fprint(w, n)
		}
	}))
	s.f.verdict = allow(enforce.Route{MaxBodyBytes: 1000, ContentTypes: []string{"text/plain"}}, alice)
	for _, c := range []struct {
		name string
		size int
		hide bool // no Content-Length
		typ  string
		want int
	}{
		{"fits", 1000, false, "text/plain", 200},
		{"fits in chunks", 1000, true, "text/plain; charset=utf-8", 200},
		{"too large", 1001, false, "text/plain", 413},
		{"too large in chunks", 100_000, true, "text/plain", 413},
	} {
		var body io.Reader = bytes.NewReader(make([]byte, c.size))
		if c.hide {
			body = io.NopCloser(body)
		}
		req, _ := http.NewRequest("POST", s.url+"/", body)
		if c.typ != "" {
			req.Header.Set("Content-Type", c.typ)
		}
		res, text := do(t, req)
		if res.StatusCode != c.want || c.want == 200 && text != fmt.Sprint(c.size) {
			t.Errorf("%s: %d %s", c.name, res.StatusCode, text)
		}
		if x := s.f.last(t); x.status != c.want {
			t.Errorf("%s: recorded %d", c.name, x.status)
		}
	}
}

// ASVS: 16.3.4, 16.5.1, 16.5.2
func TestUpstreamFailures(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := "http://" + ln.Addr().String()
	_ = ln.Close()
	expect := func(s *setup, status int, code string) {
		t.Helper()
		res, body := get(t, s.url+"/x", nil)
		if res.StatusCode != status || !strings.Contains(body, `"code":"`+code+`"`) || strings.Contains(body, "127.0.0.1") || strings.Contains(body, "dial") {
			t.Errorf("%d %s", res.StatusCode, body)
		}
		x := s.f.last(t)
		if x.status != status || len(x.steps) != 1 || x.steps[0].Code != code || x.steps[0].Outcome != gatehouse.OutcomeError {
			t.Errorf("record %+v", x)
		}
	}
	expect(startURL(t, down), 502, "upstream_failed")

	release := make(chan struct{})
	slow := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler) // an answer now could still reach the gateway that has just given up
		}
	}))
	defer close(release)
	slow.f.verdict = allow(enforce.Route{Timeout: 50 * time.Millisecond}, alice)
	expect(slow, 504, "upstream_timeout")

	broken := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := http.NewResponseController(w).Hijack()
		_, _ = io.WriteString(c, "SSH-2.0-no\r\n")
		_ = c.Close()
	}))
	expect(broken, 502, "upstream_failed")

	// An answer that is cut in its middle must not look whole.
	cut := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	res, err := http.Get(cut.url + "/")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("half an answer was taken for a whole one")
	}
	if x := cut.f.last(t); len(x.steps) != 1 || x.steps[0].Code != "cut_short" {
		t.Errorf("record %+v", x)
	}
}

func TestClientLeaves(t *testing.T) {
	entered := make(chan struct{})
	s := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done() // the gateway ends it when the client goes
	}))
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", s.url+"/", nil)
	go func() {
		<-entered
		cancel()
	}()
	if _, err := http.DefaultClient.Do(req); err == nil {
		t.Error("an answer without a client")
	}
	if x := s.f.last(t); x.status != 499 || x.steps[0].Code != "client_gone" {
		t.Errorf("record %+v", x)
	}
}

func TestInformationalHeadAndExpect(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)+5))
		_, _ = fmt.Fprintf(w, "got: %s", body)
	}))
	var hints, continues int
	trace := &httptrace.ClientTrace{
		Got100Continue: func() { continues++ },
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 103 && h.Get("Link") != "" {
				hints++
			}
			return nil
		},
	}
	req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "POST", s.url+"/", strings.NewReader("data"))
	req.Header.Set("Expect", "100-continue")
	res, body := do(t, req)
	if body != "got: data" || hints != 1 || res.Header.Get("X-Request-Id") == "" {
		t.Errorf("%q, %d early hints, %v", body, hints, res.Header)
	}
	if continues != 1 {
		t.Errorf("100 Continue %d times", continues)
	}
	head, err := http.Head(s.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = head.Body.Close()
	if head.ContentLength != 5 || head.StatusCode != 200 {
		t.Errorf("HEAD: %d, length %d", head.StatusCode, head.ContentLength)
	}

	// A refused request with Expect is answered before its body is sent.
	s.f.verdict = deny(gatehouse.E(gatehouse.Denied, "no_permit", ""), nil)
	out := raw(t, s.addr, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
	if !strings.HasPrefix(out, "HTTP/1.1 403") {
		t.Errorf("%.200s", out)
	}
}

func TestHTTP2(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(http.Handler) (*httptest.Server, option)
	}{
		{"https", func(h http.Handler) (*httptest.Server, option) {
			srv := httptest.NewUnstartedServer(h)
			srv.EnableHTTP2 = true
			srv.StartTLS()
			file := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
				t.Fatal(err)
			}
			return srv, func(_ *gateway.Config, u *gateway.Upstream) { u.CAFile = file }
		}},
		{"h2c", func(h http.Handler) (*httptest.Server, option) {
			srv := httptest.NewUnstartedServer(h)
			srv.Config.Protocols = new(http.Protocols)
			srv.Config.Protocols.SetUnencryptedHTTP2(true)
			srv.Start()
			return srv, func(_ *gateway.Config, u *gateway.Upstream) { u.HTTP2 = true }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			api, opt := c.make(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.Header().Set("Trailer", "X-End")
				fmt.Fprintf(w, "%s %s %s %s", r.Proto, body, r.Trailer.Get("X-Sum"), r.Header.Get("Te"))
				w.Header().Set("X-End", "1")
			}))
			defer api.Close()
			s := startURL(t, api.URL, opt)
			front := httptest.NewUnstartedServer(s.srv.Config.Handler)
			front.EnableHTTP2 = true
			front.StartTLS()
			defer front.Close()
			req, _ := http.NewRequest("POST", front.URL+"/", io.NopCloser(strings.NewReader("data")))
			req.Header.Set("Te", "trailers")
			req.Trailer = http.Header{"X-Sum": {"9"}}
			res, err := front.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.ProtoMajor != 2 || string(body) != "HTTP/2.0 data 9 trailers" || res.Trailer.Get("X-End") != "1" {
				t.Errorf("%s %s %v", res.Proto, body, res.Trailer)
			}
			if res.Header.Get("Strict-Transport-Security") == "" {
				t.Error("no HSTS over TLS")
			}
		})
	}
	// A certificate that nobody vouches for is no upstream.
	api := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	api.Config.ErrorLog = log.New(io.Discard, "", 0)
	api.StartTLS()
	defer api.Close()
	s := startURL(t, api.URL)
	if res, _ := get(t, s.url+"/", nil); res.StatusCode != 502 {
		t.Errorf("unverified upstream: %d", res.StatusCode)
	}
}

func TestListFilter(t *testing.T) {
	answer := `[{"id":1},{"id":2}]`
	header := http.Header{"Content-Type": {"application/json"}}
	status := 200
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for k, v := range header {
			w.Header()[k] = v
		}
		w.Header().Set("Etag", `"all"`)
		if r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Range") != "" || r.Header.Get("If-None-Match") != "" {
			t.Errorf("asked with %v", r.Header)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}), func(c *gateway.Config, _ *gateway.Upstream) { c.MaxListBytes = 100 })
	s.f.verdict = allow(enforce.Route{Filter: &enforce.ListFilter{}}, alice)
	s.f.filter = func(body []byte) ([]byte, error) { return bytes.Replace(body, []byte(`{"id":1},`), nil, 1), nil }
	ask := http.Header{"Range": {"bytes=0-5"}, "If-None-Match": {`"all"`}}
	res, body := get(t, s.url+"/", ask)
	if body != `[{"id":2}]` || res.ContentLength != 10 || res.Header.Get("Etag") != "" {
		t.Errorf("%s %d %v", body, res.ContentLength, res.Header)
	}
	if res, err := http.Head(s.url + "/"); err != nil || res.ContentLength != -1 {
		t.Errorf("HEAD tells the size of the whole list: %d %v", res.ContentLength, err)
	}
	refused := func(name string) {
		t.Helper()
		if res, body := get(t, s.url+"/", ask); res.StatusCode != 502 || strings.Contains(body, `"id"`) {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
	}
	header["Content-Encoding"] = []string{"gzip"}
	refused("compressed")
	delete(header, "Content-Encoding")
	header["Content-Type"] = []string{"text/html"}
	refused("not JSON")
	header["Content-Type"] = []string{"application/json"}
	answer = `[` + strings.Repeat(" ", 100) + `]`
	refused("too large")
	answer = `[]`
	s.f.filter = func([]byte) ([]byte, error) { return nil, errors.New("cannot read it") }
	refused("filter fails")
	status = 404
	if res, body := get(t, s.url+"/", ask); res.StatusCode != 404 || body != "[]" {
		t.Errorf("an upstream's error passes: %d %s", res.StatusCode, body)
	}
}
