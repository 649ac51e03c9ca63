package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a server under measurement, with the processes it has started.
type process struct {
	cmd      *exec.Cmd
	stdin    io.Closer
	line     string // the first line it printed, or its address
	children []int  // workers, where the server has some
	ended    chan struct{}
	// measured gives the CPU time of a server that somebody else has started; nil:
	// that of cmd and children.
	measured func() (time.Duration, error)
}

// start runs a program and waits for its first line.
func start(ctx context.Context, env []string, name string, args ...string) (*process, error) {
	p, out, err := launch(ctx, env, name, args...)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		go p.drain(r)
		p.stop()
		return nil, fmt.Errorf("%s said nothing: %w", name, err)
	}
	p.line = strings.TrimSpace(line)
	go p.drain(r)
	return p, nil
}

// startAt runs a program that says nothing when it is ready, and waits until it
// listens on address.
func startAt(ctx context.Context, address string, env []string, name string, args ...string) (*process, error) {
	p, out, err := launch(ctx, env, name, args...)
	if err != nil {
		return nil, err
	}
	p.line = "http://" + address
	go p.drain(out)
	for deadline := time.Now().Add(20 * time.Second); ; {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = c.Close()
			break
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ended before it listened", name)
		case <-ctx.Done():
			p.stop()
			return nil, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.stop()
			return nil, fmt.Errorf("%s does not listen on %s", name, address)
		}
	}
	return p, nil
}

func launch(ctx context.Context, env []string, name string, args ...string) (*process, io.Reader, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(environment(), env...)
	cmd.Stderr = os.Stderr
	// Asked to end, never killed, so that it can end its workers, also when the
	// bench itself is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return &process{cmd: cmd, stdin: in, ended: make(chan struct{})}, out, nil
}

// environment is ours without the variables that would configure Gatehouse.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GATEHOUSE_") })
}

// drain reads what the program prints until it ends.
func (p *process) drain(out io.Reader) {
	_, _ = io.Copy(io.Discard, out)
	_ = p.cmd.Wait()
	close(p.ended)
}

func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		for _, id := range p.ids() {
			_ = unix.Kill(id, unix.SIGKILL)
		}
		<-p.ended
	}
}

// ids are the processes of the server.
func (p *process) ids() []int { return append([]int{p.cmd.Process.Pid}, p.children...) }

// findWorkers notes the workers that the server has started. A server of one
// process has none; where some are expected, to find none is a mistake, since
// their work would not be counted.
func (p *process) findWorkers(ctx context.Context) error {
	for deadline, still := time.Now().Add(5*time.Second), 0; time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		before := p.children
		var err error
		if p.children, err = childrenOf(p.cmd.Process.Pid); err != nil {
			return err
		}
		// They are started one after the other: all are there when no more come.
		if still++; !slices.Equal(before, p.children) {
			still = 0
		}
		if len(p.children) > 0 && still >= 30 {
			return nil
		}
	}
	return errors.Join(ctx.Err(), fmt.Errorf("%s has no workers", p.cmd.Path))
}

// childrenOf are the processes that a process has started and that still run, in order.
func childrenOf(id int) (children []int, err error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", id))
	if err != nil {
		return nil, err
	}
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(b)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			children = append(children, child)
		}
	}
	slices.Sort(children)
	return children, nil
}

// cpu returns the CPU time the server has used, dead threads included, in the
// kernel's own nanoseconds: its clock ticks are a hundredth of a second.
func (p *process) cpu() (time.Duration, error) {
	if p.measured != nil {
		return p.measured()
	}
	var sum time.Duration
	for _, id := range p.ids() {
		took, err := cpuOf(id)
		if err != nil {
			return 0, fmt.Errorf("CPU time of process %d: %w", id, err)
		}
		sum += took
	}
	return sum, nil
}

func cpuOf(id int) (time.Duration, error) {
	const cpuClockOfProcess = 2 // CPUCLOCK_SCHED, of a process by its id
	var t unix.Timespec
	err := unix.ClockGettime(int32(^id<<3|cpuClockOfProcess), &t)
	return time.Duration(t.Nano()), err
}

// rss returns resident memory in MiB. What processes share counts in each.
func (p *process) rss() float64 { return p.memory("VmRSS:") }

// memory sums a line of /proc/PID/status over the processes, in MiB.
func (p *process) memory(line string) float64 {
	sum := 0.0
	for _, id := range p.ids() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id))
		if err != nil {
			return 0
		}
		for have := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(have, line); ok {
				kb, _ := strconv.ParseFloat(strings.Fields(v)[0], 64)
				sum += kb / 1024
			}
		}
	}
	return sum
}
