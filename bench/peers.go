package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// peersVariable names the directory with what scripts/bench-peers has built.
const peersVariable = "GATEHOUSE_BENCH_PEERS"

// peer is a program that a user would pick instead, or puts before Gatehouse.
type peer struct {
	name  string
	needs []string // paths; a peer of which one is missing is reported as missing
	cases []string
	start func(ctx context.Context, b *testbed) ([]*peerCase, error)
}

// peerCase is a case with what must be refused, so that a peer which checks
// nothing is noticed.
type peerCase struct {
	benchCase
	text    string        // must be in the answer
	refused *http.Request // nil where the case checks nothing
	status  int
	refusal string
}

// peerList is every peer, in the order of the report.
func peerList() []peer {
	bin := os.Getenv(peersVariable)
	if bin == "" {
		bin = filepath.Join(".cache", "peers")
	}
	envoy, oauth2Proxy, lua, haproxy := filepath.Join(bin, "envoy"), filepath.Join(bin, "oauth2-proxy"), filepath.Join(bin, "lua"), find("haproxy")
	nginx, caddy, opa, node := find("nginx"), filepath.Join(bin, "caddy"), filepath.Join(bin, "opa"), find("node")
	modules := exampleModules()
	return []peer{
		{"check", nil, []string{"check"}, func(ctx context.Context, b *testbed) ([]*peerCase, error) { return b.checkCases(ctx) }},
		{"nginx", []string{nginx}, []string{"nginx", "nginx-check", "nginx-gatehouse"},
			func(ctx context.Context, b *testbed) ([]*peerCase, error) { return b.nginxCases(ctx, nginx) }},
		{"caddy", []string{caddy}, []string{"caddy", "caddy-check", "caddy-gatehouse"},
			func(ctx context.Context, b *testbed) ([]*peerCase, error) { return b.caddyCases(ctx, caddy) }},
		{"nginx with Lua", []string{nginx, filepath.Join(lua, "usr/lib/nginx/modules/ngx_http_lua_module.so"), filepath.Join(lua, "usr/lib/x86_64-linux-gnu/libluajit-5.1.so.2")},
			[]string{"nginx-lua"}, func(ctx context.Context, b *testbed) ([]*peerCase, error) { return b.nginxLuaCases(ctx, nginx, lua) }},
		{"haproxy", []string{haproxy}, []string{"haproxy-jwt"},
			func(ctx context.Context, b *testbed) ([]*peerCase, error) { return b.haproxyCases(ctx, haproxy) }},
		{"envoy", []string{envoy}, []string{"envoy-jwt", "envoy-jwt-cache"},
			func(ctx context.Context, b *testbed) ([]*peerCase, error) { return b.envoyCases(ctx, envoy) }},
		{"oauth2-proxy", []string{oauth2Proxy}, []string{"oauth2-proxy"},
			func(ctx context.Context, b *testbed) ([]*peerCase, error) {
				return b.oauth2ProxyCases(ctx, oauth2Proxy)
			}},
		// Those that verify tokens inside of Caddy are not to be had from the module proxy.
		{"Caddy with a JWT module (github.com/ggicci/caddy-jwt)", []string{filepath.Join(bin, "caddy-jwt")}, []string{"caddy-jwt"}, nil},
		{"opa", []string{opa}, []string{"opa"},
			func(ctx context.Context, b *testbed) ([]*peerCase, error) { return b.opaCases(ctx, opa) }},
		{"express and jose", []string{node, filepath.Join(modules, "express"), filepath.Join(modules, "jose")}, []string{"express", "express-jose"},
			func(ctx context.Context, b *testbed) ([]*peerCase, error) { return b.expressCases(ctx, node, modules) }},
	}
}

// exampleModules is where scripts/bench-peers and the examples' tests install what
// the lock file of examples/express pins.
func exampleModules() string {
	lock, _ := os.ReadFile("examples/express/package-lock.json")
	sum := sha256.Sum256(lock)
	return filepath.Join(".cache", "examples", "express-"+hex.EncodeToString(sum[:8]), "node_modules")
}

// find is the path of a program of the system.
func find(name string) string {
	for _, try := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(try); err == nil {
			return path
		}
	}
	return name
}

