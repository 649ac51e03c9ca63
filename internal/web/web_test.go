package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
)

func request(remote string, header http.Header) *http.Request {
	r := httptest.NewRequest("GET", "http://api.test/x", nil)
	r.RemoteAddr = remote
	for k, v := range header {
		r.Header[k] = v
	}
	return r
}

func TestClient(t *testing.T) {
	xff := func(lines ...string) http.Header { return http.Header{"X-Forwarded-For": lines} }
	fwd := func(lines ...string) http.Header { return http.Header{"Forwarded": lines} }
	tests := []struct {
		name    string
		trusted []string
		header  string
		remote  string
		in      http.Header
		want    string
	}{
		{"no proxies: header is noise", nil, "", "203.0.113.9:1", xff("1.2.3.4"), "203.0.113.9"},
		{"untrusted peer", []string{"10.0.0.0/8"}, "", "203.0.113.9:1", xff("1.2.3.4"), "203.0.113.9"},
		{"trusted peer", []string{"10.0.0.0/8"}, "", "10.0.0.1:1", xff("1.2.3.4"), "1.2.3.4"},
		{"forged left part", []string{"10.0.0.0/8"}, "", "10.0.0.1:1", xff("9.9.9.9, 1.2.3.4"), "1.2.3.4"},
		{"forged as a line of its own", []string{"10.0.0.0/8"}, "", "10.0.0.1:1", xff("9.9.9.9", "1.2.3.4"), "1.2.3.4"},
		{"chain of ours", []string{"10.0.0.0/8"}, "", "10.0.0.1:1", xff("9.9.9.9, 1.2.3.4, 10.0.0.7"), "1.2.3.4"},
		{"all ours", []string{"10.0.0.0/8"}, "", "10.0.0.1:1", xff("10.0.0.3, 10.0.0.2"), "10.0.0.3"},
		{"garbage next to us", []string{"10.0.0.0/8"}, "", "10.0.0.1:1", xff("1.2.3.4, <script>"), "10.0.0.1"},
		{"garbage behind a known hop", []string{"10.0.0.0/8"}, "", "10.0.0.1:1", xff("junk, 10.0.0.2"), "10.0.0.2"},
		{"empty", []string{"10.0.0.0/8"}, "", "10.0.0.1:1", xff(""), "10.0.0.1"},
		{"port", []string{"10.0.0.1"}, "", "10.0.0.1:1", xff("1.2.3.4:5678"), "1.2.3.4"},
		{"v6 with port", []string{"10.0.0.1"}, "", "10.0.0.1:1", xff("[2001:db8::1]:5678"), "2001:db8::1"},
		{"v6 brackets", []string{"10.0.0.1"}, "", "10.0.0.1:1", xff("[2001:db8::1]"), "2001:db8::1"},
		{"mapped", []string{"10.0.0.1"}, "", "10.0.0.1:1", xff("::ffff:1.2.3.4"), "1.2.3.4"},
		{"mapped peer", []string{"10.0.0.0/8"}, "", "[::ffff:10.0.0.1]:1", xff("1.2.3.4"), "1.2.3.4"},
		{"mapped prefix", []string{"::ffff:10.0.0.0/104"}, "", "10.0.0.1:1", xff("1.2.3.4"), "1.2.3.4"},
		{"zone", []string{"fe80::/10"}, "", "[fe80::1%eth0]:1", xff("1.2.3.4"), "1.2.3.4"},
		{"leading zeros are not an address", []string{"10.0.0.1"}, "", "10.0.0.1:1", xff("010.0.0.2"), "10.0.0.1"},
		{"Forwarded ignored in XFF mode", []string{"10.0.0.1"}, "", "10.0.0.1:1", fwd("for=1.2.3.4"), "10.0.0.1"},
		{"XFF ignored in Forwarded mode", []string{"10.0.0.1"}, "forwarded", "10.0.0.1:1", xff("1.2.3.4"), "10.0.0.1"},
		{"Forwarded", []string{"10.0.0.0/8"}, "Forwarded", "10.0.0.1:1",
			fwd(`for=9.9.9.9, for="[2001:db8::7]:99";proto=https, For=10.0.0.2`), "2001:db8::7"},
		{"Forwarded comma inside quotes", []string{"10.0.0.0/8"}, "Forwarded", "10.0.0.1:1",
			fwd(`for=1.2.3.4;by="a,for=10.0.0.5"`), "1.2.3.4"},
		{"Forwarded obfuscated", []string{"10.0.0.0/8"}, "Forwarded", "10.0.0.1:1", fwd(`for=_hidden`), "10.0.0.1"},
		{"Forwarded with a quote that swallows ours", []string{"10.0.0.0/8"}, "Forwarded", "10.0.0.1:1", fwd(`for=6.6.6.6;x=", for=203.0.113.9;proto=http`), "10.0.0.1"},
		{"Forwarded with a quote that swallows ours, escaped", []string{"10.0.0.0/8"}, "Forwarded", "10.0.0.1:1", fwd(`for=6.6.6.6;x="\, for="[2001:db8::7]";proto=http`), "10.0.0.1"},
		{"Forwarded twice for", []string{"10.0.0.0/8"}, "Forwarded", "10.0.0.1:1", fwd(`for=1.1.1.1;for=2.2.2.2`), "10.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewProxies(ProxyConfig{Trusted: tt.trusted, Header: tt.header})
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Client(request(tt.remote, tt.in)).String(); got != tt.want {
				t.Errorf("Client = %s, want %s", got, tt.want)
			}
		})
	}
	var none *Proxies
	if got := none.Client(request("203.0.113.9:1", xff("1.2.3.4"))).String(); got != "203.0.113.9" {
		t.Errorf("nil Proxies: %s", got)
	}
}

