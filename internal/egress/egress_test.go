package egress

import (
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// ASVS: 13.2.4, 13.2.5
func TestCheckAddress(t *testing.T) {
	const (
		public = iota // always
		local         // with AllowPrivate
		closed        // never
	)
	for text, want := range map[string]int{
		"8.8.8.8": public, "1.1.1.1": public, "172.32.0.1": public, "100.128.0.1": public, "2606:4700::1111": public, "2a00::1": public,

		"127.0.0.1": local, "127.9.9.9": local, "::1": local, "10.1.2.3": local, "172.16.0.1": local, "172.31.255.255": local,
		"192.168.1.1": local, "100.64.0.1": local, "fd12::1": local, "fc00::1": local, "::ffff:127.0.0.1": local, "::ffff:10.0.0.1": local,

		"0.0.0.0": closed, "0.1.2.3": closed, "::": closed, "169.254.169.254": closed, "::ffff:169.254.169.254": closed,
		"169.254.0.1": closed, "fe80::1": closed, "fec0::1": closed, "fd00:ec2::254": closed, "100.100.100.200": closed,
		"192.0.0.192": closed, "224.0.0.1": closed, "239.1.1.1": closed, "ff02::1": closed, "255.255.255.255": closed, "240.0.0.1": closed,
		"192.0.2.1": closed, "198.51.100.1": closed, "203.0.113.1": closed, "198.18.0.1": closed, "192.88.99.1": closed,
		"2001:db8::1": closed, "3fff::1": closed,
		"64:ff9b::7f00:1": closed, "64:ff9b::808:808": closed, "64:ff9b:1::1": closed, // NAT64
		"2002:7f00:1::": closed, "2002:808:808::": closed, // 6to4
		"2001::1": closed, "2001:0:1:2::3": closed, // Teredo
		"::127.0.0.1": closed, "::7f00:1": closed, // IPv4-compatible
		"fe80::1%eth0": closed, "::1%lo": closed,
	} {
		a := netip.MustParseAddr(text)
		if err := checkAddress(a, false, false); (err == nil) != (want == public) {
			t.Errorf("%s: %v", text, err)
		}
		if err := checkAddress(a, true, false); (err == nil) != (want != closed) {
			t.Errorf("%s with private addresses: %v", text, err)
		}
		if err := checkAddress(a, true, true); (err == nil) != (want == local) {
			t.Errorf("%s without TLS: %v", text, err)
		}
	}
	if checkAddress(netip.Addr{}, true, false) == nil {
		t.Error("the zero address is open")
	}
}

func TestCheckURL(t *testing.T) {
	strict, open := New(Config{}), New(Config{AllowPrivate: true})
	for address, want := range map[string]string{
		"https://issuer.example/jwks":          "",
		"https://issuer.example:8443/a?b=c":    "",
		"http://issuer.example/jwks":           "egress_url_invalid",
		"HTTP://issuer.example/jwks":           "egress_url_invalid",
		"file:///etc/passwd":                   "egress_url_invalid",
		"gopher://x/":                          "egress_url_invalid",
		"https:issuer.example":                 "egress_url_invalid",
		"https:///jwks":                        "egress_url_invalid",
		"//issuer.example/jwks":                "egress_url_invalid",
		"https://user:pw@issuer.example/":      "egress_url_invalid",
		"https://issuer.example/#x":            "egress_url_invalid",
		"https://exa mple/":                    "egress_url_invalid",
		"https://" + strings.Repeat("a", 3000): "egress_url_invalid",
		"https://127.0.0.1/":                   "egress_address_refused",
		"https://[::1]/":                       "egress_address_refused",
		"https://[::ffff:10.0.0.1]/":           "egress_address_refused",
		"https://169.254.169.254/latest":       "egress_address_refused",
	} {
		err := strict.CheckURL(address)
		if got := code(err); got != want {
			t.Errorf("%.40s: %q, want %q", address, got, want)
		}
		if err != nil && strings.Contains(err.Error(), "pw@") {
			t.Errorf("the error quotes the address: %v", err)
		}
	}
	if err := open.CheckURL("http://127.0.0.1:3000/jwks"); err != nil {
		t.Errorf("private address: %v", err)
	}
	if err := open.CheckURL("http://169.254.169.254/"); err == nil {
		t.Error("cloud metadata is open")
	}
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return gatehouse.CodeOf(err)
}

// TestNamesAreCheckedWhenConnecting uses names, which pass CheckURL: the refusal
// must come from the dialer. Weird spellings of an address that a resolver might
// take as one are names too.
//
// ASVS: 13.2.4
func TestNamesAreCheckedWhenConnecting(t *testing.T) {
	reached := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	c := New(Config{Timeout: 2 * time.Second})
	for _, host := range []string{"localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost."} {
		address := "https://" + host + ":" + port + "/"
		_, _, err := c.Fetch(t.Context(), address, "*/*")
		if err == nil || reached {
			t.Errorf("%s: %v, reached=%v", host, err, reached)
		}
		if host == "localhost" && code(err) != "egress_address_refused" {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestFetch(t *testing.T) {
	var got *http.Request
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write([]byte("body"))
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1025)) })
	mux.HandleFunc("/fits", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1024)) })
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write(make([]byte, 1<<20))
		_ = z.Close()
	})
	mux.HandleFunc("/header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 64<<10)) })
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // an answer now could still reach the client that has just given up
	})
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c := New(Config{AllowPrivate: true, RootCAs: roots, MaxBytes: 1024, Timeout: time.Minute})
	defer c.Close()
	hasty := New(Config{AllowPrivate: true, RootCAs: roots, Timeout: 300 * time.Millisecond})
	defer hasty.Close()
	body, header, err := c.Fetch(t.Context(), server.URL+"/ok", "application/json")
	if err != nil || string(body) != "body" || header.Get("Cache-Control") != "max-age=60" {
		t.Errorf("Fetch = %q, %v, %v", body, header, err)
	}
	if got.Header.Get("Accept") != "application/json" || got.Header.Get("Cookie") != "" || got.UserAgent() != "gatehouse" {
		t.Errorf("request header = %v", got.Header)
	}
	if body, _, err := c.Fetch(t.Context(), server.URL+"/fits", "*/*"); err != nil || len(body) != 1024 {
		t.Errorf("a body that just fits: %d, %v", len(body), err)
	}
	for _, path := range []string{"/redirect", "/error", "/large", "/bomb", "/header"} {
		if _, _, err := c.Fetch(t.Context(), server.URL+path, "*/*"); code(err) != "egress_failed" {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, _, err := hasty.Fetch(t.Context(), server.URL+"/slow", "*/*"); code(err) != "egress_failed" {
		t.Errorf("/slow: %v", err)
	}
	if _, _, err := New(Config{AllowPrivate: true}).Fetch(t.Context(), server.URL+"/ok", "*/*"); err == nil {
		t.Error("an unknown certificate was trusted")
	}
	if _, _, err := New(Config{RootCAs: roots}).Fetch(t.Context(), server.URL+"/ok", "*/*"); code(err) != "egress_address_refused" {
		t.Errorf("loopback without AllowPrivate: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Fetch(ctx, server.URL+"/slow", "*/*"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestNoProxy looks at the transport: the standard library never uses a proxy for
// loopback addresses, which are all a test can reach.
func TestNoProxy(t *testing.T) {
	if tr, ok := New(Config{}).http.Transport.(*http.Transport); !ok || tr.Proxy != nil {
		t.Error("a proxy from the environment could be used")
	}
}

func TestPlainHTTPStaysPrivate(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	defer server.Close()
	c := New(Config{AllowPrivate: true})
	defer c.Close()
	if _, _, err := c.Fetch(t.Context(), server.URL, "*/*"); err != nil {
		t.Error(err)
	}
	ctx := context.WithValue(t.Context(), plainKey{}, true)
	if err := c.control(ctx, "tcp4", "8.8.8.8:80", nil); !errors.Is(err, errPlain) {
		t.Errorf("plain http to a public address: %v", err)
	}
	if err := c.control(t.Context(), "tcp4", "8.8.8.8:443", nil); err != nil {
		t.Error(err)
	}
}

// TestStream: the header of an answer that lasts may come late, as behind a proxy that holds it back; other fetches do not
// wait for theirs. The reader's context ends the wait.
func TestStream(t *testing.T) {
	late := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-late:
		case <-r.Context().Done():
		}
		_, _ = w.Write([]byte("news"))
	}))
	defer srv.Close()
	c := New(Config{AllowPrivate: true, Timeout: 50 * time.Millisecond})
	defer c.Close()
	if _, _, err := c.Fetch(t.Context(), srv.URL, ""); code(err) != "egress_failed" {
		t.Errorf("a fetch: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Stream(ctx, srv.URL, nil); code(err) != "egress_failed" {
		t.Errorf("until the context ends: %v", err)
	}
	time.AfterFunc(150*time.Millisecond, func() { close(late) })
	body, err := c.Stream(t.Context(), srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, err := io.ReadAll(body); err != nil || string(text) != "news" {
		t.Errorf("%q, %v", text, err)
	}
}
