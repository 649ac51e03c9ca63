package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

// answer is what upstream and floor say: a document of the size that an API
// would answer.
const answer = `{"id":"doc_1","title":"Quarterly report","body":"Numbers went up. ` +
	`They may also go down; past results tell nothing about future ones.","owner":"usr_1","team":"blue","visibility":"public"}`

// serveFloor is the child process: "floor" and "upstream" answer a static
// document, "proxy" is a bare ReverseProxy to the address in
// GATEHOUSE_BENCH_UPSTREAM. It prints its address and serves until its
// standard input closes, so that it never outlives the bench.
func serveFloor(role string) error {
	var h http.Handler
	switch role {
	case "floor", "upstream":
		body := []byte(answer)
		h = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body)
		})
	case "proxy":
		target, err := url.Parse(os.Getenv("GATEHOUSE_BENCH_UPSTREAM"))
		if err != nil {
			return err
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 64
		h = &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	default:
		return fmt.Errorf("no role %q", role)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(l, h)
}
