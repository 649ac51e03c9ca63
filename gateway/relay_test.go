package gateway_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
)

// scripted answers each request with the same bytes, closes, and tells what it read.
type scripted struct {
	net.Listener
	answer string
	asked  chan string
}

func newScripted(t *testing.T) *scripted {
	t.Helper()
	s := &scripted{asked: make(chan string, 8)}
	s.Listener = gateway.Accepting(t, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		var read bytes.Buffer
		if r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &read))); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			s.asked <- read.String()
			_, _ = io.WriteString(c, s.answer)
		}
	})
	return s
}

// relayed is all that can be seen of an exchange from outside, without what
// differs each time.
type relayed struct {
	Asked    []string // the lines that the upstream got
	Answers  []answer
	Recorded string
}

type answer struct {
	Status  string
	Header  http.Header
	Body    string
	Cut     bool
	Trailer http.Header
}

var changing = regexp.MustCompile(`(?i)^(X-Request-Id|X-Gatehouse-Assertion): .*|127\.0\.0\.1:\d+`)

func exchangeRaw(t *testing.T, s *setup, up *scripted, request string) (out relayed) {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	for in := bufio.NewReader(c); ; {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			out.Answers = append(out.Answers, answer{Cut: true})
			break
		}
		body, err := io.ReadAll(res.Body)
		for _, name := range []string{"X-Request-Id", "Date"} {
			if len(res.Header[name]) > 1 {
				t.Errorf("%s: %q", name, res.Header[name])
			}
			delete(res.Header, name)
		}
		if len(res.TransferEncoding) > 0 || res.ContentLength <= 0 {
			// ReverseProxy flushes the header of an answer without length from another
			// goroutine: whether net/http's server still adds lines is chance there.
			delete(res.Header, "Content-Length")
			delete(res.Header, "Content-Type")
		}
		if names := res.Header["Trailer"]; len(names) == 1 { // in the order of a map there
			list := strings.Split(names[0], ", ")
			slices.Sort(list)
			names[0] = strings.Join(list, ", ")
		}
		body = regexp.MustCompile(`req_[0-9a-z]+`).ReplaceAll(body, []byte("req_"))
		out.Answers = append(out.Answers, answer{res.Status, res.Header, string(body), err != nil, res.Trailer})
		if res.StatusCode >= 200 {
			break
		}
	}
	c.Close()
	rec := s.f.last(t)
	out.Recorded = fmt.Sprint(rec.status, rec.bytes)
	for _, step := range rec.steps {
		out.Recorded += fmt.Sprint(" ", step.Name, step.Outcome, step.Code)
	}
	select {
	case asked := <-up.asked:
		head, body, _ := strings.Cut(asked, "\r\n\r\n")
		for _, line := range strings.Split(head, "\r\n") {
			out.Asked = append(out.Asked, changing.ReplaceAllString(line, "$1"))
		}
		slices.Sort(out.Asked[1:])
		out.Asked = append(out.Asked, body)
	default:
	}
	return out
}

// TestTargetsAreForwardedByteForByte: whatever way a request goes, the upstream gets
// the path and the query that the caller sent, also those that net/url cannot parse.
func TestTargetsAreForwardedByteForByte(t *testing.T) {
	up := newScripted(t)
	up.answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
	short := startURL(t, "http://"+up.Addr().String())
	long := startURL(t, "http://"+up.Addr().String())
	gateway.ReverseProxyOnly(long.cfg.Upstreams)
	for _, target := range []string{"/items?ids=1;2;3", "/a?x=%zz", "/a?%", "/a?=&&=;", "/a?b=%4&c", "/a?q=a+b%20c%2B", "/a?q=%c3%A9", "/a?Q=1&q=2",
		"/a?x[]=1&x%5B%5D=2", "/a?{b}|^`\"<>", "/a?b?c#", "/a?", "/a?" + strings.Repeat("a;b&", 2500), "/a%20b/%c3%a4/~x%7E"} {
		for _, method := range []string{"GET", "HEAD", "DELETE", "POST", "PATCH"} {
			for name, s := range map[string]*setup{"short": short, "long": long} {
				got := exchangeRaw(t, s, up, method+" "+target+" HTTP/1.1\r\nHost: api.example\r\nContent-Length: 0\r\n\r\n")
				if want := method + " " + target + " HTTP/1.1"; len(got.Asked) == 0 || got.Asked[0] != want {
					t.Errorf("%s way: sent %.80q, the upstream got %.80q", name, want, got.Asked)
				}
			}
		}
	}
}

