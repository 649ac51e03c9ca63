package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestFigureVerdicts: each kind of bound holds and is missed, and a ratio to
// nothing is no bound that holds.
func TestFigureVerdicts(t *testing.T) {
	for _, c := range []struct {
		f    figure
		want string
	}{
		{figure{Zero: true}, "holds"}, {figure{Zero: true, Value: 1}, "missed"},
		{figure{Must: 100, Value: 100}, "holds"}, {figure{Must: 100, Value: 100.1, Beside: 99}, "missed"},
		{figure{MustRatio: 2, Beside: 3, Value: 6}, "holds"}, {figure{MustRatio: 2, Beside: 3, Value: 6.1}, "missed"},
		{figure{LeastRatio: 0.5, Beside: 4, Value: 2}, "holds"}, {figure{LeastRatio: 0.5, Beside: 4, Value: 1.9}, "missed"}, {figure{LeastRatio: 0.5, Value: 1}, "missed"},
		{figure{Value: 1}, ""},
		{figure{MustRatio: 2}, "missed"}, {figure{MustRatio: 2, Value: 1}, "missed"},
	} {
		if _, got := c.f.verdict(); got != c.want {
			t.Errorf("%+v: %s", c.f, got)
		}
	}
}

// TestGrowthIsWhole: the page shows no part of a report.
func TestGrowthIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "growth.json")
	var r figureReport
	for _, name := range growthNames {
		if err := r.write(path); err != nil {
			t.Fatal(err)
		}
		if _, err := readFigures(path, growthNames); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		r.Figures = append(r.Figures, figure{Name: name, Title: "work " + name, Value: 1, Unit: "ms", Must: 2})
	}
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	read, err := readFigures(path, growthNames)
	if err != nil || len(read.Figures) != len(growthNames) || !strings.Contains(growthText(read), "| work search |  | 1 ms |  | ≤ 2 ms | holds |") {
		t.Errorf("%v\n%s", err, growthText(read))
	}
}
