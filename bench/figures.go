package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// figureReport is amounts of work, each beside another one of the same run. It is
// what docs/performance/growth.json and nodes.json keep.
type figureReport struct {
	Machine machine  `json:"machine"`
	Figures []figure `json:"figures"`
}

// figure is one amount of work, beside the same with less: an empty store, one node,
// the other database. Both were measured on the same machine one after the other.
type figure struct {
	Name   string  `json:"name"`
	Title  string  `json:"title"`
	Beside float64 `json:"beside"` // 0: there is nothing to hold it beside
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	// MustRatio bounds Value / Beside, LeastRatio does from below, Must bounds Value, and
	// Zero says that it must be none: one of them, or none where nothing is promised.
	MustRatio  float64 `json:"must_ratio,omitempty"`
	LeastRatio float64 `json:"least_ratio,omitempty"`
	Must       float64 `json:"must,omitempty"`
	Zero       bool    `json:"zero,omitempty"`
}

func (f figure) ratio() float64 { return f.Value / f.Beside }

// verdict words the bound and whether it holds. A ratio to nothing holds no bound:
// somebody measured nothing.
func (f figure) verdict() (must, verdict string) {
	switch {
	case f.Zero:
		return "none", holds(f.Value == 0)
	case f.Must > 0:
		return strings.TrimSpace("≤ " + number(f.Must) + " " + f.Unit), holds(f.Value <= f.Must)
	case f.LeastRatio > 0:
		return fmt.Sprintf("≥ %.1f ×", f.LeastRatio), holds(f.Beside > 0 && f.ratio() >= f.LeastRatio)
	case f.MustRatio > 0:
		return fmt.Sprintf("≤ %s ×", strings.TrimSuffix(fmt.Sprintf("%.2f", f.MustRatio), "0")), holds(f.Beside > 0 && f.ratio() <= f.MustRatio)
	}
	return "", ""
}

// table is the figures as the page shows them; the heads name what is measured, what
// it is beside, and what it is itself.
func (r figureReport) table(what, beside, value string) string {
	s := table(what, beside, value, "ratio", "must", "state")
	for _, f := range r.Figures {
		must, verdict := f.verdict()
		less, ratio := "", ""
		if f.Beside > 0 {
			less, ratio = number(f.Beside)+" "+f.Unit, fmt.Sprintf("%.2f", f.ratio())
		}
		s += row(f.Title, less, strings.TrimSpace(number(f.Value)+" "+f.Unit), ratio, must, verdict)
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

// head says where and when.
func (r figureReport) head() string {
	m := r.Machine
	s := fmt.Sprintf("Measured %s: Gatehouse %s, %s, %s, %d CPUs. Other work used %.0f %% of the CPUs before and %.0f %% after",
		m.Date, m.Gatehouse, m.Go, m.Processor, m.CPUs, m.BusyBefore, m.BusyAfter)
	if max(m.BusyBefore, m.BusyAfter) > 10 {
		s += ": the machine was busy, so these figures are rough"
	}
	return s + ".\n\n"
}

// write keeps the report at path.
func (r figureReport) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// readFigures reads what write wrote. A report without one of the names is refused:
// the page shows whole ones.
func readFigures(path string, names []string) (r figureReport, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	for _, name := range names {
		if !slices.ContainsFunc(r.Figures, func(f figure) bool { return f.Name == name }) {
			return r, fmt.Errorf("%s has no %q: it is of a part of a run", path, name)
		}
	}
	return r, nil
}