func TestProxyConfigRefused(t *testing.T) {
	for _, cfg := range []ProxyConfig{{Trusted: []string{"all"}}, {Trusted: []string{""}}, {Trusted: []string{"10.0.0.0/33"}},
		{Trusted: []string{"::ffff:0:0/90"}}, {Header: "X-Real-IP"}} {
		if _, err := NewProxies(cfg); err == nil {
			t.Errorf("%+v accepted", cfg)
		}
	}
}

func TestHopsAreBounded(t *testing.T) {
	p, _ := NewProxies(ProxyConfig{Trusted: []string{"10.0.0.0/8"}})
	in := http.Header{"X-Forwarded-For": {"1.2.3.4," + strings.Repeat("10.0.0.2,", 100) + "10.0.0.2"}}
	if got := p.Client(request("10.0.0.1:1", in)).String(); got != "10.0.0.2" {
		t.Errorf("walked %d hops: %s", maxHops, got)
	}
}

func TestSecure(t *testing.T) {
	lo := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	wan := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	tests := []struct {
		name    string
		trusted []string
		header  string
		remote  string
		local   net.Addr
		tls     bool
		in      http.Header
		want    bool
	}{
		{"plain", nil, "", "203.0.113.9:1", wan, false, nil, false},
		{"tls", nil, "", "203.0.113.9:1", wan, true, nil, true},
		{"loopback", nil, "", "127.0.0.1:1", lo, false, nil, true},
		{"loopback peer claims, wan listener", nil, "", "127.0.0.1:1", wan, false, nil, false},
		{"forged proto from a stranger", nil, "", "203.0.113.9:1", wan, false, http.Header{"X-Forwarded-Proto": {"https"}}, false},
		{"unconfigured proxy on loopback", nil, "", "127.0.0.1:1", lo, false, http.Header{"X-Forwarded-For": {"1.2.3.4"}}, false},
		{"unconfigured proxy on loopback says https", nil, "", "127.0.0.1:1", lo, false,
			http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Proto": {"https"}}, false},
		{"trusted says https", []string{"127.0.0.1"}, "", "127.0.0.1:1", lo, false, http.Header{"X-Forwarded-Proto": {"https"}}, true},
		{"trusted says http", []string{"127.0.0.1"}, "", "127.0.0.1:1", lo, false, http.Header{"X-Forwarded-Proto": {"http"}}, false},
		{"trusted says http over tls", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"http"}}, false},
		{"the client's side first", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"http, https"}}, false},
		{"in two lines", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"http", "https"}}, false},
		{"in two lines, turned", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"https", "http"}}, false},
		{"the first of three", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"http, https, https"}}, false},
		{"in the middle of three", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"https, http, https"}}, false},
		{"the last of three", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"https, https, http"}}, false},
		{"in the middle of three lines", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"https", "http", "https"}}, false},
		{"three times https", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, false, http.Header{"X-Forwarded-Proto": {"https, https", "https"}}, true},
		{"an empty element", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"https,"}}, false},
		{"a WebSocket over TLS", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, false, http.Header{"X-Forwarded-Proto": {"wss"}}, true},
		{"and in capitals behind another", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, false, http.Header{"X-Forwarded-Proto": {"https , WSS"}}, true},
		{"a plain WebSocket", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"ws"}}, false},
		{"a plain WebSocket on the way", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"wss, ws"}}, false},
		{"Forwarded with wss", []string{"10.0.0.1"}, "Forwarded", "10.0.0.1:1", wan, false, http.Header{"Forwarded": {"for=1.2.3.4;proto=wss"}}, true},
		{"Forwarded with http before https", []string{"10.0.0.1", "10.0.0.2"}, "Forwarded", "10.0.0.1:1", wan, true,
			http.Header{"Forwarded": {"for=1.2.3.4;proto=http, for=10.0.0.2;proto=https"}}, false},
		{"Forwarded with https before http", []string{"10.0.0.1", "10.0.0.2"}, "Forwarded", "10.0.0.1:1", wan, true,
			http.Header{"Forwarded": {"for=1.2.3.4;proto=https, for=10.0.0.2;proto=http"}}, false},
		{"trusted says both", []string{"10.0.0.1"}, "", "10.0.0.1:1", wan, true, http.Header{"X-Forwarded-Proto": {"https, http"}}, false},
		{"trusted forwards without proto", []string{"127.0.0.1"}, "", "127.0.0.1:1", lo, false, http.Header{"X-Forwarded-For": {"1.2.3.4"}}, false},
		{"trusted with another header only", []string{"127.0.0.1"}, "", "127.0.0.1:1", lo, false, http.Header{"X-Real-Ip": {"1.2.3.4"}}, false},
		{"forwarded https", []string{"127.0.0.1"}, "forwarded", "127.0.0.1:1", lo, false, http.Header{"Forwarded": {"for=1.2.3.4;proto=https"}}, true},
		{"forwarded, client's own element ignored", []string{"127.0.0.1"}, "forwarded", "127.0.0.1:1", lo, false,
			http.Header{"Forwarded": {"for=9.9.9.9;proto=https, for=1.2.3.4;proto=http"}}, false},
		{"forwarded without proto", []string{"127.0.0.1"}, "forwarded", "127.0.0.1:1", lo, false, http.Header{"Forwarded": {"for=1.2.3.4"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewProxies(ProxyConfig{Trusted: tt.trusted, Header: tt.header})
			if err != nil {
				t.Fatal(err)
			}
			r := request(tt.remote, tt.in)
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.local))
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if got := p.Secure(r); got != tt.want {
				t.Errorf("Secure = %v", got)
			}
		})
	}
}

