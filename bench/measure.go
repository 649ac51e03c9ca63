package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type options struct {
	binary           string
	rounds, requests int
	only             string
}

// report is what a run found.
type report struct {
	Rounds   int             `json:"rounds"`
	Requests int             `json:"requests"`
	Cases    []result        `json:"cases"`
	Process  []processFigure `json:"process"`
	Failed   []string        `json:"failed,omitempty"`
}

// result is one case: CPU µs of the server process per good request.
type result struct {
	Name       string  `json:"name"`
	Median     float64 `json:"median_us"`
	Least      float64 `json:"least_us"`
	Floor      string  `json:"floor,omitempty"`
	Ratio      float64 `json:"ratio,omitempty"` // least to least, same run
	MustRatio  float64 `json:"must_ratio,omitempty"`
	MustMicros float64 `json:"must_us,omitempty"`
}

// processFigure is a figure of the process as a whole.
type processFigure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Must  float64 `json:"must"` // at most
}

// benchCase is one kind of request to one server.
type benchCase struct {
	name       string
	server     *process
	want       int
	next       func(i int) *http.Request
	floor      string
	mustRatio  float64
	mustMicros float64
	// tokens is how many requests the case can make at all; 0 is any number.
	tokens int
	took   []float64
	used   int
}

// demo is the line that `gatehouse demo --json` prints.
type demo struct {
	Issuer  string `json:"issuer"`
	Gateway string `json:"gateway"`
	Users   map[string]struct {
		Password string `json:"password"`
		APIKey   string `json:"api_key"`
	} `json:"users"`
}

func measure(ctx context.Context, o options) (report, error) {
	rep := report{Rounds: o.rounds, Requests: o.requests}
	self, err := os.Executable()
	if err != nil {
		return rep, err
	}
	var running []*process
	defer func() {
		for _, p := range slices.Backward(running) {
			p.stop()
		}
	}()
	floor := func(role, upstream string) (*process, error) {
		p, err := start(ctx, []string{"GATEHOUSE_BENCH_ROLE=" + role, "GATEHOUSE_BENCH_UPSTREAM=" + upstream}, self)
		if err == nil {
			running = append(running, p)
		}
		return p, err
	}
	f, err := floor("floor", "")
	if err != nil {
		return rep, err
	}
	up, err := floor("upstream", "")
	if err != nil {
		return rep, err
	}
	proxy, err := floor("proxy", up.line)
	if err != nil {
		return rep, err
	}
	data, err := os.MkdirTemp("", "gatehouse-bench")
	if err != nil {
		return rep, err
	}
	defer os.RemoveAll(data)
	gh, err := start(ctx, nil, o.binary, "demo", "--json", "--data", filepath.Join(data, "d"), "--listen", "127.0.0.1:0",
		"--gateway", "127.0.0.1:0", "--upstream", up.line)
	if err != nil {
		return rep, err
	}
	running = append(running, gh)
	var d demo
	if err := json.Unmarshal([]byte(gh.line), &d); err != nil {
		return rep, fmt.Errorf("demo line: %w", err)
	}
	if o.only == "" {
		if rep.Process, err = startFigures(ctx, o.binary, data); err != nil {
			return rep, err
		}
	}
	cases, err := buildCases(ctx, o, d, f, proxy, gh)
	if err != nil {
		return rep, err
	}
	for range o.rounds {
		for _, c := range cases {
			if err := c.turn(ctx, o.requests); err != nil {
				rep.Failed = append(rep.Failed, fmt.Sprintf("%s: %v", c.name, err))
			}
		}
	}
	rep.Cases = summarize(cases)
	if o.only != "" {
		return rep, nil
	}
	loaded, err := loadedFigure(cases)
	if err != nil {
		return rep, err
	}
	rep.Process = append(rep.Process, loaded)
	st, err := os.Stat(o.binary)
	if err != nil {
		return rep, err
	}
	rep.Process = append(rep.Process, processFigure{"stripped binary", float64(st.Size()) / (1 << 20), "MiB", 30})
	return rep, nil
}

