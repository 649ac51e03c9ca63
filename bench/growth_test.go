package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestGrowthVerdicts: each kind of bound holds and is missed, and a ratio to
// nothing is no bound that holds.
func TestGrowthVerdicts(t *testing.T) {
	for _, c := range []struct {
		f    growthFigure
		want string
	}{
		{growthFigure{Zero: true}, "holds"}, {growthFigure{Zero: true, Full: 1}, "missed"},
		{growthFigure{Must: 100, Full: 100}, "holds"}, {growthFigure{Must: 100, Full: 100.1, Empty: 99}, "missed"},
		{growthFigure{MustRatio: 2, Empty: 3, Full: 6}, "holds"}, {growthFigure{MustRatio: 2, Empty: 3, Full: 6.1}, "missed"},
		{growthFigure{MustRatio: 2}, "missed"}, {growthFigure{MustRatio: 2, Full: 1}, "missed"},
	} {
		if _, got := c.f.verdict(); got != c.want {
			t.Errorf("%+v: %s", c.f, got)
		}
	}
}

// TestGrowthIsWhole: the page shows no part of a report.
func TestGrowthIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "growth.json")
	var r growthReport
	for _, name := range growthNames {
		if err := r.write(path); err != nil {
			t.Fatal(err)
		}
		if _, err := readGrowth(path); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		r.Figures = append(r.Figures, growthFigure{Name: name, Title: "work " + name, Full: 1, Unit: "ms", Must: 2})
	}
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	read, err := readGrowth(path)
	if err != nil || len(read.Figures) != len(growthNames) || !strings.Contains(read.text(), "| work search |  | 1 ms |  | ≤ 2 ms | holds |") {
		t.Errorf("%v\n%s", err, read.text())
	}
}
