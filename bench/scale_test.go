package main

import (
	"strings"
	"testing"
	"time"
)

// TestFeedRun: what the simulation says where it can be reckoned by hand.
func TestFeedRun(t *testing.T) {
	quiet := feedRun{nodes: 3, cores: 8, rate: 10, commit: 1000, read: 400, seconds: 20, turn: 250}.simulate(1)
	// Ten commits a second, and two readings for each.
	if quiet.used < 0.015 || quiet.used > 0.021 || quiet.reads < 8 || quiet.reads > 12 || quiet.behind {
		t.Errorf("quiet: %+v", quiet)
	}
	// A notice, a question and its answer are three ways, and the reading takes its time.
	if quiet.p50 < 950*time.Microsecond || quiet.p50 > 1500*time.Microsecond || quiet.p99 < quiet.p50 {
		t.Errorf("quiet: %+v", quiet)
	}
	full := feedRun{nodes: 3, cores: 1, rate: 2000, commit: 1000, read: 400, seconds: 3, turn: 250}.simulate(1)
	if !full.behind || full.used < 0.95 {
		t.Errorf("twice what there is: %+v", full)
	}
	// Readings take in several ends where there are many: not one for each.
	busy := feedRun{nodes: 10, cores: 16, rate: 1000, commit: 1000, read: 2000, seconds: 3, turn: 250}.simulate(1)
	if busy.reads > 450 || busy.behind {
		t.Errorf("busy: %+v", busy)
	}
}

// TestScaleTables: the tables are made of all figures, and fail for want of one.
func TestScaleTables(t *testing.T) {
	r := sampleReport()
	r.Process = []processFigure{{"resident, loaded", 50, "MiB", 50}}
	all := figureReport{Figures: []figure{{Name: "keys-memory", Value: 2000}, {Name: "tokens-cpu", Value: 600}, {Name: "tokens-postgres", Value: 1000},
		{Name: "feed-postgres", Beside: 2000, Value: 2800}, {Name: "node-idle", Value: 5000}, {Name: "node-idle-postgres", Value: 2000},
		{Name: "feed-others", Value: 400}, {Name: "feed-row", Value: 200}, {Name: "bits", Value: 1}, {Name: "cutoffs", Value: 100}}}
	c, err := costsOf(r, all, all)
	if err != nil || c.hear != 400 || c.end != 2000 {
		t.Fatalf("%+v, %v", c, err)
	}
	plan := thePlan.table(c)
	for _, want := range []string{"| checked requests | 500,000 a second × 160 µs | 0.80 cores |", "| 12 MiB |", "| 95 MiB |", "| 1900 |"} {
		if !strings.Contains(plan, want) {
			t.Errorf("no %q in\n%s", want, plan)
		}
	}
	all.Figures = all.Figures[1:]
	if _, err := costsOf(r, all, all); err == nil {
		t.Error("worked out without a figure")
	}
}
