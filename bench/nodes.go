package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/server"
)

// nodesBed is where several nodes on one PostgreSQL are measured.
type nodesBed struct {
	testbed
	pg      *testpg.Server
	one     *cluster // one node on a database of its own
	three   *cluster
	sqlite  *cluster
	figures []figure
}

// cluster is nodes that share a database.
type cluster struct {
	nodes []*process
	admin string // API key of the administrator
	dsn   string
}

// nodesCases are measured one after the other; each adds its figures.
var nodesCases = []struct {
	name    string
	measure func(*nodesBed, context.Context) error
}{
	{"tokens", (*nodesBed).tokens},
	{"checks", (*nodesBed).checks},
	{"ends", (*nodesBed).endings},
	{"memory", (*nodesBed).memory},
	{"limits", (*nodesBed).limits},
}

// nodesNames are the figures of a whole report.
var nodesNames = []string{"tokens-rate", "tokens-cpu", "tokens-postgres", "checks", "checks-spread", "ends-10", "ends-100", "ends-1000", "ends-reconnecting", "feed-others",
	"feed-postgres", "feed-row", "bits", "cutoffs", "node-idle", "node-idle-postgres"}

func nodesText(r figureReport) string {
	return r.head() + r.table("what", "beside", "measured")
}

// nodesPassword is that of every account; the first use of each costs a hash, the later ones do not.
const nodesPassword = "a long password for nodes"

// measureNodes runs the cases that are wanted.
func measureNodes(ctx context.Context, o options) (rep figureReport, err error) {
	rep.Machine = describeMachine()
	b := &nodesBed{testbed: testbed{options: o, peerProcesses: map[string]*process{}}}
	if b.self, err = os.Executable(); err != nil {
		return rep, err
	}
	if b.dir, err = os.MkdirTemp("", "gatehouse-nodes"); err != nil {
		return rep, err
	}
	defer os.RemoveAll(b.dir)
	defer b.stop()
	if rep.Machine.Gatehouse, err = version(ctx, o.binary); err != nil {
		return rep, err
	}
	if b.upstream, err = b.role(ctx, "upstream", ""); err != nil {
		return rep, err
	}
	if b.pg, err = testpg.Start(); err != nil {
		return rep, err
	}
	b.ends = append(b.ends, b.pg.Stop)
	for _, c := range []struct {
		into  **cluster
		name  string
		nodes int
	}{{&b.sqlite, "sqlite", 1}, {&b.one, "one", 1}, {&b.three, "three", 3}} {
		if *c.into, err = b.cluster(ctx, c.name, c.nodes, strings.NewReplacer()); err != nil {
			return rep, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for _, c := range nodesCases {
		if !o.wants(c.name) {
			continue
		}
		if err := c.measure(b, ctx); err != nil {
			return rep, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	rep.Figures = b.figures
	rep.Machine.BusyAfter = busy(time.Second)
	return rep, nil
}

func (b *nodesBed) add(f ...figure) { b.figures = append(b.figures, f...) }

const onNodes = `issuer: http://127.0.0.1:8080
data: %s
listen:
  auth: {address: "127.0.0.1:0"}
  gateway: {address: "127.0.0.1:0"}
upstreams:
  api: {url: "%s"}
routes:
  - match: /
    authenticated: true
log: {level: warn}
limits: {tokens: 10000000/1m, admin: 10000000/1m}
store: {driver: %s}
`

// cluster starts nodes on a database of their own: SQLite's when it is named so. with changes
// their configuration.
func (b *nodesBed) cluster(ctx context.Context, name string, nodes int, with *strings.Replacer) (*cluster, error) {
	c, driver := &cluster{}, "sqlite"
	var env []string
	if name != driver {
		var err error
		if c.dsn, err = b.pg.Database(name); err != nil {
			return nil, err
		}
		driver, env = "postgres", []string{"GATEHOUSE_STORE_DSN=" + c.dsn}
	}
	var key []byte
	for i := range nodes {
		data := filepath.Join(b.dir, fmt.Sprintf("%s-%d", name, i))
		conf, err := b.write(name+"-conf", fmt.Sprintf("%d.yaml", i), with.Replace(fmt.Sprintf(onNodes, data, b.upstream.line, driver)))
		if err != nil {
			return nil, err
		}
		master := filepath.Join(data, "master.key")
		if i > 0 { // one key for all
			p, err := b.another(ctx, env, conf, master, key)
			if err != nil {
				return nil, err
			}
			c.nodes = append(c.nodes, p)
			continue
		}
		if err := server.GenerateMasterKey(master); err != nil {
			return nil, err
		}
		if key, err = os.ReadFile(master); err != nil {
			return nil, err
		}
		p, admin, err := b.firstStart(ctx, env, conf, nodesPassword)
		if err != nil {
			return nil, err
		}
		c.nodes, c.admin = append(c.nodes, p), admin
	}
	return c, nil
}

// another starts a further node of a database.
func (b *nodesBed) another(ctx context.Context, env []string, conf, master string, key []byte) (*process, error) {
	if err := errors.Join(os.MkdirAll(filepath.Dir(master), 0o700), os.WriteFile(master, key, 0o600)); err != nil {
		return nil, err
	}
	return b.keep(start(ctx, env, b.binary, "serve", "--config", conf))
}

// parts are the nodes of a cluster as those who share a case's work.
func (c *cluster) parts() (parts []part) {
	for _, p := range c.nodes {
		parts = append(parts, part{"gatehouse", p})
	}
	return parts
}
