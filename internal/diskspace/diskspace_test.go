package diskspace_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/diskspace"
)

// TestWatch: little room is told once and not each time, and again when it comes back;
// the limits count each for itself.
func TestWatch(t *testing.T) {
	const all = 1000
	for name, tc := range map[string]struct {
		bytes   uint64
		percent int
		free    []uint64
		told    []string
		low     bool
	}{
		"enough":              {100, 10, []uint64{900, 100}, nil, false},
		"few bytes":           {101, 0, []uint64{101, 100, 90, 100}, []string{"low 100"}, true},
		"a small share":       {0, 10, []uint64{100, 99, 98}, []string{"low 99"}, true},
		"from the start":      {0, 50, []uint64{1}, []string{"low 1"}, true},
		"enough again":        {0, 10, []uint64{99, 100, 109, 111, 99}, []string{"low 99", "ok 111", "low 99"}, true},
		"no limits":           {0, 0, []uint64{0}, nil, false},
		"everything is asked": {0, 100, []uint64{999, 1000}, []string{"low 999", "ok 1000"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []string
				looks := 0
				w := &diskspace.Watch{Directories: []diskspace.Directory{{Name: "data", Path: "/data"}}, Bytes: tc.bytes, Percent: tc.percent,
					Free: func(path string) (diskspace.Space, error) {
						s := diskspace.Space{Free: tc.free[min(looks, len(tc.free)-1)], Total: all}
						looks++
						return s, nil
					},
					Changed: func(d diskspace.Directory, s diskspace.Space, low bool) {
						told = append(told, fmt.Sprintf("%s %d", map[bool]string{true: "low", false: "ok"}[low], s.Free))
					}}
				w.Look()
				go func() { _ = w.Run(t.Context()) }()
				time.Sleep(time.Duration(len(tc.free)-1) * 30 * time.Second)
				synctest.Wait()
				if !slices.Equal(told, tc.told) || w.Low() != tc.low {
					t.Errorf("told %q, low %v", told, w.Low())
				}
				if s, ok := w.Last("data"); !ok || s.Free != tc.free[len(tc.free)-1] {
					t.Errorf("last %v %v", s, ok)
				}
			})
		})
	}
}

// TestWatchFails: a directory that cannot be looked at is told of once, and is not taken
// for a full one.
func TestWatchFails(t *testing.T) {
	failures := 0
	var err error = errors.ErrUnsupported
	w := &diskspace.Watch{Directories: []diskspace.Directory{{Name: "data"}}, Percent: 50,
		Free:    func(string) (diskspace.Space, error) { return diskspace.Space{Free: 9, Total: 10}, err },
		Changed: func(diskspace.Directory, diskspace.Space, bool) { t.Error("a change") },
		Failed:  func(diskspace.Directory, error) { failures++ }}
	w.Look()
	w.Look()
	if _, ok := w.Last("data"); ok || w.Low() || failures != 1 {
		t.Errorf("known %v, low %v, %d failures", ok, w.Low(), failures)
	}
	err = nil
	w.Look()
	if s, ok := w.Last("data"); !ok || s.Free != 9 {
		t.Errorf("%v %v", s, ok)
	}
}

// TestFree: the real thing.
func TestFree(t *testing.T) {
	failed := map[string]error{}
	w := &diskspace.Watch{Directories: []diskspace.Directory{{Name: "here", Path: t.TempDir()}, {Name: "nowhere", Path: "/nowhere/at/all"}},
		Failed: func(d diskspace.Directory, err error) { failed[d.Name] = err }}
	w.Look()
	if errors.Is(failed["here"], errors.ErrUnsupported) {
		t.Skip("free space is not known on this system")
	}
	if s, ok := w.Last("here"); !ok || s.Total == 0 || s.Free > s.Total {
		t.Errorf("%+v %v", s, failed["here"])
	}
	if _, ok := w.Last("nowhere"); ok || failed["nowhere"] == nil {
		t.Error("a directory that is not there has room")
	}
	if dir := t.TempDir(); !diskspace.Same(dir, dir) {
		t.Error("a directory is not on its own file system")
	}
}
