package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server"
)

// BenchmarkGateway is a request through everything, client and upstream in the
// same process: for profiles. Figures come from ./bench, which counts the
// server's CPU time alone.
func BenchmarkGateway(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"message":"This is the private page"}`)
	}))
	defer upstream.Close()
	d, err := server.StartDemo(b.Context(), server.DemoConfig{Data: filepath.Join(b.TempDir(), "demo"), Listen: "127.0.0.1:0",
		Gateway: "127.0.0.1:0", Upstream: upstream.URL, Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close(context.Background())
	transport := &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true}
	defer transport.CloseIdleConnections()
	for name, path := range map[string]string{"anonymous": "/public", "key": "/private", "forward-auth": server.ForwardAuthPath + "/caddy",
		"jwks": "/.well-known/jwks.json"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var wg sync.WaitGroup
			next := make(chan struct{}, 32)
			for range 32 {
				wg.Go(func() {
					for range next {
						base := d.Gateway
						if name == "jwks" {
							base = d.Issuer
						}
						r, _ := http.NewRequest("GET", base+path, nil)
						if name != "anonymous" && name != "jwks" {
							r.Header.Set("Authorization", "Bearer "+d.Users["alice"].APIKey)
						}
						if name == "forward-auth" {
							r.Header.Set("X-Forwarded-Method", "GET")
							r.Header.Set("X-Forwarded-Uri", "/private")
							r.Header.Set("X-Forwarded-Host", "localhost")
							r.Header.Set("X-Forwarded-Proto", "http")
						}
						resp, err := transport.RoundTrip(r)
						if err != nil {
							b.Error(err)
							continue
						}
						_, _ = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
						if resp.StatusCode != 200 {
							b.Errorf("%d", resp.StatusCode)
						}
					}
				})
			}
			for b.Loop() {
				next <- struct{}{}
			}
			close(next)
			wg.Wait()
		})
	}
}

// BenchmarkStart opens and closes a server whose database is there already.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	path, err := server.InitConfig(dir, "", "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		cfg, err := server.LoadConfig(path, nil)
		if err != nil {
			b.Fatal(err)
		}
		cfg.Log.Level = "error"
		s, err := server.New(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		s.Close(context.Background())
	}
}
