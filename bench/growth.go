package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// growthBed is where growth is measured: a template of a store that has an
// administrator and nothing else, and copies of it that are filled.
type growthBed struct {
	testbed
	template string
	admin    string // API key of the administrator
	figures  []figure
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
func measureGrowth(ctx context.Context, o options) (rep figureReport, err error) {
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

func (b *growthBed) add(f figure) { b.figures = append(b.figures, f) }

func growthText(r figureReport) string {
	return r.head() + r.table("what grows", "empty or small", "full")
}

// growthNames are the figures of a whole report.
var growthNames = []string{"keys-refused", "keys-memory", "purge-wait", "status-list", "revocations-memory", "revocations-cpu",
	"users-memory", "users-cpu", "policy-put", "search", "explain"}