// peerCases starts every peer that is here and wanted, and tries each of its cases
// once in both directions.
func (b *testbed) peerCases(ctx context.Context) ([]*benchCase, error) {
	var out []*benchCase
	for _, p := range peerList() {
		if !b.wants(p.cases...) {
			continue
		}
		if missing := p.missing(); missing != "" {
			b.missingPrograms = append(b.missingPrograms, missing)
			continue
		}
		if p.start == nil {
			b.missingPrograms = append(b.missingPrograms, p.name+": there is one, and this program does not know how to start it")
			continue
		}
		cases, err := p.start(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		for _, c := range cases {
			if err := c.try(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			out = append(out, &c.benchCase)
		}
	}
	return out, nil
}

// missing says what a peer lacks, and which cases are not measured for that.
func (p peer) missing() string {
	for _, path := range p.needs {
		if _, err := os.Stat(path); err != nil {
			return fmt.Sprintf("%s: no %s (scripts/bench-peers, scripts/test-deps), so no %s", p.name, path, strings.Join(p.cases, ", "))
		}
	}
	return ""
}

func (c *peerCase) try(ctx context.Context) error {
	err := probe(ctx, c.next(0), c.want, c.text)
	if c.refused != nil {
		err = errors.Join(err, probe(ctx, c.refused, c.status, c.refusal))
	}
	return err
}

// peer starts a peer's server, and notes what it is and what its start took.
func (b *testbed) peer(ctx context.Context, name, version, address string, workers bool, env []string, program string, args ...string) (*process, error) {
	p, err := b.keep(startAt(ctx, address, env, program, args...))
	if err != nil {
		return nil, err
	}
	if workers {
		if err := p.findWorkers(ctx); err != nil {
			return nil, err
		}
	}
	used, err := p.cpu()
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(program)
	if err != nil {
		return nil, err
	}
	if _, again := b.peerProcesses[name]; again { // a second server of the same program
		return p, nil
	}
	b.peerProcesses[name] = p
	b.peerFigures = append(b.peerFigures, peerFigure{Name: name, Version: version,
		StartCPU: float64(used.Microseconds()) / 1000, Program: float64(st.Size()) / (1 << 20)})
	return p, nil
}

// finishPeers reads the peers' memory at the end.
func (b *testbed) finishPeers() []peerFigure {
	for i := range b.peerFigures {
		b.peerFigures[i].Resident = b.peerProcesses[b.peerFigures[i].Name].rss()
	}
	return b.peerFigures
}

// moduleVersion is the version of the module that a Go program was built from.
func moduleVersion(program string) (string, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", err
	}
	return info.Main.Version, nil
}

// write makes a file in a directory of its own for each server.
func (b *testbed) write(dir, name, text string) (string, error) {
	path := filepath.Join(b.dir, dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// host is an address without its scheme.
func host(url string) string { return strings.TrimPrefix(url, "http://") }

// spoil changes one character in the middle of a token's signature.
func spoil(token string) string {
	i := strings.LastIndexByte(token, '.') + 20
	other := byte('A')
	if token[i] == other {
		other = 'B'
	}
	return token[:i] + string(other) + token[i+1:]
}

// guarded is a case that needs a token, and refuses a spoiled one.
func (b *testbed) guarded(c benchCase, address string) *peerCase {
	c.want, c.floor, c.next = 200, "proxy", b.bearer(get(address, "/private"))
	return &peerCase{benchCase: c, text: "Quarterly report", status: 401,
		refused: get(address, "/private", "Authorization", "Bearer "+spoil(b.seen))(0)}
}

// open is a case without a check: what the peer takes by itself.
func open(name, title, address string, parts []part) *peerCase {
	return &peerCase{benchCase: benchCase{name: name, title: title, kind: kindPeer, parts: parts, want: 200, floor: "proxy",
		next: get(address, "/public")}, text: "Quarterly report"}
}

// check starts the small check that stands behind auth_request and forward_auth,
// once.
func (b *testbed) check(ctx context.Context) (*process, error) {
	var err error
	if b.checking == nil {
		b.checking, err = b.role(ctx, "check", b.demo.Issuer)
	}
	return b.checking, err
}

// checkCases: the check by itself.
func (b *testbed) checkCases(ctx context.Context) ([]*peerCase, error) {
	p, err := b.check(ctx)
	if err != nil {
		return nil, err
	}
	c := b.guarded(benchCase{name: "check", title: "check in Go, standard library", kind: kindPeer, parts: []part{{"check", p}}}, p.line)
	c.floor, c.text = "floor", ""
	return []*peerCase{c}, nil
}
