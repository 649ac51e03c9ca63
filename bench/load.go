package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const connections = 32

// get makes the same GET request each time.
func get(base, path string, headers ...string) func(int) *http.Request {
	return send("GET", base, path, "", headers...)
}

// send makes the same request each time.
func send(method, base, path, body string, headers ...string) func(int) *http.Request {
	u, err := url.Parse(base + path)
	if err != nil {
		panic(err) // an address that a server of ours has printed
	}
	return func(int) *http.Request {
		r := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		if body != "" {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
		return r
	}
}

// probe sends one request and fails if the answer is not what is expected.
func probe(ctx context.Context, r *http.Request, want int, text string) error {
	return probeWith(ctx, http.DefaultTransport, r, want, text)
}

func probeWith(ctx context.Context, t http.RoundTripper, r *http.Request, want int, text string) error {
	resp, err := t.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != want || !bytes.Contains(body, []byte(text)) {
		return fmt.Errorf("%s %s: %s %.200q, expected %d with %q", r.Method, r.URL.Path, resp.Status, body, want, text)
	}
	return nil
}

// load sends n requests made by next over a fixed number of connections and
// returns how many got the status that was expected.
func load(ctx context.Context, n int, want int, next func(i int) *http.Request) (good int, err error) {
	return burden{n: n, want: want, next: next}.send(ctx)
}

// burden is what is sent to a server in one go.
type burden struct {
	n    int
	want int // status
	next func(i int) *http.Request
	// rate is how many requests a second are sent, each when its time has come and a
	// connection is free; 0: as many as can be.
	rate int
	// transport makes the connections; nil: plain HTTP/1.1 over kept ones. as tells
	// whether an answer came as it should have; nil: any way.
	transport func() *http.Transport
	as        func(*http.Response) bool
	// answered is told which request a good answer has come for; nil: nobody asks.
	answered func(i int)
}

func plain() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true}
}

// send returns how many answers were good.
func (b burden) send(ctx context.Context) (good int, err error) {
	if b.transport == nil {
		b.transport = plain
	}
	transport := b.transport()
	defer transport.CloseIdleConnections()
	var sent, ok atomic.Int64
	var wg sync.WaitGroup
	var first atomic.Pointer[error]
	begun := time.Now()
	for range connections {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(sent.Add(1)) - 1
				if i >= b.n {
					return
				}
				if b.rate > 0 {
					time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(b.rate))))
				}
				resp, err := transport.RoundTrip(b.next(i).WithContext(ctx))
				if err != nil {
					first.CompareAndSwap(nil, &err)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode == b.want && (b.as == nil || b.as(resp)) {
					ok.Add(1)
					if b.answered != nil {
						b.answered(i)
					}
				}
			}
		})
	}
	wg.Wait()
	if p := first.Load(); p != nil {
		return int(ok.Load()), *p
	}
	return int(ok.Load()), ctx.Err()
}
