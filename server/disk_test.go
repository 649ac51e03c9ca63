package server

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/diskspace"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// TestWarnedBeforeTheDiskIsFull: little room is a note of /readyz, which stays 200, a
// metric, and one event; enough room again is another one.
func TestWarnedBeforeTheDiskIsFull(t *testing.T) {
	h := newHouse(t)
	h.cfg.Audit.File = filepath.Join(t.TempDir(), "audit.jsonl")
	h.cfg.Disk.Interval = time.Hour // looks are made below; the first one finds little on any machine
	h.cfg.Disk.WarnPercent = 99
	h.start()
	key := h.bootstrap()
	testwait.Until(t, 5*time.Second, "the first look is over", func() bool { _, ok := h.s.disk.Last("data"); return ok })
	began := time.Now()
	notes := func() []any {
		t.Helper()
		status, out := h.call("GET", h.s.MetricsURL()+"/readyz", "", "")
		if status != 200 || out["status"] != "ok" {
			t.Errorf("/readyz: %d %v", status, out)
		}
		n, _ := out["notes"].([]any)
		return n
	}
	space := diskspace.Space{Total: 100 << 30}
	w := &diskspace.Watch{Directories: h.s.disk.Directories, Bytes: 1 << 30, Percent: 5, Changed: h.s.diskChanged,
		Free: func(string) (diskspace.Space, error) { return space, nil }}
	h.s.disk = w // before anybody asks it
	for _, gib := range []uint64{50, 4, 3, 2, 50, 49} {
		space.Free = gib << 30
		w.Look()
		if low := slices.Contains(notes(), any("disk_low")); low != (gib < 5) {
			t.Errorf("%d GiB free of 100: low is %v", gib, low)
		}
	}
	_, out := h.call("GET", h.s.MetricsURL()+"/metrics", "", "")
	if text, _ := out["text"].(string); !strings.Contains(text, fmt.Sprintf(`gatehouse_disk_free_bytes{directory="data"} %d`, 49<<30)) {
		t.Error("the metric does not say how much is free")
	}
	testwait.Until(t, 5*time.Second, "both changes are recorded, once", func() bool {
		_, out := h.call("GET", h.s.AuthURL()+"/admin/v1/realms/main/audit/events?kind="+audit.KindDiskSpace, key, "")
		items, _ := out["items"].([]any)
		var outcomes []string
		for _, i := range items {
			e, _ := i.(map[string]any)
			at, _ := e["time"].(string)
			when, _ := time.Parse(time.RFC3339Nano, at)
			if target, _ := e["target"].(map[string]any); target["id"] == "data" && when.After(began) {
				outcomes = append(outcomes, e["outcome"].(string))
			}
		}
		return slices.Equal(outcomes, []string{string(gatehouse.OutcomeSuccess), string(gatehouse.OutcomeError)})
	})
}

// TestReadyWhileTheRecordFails: a node that can record nothing and may let nothing pass
// unrecorded is not ready; one that may is.
func TestReadyWhileTheRecordFails(t *testing.T) {
	for _, overflow := range []string{"block", "drop"} {
		t.Run(overflow, func(t *testing.T) {
			h := newHouse(t)
			h.cfg.Audit.Overflow = overflow
			h.start()
			if err := h.s.recordable(t.Context()); err != nil {
				t.Errorf("at the start: %v", err)
			}
			if err := h.s.db.Close(); err != nil {
				t.Fatal(err)
			}
			h.s.record.Record(&gatehouse.Event{Realm: gatehouse.MainRealm, Kind: audit.KindConfigReload, Outcome: gatehouse.OutcomeSuccess})
			testwait.Until(t, 5*time.Second, "the event cannot be stored", func() bool { return h.s.recorder.Failing() != nil })
			if err := h.s.recordable(t.Context()); (err != nil) != (overflow == "block") {
				t.Errorf("while nothing can be stored: %v", err)
			}
			over, cancel := context.WithCancel(t.Context())
			cancel()
			_ = h.s.recorder.Close(over) // it would try for long
		})
	}
}
