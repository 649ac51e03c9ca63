package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A verdict is what became of a mutant.
type verdict string

const (
	killed   verdict = "killed"    // a test failed
	timedOut verdict = "timed out" // the tests did not come to an end
	lived    verdict = "lived"     // every test that comes by passed
	missed   verdict = "missed"    // lived, and no test comes by
	invalid  verdict = "invalid"   // does not compile
)

// patience is how long the tests of a mutant may take beyond ten times what they take without it.
const patience = 10 * time.Second

// trial is a test of a room, and what it needs.
type trial struct {
	name  string
	takes time.Duration
}

// hunt runs the tests of a room against each mutant that wanted asks for.
func (r *room) hunt(root, work string, jobs int, wanted func(*mutant) bool) (map[*mutant]verdict, error) {
	program, err := r.weave(root, work)
	if err != nil {
		return nil, err
	}
	trials, visits, err := r.survey(program, work)
	if err != nil {
		return nil, err
	}
	verdicts := map[*mutant]verdict{}
	var mu sync.Mutex
	note := func(m *mutant, v verdict) {
		mu.Lock()
		defer mu.Unlock()
		verdicts[m] = v
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, jobs)
	for _, m := range r.mutants {
		if m.alone || !wanted(m) {
			continue
		}
		if len(visits[m.id]) == 0 {
			note(m, missed)
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			note(m, r.try(program, visits[m.id], "MUTANT_CHOSEN="+strconv.Itoa(m.id)))
		})
	}
	wg.Wait()
	for _, m := range r.mutants {
		if !m.alone || !wanted(m) {
			continue
		}
		program, compiles, err := r.single(root, work, m)
		if err != nil {
			return nil, err
		}
		if !compiles {
			verdicts[m] = invalid
			continue
		}
		verdicts[m] = r.try(program, trials)
	}
	return verdicts, nil
}

// survey runs each test by itself in the woven program, without a mutant, to learn which
// mutants it comes by. A test that fails there is left out, and said.
func (r *room) survey(program, work string) ([]trial, [][]trial, error) {
	out, err := output(r.dir, program, "-test.list", ".")
	if err != nil {
		return nil, nil, err
	}
	visited := filepath.Join(work, "visited")
	var trials []trial
	visits := make([][]trial, len(r.mutants))
	for name := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(name, "Benchmark") {
			continue
		}
		if err := os.WriteFile(visited, make([]byte, len(r.mutants)+1), 0o600); err != nil {
			return nil, nil, err
		}
		began := time.Now()
		passed, _ := r.run(program, "^"+name+"$", time.Minute, "MUTANT_VISITED="+visited)
		if !passed {
			fmt.Fprintf(os.Stderr, "%s: %s fails in the woven program and is left out\n", r.path, name)
			continue
		}
		t := trial{name, time.Since(began)}
		trials = append(trials, t)
		marks, err := os.ReadFile(visited)
		if err != nil {
			return nil, nil, err
		}
		for id := range r.mutants {
			if marks[id] != 0 {
				visits[id] = append(visits[id], t)
			}
		}
	}
	for _, v := range append(visits, trials) {
		slices.SortStableFunc(v, func(a, b trial) int { return int(a.takes - b.takes) })
	}
	return trials, visits, nil
}

// try runs tests against one mutant, the quick ones before the slow ones.
func (r *room) try(program string, trials []trial, env ...string) verdict {
	const quick = 200 * time.Millisecond
	slow := slices.IndexFunc(trials, func(t trial) bool { return t.takes > quick })
	if slow < 0 {
		slow = len(trials)
	}
	for _, part := range [][]trial{trials[:slow], trials[slow:]} {
		if len(part) == 0 {
			continue
		}
		names, limit := make([]string, len(part)), patience
		for i, t := range part {
			names[i] = t.name
			limit += 10 * t.takes
		}
		passed, late := r.run(program, "^("+strings.Join(names, "|")+")$", limit, env...)
		switch {
		case late:
			return timedOut
		case !passed:
			return killed
		}
	}
	return lived
}

// run runs tests of a program in the room's directory, as go test does.
func (r *room) run(program, names string, limit time.Duration, env ...string) (passed, late bool) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tmp, err := os.MkdirTemp("", "survivors-*")
	if err != nil {
		return false, false
	}
	defer os.RemoveAll(tmp)
	args := []string{"-test.run", names, "-test.failfast", "-test.timeout", (limit + time.Minute).String()}
	for _, s := range r.tests {
		if strings.Contains(s, `"pgregory.net/rapid"`) { // a weakened property leaves no file behind
			args = append(args, "-rapid.nofailfile")
			break
		}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), append(env, "TMPDIR="+tmp)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	return err == nil, errors.Is(ctx.Err(), context.DeadlineExceeded)
}
