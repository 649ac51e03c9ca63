package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// growthReport is how the work grows with what is stored. It is what
// docs/performance/growth.json keeps.
type growthReport struct {
	Machine machine        `json:"machine"`
	Figures []growthFigure `json:"figures"`
}

// growthFigure is one amount of work with an empty store (or a small one) and with a
// full one, on the same machine one after the other.
type growthFigure struct {
	Name  string  `json:"name"`
	Title string  `json:"title"`
	Empty float64 `json:"empty"`
	Full  float64 `json:"full"`
	Unit  string  `json:"unit"`
	// MustRatio bounds Full / Empty, Must bounds Full; one of them, as the figure says.
	MustRatio float64 `json:"must_ratio,omitempty"`
	Must      float64 `json:"must,omitempty"`
	Zero      bool    `json:"zero,omitempty"` // Full must be 0
}

func (f growthFigure) ratio() float64 { return f.Full / f.Empty }

// verdict words the bound and whether it holds.
func (f growthFigure) verdict() (must, verdict string) {
	switch {
	case f.Zero:
		return "none", holds(f.Full == 0)
	case f.Must > 0:
		return fmt.Sprintf("≤ %.0f %s", f.Must, f.Unit), holds(f.Full <= f.Must)
	}
	// A ratio to nothing holds no bound: somebody measured nothing.
	return fmt.Sprintf("≤ %.1f ×", f.MustRatio), holds(f.Empty > 0 && f.ratio() <= f.MustRatio)
}

// growthBed is where growth is measured: a template of a store that has an
// administrator and nothing else, and copies of it that are filled.
type growthBed struct {
	testbed
	template string
	admin    string // API key of the administrator
	figures  []growthFigure
}

// growthCases are found one after the other; each adds its figures.
var growthCases = []struct {
	name    string
	measure func(*growthBed, context.Context) error
}{
	{"keys", (*growthBed).keys},
	{"purge", (*growthBed).purge},
	{"status", (*growthBed).statusLists},
	{"start", (*growthBed).starts},
	{"policy", (*growthBed).policyPut},
	{"search", (*growthBed).search},
}

// measureGrowth runs the cases that are wanted.
func measureGrowth(ctx context.Context, o options) (rep growthReport, err error) {
	rep.Machine = describeMachine()
	b := &growthBed{testbed: testbed{options: o, peerProcesses: map[string]*process{}}}
	if b.self, err = os.Executable(); err != nil {
		return rep, err
	}
	if b.dir, err = os.MkdirTemp("", "gatehouse-growth"); err != nil {
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
	if err := b.makeTemplate(ctx); err != nil {
		return rep, fmt.Errorf("template: %w", err)
	}
	for _, c := range growthCases {
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

func (b *growthBed) add(f growthFigure) { b.figures = append(b.figures, f) }

// table is the figures as the page shows them.
func (r growthReport) table() string {
	s := table("what grows", "empty or small", "full", "ratio", "must", "state")
	for _, f := range r.Figures {
		must, verdict := f.verdict()
		empty, ratio := "", ""
		if f.Empty > 0 {
			empty, ratio = number(f.Empty)+" "+f.Unit, fmt.Sprintf("%.2f", f.ratio())
		}
		s += row(f.Title, empty, strings.TrimSpace(number(f.Full)+" "+f.Unit), ratio, must, verdict)
	}
	return s
}

// number has as many digits as are worth reading.
func number(v float64) string {
	switch {
	case v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func (r growthReport) text() string {
	m := r.Machine
	s := fmt.Sprintf("Measured %s: Gatehouse %s, %s, %s, %d CPUs. Other work used %.0f %% of the CPUs before and %.0f %% after",
		m.Date, m.Gatehouse, m.Go, m.Processor, m.CPUs, m.BusyBefore, m.BusyAfter)
	if max(m.BusyBefore, m.BusyAfter) > 10 {
		s += ": the machine was busy, so these figures are rough"
	}
	return s + ".\n\n" + r.table()
}

// write keeps the report at path.
func (r growthReport) write(path string) error {
	r.Figures = slices.Clone(r.Figures)
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// readGrowth reads what write wrote. A report of a part of the cases is refused: the
// page shows whole ones.
func readGrowth(path string) (r growthReport, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	for _, name := range growthNames {
		if !slices.ContainsFunc(r.Figures, func(f growthFigure) bool { return f.Name == name }) {
			return r, fmt.Errorf("%s has no %q (scripts/bench growth)", path, name)
		}
	}
	return r, nil
}

// growthNames are the figures of a whole report.
var growthNames = []string{"keys-refused", "keys-memory", "purge-wait", "status-list", "revocations-memory", "revocations-cpu",
	"users-memory", "users-cpu", "policy-put", "search", "explain"}