func buildCases(ctx context.Context, o options, d demo, f, proxy, gh *process) ([]*benchCase, error) {
	alice := d.Users["alice"]
	seen, err := mint(ctx, d.Issuer, "alice", alice.Password)
	if err != nil {
		return nil, err
	}
	get := func(base, path string, headers ...string) func(int) *http.Request {
		u, _ := url.Parse(base + path)
		return func(int) *http.Request {
			r := &http.Request{Method: "GET", URL: u, Host: u.Host, Header: http.Header{}}
			for i := 0; i+1 < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			return r
		}
	}
	cases := []*benchCase{
		{name: "floor", server: f, want: 200, next: get(f.line, "/")},
		{name: "proxy", server: proxy, want: 200, next: get(proxy.line, "/private")},
		{name: "gateway-anonymous", server: gh, want: 200, next: get(d.Gateway, "/public"), floor: "proxy"},
		{name: "gateway-jwt", server: gh, want: 200, next: get(d.Gateway, "/private", "Authorization", "Bearer "+seen), floor: "proxy", mustRatio: 1.4},
		{name: "gateway-api-key", server: gh, want: 200, next: get(d.Gateway, "/private", "Authorization", "Bearer "+alice.APIKey), floor: "proxy", mustRatio: 1.4},
		{name: "gateway-basic", server: gh, want: 200, next: func(int) *http.Request {
			r := get(d.Gateway, "/private")(0)
			r.SetBasicAuth("alice", alice.Password)
			return r
		}, floor: "proxy"},
		{name: "forward-auth", server: gh, want: 200, next: get(d.Gateway, "/.gatehouse/auth/caddy", "Authorization", "Bearer "+seen,
			"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/private", "X-Forwarded-Host", "localhost", "X-Forwarded-Proto", "http"), floor: "floor", mustMicros: 80},
		{name: "jwks", server: gh, want: 200, next: get(d.Issuer, "/.well-known/jwks.json"), floor: "floor", mustRatio: 1.5},
	}
	if o.only == "" || strings.Contains(o.only, "gateway-jwt-new") {
		fresh := make([]string, o.rounds*o.requests/4)
		for i := range fresh {
			if fresh[i], err = mint(ctx, d.Issuer, "alice", alice.Password); err != nil {
				return nil, fmt.Errorf("token %d: %w", i, err)
			}
		}
		c := &benchCase{name: "gateway-jwt-new", server: gh, want: 200, floor: "proxy", mustRatio: 2.4, tokens: len(fresh)}
		c.next = func(i int) *http.Request {
			return get(d.Gateway, "/private", "Authorization", "Bearer "+fresh[c.used+i])(0)
		}
		cases = append(cases, c)
	}
	if o.only != "" {
		names := strings.Split(o.only, ",")
		cases = slices.DeleteFunc(cases, func(c *benchCase) bool { return !slices.Contains(names, c.name) })
	}
	return cases, nil
}

// turn runs one turn of a case and notes the CPU time per good request.
func (c *benchCase) turn(ctx context.Context, n int) error {
	if c.tokens > 0 {
		n = min(n/4, c.tokens-c.used)
	}
	if n <= 0 {
		return nil
	}
	before, err := c.server.cpu()
	if err != nil {
		return err
	}
	good, err := load(ctx, n, c.want, c.next)
	c.used += n
	if err != nil {
		return err
	}
	// What the request left to do (the audit queue) is part of its cost.
	time.Sleep(150 * time.Millisecond)
	after, err := c.server.cpu()
	if err != nil {
		return err
	}
	if good < n {
		err = fmt.Errorf("%d of %d answers were not %d", n-good, n, c.want)
	}
	if good > 0 {
		c.took = append(c.took, float64((after-before).Microseconds())/float64(good))
	}
	return err
}

func summarize(cases []*benchCase) []result {
	least := map[string]float64{}
	var out []result
	for _, c := range cases {
		if len(c.took) == 0 {
			continue
		}
		sorted := slices.Sorted(slices.Values(c.took))
		least[c.name] = sorted[0]
		out = append(out, result{Name: c.name, Median: sorted[len(sorted)/2], Least: sorted[0], Floor: c.floor,
			MustRatio: c.mustRatio, MustMicros: c.mustMicros})
	}
	for i := range out {
		if base := least[out[i].Floor]; base > 0 {
			out[i].Ratio = out[i].Least / base
		}
	}
	return out
}

// mint gets an access token from POST /tokens.
func mint(ctx context.Context, issuer, user, password string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", issuer+"/tokens", nil)
	if err != nil {
		return "", err
	}
	req.SetBasicAuth(user, password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var out struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.AccessToken == "" {
		return "", fmt.Errorf("POST /tokens: %s", resp.Status)
	}
	return out.AccessToken, nil
}
