package breached

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

const (
	magic   = "gatehouse-breach"
	version = 1
)

// Info is what a filter says of itself.
type Info struct {
	Count     uint64    // passwords
	MinCount  uint64    // how often each was seen in breaches, at least
	Source    time.Time // when the lists were made that it was made of, UTC
	FalseRate float64   // how many of the passwords that are on no list are told to be on it
	Size      int64     // bytes
}

// String says it in one line, for people.
func (i Info) String() string {
	return fmt.Sprintf("%d passwords seen %d times or more, of %s; 1 in %.0f others is taken for one of them",
		i.Count, i.MinCount, i.Source.Format(time.DateOnly), 1/i.FalseRate)
}

// Filter is a filter file that is open. It is safe for concurrent use, and keeps nothing
// of the file in memory.
type Filter struct {
	name   string
	file   *os.File
	stat   os.FileInfo
	bits   uint
	blocks uint64
	info   Info
}

// Open opens a filter file and checks the whole of it: at some gigabytes a second. The
// file is closed when nobody holds the Filter any more, so that a look-up that runs when
// another one takes its place ends well.
func Open(name string) (*Filter, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	filter := &Filter{name: name, file: f}
	if err := filter.check(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w; make it anew with `gatehouse breached build`", name, err)
	}
	return filter, nil
}

// Again is Open, but returns f itself when the file is the one that it has open and was
// not written since.
func (f *Filter) Again(name string) (*Filter, error) {
	if f != nil && f.name == name {
		now, err := os.Stat(name)
		if err == nil && os.SameFile(now, f.stat) && now.Size() == f.stat.Size() && now.ModTime().Equal(f.stat.ModTime()) {
			return f, nil
		}
	}
	return Open(name)
}

// Info is what the filter says of itself.
func (f *Filter) Info() Info { return f.info }

func (f *Filter) check() error {
	var err error
	if f.stat, err = f.file.Stat(); err != nil {
		return err
	}
	if !f.stat.Mode().IsRegular() {
		return errors.New("is no regular file")
	}
	r := bufio.NewReaderSize(f.file, 1<<20)
	var b block
	if _, err := io.ReadFull(r, b[:blockSize]); err != nil || string(b[:len(magic)]) != magic {
		return errors.New("is no filter of breached passwords")
	}
	if v := binary.BigEndian.Uint32(b[16:]); v != version {
		return fmt.Errorf("has version %d, and this program reads version %d", v, version)
	}
	f.bits, f.blocks = uint(binary.BigEndian.Uint32(b[20:])), binary.BigEndian.Uint64(b[32:])
	count, source := binary.BigEndian.Uint64(b[24:]), int64(binary.BigEndian.Uint64(b[48:]))
	if binary.BigEndian.Uint32(b[60:]) != checksum(b[:60]) || len(bytes.Trim(b[64:blockSize], "\x00")) > 0 ||
		f.bits < 1 || f.bits > maxBits || f.blocks < 1 || f.blocks > 1<<40 || count > f.limit() || source < 0 || source > 1<<40 {
		return errDamaged
	}
	if f.stat.Size() != int64(f.blocks+1)*blockSize {
		return fmt.Errorf("has %d bytes and should have %d", f.stat.Size(), (f.blocks+1)*blockSize)
	}
	f.info = Info{Count: count, MinCount: binary.BigEndian.Uint64(b[40:]), Source: time.Unix(source, 0).UTC(),
		FalseRate: float64(count) / float64(f.limit()), Size: f.stat.Size()}
	var values, before uint64
	for i := range f.blocks {
		if _, err := io.ReadFull(r, b[:blockSize]); err != nil {
			return err
		}
		if !b.sealed() || b.first() >= f.limit() || i > 0 && b.first() <= before {
			return fmt.Errorf("block %d: %w", i+1, errDamaged)
		}
		before = b.first()
		values += uint64(b.count())
	}
	if values != count {
		return errDamaged
	}
	return nil
}

// limit is above every value.
func (f *Filter) limit() uint64 { return 1 << f.bits }

// Known reports whether password is on the list. Errors are those of reading the file,
// and of a file that was damaged since it was opened; they name no password.
func (f *Filter) Known(_ context.Context, password gatehouse.Secret) (bool, error) {
	for _, h := range hashes(password) {
		known, err := f.has(key(h[:]) >> (64 - f.bits))
		if known || err != nil {
			return known, err
		}
	}
	return false, nil
}

func (f *Filter) has(v uint64) (bool, error) {
	var err error
	var b block
	// The first block that begins above v; the one before it is where v would be.
	i := sort.Search(int(f.blocks), func(i int) bool {
		if err == nil {
			_, err = f.file.ReadAt(b[4:12], int64(i+1)*blockSize+4)
		}
		return err != nil || b.first() > v
	})
	if err != nil || i == 0 {
		return false, err
	}
	if _, err := f.file.ReadAt(b[:blockSize], int64(i)*blockSize); err != nil {
		return false, err
	}
	if !b.sealed() {
		return false, errDamaged
	}
	return b.holds(v, f.limit())
}
