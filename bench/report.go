package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// report is what a run found. It is what docs/performance/figures.json keeps, and
// all that the page's tables and plots are made from.
type report struct {
	Machine   machine         `json:"machine"`
	Rounds    int             `json:"rounds"`
	Requests  int             `json:"requests"`
	Cases     []result        `json:"cases"`
	Process   []processFigure `json:"process"`
	Peers     []peerFigure    `json:"peers,omitempty"`
	Missing   []string        `json:"missing,omitempty"`
	Failed    []string        `json:"failed,omitempty"`
	Libraries []libraryFigure `json:"libraries,omitempty"`
	Parts     []partFigure    `json:"parts,omitempty"`
}

// machine is where and when a run took place.
type machine struct {
	Date      string `json:"date"`
	Gatehouse string `json:"gatehouse"`
	Go        string `json:"go"`
	Kernel    string `json:"kernel"`
	Processor string `json:"processor"`
	CPUs      int    `json:"cpus"`
	// What part of the CPUs others used before the run and after it, in percent.
	BusyBefore float64 `json:"busy_before"`
	BusyAfter  float64 `json:"busy_after"`
}

// Kinds of cases.
const (
	kindFloor = "floor"
	kindOurs  = "ours"
	kindPeer  = "peer"
	kindMixed = "mixed" // a peer that asks Gatehouse
)

// result is one case: CPU µs of all server processes per good request.
type result struct {
	Name   string  `json:"name"`
	Title  string  `json:"title"`
	Kind   string  `json:"kind"`
	Median float64 `json:"median_us"`
	Least  float64 `json:"least_us"`
	// Parts is the middle turn by server, where several share the work.
	Parts      []partShare `json:"parts,omitempty"`
	Floor      string      `json:"floor,omitempty"`
	Ratio      float64     `json:"ratio,omitempty"` // median of the turns beside each other
	MustRatio  float64     `json:"must_ratio,omitempty"`
	MustMicros float64     `json:"must_us,omitempty"`
	// Unflattering: one of the cases that the page shows first.
	Unflattering bool `json:"unflattering,omitempty"`
}

type partShare struct {
	Server string  `json:"server"`
	Micros float64 `json:"us"`
}

// processFigure is a figure of the process as a whole.
type processFigure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Must  float64 `json:"must"` // at most; 0 is no bound
}

// verdict words the bound and whether it holds.
func (f processFigure) verdict() (must, verdict string) {
	if f.Must == 0 {
		return "", ""
	}
	return fmt.Sprintf("≤ %.0f %s", f.Must, f.Unit), holds(f.Value <= f.Must)
}

// peerFigure is a program that ran beside ours.
type peerFigure struct {
	Name     string  `json:"name"`
	Version  string  `json:"version"`
	StartCPU float64 `json:"start_cpu_ms"` // until it listened, once
	Resident float64 `json:"resident_mib"` // at the end
	Program  float64 `json:"program_mib"`
}

// verdict says whether a case keeps its bound: "" when it has none.
func (r result) verdict() (must, verdict string) {
	held := false
	switch {
	case r.MustRatio > 0:
		must, held = fmt.Sprintf("≤ %.2f×", r.MustRatio), r.Ratio <= r.MustRatio
	case r.MustMicros > 0:
		must, held = fmt.Sprintf("≤ %.0f µs", r.MustMicros), r.Median <= r.MustMicros
	default:
		return "", ""
	}
	return must, holds(held)
}

func holds(held bool) string {
	if held {
		return "holds"
	}
	return "missed"
}

func (r *report) find(name string) *result {
	if i := slices.IndexFunc(r.Cases, func(c result) bool { return c.Name == name }); i >= 0 {
		return &r.Cases[i]
	}
	return nil
}

func describeMachine() machine {
	m := machine{Date: time.Now().UTC().Format(time.DateOnly), Go: runtime.Version(), CPUs: runtime.NumCPU(), BusyBefore: busy(time.Second)}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.Processor = strings.TrimSpace(v)
			break
		}
	}
	return m
}

// busy is the part of the CPUs, in percent, that is used while we wait; all of it
// when that cannot be told.
func busy(during time.Duration) float64 {
	before, errB := os.ReadFile("/proc/stat")
	time.Sleep(during)
	after, errA := os.ReadFile("/proc/stat")
	if errB != nil || errA != nil {
		return 100
	}
	return busyBetween(string(before), string(after))
}

// busyBetween reads the first line of two states of /proc/stat: user, nice, system,
// idle, waiting for input and output, and further kinds of work.
func busyBetween(before, after string) float64 {
	var idle, all float64
	a, b := strings.Fields(firstLine(before)), strings.Fields(firstLine(after))
	for i := 1; i < min(len(a), len(b), 9); i++ { // what guests use is in user
		from, errA := strconv.ParseFloat(a[i], 64)
		to, errB := strconv.ParseFloat(b[i], 64)
		if errA != nil || errB != nil {
			return 100
		}
		all += to - from
		if i == 4 || i == 5 {
			idle += to - from
		}
	}
	if all == 0 {
		return 100
	}
	return 100 * (all - idle) / all
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func printTable(r report) {
	m := r.Machine
	fmt.Printf("Gatehouse %s, %s, %d CPUs, %s; others used %.0f %% of them before and %.0f %% after; %d turns of %d requests; CPU µs of the server processes per good request\n\n",
		m.Gatehouse, m.Go, m.CPUs, m.Date, m.BusyBefore, m.BusyAfter, r.Rounds, r.Requests)
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "case\tmedian\tleast\tfloor\tratio\tmust\t\t\t")
	for _, c := range r.Cases {
		ratio := ""
		if c.Floor != "" {
			ratio = fmt.Sprintf("%.2f", c.Ratio)
		}
		must, verdict := c.verdict()
		fmt.Fprintf(tw, "%s\t%.1f\t%.1f\t%s\t%s\t%s\t%s\t%s\t\n", c.Name, c.Median, c.Least, c.Floor, ratio, must, verdict, shares(c.Parts))
	}
	_ = tw.Flush()
	fmt.Println()
	for _, f := range r.Process {
		must, verdict := f.verdict()
		fmt.Printf("%-30s %8.1f %-4s %s  %s\n", f.Name, f.Value, f.Unit, must, verdict)
	}
	for _, p := range r.Peers {
		fmt.Printf("%-28s start %.0f ms CPU, resident %.0f MiB, program %.0f MiB\n", p.Name+" "+p.Version, p.StartCPU, p.Resident, p.Program)
	}
	if len(r.Missing) > 0 {
		fmt.Printf("\nMISSING, so not measured:\n  %s\n", strings.Join(r.Missing, "\n  "))
	}
	if len(r.Failed) > 0 {
		fmt.Printf("\nrequests that did not get the expected answer:\n  %s\n", strings.Join(r.Failed, "\n  "))
	}
}

// shares is "nginx 30 + check 120" of a case that several servers share.
func shares(parts []partShare) string {
	var out []string
	for _, p := range parts {
		out = append(out, fmt.Sprintf("%s %.0f", p.Server, p.Micros))
	}
	return strings.Join(out, " + ")
}