// TestRelayLikeReverseProxy: what goes the short way is, line for line, what
// httputil.ReverseProxy would have made of it, in both directions.
func TestRelayLikeReverseProxy(t *testing.T) {
	const okay = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	configurations := map[string]option{
		"plain":         func(*gateway.Config, *gateway.Upstream) {},
		"base":          func(_ *gateway.Config, u *gateway.Upstream) { u.URL += "/base%2Fa/" },
		"base, no end":  func(_ *gateway.Config, u *gateway.Upstream) { u.URL += "/base" },
		"pass":          func(_ *gateway.Config, u *gateway.Upstream) { u.PassAuthorization = true },
		"preserve host": func(_ *gateway.Config, u *gateway.Upstream) { u.PreserveHost, u.DropCookies = true, true },
		"more lines": func(c *gateway.Config, u *gateway.Upstream) {
			u.Headers = map[string]string{"X-Caller": "subject", "X-May": "scopes"}
			c.StripHeaders = []string{"X-Debug"}
			c.ResponseHeaders = map[string]string{"X-Frame-Options": "DENY", "etag": `"ours"`}
		},
	}
	line := "GET /a/b?c=d HTTP/1.1\r\nHost: api.example\r\n"
	requests := map[string]string{"bare": line + "\r\n", "close": line + "Connection: close\r\n\r\n", "keep-alive": line + "Connection: Keep-Alive\r\n\r\n",
		"hop-by-hop": line + "Connection: X-A, close\r\nX-A: 1\r\nX-B: 2\r\n\r\n",
		"of a hop":   line + "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authenticate: Basic\r\nProxy-Authorization: Basic YTpi\r\n\r\n",
		"te":         line + "Te: trailers, gzip\r\n\r\n", "upgrade": line + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"expect": line + "Expect: 100-continue\r\n\r\n", "body": line + "Content-Length: 2\r\n\r\nab", "chunked": line + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
		"old":      "GET /a HTTP/1.0\r\n\r\n",
		"identity": line + "X-Gatehouse-Roles: admin\r\nX_Gatehouse_Subject: root\r\nX-Gatehouse-Assertion: e30\r\nX-Caller: root\r\nX_MAY: all\r\nRemote-User: root\r\nX-Request-Id: mine\r\nX-Debug: 1\r\nX-User-Id: 7\r\n\r\n",
		"origin":   line + "Forwarded: for=192.0.2.1\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-User: root\r\nX-Real-Ip: 192.0.2.1\r\n\r\n",
		"ordinary": line + "Accept: */*\r\nAccept-Encoding: gzip, br\r\nCookie: a=b; c=d\r\nAuthorization: Bearer x\r\nX-Api-Key: y\r\nReferer: https://example.com/\r\nRange: bytes=0-1\r\nIf-None-Match: \"a\"\r\n\r\n",
		"repeated": line + "X-A: 1\r\nX-A: 2\r\nX-A:\r\nx-a:  3 \r\nCookie: a=b\r\nCookie: c=d\r\n\r\n",
		"agents":   line + "User-Agent: one\r\nUser-Agent: two\r\n\r\n", "no agent": line + "User-Agent:\r\n\r\n", "bytes": line + "X-A: caf\xe9\r\nX-B: \ta\t\r\n\r\n",
		"CORS": line + "Origin: https://app.example\r\n\r\n",
		"HEAD": "HEAD /a HTTP/1.1\r\nHost: api.example\r\n\r\n", "OPTIONS": "OPTIONS /a HTTP/1.1\r\nHost: api.example\r\n\r\n", "POST": "POST /a HTTP/1.1\r\nHost: api.example\r\nContent-Length: 0\r\n\r\n",
		"absolute": "GET http://api.example/a HTTP/1.1\r\nHost: api.example\r\n\r\n", "trailer": line + "Trailer: X-T\r\n\r\n",
		"strange host": "GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n", "no host": "GET / HTTP/1.1\r\nHost:\r\n\r\n",
	}
	for i, target := range []string{"/", "/?", "/a?", "/a%20b/%C3%A4", "/caf%C3%A9?q=%C3%A9&r=%2f", "/?q=caf\xc3\xa9", "/?a=%zz&b=1", "/?a;b", "/?a=1;b=2&c", "/?%", "/?a=%4", "/?a=b?c=d", "/a+b?c+d",
		"/a/", "/a,b:c@d!$&'()*", "/?" + strings.Repeat("a=b&", 3000)} {
		requests[fmt.Sprint("target", i)] = "GET " + target + " HTTP/1.1\r\nHost: api.example\r\n\r\n"
	}
	answers := map[string]string{"okay": okay, "nothing": "", "not HTTP": "SSH-2.0\r\n", "bad header": "HTTP/1.1 200 OK\r\nX A: 1\r\n\r\n",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "to the end": "HTTP/1.1 200 OK\r\n\r\nhello",
		"204": "HTTP/1.1 204 No Content\r\n\r\n", "304": "HTTP/1.1 304 Not Modified\r\nEtag: \"a\"\r\nContent-Length: 7\r\n\r\n", "empty": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"trailer":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-B\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\nX-B: 1\r\n\r\n",
		"unsaid":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n",
		"more said": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\nX-Other: 1\r\n\r\n",
		"cut":       "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "cut chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello",
		"hop-by-hop": "HTTP/1.1 200 OK\r\nConnection: X-Inner, keep-alive\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nTe: gzip\r\nUpgrade: h2\r\nProxy-Connection: x\r\nX-Outer: 2\r\nContent-Length: 2\r\n\r\n{}",
		"talkative":  "HTTP/1.1 200 OK\r\nServer: api/1\r\nX-Powered-By: me\r\nX-Gatehouse-Assertion: e30\r\nAlt-Svc: h3\r\nX-Request-Id: theirs\r\nCache-Control: max-age=5\r\nX-A: 1\r\nX-A: 2\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 2\r\n\r\n{}",
		"hints":      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + okay, "hints only": "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
		"continue": "HTTP/1.1 100 Continue\r\n\r\n" + okay,
		"events":   "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n", "more": okay + "HTTP/1.1 200 OK\r\n\r\n",
		"moved": "HTTP/1.1 302 Found\r\nLocation: http://UPSTREAM/b?c\r\nContent-Length: 0\r\n\r\n", "list": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nEtag: \"a\"\r\n\r\n[1,2]",
		"large":       "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("0123456789", 10000),
		"two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "old": "HTTP/1.0 200 OK\r\n\r\nhello",
	}
	routes := map[string]enforce.Route{"plain": {}, "CORS": {CORS: &enforce.CORS{Origins: []string{"https://app.example"}}}, "filter": {Filter: &enforce.ListFilter{}}}
	for name, configure := range configurations {
		t.Run(name, func(t *testing.T) {
			up := newScripted(t)
			short := startURL(t, "http://"+up.Addr().String(), configure)
			long := startURL(t, "http://"+up.Addr().String(), configure)
			gateway.ReverseProxyOnly(long.cfg.Upstreams)
			if !gateway.Relayed(short.cfg.Upstreams, "api") || gateway.Relayed(long.cfg.Upstreams, "api") {
				t.Fatal("there is nothing to compare")
			}
			for _, s := range []*setup{short, long} {
				s.f.filter = func(body []byte) ([]byte, error) {
					if bytes.Equal(body, []byte("{}")) {
						return nil, errors.New("not a list")
					}
					return bytes.Replace(body, []byte("1,"), nil, 1), nil
				}
			}
			compare := func(what, request, answer string) {
				t.Helper()
				up.answer = strings.ReplaceAll(answer, "UPSTREAM", up.Addr().String())
				got, want := exchangeRaw(t, short, up, request), exchangeRaw(t, long, up, request)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s\ngot  %+v\nwant %+v", what, got, want)
				}
			}
			each := func(do func(kind string)) {
				for kind, route := range routes {
					for _, s := range []*setup{short, long} {
						s.f.verdict = allow(route, alice)
					}
					do(kind)
				}
			}
			// First what is answered with "close": a request with a body is not sent
			// again when the connection was a stale one.
			each(func(kind string) {
				for what, request := range requests {
					compare(kind+", request "+what, request, okay)
				}
			})
			each(func(kind string) {
				for what, answer := range answers {
					compare(kind+", answer "+what, requests["ordinary"], answer)
					compare(kind+", HEAD, answer "+what, requests["HEAD"], answer)
				}
			})
			for _, s := range []*setup{short, long} { // nobody in particular
				s.f.verdict = allow(enforce.Route{}, nil)
			}
			compare("anonymous", requests["identity"], okay)
		})
	}
}

