package gateway_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/gateway"
)

// TestOuterReferences: whatever an answer's header says about addresses behind the
// gateway leads through the gateway: no inner host, no base path twice, and never to a
// host that the API did not name.
func TestOuterReferences(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ base, name, says, want string }{
		{"", "Location", "http://INNER/a?b#c", "/a?b#c"}, {"", "Location", "http://INNER", "/"}, {"", "Location", "http://INNER?x", "/?x"},
		{"", "Location", "HTTP://INNER/a", "/a"}, {"", "Location", "https://INNER/a", "/a"}, {"", "Location", "//INNER/a", "/a"},
		{"", "Location", "http://user:pw@INNER/a", "/a"}, {"", "Location", "http://INNER//evil.example/x", "/.//evil.example/x"},
		{"", "Location", "http://INNER/\\evil.example/x", "/./\\evil.example/x"}, {"", "Location", "http://INNER\\\\evil.example", "/.\\\\evil.example"},
		{"", "Location", "https://other.example/a", "https://other.example/a"}, {"", "Location", "//other.example/a", "//other.example/a"},
		{"", "Location", "http://INNER.other.example/a", "http://INNER.other.example/a"}, {"", "Location", "mailto:a@INNER", "mailto:a@INNER"},
		{"", "Location", "next", "next"}, {"", "Location", "/next", "/next"}, {"", "Location", "?page=2", "?page=2"},
		{"/v1", "Location", "http://INNER/v1/a", "/a"}, {"/v1", "Location", "/v1/a?b", "/a?b"}, {"/v1", "Location", "/v1", "/"},
		{"/v1", "Location", "/v1?x", "/?x"}, {"/v1", "Location", "/v10/a", "/v10/a"}, {"/v1", "Location", "/other", "/other"},
		{"/v1/", "Location", "//INNER/v1/a", "/a"}, {"/v1", "Location", "/v1//evil.example", "/.//evil.example"}, {"/v1", "Location", "http://INNER/v2/a", "/v2/a"},
		{"/v1", "Location", "http://OUTER/v1/a", "http://OUTER/a"}, {"/v1", "Location", "http://OUTER/a", "http://OUTER/a"},
		{"/v1", "Content-Location", "http://INNER/v1/a", "/a"}, {"/v1", "Content-Location", "/v1/a", "/a"},
		{"/v1", "Link", `<http://INNER/v1/a?p=2>; rel="next", <//INNER/v1/b>; rel=last, <https://other.example/x>; rel=help`,
			`</a?p=2>; rel="next", </b>; rel=last, <https://other.example/x>; rel=help`},
		{"", "Link", `<http://INNER/a,b>; title="<http://INNER/>, \"x"; anchor="http://INNER/c"`, `</a,b>; title="<http://INNER/>, \"x"; anchor="/c"`},
		{"", "Link", `<http://INNER/a`, `</a`}, {"", "Link", `"`, `"`},
		{"/v1", "Refresh", `5; url=http://INNER/v1/a`, `5; url=/a`}, {"", "Refresh", `0; URL='//INNER/a'`, `0; URL='/a'`},
	} {
		inner := ""
		fill := func(s, outer string) string { return strings.NewReplacer("INNER", inner, "OUTER", outer).Replace(s) }
		var outer string
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()[tc.name] = []string{fill(tc.says, outer)}
			if tc.name == "Link" {
				w.WriteHeader(http.StatusEarlyHints)
			}
			w.WriteHeader(http.StatusCreated)
		}))
		inner = api.Listener.Addr().String()
		for way := range ways {
			s := startURL(t, api.URL+tc.base)
			if way == "proxied" {
				gateway.ReverseProxyOnly(s.cfg.Upstreams)
			}
			outer = s.addr
			hint := fill(tc.want, outer)
			trace := &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error { hint = h.Get("Link"); return nil }}
			req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "GET", s.url+"/x", nil)
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if got := res.Header.Get(tc.name); got != fill(tc.want, outer) || hint != fill(tc.want, outer) {
				t.Errorf("%s, base %q: %s: %s became %s (early: %s), not %s", way, tc.base, tc.name, tc.says, got, hint, fill(tc.want, outer))
			}
		}
		api.Close()
	}
}

// TestTrailersSayLittle: what belongs into a header is not taken from behind an answer.
func TestTrailersSayLittle(t *testing.T) {
	t.Parallel()
	const bad = "Set-Cookie: a=b\r\nset_cookie: a=b\r\nLocation: http://inner/\r\nLink: <http://inner/>\r\nCache-Control: public\r\nVary: *\r\n" +
		"Access-Control-Allow-Origin: *\r\nX-Request-Id: x\r\nWWW-Authenticate: Basic\r\nContent-Type: text/html\r\nX-Gatehouse-Assertion: x\r\n" +
		"Strict-Transport-Security: max-age=0\r\nServer: x\r\nClear-Site-Data: *\r\nX-Content-Type-Options: x\r\n"
	l := gateway.Accepting(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\n"+bad+"\r\n")
		}
	})
	for way := range ways {
		s := startURL(t, "http://"+l.Addr().String())
		if way == "proxied" {
			gateway.ReverseProxyOnly(s.cfg.Upstreams)
		}
		res, _ := get(t, s.url+"/x", nil)
		if len(res.Trailer) != 2 || res.Trailer.Get("X-Sum") != "1" || res.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%s: trailers %v", way, res.Trailer)
		}
	}
}
