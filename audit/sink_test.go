package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// settings is a store of settings that may fail.
type settings struct {
	values map[string]string
	fail   error
}

func (s *settings) PutSetting(_ context.Context, key, value string) error {
	if s.fail == nil {
		s.values[key] = value
	}
	return s.fail
}

// TestSettingCursors: each sink has a cursor of its own in each realm; without one it begins at 0, and an unreadable
// or spoiled one is an error and no beginning.
func TestSettingCursors(t *testing.T) {
	s := &settings{values: map[string]string{}}
	c := audit.SettingCursors{
		Setting: func(_ context.Context, key string) (string, error) {
			if v, ok := s.values[key]; ok {
				return v, s.fail
			}
			return "", errors.Join(gatehouse.NotFound, s.fail)
		},
		Run: func(ctx context.Context, fn func(context.Context, audit.SettingWriter) error) error {
			return fn(ctx, s)
		},
	}
	want := func(sink, realm string, next int64) {
		t.Helper()
		if n, err := c.Cursor(t.Context(), sink, realm); err != nil || n != next {
			t.Errorf("cursor of %s in %s is %d, %v; want %d", sink, realm, n, err, next)
		}
	}
	want("file", "main", 0)
	for sink, next := range map[string]int64{"file": 7, "other": 1 << 40} {
		if err := c.SetCursor(t.Context(), sink, "main", next); err != nil {
			t.Fatal(err)
		}
	}
	want("file", "main", 7)
	want("other", "main", 1<<40)
	want("file", "shop", 0)
	s.fail = errDown
	if n, err := c.Cursor(t.Context(), "file", "main"); !errors.Is(err, errDown) || n != 0 {
		t.Errorf("an unreadable cursor: %d, %v", n, err)
	}
	if err := c.SetCursor(t.Context(), "file", "main", 8); !errors.Is(err, errDown) {
		t.Errorf("a cursor that was not stored: %v", err)
	}
	s.fail = nil
	want("file", "main", 7)
	for key := range s.values {
		s.values[key] = "seven"
	}
	if _, err := c.Cursor(t.Context(), "file", "main"); err == nil {
		t.Error("a spoiled cursor is one")
	}
}

// box is a sink that keeps what it is given, and cursors that may fail.
type box struct {
	mu sync.Mutex
	cursors
	lines       map[string][]string // by realm
	write, move error
}

func newBox() *box { return &box{cursors: cursors{}, lines: map[string][]string{}} }

func (b *box) Write(_ context.Context, realm string, lines []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.write != nil {
		return b.write
	}
	if !bytes.HasSuffix(lines, []byte("\n")) {
		return errors.New("half a line")
	}
	b.lines[realm] = append(b.lines[realm], strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n")...)
	return nil
}

func (b *box) SetCursor(ctx context.Context, sink, realm string, next int64) error {
	if b.move != nil {
		return b.move
	}
	return b.cursors.SetCursor(ctx, sink, realm, next)
}

// count is how many lines of a realm there are, while others write.
func (b *box) count(realm string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.lines[realm])
}