// TestAnswerLines: what the header of an answer may not say to the caller cannot be
// said before it or behind it either, on both ways.
func TestAnswerLines(t *testing.T) {
	const end = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
	line := "GET /a HTTP/1.1\r\nHost: api.example\r\n\r\n"
	up := newScripted(t)
	configure := func(c *gateway.Config, _ *gateway.Upstream) {
		c.ResponseHeaders = map[string]string{"X-By": "gateway"}
	}
	for name, long := range map[string]bool{"relay": false, "ReverseProxy": true} {
		t.Run(name, func(t *testing.T) {
			s := startURL(t, "http://"+up.Addr().String(), configure)
			if long {
				gateway.ReverseProxyOnly(s.cfg.Upstreams)
			}
			ask := func(request, text string) []answer {
				t.Helper()
				up.answer = text
				return exchangeRaw(t, s, up, request).Answers
			}
			got := ask(line, "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nX-Sum: head\r\n"+
				"Trailer: X-Sum, X-By, Server, X_Gatehouse_Assertion, X-Gatehouse-Assertion, X-Request-Id, Access-Control-Allow-Origin\r\n\r\n2\r\nok\r\n0\r\n"+
				"X-Sum: 7\r\nX-By: api\r\nServer: x\r\nX-Gatehouse-Assertion: e30\r\nX-Request-Id: theirs\r\nAccess-Control-Allow-Origin: *\r\n\r\n")
			last := got[len(got)-1]
			if last.Body != "ok" || len(last.Trailer) != 2 || len(last.Trailer["X-Sum"]) == 0 || len(last.Trailer["X-By"]) == 0 || len(last.Header["X-Gatehouse-Assertion"]) != 0 {
				t.Errorf("%+v", last)
			}
			if !long && (last.Trailer.Get("X-Sum") != "7" || last.Trailer.Get("X-By") != "api") {
				t.Errorf("trailers: %v", last.Trailer)
			}
			if lines := gateway.AnswerLines(map[string]string{"x-by": "a"}); cap(lines["X-By"]) != 1 {
				t.Errorf("%d answers could write into what all share", cap(lines["X-By"])-1)
			}
			got = ask(line, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nServer: x\r\nX-Gatehouse-Assertion: e30\r\nKeep-Alive: timeout=9\r\n\r\n"+end)
			if len(got) != 2 || !reflect.DeepEqual(got[0].Header, http.Header{"Link": {"</a>"}}) || got[1].Body != "ok" {
				t.Errorf("hints: %+v", got)
			}
			got = ask("GET /a HTTP/1.0\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+end)
			if len(got) != 1 || got[0].Body != "ok" || got[0].Header.Get("Link") != "" {
				t.Errorf("hints to HTTP/1.0: %+v", got)
			}
			for _, status := range []string{"099", "000"} {
				got = ask(line, "HTTP/1.1 "+status+" x\r\nContent-Length: 2\r\n\r\nok")
				if len(got) != 1 || !strings.HasPrefix(got[0].Status, "502 ") {
					t.Errorf("status %s: %+v", status, got)
				}
			}
		})
	}
}

// TestHeaderGoesFirst: the header of an answer that has no length yet reaches the
// caller while its first byte is still to come, whatever of the framing is there.
func TestHeaderGoesFirst(t *testing.T) {
	for name, begin := range map[string]string{
		"nothing": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
		"size":    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
		"digit":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5",
	} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			l := gateway.Accepting(t, func(c net.Conn) {
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, begin)
				<-over
			})
			s := startURL(t, "http://"+l.Addr().String())
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			defer close(over)
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != 200 {
				t.Errorf("%v %v", res, err)
			}
		})
	}
}
