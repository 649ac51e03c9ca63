package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type options struct {
	binary           string
	rounds, requests int
	only             []string // names of cases; all when empty
	peers            bool
}

// wants tells whether any of the cases is asked for.
func (o options) wants(names ...string) bool {
	return len(o.only) == 0 || slices.ContainsFunc(names, func(n string) bool { return slices.Contains(o.only, n) })
}

// part is a server that shares the work of a case.
type part struct {
	name   string
	server *process
}

// benchCase is one kind of request to one server, or to several that work together.
type benchCase struct {
	name, title, kind string
	parts             []part
	want              int
	next              func(i int) *http.Request
	floor             string
	mustRatio         float64
	mustMicros        float64
	// prepare makes what the next n requests need, before the clocks are read; nil
	// for nothing. Such a case makes a quarter of the requests.
	prepare func(ctx context.Context, n int) error
	// quarter: such a case makes a quarter of the requests without being prepared.
	quarter bool
	// rate is how many requests a second are sent; 0: as many as can be. Such a case
	// makes those of three seconds.
	rate         int
	unflattering bool // shown in the first table of the page
	// transport and as: see [burden].
	transport func() *http.Transport
	as        func(*http.Response) bool
	took      []sample
}

// sample is one turn: µs per request, by part.
type sample struct {
	total float64
	parts []float64
}

// demo is the line that `gatehouse demo --json` prints.
type demo struct {
	Issuer     string `json:"issuer"`
	Gateway    string `json:"gateway"`
	AdminToken string `json:"admin_token"`
	Users      map[string]struct {
		Password string `json:"password"`
		APIKey   string `json:"api_key"`
	} `json:"users"`
}

// testbed is everything that runs during a measurement.
type testbed struct {
	options
	self, dir       string
	running         []*process
	ends            []func() // of what is no process of ours
	upstream, gh    *process
	proxy           *process // P
	checking        *process // the check behind other proxies, when it runs
	demo            demo
	seen            string // an access token, renewed at each round: it lives ten minutes
	peerFigures     []peerFigure
	peerProcesses   map[string]*process
	missingPrograms []string
}

func measure(ctx context.Context, o options) (rep report, err error) {
	rep = report{Rounds: o.rounds, Requests: o.requests, Machine: describeMachine()}
	b := &testbed{options: o, peerProcesses: map[string]*process{}}
	if b.self, err = os.Executable(); err != nil {
		return rep, err
	}
	if b.dir, err = os.MkdirTemp("", "gatehouse-bench"); err != nil {
		return rep, err
	}
	defer os.RemoveAll(b.dir)
	defer b.stop()
	if rep.Machine.Gatehouse, err = version(ctx, o.binary); err != nil {
		return rep, err
	}
	if len(o.only) == 0 {
		if rep.Process, err = startFigures(ctx, o.binary, b.dir); err != nil {
			return rep, err
		}
	}
	cases, err := b.cases(ctx)
	if err != nil {
		return rep, err
	}
	rep.Missing = b.missingPrograms
	if b.seen, err = b.demo.mint(ctx); err != nil {
		return rep, err
	}
	if len(o.only) == 0 {
		if err := b.loadedFigure(ctx, &rep, cases); err != nil {
			return rep, err
		}
	}
	for range o.rounds {
		if b.seen, err = b.demo.mint(ctx); err != nil {
			return rep, err
		}
		for _, c := range cases {
			if err := c.turn(ctx, o.requests); err != nil {
				rep.Failed = append(rep.Failed, fmt.Sprintf("%s: %v", c.name, err))
			}
		}
	}
	rep.Cases = summarize(cases)
	rep.Peers = b.finishPeers()
	if len(o.only) == 0 {
		err = b.lastFigures(&rep, cases)
	}
	rep.Machine.BusyAfter = busy(time.Second)
	return rep, err
}

