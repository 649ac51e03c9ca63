package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// ways are the two ways through the gateway: relayed, and by net/http's proxy.
var ways = map[string]option{
	"relayed": func(*gateway.Config, *gateway.Upstream) {},
	"proxied": func(c *gateway.Config, _ *gateway.Upstream) {},
}

// eachWay runs a test on both ways to the upstream.
func eachWay(t *testing.T, up http.Handler, opt option, test func(t *testing.T, s *setup)) {
	for name := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, up, opt)
			if name == "proxied" {
				gateway.ReverseProxyOnly(s.cfg.Upstreams)
			}
			test(t, s)
		})
	}
}

const (
	idle  = 300 * time.Millisecond
	pause = idle / 6
	total = 2 * idle // longer than anything may stand still
)

// drip writes a piece after each pause until total is over, then what is left.
func drip(w io.Writer, flush func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for end := time.Now().Add(total); time.Now().Before(end); <-tick.C {
		if _, err := io.WriteString(w, "piece "); err != nil {
			return
		}
		flush()
	}
	_, _ = io.WriteString(w, "end")
}

// flows is an API that reads what comes, and answers for as long as drip takes.
func flows(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if len(body) > 0 {
		_, _ = w.Write(body[len(body)-3:])
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	drip(w, func() { _ = http.NewResponseController(w).Flush() })
}

// TestWhatFlowsIsNotCut: a download and an upload that go on have all the time they
// need, unless the route bounds the sum.
func TestWhatFlowsIsNotCut(t *testing.T) {
	t.Parallel()
	opt := func(c *gateway.Config, _ *gateway.Upstream) { c.IdleTimeout = idle }
	eachWay(t, http.HandlerFunc(flows), opt, func(t *testing.T, s *setup) {
		if res, body := get(t, s.url+"/file", nil); res.StatusCode != 200 || !strings.HasSuffix(body, "end") {
			t.Errorf("download: %d %q", res.StatusCode, body)
		}
		s.f.last(t)
		pr, pw := io.Pipe()
		go func() { drip(pw, func() {}); _ = pw.Close() }()
		req, _ := http.NewRequest("POST", s.url+"/file", pr)
		if res, body := do(t, req); res.StatusCode != 200 || body != "end" {
			t.Errorf("upload: %d %q", res.StatusCode, body)
		}
		s.f.last(t)

		s.f.verdict = allow(enforce.Route{Timeout: idle / 2}, alice)
		res, err := http.Get(s.url + "/file")
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		if err == nil {
			t.Error("the sum of the route did not bound the download")
		}
		if x := s.f.last(t); x.steps[0].Code != "upstream_timeout" {
			t.Errorf("recorded %+v", x.steps)
		}
	})
}

// TestWhoIsBlamed: what stands still is cut, and the record and the status say whose
// doing it was.
func TestWhoIsBlamed(t *testing.T) {
	t.Parallel()
	large := make([]byte, 64<<10)
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/silent":
		case "/half":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		case "/large":
			for {
				if _, err := w.Write(large); err != nil {
					return
				}
			}
		case "/body":
			_, _ = io.Copy(io.Discard, r.Body)
		}
		<-r.Context().Done()
	})
	opt := func(c *gateway.Config, _ *gateway.Upstream) { c.IdleTimeout = idle }
	eachWay(t, api, opt, func(t *testing.T, s *setup) {
		expect := func(what string, status int, code string) {
			t.Helper()
			if x := s.f.last(t); x.status != status || x.steps[0].Code != code {
				t.Errorf("%s: recorded %d %+v, not %d %s", what, x.status, x.steps, status, code)
			}
		}
		send := func(text string) (*http.Response, string) {
			t.Helper()
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(c, text)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			return res, string(body)
		}
		if res, body := get(t, s.url+"/silent", nil); res.StatusCode != 504 || !strings.Contains(body, "upstream_timeout") {
			t.Errorf("silent API: %d %s", res.StatusCode, body)
		}
		expect("silent API", 504, "upstream_timeout")
		_, _ = send("GET /half HTTP/1.1\r\nHost: h\r\n\r\n")
		expect("API that stops", 200, "upstream_timeout")
		for _, lines := range []string{"Content-Length: 4\r\n\r\nab", "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"} {
			if res, body := send("POST /body HTTP/1.1\r\nHost: h\r\n" + lines); res.StatusCode != 408 || !strings.Contains(body, "caller_too_slow") {
				t.Errorf("silent caller: %d %s", res.StatusCode, body)
			}
			expect("silent caller", 408, "caller_too_slow")
		}
		// The API has the whole body: now it is the one that is waited for.
		if res, _ := send("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd"); res.StatusCode != 504 {
			t.Errorf("API that got everything: %d", res.StatusCode)
		}
		expect("API that got everything", 504, "upstream_timeout")
		// Who does not take the answer is slow, whatever bounds the sum.
		s.f.verdict = allow(enforce.Route{Timeout: 2 * idle}, alice)
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
		testwait.Outlast(3 * idle)
		_ = c.Close()
		expect("caller that does not read", 200, "caller_too_slow")
	})
}