// ASVS: 16.5.1
func TestProblem(t *testing.T) {
	secret := errors.New("dial tcp 10.1.1.1:5432: password authentication failed")
	tests := []struct {
		err    error
		status int
		code   string
	}{
		{secret, 500, "internal"},
		{gatehouse.E(gatehouse.Internal, "store_broken", "disk on fire").With(secret), 500, "internal"},
		{gatehouse.E(gatehouse.Kind(99), "x", "odd kind").With(secret), 500, "internal"},
		{gatehouse.E(gatehouse.NotFound, "no_route", "Nothing.").With(secret), 404, "no_route"},
		{fmt.Errorf("wrapped: %w", gatehouse.E(gatehouse.Denied, "no_permit", "").With(secret)), 403, "no_permit"},
		{gatehouse.Conflict, 409, "conflict"},
		{gatehouse.E(gatehouse.Unauthenticated, "invalid_credentials", ""), 401, "invalid_credentials"},
		{gatehouse.E(gatehouse.HeaderTooLarge, "header_too_large", ""), 431, "header_too_large"},
		{&http.MaxBytesError{Limit: 1}, 413, "body_too_large"},
		{context.DeadlineExceeded, 503, "timeout"},
		{MethodNotAllowed("GET", "HEAD"), 405, "method_not_allowed"},
	}
	p := &Problems{DocsBase: "https://docs.test/e/"}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("Content-Encoding", "gzip")
			r := request("192.0.2.1:1", nil)
			r = r.WithContext(gatehouse.WithRequestID(r.Context(), "req_1"))
			p.Write(w, r, tt.err)
			var got Problem
			if err := json.Unmarshal(w.Body.Bytes(), &got, json.RejectUnknownMembers(true)); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.status || got.Status != tt.status || got.Code != tt.code ||
				got.Type != "https://docs.test/e/"+tt.code || got.RequestID != "req_1" || got.Title == "" {
				t.Errorf("%d %+v", w.Code, got)
			}
			if body := w.Body.String(); strings.Contains(body, "password") || strings.Contains(body, "fire") {
				t.Errorf("internal text shown: %s", body)
			}
			h := w.Header()
			if h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Encoding") != "" {
				t.Errorf("header %v", h)
			}
			if tt.status == 401 && h.Get("WWW-Authenticate") == "" {
				t.Error("401 without a challenge")
			}
			if tt.status == 405 && h.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow %q", h.Get("Allow"))
			}
		})
	}
	// Every kind has an answer of its own.
	for k := gatehouse.Internal; k <= gatehouse.MethodNotAllowed; k++ {
		if s := infoOf(k).status; k != gatehouse.Internal && s == 500 {
			t.Errorf("%v is answered with 500", k)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for d, want := range map[time.Duration]string{1: "1", time.Second: "1", 1001 * time.Millisecond: "2", -1: "1"} {
		if got := RetryAfter(d); got != want {
			t.Errorf("RetryAfter(%v) = %s, want %s", d, got, want)
		}
	}
	e := gatehouse.E(gatehouse.RateLimited, "rate_limited", "")
	e.RetryAfter = 1500 * time.Millisecond
	w := httptest.NewRecorder()
	(*Problems)(nil).Write(w, request("", nil), e)
	if w.Code != 429 || w.Header().Get("Retry-After") != "2" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// ASVS: 16.5.4
func TestHandlerAndRecover(t *testing.T) {
	p := &Problems{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	var panics int
	serve := func(fn HandlerFunc) (w *httptest.ResponseRecorder, aborted bool) {
		w = httptest.NewRecorder()
		defer func() { aborted = recover() == http.ErrAbortHandler }()
		p.Recover(p.Handler(fn), func(*http.Request, any) { panics++ }).ServeHTTP(w, request("", nil))
		return w, false
	}
	if w, _ := serve(func(http.ResponseWriter, *http.Request) error { return gatehouse.NotFound }); w.Code != 404 {
		t.Errorf("error: %d", w.Code)
	}
	if w, _ := serve(func(http.ResponseWriter, *http.Request) error { panic("secret") }); w.Code != 500 ||
		strings.Contains(w.Body.String(), "secret") {
		t.Errorf("panic: %d %s", w.Code, w.Body)
	}
	if panics != 1 {
		t.Errorf("%d panics reported", panics)
	}
	if _, aborted := serve(func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "half")
		return errors.New("late")
	}); !aborted {
		t.Error("an error after the first byte must cut the connection")
	}
	if _, aborted := serve(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(200)
		panic("late")
	}); !aborted || panics != 2 {
		t.Error("a panic after the header must cut the connection and be reported")
	}
}

