package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Sink receives a copy of the log. Write gets whole lines, each ending in a
// newline: {"index":N,"event":{…}}, in the order of the log. It returns nil only
// when the lines are safe. Lines may come again after a crash; index and realm
// tell them apart.
type Sink interface {
	Write(ctx context.Context, realm string, lines []byte) error
}

// Cursors keeps how far a sink has got: the next index of a realm, 0 when
// nothing was kept.
type Cursors interface {
	Cursor(ctx context.Context, sink, realm string) (int64, error)
	SetCursor(ctx context.Context, sink, realm string, next int64) error
}

// SettingWriter is the transaction of [SettingCursors].
type SettingWriter interface {
	PutSetting(ctx context.Context, key, value string) error
}

// SettingCursors keeps cursors among the settings of a store.
type SettingCursors struct {
	// Setting is gatehouse.NotFound for a name without a value.
	Setting func(ctx context.Context, key string) (string, error)
	Run     gatehouse.Runner[SettingWriter]
}

func cursorKey(sink, realm string) string { return "audit.cursor." + sink + "." + realm }

// Cursor implements [Cursors].
func (c SettingCursors) Cursor(ctx context.Context, sink, realm string) (int64, error) {
	text, err := c.Setting(ctx, cursorKey(sink, realm))
	if errors.Is(err, gatehouse.NotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// SetCursor implements [Cursors].
func (c SettingCursors) SetCursor(ctx context.Context, sink, realm string, next int64) error {
	return c.Run(ctx, func(ctx context.Context, tx SettingWriter) error {
		return tx.PutSetting(ctx, cursorKey(sink, realm), strconv.FormatInt(next, 10))
	})
}

// Forwarder copies sequenced events to a sink, at least once and in order. What
// is not yet in a checkpoint is not forwarded.
type Forwarder struct {
	Name     string // of the sink, in Cursors
	Sink     Sink
	Reader   Reader
	Cursors  Cursors
	Realms   func(ctx context.Context) ([]gatehouse.Realm, error)
	Interval time.Duration // 1 s by default
	Logger   *slog.Logger
}

// Run forwards until ctx ends. A failing sink is tried again at each interval;
// nothing is skipped.
func (f *Forwarder) Run(ctx context.Context) error {
	if f.Name == "" || f.Sink == nil || f.Reader == nil || f.Cursors == nil || f.Realms == nil || f.Logger == nil {
		return errors.New("audit: forwarder lacks a member")
	}
	interval := f.Interval
	if interval <= 0 {
		interval = time.Second
	}
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		realms, err := f.Realms(ctx)
		for _, r := range realms {
			if err = f.Forward(ctx, r.Name); err != nil {
				f.Logger.Error("audit events could not be forwarded", "sink", f.Name, "realm", r.Name, "error", err)
			}
		}
		if err != nil && len(realms) == 0 && ctx.Err() == nil {
			f.Logger.Error("audit forwarder could not read realms", "error", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Forward copies what the realm has beyond the cursor.
func (f *Forwarder) Forward(ctx context.Context, realm string) error {
	next, err := f.Cursors.Cursor(ctx, f.Name, realm)
	if err != nil {
		return err
	}
	for {
		batches, err := f.Reader.Batches(ctx, realm, BatchQuery{Sequenced: true, FirstIndex: next, LastIndex: -1, Limit: 16})
		if err != nil || len(batches) == 0 {
			return err
		}
		var out []byte
		before := next
		for _, b := range batches {
			i := b.FirstIndex
			for line := range lines(b.Data) {
				if i >= next {
					out = strconv.AppendInt(append(out, `{"index":`...), i, 10)
					out = append(append(append(out, `,"event":`...), line...), "}\n"...)
				}
				i++
			}
			next = max(next, i)
		}
		if next == before {
			return fmt.Errorf("audit: realm %s does not go on at index %d", realm, next)
		}
		if err := f.Sink.Write(ctx, realm, out); err != nil {
			return err
		}
		if err := f.Cursors.SetCursor(ctx, f.Name, realm, next); err != nil {
			return err
		}
	}
}

// FileSink appends the log to a file that only its owner can read (0600).
type FileSink struct {
	path string
	sync bool

	mu   sync.Mutex
	file *os.File
}

// OpenFileSink opens or creates the file. With fsync each write is on the disk
// before the cursor moves on.
func OpenFileSink(path string, fsync bool) (*FileSink, error) {
	s := &FileSink{path: path, sync: fsync}
	return s, s.Reopen()
}

// Reopen opens the path anew, after a rotation moved the file away.
func (s *FileSink) Reopen() error {
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = private(s.path, info)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.file
	s.file = f
	if old != nil {
		return old.Close()
	}
	return nil
}

// CheckFile fails when OpenFileSink would refuse the file that is there, and opens
// nothing.
func CheckFile(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return private(path, info)
}

// private refuses a file that others may read or write. A pipe or a device is theirs
// who made it.
func private(path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("audit: others may read or write %s", path)
	}
	return nil
}

// Write implements [Sink].
func (s *FileSink) Write(_ context.Context, _ string, lines []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return io.ErrClosedPipe
	}
	if _, err := s.file.Write(lines); err != nil {
		return err
	}
	if s.sync {
		return s.file.Sync()
	}
	return nil
}

// Close closes the file.
func (s *FileSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