// TestOpenIsJudgedAgain: whatever lasts longer than the interval is judged again, of
// whatever type and on whatever side the time goes. What a write does at the API is
// not undone by telling the caller that it was not allowed.
func TestOpenIsJudgedAgain(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{}, 10)
	release := make(chan struct{})
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		switch r.URL.Path {
		case "/waits":
			select {
			case <-r.Context().Done():
			case <-release:
			}
			return
		case "/ndjson":
			w.Header().Set("Content-Type", "application/x-ndjson")
		case "/download":
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", "1000000000")
		case "/upload":
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "{}\n")
			_ = http.NewResponseController(w).Flush()
			<-pace.C
		}
	})
	opt := func(c *gateway.Config, _ *gateway.Upstream) { c.StreamCheck = 5 * time.Millisecond }
	for _, tc := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/ndjson", 200, "access_ended"}, {"GET", "/download", 200, "access_ended"}, {"GET", "/none", 200, "access_ended"},
		{"POST", "/ndjson", 200, "access_ended"}, {"GET", "/waits", 403, "access_ended"}, {"POST", "/upload", 403, "access_ended"},
		{"DELETE", "/waits", 200, ""},
	} {
		eachWay(t, api, opt, func(t *testing.T, s *setup) {
			var revoked atomic.Bool
			var checks atomic.Int64
			allowed, refused := allow(enforce.Route{}, alice), deny(gatehouse.E(gatehouse.Unauthenticated, "token_revoked", ""), nil)
			s.f.verdict = func(r *http.Request) enforce.Verdict {
				if checks.Add(1); revoked.Load() {
					return refused(r)
				}
				return allowed(r)
			}
			var body io.Reader
			if tc.path == "/upload" {
				pr, pw := io.Pipe()
				defer pw.Close()
				go func() { _, _ = io.WriteString(pw, "first") }()
				body = pr
			}
			req, _ := http.NewRequestWithContext(t.Context(), tc.method, s.url+tc.path, body)
			go func() {
				res, err := http.DefaultClient.Do(req)
				if err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			}()
			<-entered
			if tc.code == "" {
				revoked.Store(true)
				testwait.Outlast(100 * time.Millisecond) // twenty intervals
				revoked.Store(false)                     // an answer that flows is judged again, which is not asked here
				release <- struct{}{}
			} else {
				testwait.Until(t, 10*time.Second, tc.method+" "+tc.path+" is judged again", func() bool { return checks.Load() >= 4 })
				revoked.Store(true)
			}
			x := s.f.last(t)
			if x.status != tc.status || x.steps[len(x.steps)-1].Code != tc.code {
				t.Errorf("%s %s: recorded %d %+v", tc.method, tc.path, x.status, x.steps)
			}
		})
	}
}