// got are the indexes of the lines of a realm, which must be those of the log.
func (b *box) got(t *testing.T, m *memory, realm string) (indexes []int64) {
	t.Helper()
	all := m.stored(t, realm)
	for _, line := range b.lines[realm] {
		var l struct {
			Index int64           `json:"index"`
			Event gatehouse.Event `json:"event"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if l.Index >= int64(len(all)) || l.Event.ID != all[l.Index].ID {
			t.Errorf("%s at index %d", l.Event.ID, l.Index)
		}
		indexes = append(indexes, l.Index)
	}
	return indexes
}

func from(first, end int64) (out []int64) {
	for i := first; i < end; i++ {
		out = append(out, i)
	}
	return out
}

// TestForwardFromAnywhere: what is before the cursor does not come again, also when the cursor is within a batch; all
// else comes once and in order, however many batches it is in.
func TestForwardFromAnywhere(t *testing.T) {
	m := newMemory()
	grow(t, m, "main", append(slices.Repeat([]int{3}, 20), 1, 1)...)
	for _, next := range []int64{0, 1, 2, 3, 4, 47, 48, 49, 60, 61, 62} {
		b := newBox()
		b.cursors["filemain"] = next
		f := &audit.Forwarder{Name: "file", Sink: b, Reader: m, Cursors: b}
		for range 2 {
			if err := f.Forward(t.Context(), "main"); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.got(t, m, "main"); !slices.Equal(got, from(next, 62)) || b.cursors["filemain"] != 62 {
			t.Errorf("from %d on: %d, then at %d", next, got, b.cursors["filemain"])
		}
	}
}

// TestForwardFails: what the sink does not take stays, and what it took and nobody noted comes again. A log with a hole
// is not forwarded as if it had none, nor asked for ever.
func TestForwardFails(t *testing.T) {
	m := newMemory()
	grow(t, m, "main", slices.Repeat([]int{1}, 20)...)
	b := newBox()
	f := &audit.Forwarder{Name: "file", Sink: b, Reader: m, Cursors: b}
	b.write = errDown
	if err := f.Forward(t.Context(), "main"); !errors.Is(err, errDown) || b.cursors["filemain"] != 0 {
		t.Errorf("a sink that takes nothing: %v, at %d", err, b.cursors["filemain"])
	}
	b.write, b.move = nil, errDown
	if err := f.Forward(t.Context(), "main"); !errors.Is(err, errDown) || !slices.Equal(b.got(t, m, "main"), from(0, 16)) {
		t.Errorf("a cursor that does not move: %v", err)
	}
	b.move, b.lines = nil, map[string][]string{}
	if err := f.Forward(t.Context(), "main"); err != nil || !slices.Equal(b.got(t, m, "main"), from(0, 20)) {
		t.Errorf("afterwards: %v", err)
	}
	unread := &audit.Forwarder{Name: "file", Sink: b, Reader: &unreadable{memory: m, call: "Batches", err: errDown}, Cursors: b}
	if err := unread.Forward(t.Context(), "main"); !errors.Is(err, errDown) {
		t.Errorf("a log that cannot be read: %v", err)
	}
	hole := newMemory()
	grow(t, hole, "main", 2, 2)
	hole.batches[1].Count, hole.batches[1].Data = 3, hole.batches[1].Data[:bytes.IndexByte(hole.batches[1].Data, '\n')+1]
	b = newBox()
	f = &audit.Forwarder{Name: "file", Sink: b, Reader: hole, Cursors: b}
	if err := f.Forward(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), "realm main does not go on at index 3") || b.cursors["filemain"] != 3 {
		t.Errorf("a batch with fewer lines than it says: %v, at %d", err, b.cursors["filemain"])
	}
}

// TestForwarderNeeds: each of its members is asked for before it begins.
func TestForwarderNeeds(t *testing.T) {
	for name, lack := range map[string]func(*audit.Forwarder){
		"nothing": func(*audit.Forwarder) {}, "a name": func(f *audit.Forwarder) { f.Name = "" }, "a sink": func(f *audit.Forwarder) { f.Sink = nil },
		"a reader": func(f *audit.Forwarder) { f.Reader = nil }, "cursors": func(f *audit.Forwarder) { f.Cursors = nil },
		"realms": func(f *audit.Forwarder) { f.Realms = nil }, "a logger": func(f *audit.Forwarder) { f.Logger = nil },
	} {
		m, b := newMemory(), newBox()
		f := &audit.Forwarder{Name: "file", Sink: b, Reader: m, Cursors: b, Realms: m.Realms, Logger: (&lines{}).logger()}
		lack(f)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.Run(ctx); (err == nil) != (name == "nothing") {
			t.Errorf("a forwarder that lacks %s: %v", name, err)
		}
	}
}

// TestForwarderRuns: what is in the log is forwarded within a second, of every realm, also beside one that fails;
// failures are logged, and tried again.
func TestForwarderRuns(t *testing.T) {
	for _, interval := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			m, b := &loud{memory: newMemory()}, newBox()
			grow(t, m.memory, "other", 1)
			grow(t, m.memory, "main", 1)
			whole := m.batches[1].Data
			m.batches[1].Data = nil // the log of main has a hole
			var log lines
			f := &audit.Forwarder{Name: "file", Sink: b, Reader: m, Cursors: b, Realms: m.Realms, Logger: log.logger(), Interval: interval}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- f.Run(ctx) }()
			synctest.Wait()
			if b.count("other") != 1 || b.count("main") != 0 || log.count("audit events could not be forwarded") != 1 || !log.has("realm=main") {
				t.Errorf("at the start: %d, %q", b.count("main"), log.all())
			}
			m.mu.Lock()
			m.batches[1].Data = whole
			m.mu.Unlock()
			if interval == 0 {
				interval = time.Second
			}
			time.Sleep(interval - time.Millisecond)
			synctest.Wait()
			if b.count("main") != 0 {
				t.Error("it looked before its time")
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if b.count("other") != 1 || b.count("main") != 1 || len(log.all()) != 1 {
				t.Errorf("later: %d, %q", b.count("main"), log.all())
			}
			m.mu.Lock()
			m.realms = errDown
			m.mu.Unlock()
			time.Sleep(interval)
			synctest.Wait()
			if log.count("audit forwarder could not read realms") != 1 || len(log.all()) != 2 {
				t.Errorf("%q", log.all())
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			none, stop := context.WithTimeout(t.Context(), time.Millisecond)
			defer stop()
			f.Realms = func(context.Context) ([]gatehouse.Realm, error) { return nil, nil }
			if err := f.Run(none); err != nil || len(log.all()) != 2 { // no realm is no failure
				t.Errorf("%v, %q", err, log.all())
			}
			f.Realms = m.Realms
			if err := f.Run(ctx); err != nil || len(log.all()) != 2 { // a round that the end cuts off
				t.Errorf("%v, %q", err, log.all())
			}
		})
	}
}

// TestFileIsPrivate: a copy of the log that others may read or write is refused, before it is opened and when it is; a
// pipe or a device is not ours to judge, and no file is none that others read.
func TestFileIsPrivate(t *testing.T) {
	dir := t.TempDir()
	for mode := range os.FileMode(0o1000) {
		if mode&0o600 != 0o600 { // whoever runs the tests must be able to open it
			continue
		}
		path := filepath.Join(dir, fmt.Sprintf("%03o", mode))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		private := mode&0o077 == 0
		s, err := audit.OpenFileSink(path, false)
		if (err == nil) != private {
			t.Errorf("mode %o: %v", mode, err)
		}
		if err == nil {
			err = s.Close()
		} else {
			err = nil
		}
		if err != nil {
			t.Error(err)
		}
		if err := audit.CheckFile(path); (err == nil) != private {
			t.Errorf("mode %o: checked, %v", mode, err)
		}
	}
	if err := audit.CheckFile(filepath.Join(dir, "none")); err != nil {
		t.Errorf("no file: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("the check made a file")
	}
	if err := audit.CheckFile(filepath.Join(dir, "600", "below")); err == nil {
		t.Error("a path through a file")
	}
	if _, err := audit.OpenFileSink(filepath.Join(dir, "no", "folder"), false); err == nil {
		t.Error("a file in a folder that is not there")
	}
	if err := audit.CheckFile(os.DevNull); err != nil { // others may write to it
		t.Errorf("a device: %v", err)
	}
	s, err := audit.OpenFileSink(os.DevNull, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Write(t.Context(), "main", []byte("x\n")), s.Close()); err != nil {
		t.Error(err)
	}
}

// TestFileSinkOverItsLife: it appends, goes on in the new file after a rotation, and keeps what it had when the new one
// cannot be opened; closed, it takes nothing, and may be closed again.
func TestFileSinkOverItsLife(t *testing.T) {
	for _, fsync := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := audit.OpenFileSink(path, fsync)
		if err != nil {
			t.Fatal(err)
		}
		write := func(line string) {
			t.Helper()
			if err := s.Write(t.Context(), "main", []byte(line)); err != nil {
				t.Error(err)
			}
		}
		want := func(path, text string) {
			t.Helper()
			if got, err := os.ReadFile(path); err != nil || string(got) != text {
				t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), got, err, text)
			}
		}
		write("one\n")
		want(path, "old\none\n")
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		write("two\n") // the file that was moved is still the one
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := s.Reopen(); err == nil {
			t.Error("a file that others may read was taken in a rotation")
		}
		write("three\n")
		want(path+".1", "old\none\ntwo\nthree\n")
		want(path, "")
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Reopen(); err != nil {
			t.Fatal(err)
		}
		write("four\n")
		want(path, "four\n")
		if links, err := filepath.Glob("/proc/self/fd/*"); err == nil { // where the system tells what is open
			for _, link := range links {
				if file, err := os.Readlink(link); err == nil && strings.HasPrefix(file, path+".1") {
					t.Errorf("the file before the rotation is still open: %s", file)
				}
			}
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Errorf("closed twice: %v", err)
		}
		if err := s.Write(t.Context(), "main", []byte("five\n")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("written after the end: %v", err)
		}
		if err := s.Reopen(); err != nil {
			t.Fatal(err)
		}
		write("six\n")
		want(path, "four\nsix\n")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	full, err := audit.OpenFileSink("/dev/full", false)
	if err != nil {
		t.Skip("this system has no /dev/full to fail a write")
	}
	if err := full.Write(t.Context(), "main", []byte("x\n")); err == nil {
		t.Error("a disk that is full took a line")
	}
	if err := full.Close(); err != nil {
		t.Error(err)
	}
}
