// Command testpath answers one request to the gateway and one POST /tokens, and writes which statements of ours each
// went through: docs/architecture.md names the files, and a test builds this program with -cover to compare them. Both
// requests are warm: what only the first of a kind needs is done before. It is a program of its own because
// runtime/coverage clears no counters in a test binary (Go 1.26).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/coverage"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse/server"
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run leaves the counters of both requests in directories of their own under dir, one for each turn.
func run(ctx context.Context, dir string) error {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	defer api.Close()
	d, err := server.StartDemo(ctx, server.DemoConfig{Data: filepath.Join(dir, "demo"), Upstream: api.URL,
		Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0", Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		return err
	}
	defer d.Close(ctx)
	var access string
	tokens := func(r *http.Request) { r.SetBasicAuth("alice", d.Users["alice"].Password) }
	bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+access) }
	for range 3 {
		body, err := send(ctx, "POST", d.Issuer+"/tokens", tokens)
		if err != nil {
			return err
		}
		var out struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal(body, &out, json.RejectUnknownMembers(false)); err != nil {
			return err
		}
		access = out.AccessToken
	}
	// What a request to the gateway leaves to be recorded is stored a moment later: no
	// such request comes before the one for a token is measured.
	err = measure(filepath.Join(dir, "tokens"), func() error { _, err := send(ctx, "POST", d.Issuer+"/tokens", tokens); return err })
	if err != nil {
		return err
	}
	for range 3 {
		if _, err := send(ctx, "GET", d.Gateway+"/private", bearer); err != nil {
			return err
		}
	}
	return measure(filepath.Join(dir, "gateway"), func() error { _, err := send(ctx, "GET", d.Gateway+"/private", bearer); return err })
}

func send(ctx context.Context, method, url string, credential func(*http.Request)) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(""))
	if err != nil {
		return nil, err
	}
	credential(r)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %d %s", method, url, res.StatusCode, body)
	}
	return body, err
}

// turns is how often each request is measured. The jobs beside it run at their own times:
// only what every turn went through belongs to the request.
const turns = 7

// measure writes the counters of what request goes through, each turn into a directory of
// its own.
func measure(dir string, request func() error) error {
	for turn := range turns {
		into := filepath.Join(dir, strconv.Itoa(turn))
		if err := os.MkdirAll(into, 0o700); err != nil {
			return err
		}
		if err := coverage.ClearCounters(); err != nil {
			return err
		}
		if err := request(); err != nil {
			return err
		}
		if err := errors.Join(coverage.WriteCountersDir(into), coverage.WriteMetaDir(into)); err != nil {
			return err
		}
	}
	return nil
}
