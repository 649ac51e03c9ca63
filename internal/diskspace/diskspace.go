// Package diskspace watches how much room is left where files are written.
package diskspace

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Space is what a file system has.
type Space struct {
	Free, Total uint64 // bytes; Free is what this process may still use
}

// Directory is a place that is watched, under a name for logs and metrics.
type Directory struct{ Name, Path string }

// Watch looks at directories at an interval and tells of each change: that there is
// little room left, or enough again. Make it with all members but the last two, which
// have defaults; then it is safe for concurrent use.
type Watch struct {
	Directories []Directory
	// There is little room when less than Bytes are free, or less than Percent of the
	// whole; 0 asks for neither. There is enough again with a tenth more than that, so
	// that a disk at the edge is not told of each time.
	Bytes   uint64
	Percent int
	// Changed is told once for each change, and of little room at the first look.
	Changed func(d Directory, s Space, low bool)
	// Failed is told once of a directory that cannot be looked at.
	Failed func(d Directory, err error)

	Interval time.Duration                    // 30 s when 0
	Free     func(path string) (Space, error) // the system's own when nil

	mu     sync.Mutex
	states []state // one a directory
}

type state struct {
	space  Space
	known  bool
	low    bool
	failed bool
}

// Run looks at each interval until ctx ends; the first look is [Watch.Look]'s.
func (w *Watch) Run(ctx context.Context) error {
	interval := w.Interval
	if interval <= 0 {
		interval = 30 * time.Second
	}
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			w.Look()
		case <-ctx.Done():
			return nil
		}
	}
}

// Look looks at every directory once.
func (w *Watch) Look() {
	free := w.Free
	if free == nil {
		free = freeSpace
	}
	for i, d := range w.Directories {
		s, err := free(d.Path)
		if err == nil && s.Total == 0 {
			err = errors.New("the file system does not say how large it is")
		}
		changed, failed, low := w.note(i, s, err)
		switch {
		case failed && w.Failed != nil:
			w.Failed(d, err)
		case changed && w.Changed != nil:
			w.Changed(d, s, low)
		}
	}
}

// note keeps what was seen, and says what is new in it.
func (w *Watch) note(i int, s Space, err error) (changed, failed, low bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.states == nil {
		w.states = make([]state, len(w.Directories))
	}
	st := &w.states[i]
	if err != nil {
		failed, st.failed, st.known = !st.failed, true, false
		return false, failed, st.low
	}
	low = w.little(s, st.low)
	changed = low != st.low
	*st = state{space: s, known: true, low: low}
	return changed, false, low
}

// SetLimits changes Bytes and Percent, from the next look on.
func (w *Watch) SetLimits(bytes uint64, percent int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Bytes, w.Percent = bytes, percent
}

// little reports whether s is little room; more is asked of a disk that was low.
func (w *Watch) little(s Space, was bool) bool {
	bytes, share := float64(w.Bytes), float64(w.Percent)/100*float64(s.Total)
	if was {
		bytes, share = bytes*1.1, min(share*1.1, float64(s.Total))
	}
	return float64(s.Free) < bytes || float64(s.Free) < share
}

// Last returns what a directory had at the last look; false when that failed.
func (w *Watch) Last(name string) (Space, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.states {
		if w.Directories[i].Name == name {
			return w.states[i].space, w.states[i].known
		}
	}
	return Space{}, false
}

// Low reports whether a directory had little room at the last look.
func (w *Watch) Low() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.states {
		if w.states[i].low {
			return true
		}
	}
	return false
}
