package breached

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"time"
)

const (
	maxSources = 64
	// rateBits makes one in 2^14 passwords that are on no list, or fewer, look as if it was.
	rateBits = 14
	// every is how many lines are read between two looks at whether to go on.
	every = 1 << 16
)

// BuildOptions say how a filter is made.
type BuildOptions struct {
	// MinCount leaves out passwords that were seen less often; 0 and 1 leave out none.
	MinCount uint64
	// Partial takes a directory that lacks range files.
	Partial bool
	// Progress is told now and then how much was read, 0 to 1, and how many lines.
	Progress func(share float64, lines uint64)
}

// Build makes the filter file to from lists "SHA1:count" in the order of the hashes: files,
// also packed with gzip, or directories of range files. It needs some megabytes of memory,
// whatever the size of the lists. The file appears when it is whole: an error, or an end of
// ctx, leaves what was there before. The same lists make the same bytes.
func Build(ctx context.Context, to string, from []string, o BuildOptions) (Info, error) {
	if len(from) == 0 || len(from) > maxSources {
		return Info{}, fmt.Errorf("one to %d lists make a filter", maxSources)
	}
	m := &merge{}
	defer m.close()
	for _, name := range from {
		s, err := openSource(name, o.Partial)
		if err != nil {
			return Info{}, err
		}
		m.sources = append(m.sources, &head{source: s, name: name})
	}
	tmp, err := os.CreateTemp(filepath.Dir(to), ".breached-*")
	if err != nil {
		return Info{}, err
	}
	defer os.Remove(tmp.Name()) // it has another name by then, when all went well
	defer tmp.Close()
	if err := build(ctx, tmp, m, o); err != nil {
		return Info{}, err
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return Info{}, err
	}
	made, err := Open(tmp.Name()) // what was written is what can be read
	if err != nil {
		return Info{}, err
	}
	made.file.Close()
	return made.info, os.Rename(tmp.Name(), to)
}

func build(ctx context.Context, file *os.File, m *merge, o BuildOptions) error {
	width := uint(min(bits.Len64(m.hashes())+rateBits, maxBits))
	w := bufio.NewWriterSize(file, 1<<20)
	if _, err := w.Write(make([]byte, blockSize)); err != nil {
		return err
	}
	var f filling
	var count, blocks, lines uint64
	k := firstRice
	end := func() error {
		b, better := f.seal()
		k = better
		blocks++
		_, err := w.Write(b)
		return err
	}
	for {
		e, err := m.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if lines++; lines%every == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if o.Progress != nil {
				o.Progress(m.share(), lines)
			}
		}
		v := e.key >> (64 - width)
		if e.count < o.MinCount || count > 0 && v == f.last {
			continue
		}
		if count++; count == 1 {
			f.start(v, k)
		} else if !f.add(v) {
			if err := end(); err != nil {
				return err
			}
			f.start(v, k)
		}
	}
	if count == 0 {
		return errors.New("the lists hold no password that was seen so often")
	}
	if err := errors.Join(end(), w.Flush(), ctx.Err()); err != nil {
		return err
	}
	h := make([]byte, 64)
	copy(h, magic)
	binary.BigEndian.PutUint32(h[16:], version)
	binary.BigEndian.PutUint32(h[20:], uint32(width))
	binary.BigEndian.PutUint64(h[24:], count)
	binary.BigEndian.PutUint64(h[32:], blocks)
	binary.BigEndian.PutUint64(h[40:], max(o.MinCount, 1))
	binary.BigEndian.PutUint64(h[48:], uint64(max(m.made().Unix(), 0)))
	binary.BigEndian.PutUint32(h[60:], checksum(h[:60]))
	_, err := file.WriteAt(h, 0)
	return err
}

// head is a source with its first line.
type head struct {
	source
	name    string
	first   entry
	started bool
	ended   bool
}

// merge is several sources as one, in order.
type merge struct{ sources []*head }

// next returns the least first line of all.
func (m *merge) next() (entry, error) {
	var least *head
	for _, h := range m.sources {
		if !h.started {
			h.started = true
			if err := h.advance(); err != nil {
				return entry{}, err
			}
		}
		if !h.ended && (least == nil || h.first.key < least.first.key) {
			least = h
		}
	}
	if least == nil {
		return entry{}, io.EOF
	}
	e := least.first
	return e, least.advance()
}

func (h *head) advance() error {
	e, err := h.source.next()
	if errors.Is(err, io.EOF) {
		h.ended = true
		return nil
	}
	if err == nil && e.key < h.first.key {
		return fmt.Errorf("%s: is not in the order of its hashes; take the list that is ordered by hash", h.name)
	}
	h.first = e
	return err
}

func (m *merge) hashes() (n uint64) {
	for _, s := range m.sources {
		n += s.hashes()
	}
	return n
}

func (m *merge) share() (all float64) {
	for _, s := range m.sources {
		all += s.share() / float64(len(m.sources))
	}
	return all
}

func (m *merge) made() (newest time.Time) {
	for _, s := range m.sources {
		if t := s.made(); t.After(newest) {
			newest = t
		}
	}
	return newest
}

func (m *merge) close() {
	for _, s := range m.sources {
		s.close()
	}
}
