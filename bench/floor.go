package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/guard"
)

// answer is what upstream and floor say: a document of the size that an API
// would answer.
const answer = `{"id":"doc_1","title":"Quarterly report","body":"Numbers went up. ` +
	`They may also go down; past results tell nothing about future ones.","owner":"usr_1","team":"blue","visibility":"public"}`

// What a child process is, and the server that it needs.
const (
	roleVariable    = "GATEHOUSE_BENCH_ROLE"
	backendVariable = "GATEHOUSE_BENCH_BACKEND"
)

// serveRole is the child process. It prints its address and serves until its
// standard input closes, so that it never outlives the bench.
func serveRole(role, backend string) error {
	h, err := handler(role, backend)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	scheme, serve := "http", func() error { return http.Serve(l, h) }
	if f := strings.Fields(backend); role == "secure-proxy" {
		scheme, serve = "https", func() error { return http.ServeTLS(l, h, f[1], f[2]) }
	}
	fmt.Printf("%s://%s\n", scheme, l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return serve()
}

// handler: "floor" and "upstream" answer a static document, "proxy" is a bare
// ReverseProxy to the backend, "check" verifies tokens of the backend with the
// standard library, "checking-proxy" is the proxy behind that check ("issuer
// upstream"), "secure-proxy" is the proxy over TLS ("upstream certificate key"), "guard" is the static document behind Gatehouse's guard.
func handler(role, backend string) (http.Handler, error) {
	body := []byte(answer)
	document := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
	switch role {
	case "floor", "upstream":
		return document, nil
	case "proxy":
		return bareProxy(backend)
	case "secure-proxy":
		upstream, _, _ := strings.Cut(backend, " ")
		return bareProxy(upstream)
	case "check":
		return fetchChecker(backend)
	case "checking-proxy":
		issuer, upstream, _ := strings.Cut(backend, " ")
		check, err := fetchChecker(issuer)
		if err != nil {
			return nil, err
		}
		proxy, err := bareProxy(upstream)
		if err != nil {
			return nil, err
		}
		return check.before(proxy), nil
	case "client-signed-floor", "client-opaque-floor":
		return tokenFloor(role == "client-opaque-floor")
	case "guard":
		g, err := guard.NewRemote(guard.RemoteConfig{Issuer: backend, Audience: backend, AllowPrivateAddress: true,
			Routes: []enforce.Route{{Pattern: "GET /private", Authenticated: true}}})
		if err != nil {
			return nil, err
		}
		return g.Handler(document), nil
	}
	return nil, fmt.Errorf("no role %q", role)
}

func bareProxy(upstream string) (http.Handler, error) {
	target, err := url.Parse(upstream)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	return &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}, nil
}