// cases starts the servers and returns what is asked of them, tried once.
func (b *testbed) cases(ctx context.Context) ([]*benchCase, error) {
	floors, err := b.floors(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := b.ours(ctx)
	if err != nil {
		return nil, err
	}
	cases := append(append(floors, ours...), b.unflattering(ctx, b.proxy.line)...)
	clients, err := b.clientCases(ctx)
	if err != nil {
		return nil, err
	}
	cases = append(cases, clients...)
	for _, more := range []func(context.Context) ([]*benchCase, error){b.transportCases, b.sessionCases, b.postgresCases} {
		these, err := more(ctx)
		if err != nil {
			return nil, err
		}
		cases = append(cases, these...)
	}
	if b.peers {
		peers, err := b.peerCases(ctx)
		if err != nil {
			return nil, err
		}
		cases = append(cases, peers...)
	}
	return b.choose(cases), nil
}

// choose keeps what is wanted, and the floors that it is compared with.
func (o options) choose(cases []*benchCase) []*benchCase {
	keep := map[string]bool{}
	for _, c := range cases {
		if o.wants(c.name) {
			keep[c.name], keep[c.floor] = true, true
		}
	}
	return slices.DeleteFunc(cases, func(c *benchCase) bool { return !keep[c.name] })
}

func (b *testbed) floors(ctx context.Context) ([]*benchCase, error) {
	f, err := b.role(ctx, "floor", "")
	if err != nil {
		return nil, err
	}
	if b.upstream, err = b.role(ctx, "upstream", ""); err != nil {
		return nil, err
	}
	proxy, err := b.role(ctx, "proxy", b.upstream.line)
	if err != nil {
		return nil, err
	}
	b.proxy = proxy
	return []*benchCase{
		{name: "floor", title: "F: bare net/http, static answer", kind: kindFloor, parts: []part{{"net/http", f}}, want: 200, next: get(f.line, "/")},
		{name: "proxy", title: "P: bare ReverseProxy", kind: kindFloor, parts: []part{{"ReverseProxy", proxy}}, want: 200, next: get(proxy.line, "/private")},
	}, nil
}

// ours starts Gatehouse's demo in front of the upstream.
func (b *testbed) ours(ctx context.Context) ([]*benchCase, error) {
	var err error
	if b.gh, b.demo, err = b.startDemo(ctx, "d"); err != nil {
		return nil, err
	}
	if b.seen, err = b.demo.mint(ctx); err != nil {
		return nil, err
	}
	guarded, err := b.role(ctx, "guard", b.demo.Issuer)
	if err != nil {
		return nil, err
	}
	asking, err := b.demo.asking(ctx, b.seen)
	if err != nil {
		return nil, err
	}
	d, alice, parts := b.demo, b.demo.Users["alice"], []part{{"gatehouse", b.gh}}
	basic := get(d.Gateway, "/private")
	fresh := &tokens{demo: b.demo, gh: b.gh}
	cases := []*benchCase{
		{name: "gateway-anonymous", title: "Gatehouse, anonymous route", next: get(d.Gateway, "/public"), floor: "proxy"},
		{name: "gateway-jwt", title: "Gatehouse, JWT seen before", next: b.bearer(get(d.Gateway, "/private")), floor: "proxy", mustRatio: 1.4},
		{name: "gateway-api-key", title: "Gatehouse, API key", next: get(d.Gateway, "/private", "Authorization", "Bearer "+alice.APIKey), floor: "proxy", mustRatio: 1.4},
		{name: "gateway-basic", title: "Gatehouse, Basic, seen before", next: func(i int) *http.Request {
			r := basic(i)
			r.SetBasicAuth("alice", alice.Password)
			return r
		}, floor: "proxy"},
		{name: "gateway-jwt-new", title: "Gatehouse, each JWT new (ES256)", next: fresh.next(get(d.Gateway, "/private")), prepare: fresh.mint, floor: "proxy", mustRatio: 2.4},
		{name: "forward-auth", title: "Gatehouse, forward-auth answer", next: b.bearer(get(d.Gateway, "/.gatehouse/auth/caddy",
			"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/private", "X-Forwarded-Host", "localhost", "X-Forwarded-Proto", "http")), floor: "floor", mustMicros: 80},
		{name: "jwks", title: "Gatehouse, JWKS", next: get(d.Issuer, "/.well-known/jwks.json"), floor: "floor", mustRatio: 1.15},
		{name: "metadata", title: "Gatehouse, metadata", next: get(d.Issuer, "/.well-known/oauth-authorization-server"), floor: "floor", mustRatio: 1.15},
		{name: "introspection", title: "Gatehouse, introspection of a JWT", next: asking, floor: "floor", mustMicros: 60},
	}
	for _, c := range cases {
		c.kind, c.parts, c.want = kindOurs, parts, 200
	}
	cases = append(cases, &benchCase{name: "guard", title: "Go service with the guard, JWT seen before", kind: kindOurs, parts: []part{{"gatehouse", guarded}},
		want: 200, next: b.bearer(get(guarded.line, "/private")), floor: "floor"})
	verifying, err := b.role(ctx, "checking-proxy", b.demo.Issuer+" "+b.upstream.line)
	if err != nil {
		return nil, err
	}
	cases = append(cases, &benchCase{name: "proxy-check", title: "V: ReverseProxy that verifies each JWT", kind: kindFloor,
		parts: []part{{"ReverseProxy", verifying}}, want: 200, next: fresh.next(get(verifying.line, "/private")), prepare: fresh.mint, floor: "proxy"})
	others, err := b.otherAlgorithms(ctx)
	return append(cases, others...), err
}

// startDemo starts Gatehouse's demo in front of the upstream.
func (b *testbed) startDemo(ctx context.Context, dir string) (p *process, d demo, err error) {
	p, err = b.keep(start(ctx, nil, b.binary, "demo", "--json", "--data", filepath.Join(b.dir, dir), "--listen", "127.0.0.1:0",
		"--gateway", "127.0.0.1:0", "--outbox", "", "--upstream", b.upstream.line))
	if err != nil {
		return nil, d, err
	}
	if err := json.Unmarshal([]byte(p.line), &d); err != nil {
		return nil, d, fmt.Errorf("demo line: %w", err)
	}
	return p, d, nil
}

// bearer adds the token that everybody has seen before.
func (b *testbed) bearer(next func(int) *http.Request) func(int) *http.Request {
	return func(i int) *http.Request {
		r := next(i)
		r.Header.Set("Authorization", "Bearer "+b.seen)
		return r
	}
}

// turn runs one turn of a case and notes the CPU time per good request.
func (c *benchCase) turn(ctx context.Context, n int) error {
	if c.rate > 0 {
		n = 3 * c.rate
	}
	if c.quarter || c.prepare != nil {
		n = max(n/4, 1)
	}
	if c.prepare != nil {
		if err := c.prepare(ctx, n); err != nil {
			return err
		}
	}
	// What requests leave to be done (storing and sequencing their events) is part
	// of their own cost, and of nobody else's: a turn begins and ends at rest.
	before, err := c.rest(ctx)
	if err != nil {
		return err
	}
	good, err := burden{n: n, want: c.want, next: c.next, rate: c.rate, transport: c.transport, as: c.as}.send(ctx)
	if err != nil {
		return err
	}
	after, err := c.rest(ctx)
	if err != nil {
		return err
	}
	if good < n {
		// Refusals are cheap: a turn with some in it is no turn.
		return fmt.Errorf("%d of %d answers were not %d", n-good, n, c.want)
	}
	var s sample
	for i := range after {
		us := float64((after[i] - before[i]).Nanoseconds()) / 1000 / float64(good)
		s.parts = append(s.parts, us)
		s.total += us
	}
	c.took = append(c.took, s)
	return nil
}

// rest waits until the servers have nothing to do, for six seconds at most, and
// returns the CPU time that they have used.
func (c *benchCase) rest(ctx context.Context) ([]time.Duration, error) {
	const look = 100 * time.Millisecond
	still, quiet := 3*look, 300*time.Microsecond // of CPU time in a look
	// Gatehouse looks for events to sequence once a second: less of stillness does
	// not show that it is done with those of this turn. To look costs a little.
	if slices.ContainsFunc(c.parts, func(p part) bool { return p.name == "gatehouse" }) {
		still, quiet = 11*look, 2*time.Millisecond
	}
	last, err := c.cpu()
	for calm, looks := time.Duration(0), 0; err == nil && calm < still && looks < 60; looks++ {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(look):
		}
		var now []time.Duration
		if now, err = c.cpu(); err != nil {
			break
		}
		calm += look
		for i := range now {
			if now[i]-last[i] > quiet {
				calm = 0
			}
		}
		last = now
	}
	return last, err
}

