package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// rawUpstream answers each request on each connection with what answer writes.
type rawUpstream struct {
	net.Listener
	connections, requests atomic.Int64
}

func newRawUpstream(t *testing.T, answer func(c net.Conn, n int64, r *http.Request) (again bool)) *rawUpstream {
	t.Helper()
	u := &rawUpstream{}
	u.Listener = accepting(t, func(c net.Conn) {
		u.connections.Add(1)
		for in := bufio.NewReader(c); ; {
			r, err := http.ReadRequest(in)
			if err != nil || !answer(c, u.requests.Add(1), r) {
				return
			}
		}
	})
	return u
}

func (u *rawUpstream) request(t *testing.T, ctx context.Context, method string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+u.Addr().String()+"/a?b=c", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const maxHeader = 128 << 10

func newClient(t *testing.T, u *rawUpstream) *Client {
	t.Helper()
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	other := &http.Transport{DialContext: dialer.DialContext, MaxResponseHeaderBytes: maxHeader, DisableCompression: true}
	host := "127.0.0.1"
	if u != nil {
		host = u.Addr().String()
	}
	d := New(Config{Host: host, Other: other, Dial: dialer.DialContext, MaxHeaderBytes: maxHeader})
	t.Cleanup(d.CloseIdleConnections)
	return d
}

// accepting listens on loopback until the test ends and gives serve each connection
// in a goroutine of its own.
func accepting(t *testing.T, serve func(c net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l
}

// outcome is all that a caller of a RoundTripper sees.
type outcome struct {
	Failed, BodyFailed bool
	Status             int
	Header, Trailer    http.Header
	Body               string
	Length             int64
	Informational      []int
}

func roundTrip(rt http.RoundTripper, r *http.Request) (o outcome) {
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			o.Informational = append(o.Informational, code)
			return nil
		}}))
	res, err := rt.RoundTrip(r)
	if err != nil {
		return outcome{Failed: true}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	o.Status, o.Header, o.Body, o.Length, o.BodyFailed = res.StatusCode, res.Header, string(body), res.ContentLength, err != nil
	if len(res.Trailer) > 0 {
		o.Trailer = res.Trailer
	}
	return o
}

// TestClientAnswersLikeTransport: what net/http's Transport makes of an answer is
// what comes out here, for well-formed and broken ones.
func TestClientAnswersLikeTransport(t *testing.T) {
	for name, raw := range map[string]string{
		"length":              "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nX-A: 2\r\n\r\nhello",
		"chunks":              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"trailer":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n",
		"to the end":          "HTTP/1.1 200 OK\r\n\r\nhello",
		"close":               "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
		"old":                 "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"nothing":             "HTTP/1.1 204 No Content\r\n\r\n",
		"not modified":        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
		"empty":               "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"early hints":         "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"too many hints":      strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 40) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"length and chunks":   "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"two lengths":         "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello",
		"bad length":          "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
		"cut body":            "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
		"cut chunk":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello",
		"bad chunk":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
		"cut header":          "HTTP/1.1 200 OK\r\nContent-Le",
		"no header":           "",
		"not HTTP":            "SSH-2.0-OpenSSH_9.2\r\n",
		"bad header":          "HTTP/1.1 200 OK\r\nX A: 1\r\nContent-Length: 0\r\n\r\n",
		"folded":              "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
		"large header":        "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", maxHeader) + "\r\nContent-Length: 0\r\n\r\n",
		"endless header":      "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: aaaaaaaaaaaaaaaaaaaa\r\n", 10_000),
		"protocol unasked":    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello",
		"gzip stays as it is": "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
	} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			t.Run(name+"/"+method, func(t *testing.T) {
				u := newRawUpstream(t, func(c net.Conn, _ int64, _ *http.Request) bool {
					_, _ = io.WriteString(c, raw)
					return false
				})
				d := newClient(t, u)
				want := roundTrip(d.cfg.Other, u.request(t, t.Context(), method))
				if name == "protocol unasked" {
					want = outcome{Failed: true} // Transport would hand the connection over
				}
				if got := roundTrip(d, u.request(t, t.Context(), method)); !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			})
		}
	}
}

const okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// TestClientReuses one connection for requests that follow each other.
func TestClientReuses(t *testing.T) {
	u := newRawUpstream(t, func(c net.Conn, n int64, r *http.Request) bool {
		if n%2 == 0 && r.Method != "HEAD" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
		} else if r.Method == "HEAD" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
		} else {
			_, _ = io.WriteString(c, okay)
		}
		return true
	})
	d := newClient(t, u)
	for i := range 9 {
		method := []string{"GET", "GET", "HEAD"}[i%3]
		if o := roundTrip(d, u.request(t, t.Context(), method)); o.Status != 200 || o.BodyFailed || method == "GET" && o.Body != "ok" {
			t.Fatalf("%d: %+v", i, o)
		}
	}
	if n := u.connections.Load(); n != 1 {
		t.Errorf("%d connections for 9 requests", n)
	}
}

// TestClientLeftover: what an upstream sends beyond its answer never becomes the
// answer to the next request, whether it comes at once or later.
func TestClientLeftover(t *testing.T) {
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for name, late := range map[string]bool{"at once": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			sent := make(chan struct{})
			u := newRawUpstream(t, func(c net.Conn, n int64, _ *http.Request) bool {
				switch {
				case n > 1:
					_, _ = io.WriteString(c, okay)
				case late:
					_, _ = io.WriteString(c, okay)
					<-sent
					_, _ = io.WriteString(c, poison)
					sent <- struct{}{}
				default:
					_, _ = io.WriteString(c, okay+poison)
				}
				return true
			})
			d := newClient(t, u)
			if o := roundTrip(d, u.request(t, t.Context(), "GET")); o.Body != "ok" {
				t.Fatalf("%+v", o)
			}
			if late {
				sent <- struct{}{}
				<-sent
				waitUntil(t, func() bool {
					d.mu.Lock()
					defer d.mu.Unlock()
					return len(d.idle) == 1 && !d.idle[0].silent()
				})
			}
			if o := roundTrip(d, u.request(t, t.Context(), "GET")); o.Body != "ok" {
				t.Fatalf("%+v", o)
			}
			if n := u.connections.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	testwait.Until(t, 10*time.Second, "it happens", done)
}

// TestClientStale: a connection that the upstream closed while it lay idle costs
// nobody an error, and a new one that is closed unanswered is an error.
func TestClientStale(t *testing.T) {
	u := newRawUpstream(t, func(c net.Conn, n int64, _ *http.Request) bool {
		if n == 2 || n > 3 {
			return false // the second request on the first connection; every one after the third
		}
		_, _ = io.WriteString(c, okay)
		return n == 1
	})
	d := newClient(t, u)
	for i := range 2 {
		if o := roundTrip(d, u.request(t, t.Context(), "GET")); o.Body != "ok" {
			t.Fatalf("%d: %+v", i, o)
		}
	}
	if n, c := u.requests.Load(), u.connections.Load(); n != 3 || c != 2 {
		t.Errorf("%d requests on %d connections", n, c)
	}
	waitUntil(t, func() bool { // the upstream's end arrives
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.idle) == 1 && !d.idle[0].silent()
	})
	if o := roundTrip(d, u.request(t, t.Context(), "GET")); !o.Failed {
		t.Errorf("%+v", o)
	}
	if n, c := u.requests.Load(), u.connections.Load(); n != 4 || c != 3 {
		t.Errorf("%d requests on %d connections", n, c)
	}
}