// TestAnswerBeforeTheBodyEnds: an API may answer, and end its answer, while the
// caller still has something to send; the caller gets all of it at once, as without
// a gateway. gRPC calls in both directions end so.
func TestAnswerBeforeTheBodyEnds(t *testing.T) {
	t.Parallel()
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		first := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, first)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = w.Write(first)
		w.Header().Set("Grpc-Status", "0")
	})
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	for _, upstream2 := range []bool{false, true} {
		for _, caller2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("caller HTTP2 %v, upstream HTTP2 %v", caller2, upstream2), func(t *testing.T) {
				t.Parallel()
				srv := httptest.NewUnstartedServer(api)
				srv.Config.Protocols = both
				srv.Start()
				defer srv.Close()
				s := startURL(t, srv.URL, func(_ *gateway.Config, u *gateway.Upstream) { u.HTTP2 = upstream2 })
				front := httptest.NewUnstartedServer(s.srv.Config.Handler)
				front.Config.Protocols = both
				front.Start()
				defer front.Close()
				var client http.RoundTripper = &http.Transport{}
				if caller2 {
					protocols := new(http.Protocols)
					protocols.SetUnencryptedHTTP2(true)
					client = &http.Transport{Protocols: protocols}
				}
				pr, pw := io.Pipe()
				defer pw.Close() // long after the answer
				go func() { _, _ = io.WriteString(pw, "hello") }()
				req, _ := http.NewRequestWithContext(t.Context(), "POST", front.URL+"/svc/Call", pr)
				req.Header.Set("Content-Type", "application/grpc")
				type answer struct {
					res  *http.Response
					body string
					err  error
				}
				got := make(chan answer, 1)
				go func() {
					res, err := client.RoundTrip(req)
					if err != nil {
						got <- answer{err: err}
						return
					}
					body, err := io.ReadAll(res.Body)
					got <- answer{res, string(body), err}
				}()
				select {
				case a := <-got:
					if a.err != nil || a.body != "hello" || a.res.Trailer.Get("Grpc-Status") != "0" {
						t.Errorf("%q %v, %+v", a.body, a.err, a.res)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("the call does not end for the caller")
				}
				if x := s.f.last(t); x.status != 200 || x.steps[0].Code != "" {
					t.Errorf("recorded %d %+v", x.status, x.steps)
				}
			})
		}
	}
}

// TestAnswerToABodyThatIsHeldUp: the call ends as well when nobody reads the body at the
// end of the answer, because the API takes no more of it: all that its window lets
// through was sent, and the caller sends nothing more.
func TestAnswerToABodyThatIsHeldUp(t *testing.T) {
	t.Parallel()
	sent := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-sent
		_, _ = io.WriteString(w, "enough")
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Config.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 16, MaxReceiveBufferPerConnection: 1 << 16}
	srv.Start()
	defer srv.Close()
	s := startURL(t, srv.URL, func(_ *gateway.Config, u *gateway.Upstream) { u.HTTP2 = true })
	pr, pw := io.Pipe()
	defer pw.Close() // long after the answer
	go func() {
		_, _ = pw.Write(make([]byte, 1<<16+1))
		close(sent)
	}()
	req, _ := http.NewRequestWithContext(t.Context(), "POST", s.url+"/svc", pr)
	got := make(chan string, 1)
	go func() {
		res, err := (&http.Transport{}).RoundTrip(req)
		if err != nil {
			got <- err.Error()
			return
		}
		body, err := io.ReadAll(res.Body)
		got <- fmt.Sprint(string(body), err)
	}()
	select {
	case answer := <-got:
		if answer != "enough<nil>" {
			t.Error(answer)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the call does not end for the caller")
	}
}

// TestBodyLeftBehind: what an early answer leaves of a body is never taken for the
// next request of that connection.
func TestBodyLeftBehind(t *testing.T) {
	t.Parallel()
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.WriteString(w, r.URL.Path)
	}))
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
	_, _ = io.WriteString(c, fmt.Sprintf("POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", len(smuggled)+1))
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "/first" || !res.Close {
		t.Errorf("%q %v, the connection is announced to end: %v", body, err, res.Close)
	}
	s.f.last(t)
	_, _ = io.WriteString(c, smuggled)
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		t.Errorf("answered: %.200s", rest)
	}
}

// TestBrokenBody: framing that the caller breaks is the caller's mistake.
func TestBrokenBody(t *testing.T) {
	t.Parallel()
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	}))
	for _, body := range []string{"zz\r\nab\r\n0\r\n\r\n", "2\r\nabc\r\n0\r\n\r\n", "2;\r\nab\r\nno\r\n\r\n", "fffffffffffffffff\r\n", "2\nab\r\n0\r\n\r\n",
		"2\r\nab\r\n0\r\nno trailer\r\n\r\n"} {
		out := raw(t, s.addr, "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"+body)
		x := s.f.last(t)
		if strings.HasPrefix(out, "HTTP/1.1 200") {
			continue // net/http reads it
		}
		if !strings.HasPrefix(out, "HTTP/1.1 400") || !strings.Contains(out, `"code":"body_unreadable"`) || x.status != 400 {
			t.Errorf("%q: recorded %d, %.300s", body, x.status, out)
		}
	}
	// A connection that ends in the middle is not the API's doing either.
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
	_ = c.Close()
	if x := s.f.last(t); x.status != 499 || x.steps[0].Code != "client_gone" {
		t.Errorf("half a body: recorded %d %+v", x.status, x.steps)
	}
}
