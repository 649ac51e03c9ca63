package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// settled is how long a server is left alone before its memory is read: what the
// start needed is given back by then.
const settled = 4 * time.Second

// rested is the same for a burst of work, such as that of password hashes.
const rested = 12 * time.Second

// startFigures starts a server on a database that is there already, as a restart
// does, and takes the CPU time up to its first answer and its memory at rest.
func startFigures(ctx context.Context, binary, dir string) ([]processFigure, error) {
	dir = filepath.Join(dir, "start")
	init := exec.CommandContext(ctx, binary, "init", dir, "--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0")
	init.Env = environment()
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("init: %w\n%s", err, out)
	}
	cpu, rss := 0.0, 0.0
	for i := range 4 { // the first one makes the database
		p, err := start(ctx, nil, binary, "serve", "--config", filepath.Join(dir, "gatehouse.yaml"))
		if err != nil {
			return nil, err
		}
		took, err := p.firstAnswer(ctx)
		if i > 0 && (cpu == 0 || took < cpu) {
			cpu = took
		}
		if err == nil && i == 3 {
			time.Sleep(settled)
			rss = p.rss()
		}
		p.stop()
		if err != nil {
			return nil, err
		}
	}
	return []processFigure{{"start to first answer, CPU", cpu, "ms", 30}, {"resident, idle", rss, "MiB", 25}}, nil
}

// firstAnswer returns the milliseconds of CPU time that p needed until it
// answered its first request.
func (p *process) firstAnswer(ctx context.Context) (float64, error) {
	// "gatehouse is ready: auth http://…, gateway http://…"
	_, rest, ok := strings.Cut(p.line, "auth ")
	if !ok {
		return 0, fmt.Errorf("no address in %q", p.line)
	}
	address, _, _ := strings.Cut(rest, ",")
	r, err := http.NewRequestWithContext(ctx, "GET", address+"/.well-known/jwks.json", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("first answer: %s", resp.Status)
	}
	took, err := p.cpu()
	return float64(took.Microseconds()) / 1000, err
}

// loadedFigure takes the most memory that the server has while the cases with one
// caller run, before any other: no password is hashed and one token is remembered.
func (b *testbed) loadedFigure(ctx context.Context, rep *report, cases []*benchCase) error {
	f := processFigure{"resident, loaded", 0, "MiB", 50}
	time.Sleep(rested) // the demo hashed four passwords
	for _, c := range cases {
		if c.parts[0].server != b.gh || c.prepare != nil || c.name == "gateway-basic" {
			continue
		}
		if err := c.turn(ctx, 8000); err != nil {
			return err
		}
		c.took = nil // a turn for memory, not for time
		f.Value = max(f.Value, b.gh.rss())
	}
	rep.Process = append(rep.Process, f)
	return nil
}

// lastFigures adds what the server has at the end, with every token of the cases
// remembered, and the size of the program.
func (b *testbed) lastFigures(rep *report, cases []*benchCase) error {
	tokens := 1
	for _, c := range cases {
		if c.prepare != nil && c.parts[0].server == b.gh {
			tokens += len(c.took) * rep.Requests / 4
		}
	}
	st, err := os.Stat(b.binary)
	if err != nil {
		return err
	}
	rep.Process = append(rep.Process, processFigure{fmt.Sprintf("resident, %d tokens remembered", tokens), b.gh.rss(), "MiB", 0},
		processFigure{"stripped binary", float64(st.Size()) / (1 << 20), "MiB", 30})
	return nil
}
