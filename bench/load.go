package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const connections = 32

// process is a server under measurement.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	line  string // the first line it printed
	wall  time.Duration
}

// start runs a program and waits for its first line.
func start(ctx context.Context, env []string, name string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("%s said nothing: %w", name, err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return &process{cmd: cmd, stdin: in, line: strings.TrimSpace(line), wall: time.Since(began)}, nil
}

func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
}

// cpu returns the CPU time the process has used, dead threads included, in the
// kernel's own nanoseconds: its clock ticks are a hundredth of a second.
func (p *process) cpu() (time.Duration, error) {
	const cpuClockOfProcess = 2 // CPUCLOCK_SCHED, of a process by its id
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^p.cmd.Process.Pid<<3|cpuClockOfProcess), &t); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", p.cmd.Process.Pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// rss returns resident memory in MiB.
func (p *process) rss() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(v)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// load sends n requests made by next over a fixed number of connections and
// returns how many got the status that was expected.
func load(ctx context.Context, n int, want int, next func(i int) *http.Request) (good int, err error) {
	transport := &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	var sent, ok atomic.Int64
	var wg sync.WaitGroup
	var first atomic.Pointer[error]
	for range connections {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(sent.Add(1)) - 1
				if i >= n {
					return
				}
				resp, err := transport.RoundTrip(next(i).WithContext(ctx))
				if err != nil {
					first.CompareAndSwap(nil, &err)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode == want {
					ok.Add(1)
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