// TestClientCancel: the end of a request's context ends it at once, before the
// header and in the body, and its connection is not used again.
func TestClientCancel(t *testing.T) {
	for name, begin := range map[string]string{"header": "HTTP/1.1 200", "body": "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhel"} {
		t.Run(name, func(t *testing.T) {
			hang := make(chan struct{})
			defer close(hang)
			asked := make(chan struct{}, 1)
			u := newRawUpstream(t, func(c net.Conn, n int64, _ *http.Request) bool {
				if n > 1 {
					_, _ = io.WriteString(c, okay)
					return true
				}
				_, _ = io.WriteString(c, begin)
				asked <- struct{}{}
				<-hang
				return false
			})
			d := newClient(t, u)
			cause := errors.New("time is up")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if name == "header" {
				go func() { <-asked; cancel(cause) }()
			}
			res, err := d.RoundTrip(u.request(t, ctx, "GET"))
			if name == "header" {
				if !errors.Is(err, cause) {
					t.Errorf("error %v", err)
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				go func() { <-asked; cancel(cause) }()
				if _, err := io.ReadAll(res.Body); err == nil {
					t.Error("a body that was cancelled was read to its end")
				}
				res.Body.Close()
			}
			if len(d.idle) != 0 {
				t.Error("the connection is kept")
			}
			if o := roundTrip(d, u.request(t, t.Context(), "GET")); o.Body != "ok" {
				t.Errorf("%+v", o)
			}
		})
	}
}

// TestClientUnread: an answer that nobody reads to its end gives no connection back.
func TestClientUnread(t *testing.T) {
	u := newRawUpstream(t, func(c net.Conn, _ int64, _ *http.Request) bool {
		_, _ = io.WriteString(c, okay)
		return true
	})
	d := newClient(t, u)
	for range 2 {
		res, err := d.RoundTrip(u.request(t, t.Context(), "GET"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	if n := u.connections.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestClientSends only what is simple; the rest goes to net/http's Transport.
func TestClientSends(t *testing.T) {
	d := newClient(t, nil)
	request := func(method, body string, header ...string) *http.Request {
		r, err := http.NewRequest(method, "http://127.0.0.1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
	for _, tt := range []struct {
		r    *http.Request
		want bool
	}{
		{request("GET", ""), true},
		{request("HEAD", ""), true},
		{request("OPTIONS", ""), true},
		{request("GET", "body"), false},
		{request("POST", ""), false},
		{request("DELETE", ""), false},
		{request("GET", "", "Upgrade", "websocket", "Connection", "Upgrade"), false},
		{request("GET", "", "Expect", "100-continue"), false},
	} {
		if got := d.sends(tt.r); got != tt.want {
			t.Errorf("%s %v: %v", tt.r.Method, tt.r.Header, got)
		}
	}
}

// TestClientOtherHost: a connection is for one server, and no request for another one
// gets it.
func TestClientOtherHost(t *testing.T) {
	answer := func(text string) *rawUpstream {
		return newRawUpstream(t, func(c net.Conn, _ int64, _ *http.Request) bool {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
			return true
		})
	}
	one, other := answer("one"), answer("other")
	c := newClient(t, one)
	for range 2 {
		if o := roundTrip(c, one.request(t, t.Context(), "GET")); o.Body != "one" {
			t.Errorf("%+v", o)
		}
		if o := roundTrip(c, other.request(t, t.Context(), "GET")); o.Body != "other" {
			t.Errorf("%+v", o)
		}
	}
}

// TestClientHeaderCannotBeSplit: a value with a line end is refused before a byte
// is sent.
func TestClientHeaderCannotBeSplit(t *testing.T) {
	u := newRawUpstream(t, func(c net.Conn, _ int64, _ *http.Request) bool {
		_, _ = io.WriteString(c, okay)
		return true
	})
	d := newClient(t, u)
	if o := roundTrip(d, u.request(t, t.Context(), "GET")); o.Failed {
		t.Fatal("the upstream cannot be reached")
	}
	for name, value := range map[string]string{"X-A": "1\r\nX-B: 2", "X-A: 1\r\nX-B": "2", "X-C": "\x00"} {
		r := u.request(t, t.Context(), "GET")
		r.Header[name] = []string{value}
		if o := roundTrip(d, r); !o.Failed {
			t.Errorf("%q: %q was sent", name, value)
		}
	}
	if n := u.requests.Load(); n != 1 {
		t.Errorf("%d requests arrived", n)
	}
	if len(d.idle) != 1 {
		t.Error("a request that could not be sent has cost a connection")
	}
}

// TestClientWritesLikeNetHTTP: the same lines as http.Request.Write for whatever
// net/http's server lets in, and a request that reads back as it was.
func TestClientWritesLikeNetHTTP(t *testing.T) {
	lines := func(b []byte) []string {
		out := strings.Split(string(b), "\r\n")
		slices.Sort(out[1:])
		return out
	}
	d := newClient(t, nil)
	n := 0
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		for _, target := range []string{"/", "/a?b=c", "/a%20b/%C3%A4?x=%2f&y", "/a;b=c", "/?", "//a", "/a?q=caf\xc3\xa9\xff"} {
			for _, host := range []string{"", "a.example", "a.example:8443", "[::1]:80", "A.example"} {
				for _, header := range []http.Header{
					{}, {"User-Agent": {""}}, {"User-Agent": {"curl/8", "second"}}, {"X-A": {"1", "", " 2 ", "\t3\t"}, "X-B": {"\xff\xfe"}},
					{"Content-Length": {"7"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X"}, "Host": {"evil"}},
					{"X-Forwarded-For": {"192.0.2.1"}, "Accept": {"*/*"}, "Cookie": {"a=b; c=d"}},
				} {
					r, err := http.NewRequest(method, "http://127.0.0.1"+target, nil)
					if err != nil {
						t.Fatal(err)
					}
					r.Header, r.Host = header.Clone(), host
					if r.Header["User-Agent"] == nil {
						r.Header["User-Agent"] = []string{""} // as ReverseProxy does
					}
					if !d.sends(r) {
						t.Fatalf("%s %s %q %v is not sent", method, target, host, header)
					}
					got, err := appendRequest(nil, r)
					if err != nil {
						t.Fatal(err)
					}
					var want bytes.Buffer
					if err := r.Write(&want); err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(lines(got), lines(want.Bytes())) {
						t.Fatalf("%q\n%q", got, want.Bytes())
					}
					n++
				}
			}
		}
	}
	for _, host := range []string{"a b", "a\r\nX: y", "fe80::1%25eth0", "[fe80::1%25eth0]:80", "ä.example", "a/b", "a\x00"} {
		if r := (&http.Request{Method: "GET", Host: host, URL: &url.URL{Path: "/"}}); d.sends(r) {
			t.Errorf("host %q is sent", host)
		}
	}
	for _, u := range []*url.URL{{Opaque: "/a\r\nX: y"}, {Path: "/", RawQuery: "a b"}, {Path: "/", RawQuery: "a\nb"}} {
		if b, err := appendRequest(nil, &http.Request{Method: "GET", Host: "a", URL: u}); err == nil {
			t.Errorf("%+v is sent: %q", u, b)
		}
	}
	if n < 500 {
		t.Errorf("%d requests compared", n)
	}
}

// TestClientIdleEnds: connections that lie idle for too long are closed without
// anybody asking, and no more than maxIdle are kept.
func TestClientIdleEnds(t *testing.T) {
	d := newClient(t, nil)
	closed := 0
	keep := func(age time.Duration) *conn {
		c := &conn{Conn: closeCounter{&closed}, client: d}
		d.release(c)
		c.since = time.Now().Add(-age)
		return c
	}
	keep(2 * idleTimeout)
	keep(idleTimeout + time.Second)
	young := keep(time.Second)
	d.closeOld()
	if closed != 2 || len(d.idle) != 1 || d.idle[0] != young || d.timer == nil {
		t.Errorf("closed %d, kept %d", closed, len(d.idle))
	}
	for range maxIdle + 3 {
		keep(0)
	}
	if len(d.idle) != maxIdle || closed != 2+4 {
		t.Errorf("kept %d, closed %d", len(d.idle), closed)
	}
	d.CloseIdleConnections()
	if len(d.idle) != 0 || d.timer != nil || closed != 2+4+maxIdle {
		t.Errorf("kept %d, closed %d", len(d.idle), closed)
	}
}

type closeCounter struct{ n *int }

func (c closeCounter) Close() error                   { *c.n++; return nil }
func (closeCounter) Read([]byte) (int, error)         { return 0, io.EOF }
func (closeCounter) Write(p []byte) (int, error)      { return len(p), nil }
func (closeCounter) LocalAddr() net.Addr              { return nil }
func (closeCounter) RemoteAddr() net.Addr             { return nil }
func (closeCounter) SetDeadline(time.Time) error      { return nil }
func (closeCounter) SetReadDeadline(time.Time) error  { return nil }
func (closeCounter) SetWriteDeadline(time.Time) error { return nil }

// TestClientConcurrent: many at once, each gets its own answer.
func TestClientConcurrent(t *testing.T) {
	u := newRawUpstream(t, func(c net.Conn, _ int64, r *http.Request) bool {
		body := r.Header.Get("X-N")
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		return true
	})
	d := newClient(t, u)
	done := make(chan string, 16)
	for w := range 16 {
		go func() {
			for i := range 100 {
				r := u.request(t, context.Background(), "GET")
				want := fmt.Sprintf("%d-%d", w, i)
				r.Header.Set("X-N", want)
				if o := roundTrip(d, r); o.Body != want {
					done <- fmt.Sprintf("%s: %+v", want, o)
					return
				}
			}
			done <- ""
		}()
	}
	for range 16 {
		if msg := <-done; msg != "" {
			t.Error(msg)
		}
	}
	if n := u.connections.Load(); n > 16 {
		t.Errorf("%d connections", n)
	}
}