func TestTracked(t *testing.T) {
	rec := httptest.NewRecorder()
	w := Track(rec)
	if Track(w) != w {
		t.Error("wrapped twice")
	}
	early := Track(httptest.NewRecorder())
	early.WriteHeader(http.StatusEarlyHints)
	if early.started() {
		t.Error("103 is not an answer")
	}
	_, _ = io.Copy(w, strings.NewReader("hello"))
	_, _ = w.Write([]byte("!"))
	if w.Status() != 200 || w.Bytes() != 6 {
		t.Errorf("%d %d", w.Status(), w.Bytes())
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		t.Errorf("flush does not reach the writer: %v", err)
	}
}

func TestDecodeJSON(t *testing.T) {
	type doc struct {
		Name string `json:"name"`
		Age  int    `json:"age"`
	}
	tests := []struct {
		name, ctype, encoding, body string
		limit                       int64
		code                        string
	}{
		{"good", "application/json", "", `{"name":"a","age":1}`, 100, ""},
		{"charset", "Application/JSON; charset=UTF-8", "", `{"name":"a"}`, 100, ""},
		{"other charset", "application/json; charset=latin1", "", `{}`, 100, "content_type_unsupported"},
		{"none", "", "", `{}`, 100, "content_type_unsupported"},
		{"form", "application/x-www-form-urlencoded", "", `{}`, 100, "content_type_unsupported"},
		{"gzip", "application/json", "gzip", `{}`, 100, "content_encoding_unsupported"},
		{"empty", "application/json", "", ``, 100, "body_missing"},
		{"duplicate", "application/json", "", `{"name":"a","name":"b"}`, 100, "json_invalid"},
		{"case", "application/json", "", `{"Name":"a"}`, 100, "json_unknown_member"},
		{"unknown", "application/json", "", `{"admin":true}`, 100, "json_unknown_member"},
		{"trailing", "application/json", "", `{} {}`, 100, "json_invalid"},
		{"utf8", "application/json", "", "{\"name\":\"\xff\"}", 100, "json_invalid"},
		{"type", "application/json", "", `{"age":"1"}`, 100, "json_invalid"},
		{"nul", "application/json", "", "{}\x00", 100, "json_invalid"},
		{"exact size", "application/json", "", `{"name":"a"}`, 12, ""},
		{"too large", "application/json", "", `{"name":"aa"}`, 12, "body_too_large"},
	}
	for _, tt := range tests {
		for _, chunked := range []bool{false, true} {
			r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
			if chunked {
				r.ContentLength = -1
			}
			if tt.ctype != "" {
				r.Header.Set("Content-Type", tt.ctype)
			}
			if tt.encoding != "" {
				r.Header.Set("Content-Encoding", tt.encoding)
			}
			var d doc
			err := DecodeJSON(httptest.NewRecorder(), r, &d, tt.limit)
			if tt.code == "" && err != nil || tt.code != "" && gatehouse.CodeOf(err) != tt.code {
				t.Errorf("%s (chunked %v): %v", tt.name, chunked, err)
			}
		}
	}
	err := UnmarshalStrict([]byte(`{"age":"1"}`), &doc{})
	if e := Classify(err); e.Fields["/age"] == "" {
		t.Errorf("fields %v", e.Fields)
	}
}