func (c *benchCase) cpu() ([]time.Duration, error) {
	var out []time.Duration
	for _, p := range c.parts {
		t, err := p.server.cpu()
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func summarize(cases []*benchCase) []result {
	byName := map[string]*benchCase{}
	var out []result
	for _, c := range cases {
		if len(c.took) == 0 {
			continue
		}
		sorted := slices.SortedFunc(slices.Values(c.took), func(a, b sample) int {
			switch {
			case a.total < b.total:
				return -1
			case a.total > b.total:
				return 1
			}
			return 0
		})
		byName[c.name] = c
		r := result{Name: c.name, Title: c.title, Kind: c.kind, Median: sorted[len(sorted)/2].total, Least: sorted[0].total, Floor: c.floor, Unflattering: c.unflattering,
			MustRatio: c.mustRatio, MustMicros: c.mustMicros}
		for i, p := range c.parts {
			if len(c.parts) > 1 {
				r.Parts = append(r.Parts, partShare{p.name, sorted[len(sorted)/2].parts[i]})
			}
		}
		out = append(out, r)
	}
	for i := range out {
		if f := byName[out[i].Floor]; f != nil {
			out[i].Ratio = medianRatio(byName[out[i].Name].took, f.took)
		}
	}
	return out
}

// medianRatio is the median of the ratios of turns that stood beside each other:
// a slow minute of the machine slows both.
func medianRatio(ours, floor []sample) float64 {
	n := min(len(ours), len(floor))
	if n == 0 {
		return 0
	}
	ratios := make([]float64, n)
	for i := range ratios {
		ratios[i] = ours[i].total / floor[i].total
	}
	slices.Sort(ratios)
	return ratios[n/2]
}

// role starts a child of this very program.
func (b *testbed) role(ctx context.Context, role, backend string) (*process, error) {
	return b.keep(start(ctx, []string{roleVariable + "=" + role, backendVariable + "=" + backend}, b.self))
}

// keep remembers a process, to end it.
func (b *testbed) keep(p *process, err error) (*process, error) {
	if err == nil {
		b.running = append(b.running, p)
	}
	return p, err
}

func (b *testbed) stop() {
	for _, p := range slices.Backward(b.running) {
		p.stop()
	}
	for _, end := range b.ends {
		end()
	}
}

// freeAddress is a loopback address on which nothing listened a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// version is the last word that a program says about its version.
func version(ctx context.Context, program string) (string, error) {
	out, err := exec.CommandContext(ctx, program, "--version").CombinedOutput()
	words := strings.Fields(string(out))
	if err != nil || len(words) == 0 {
		return "", errors.Join(fmt.Errorf("%s --version: %q", program, out), err)
	}
	return words[len(words)-1], nil
}