func TestClientRequestID(t *testing.T) {
	for in, want := range map[string]string{"": "", "abc-1": "abc-1", "a b": "", "a\nb": "", strings.Repeat("a", 128): strings.Repeat("a", 128),
		strings.Repeat("a", 129): "", `"}`: "", "ü": ""} {
		r := request("", http.Header{"X-Request-Id": {in}})
		if got := ClientRequestID(r); got != want {
			t.Errorf("%q → %q", in, got)
		}
	}
	if got := ClientRequestID(request("", http.Header{"X-Request-Id": {"a", "b"}})); got != "" {
		t.Errorf("two lines → %q", got)
	}
}

func TestIdentify(t *testing.T) {
	var ctx context.Context
	h := Identify(nil, func() time.Time { return time.Unix(1, 0) }, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ctx = r.Context() }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("203.0.113.9:1", http.Header{"X-Request-Id": {"mine"}, "X-Forwarded-For": {"1.1.1.1"}}))
	id := gatehouse.RequestIDFrom(ctx)
	if !strings.HasPrefix(id, "req_") || w.Header().Get("X-Request-Id") != id || gatehouse.AddressFrom(ctx) != "203.0.113.9" {
		t.Errorf("%q %q %q", id, w.Header().Get("X-Request-Id"), gatehouse.AddressFrom(ctx))
	}
	if at, ok := gatehouse.IDTime(id); !ok || !at.Equal(time.Unix(1, 0)) {
		t.Errorf("%s is of %s, and the clock says another time", id, at)
	}
}

func TestHeadersAndHealth(t *testing.T) {
	w := httptest.NewRecorder()
	SecurityHeaders(nil, Live()).ServeHTTP(w, request("", nil))
	h := w.Header()
	if w.Code != 200 || h.Get("Cache-Control") != "no-store" || h.Get("Content-Security-Policy") == "" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", w.Code, h)
	}
	if h.Get("Strict-Transport-Security") != "" {
		t.Error("HSTS without TLS")
	}
	r := request("", nil)
	r.TLS = &tls.ConnectionState{}
	w = httptest.NewRecorder()
	SecurityHeaders(nil, Ready(nil, nil, Check{"db", func(context.Context) error { return errors.New("secret dsn") }})).ServeHTTP(w, r)
	if w.Code != 503 || strings.Contains(w.Body.String(), "secret") || w.Header().Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	up := http.Header{"Content-Security-Policy": {"x"}, "Referrer-Policy": {"origin"}}
	UpstreamHeaders(up, true)
	if up.Get("Referrer-Policy") != "origin" || up.Get("X-Content-Type-Options") != "nosniff" || up.Get("Strict-Transport-Security") == "" {
		t.Errorf("%v", up)
	}
	for contentType, want := range map[string]string{"text/html": "no-referrer", "": "no-referrer", "application/xhtml+xml": "no-referrer",
		"application/jsonp": "no-referrer", "application/json": "", "application/json; charset=utf-8": ""} {
		h := http.Header{"Content-Type": {contentType}}
		UpstreamHeaders(h, false)
		if h.Get("Referrer-Policy") != want || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %v", contentType, h)
		}
	}
}
