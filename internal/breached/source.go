package breached

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

const (
	maxLine    = 256
	hashDigits = 40
	ranges     = 1 << 20 // a file for each five hexadecimal digits
	// The least that a hash takes: in hexadecimal without those five digits, and packed.
	plainHash, packedHash = 38, 16
)

// entry is one line of a list.
type entry struct {
	key   uint64 // the first 64 bits of the hash
	count uint64 // how often the password was seen
}

// source is a list in the order of its hashes.
type source interface {
	// next returns io.EOF at the end. Errors name the file and the line.
	next() (entry, error)
	// hashes is how many there can be.
	hashes() uint64
	// share is how much of it was read, 0 to 1.
	share() float64
	made() time.Time
	close()
}

// openSource opens a file "SHA1:count", or a directory of range files.
func openSource(name string, partial bool) (source, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return openList(name, "")
	}
	return openRanges(name, partial)
}

// list is one file.
type list struct {
	name   string
	prefix string // of each line's hash
	file   *os.File
	stat   os.FileInfo
	read   int64 // bytes of the file
	packed bool
	lines  *bufio.Scanner
	line   int
	text   []byte
}

func openList(name, prefix string) (*list, error) {
	l := &list{name: name, prefix: prefix}
	var err error
	if l.file, err = os.Open(name); err != nil {
		return nil, err
	}
	if l.stat, err = l.file.Stat(); err != nil {
		l.file.Close()
		return nil, err
	}
	size := 1 << 20
	if prefix != "" {
		size = 64 << 10 // a range file is of this size
	}
	raw := bufio.NewReaderSize(counting{l}, size)
	var r io.Reader = raw
	if head, _ := raw.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		if r, err = gzip.NewReader(raw); err != nil {
			l.file.Close()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		l.packed = true
	}
	l.lines = bufio.NewScanner(r)
	l.lines.Buffer(make([]byte, 0, maxLine), maxLine)
	return l, nil
}

// counting reads the file and counts.
type counting struct{ *list }

func (c counting) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	c.read += int64(n)
	return n, err
}

func (l *list) close()          { l.file.Close() }
func (l *list) made() time.Time { return l.stat.ModTime() }
func (l *list) share() float64  { return float64(l.read) / float64(max(l.stat.Size(), 1)) }

func (l *list) hashes() uint64 {
	if l.packed {
		return uint64(l.stat.Size())/packedHash + 1
	}
	return uint64(l.stat.Size())/plainHash + 1
}

func (l *list) next() (entry, error) {
	for l.lines.Scan() {
		l.line++
		line := bytes.TrimSpace(l.lines.Bytes())
		if len(line) == 0 {
			continue
		}
		l.text = append(append(l.text[:0], l.prefix...), line...)
		e, err := parseLine(l.text)
		if err != nil {
			return e, fmt.Errorf("%s: line %d: %w", l.name, l.line, err)
		}
		return e, nil
	}
	if err := l.lines.Err(); err != nil {
		return entry{}, fmt.Errorf("%s: line %d: %w", l.name, l.line+1, err)
	}
	return entry{}, io.EOF
}

var errLine = errors.New("is not the SHA-1 of a password in 40 hexadecimal digits, a colon and a number")

// parseLine reads "SHA1:count", or "SHA1" alone, which was seen once.
func parseLine(line []byte) (entry, error) {
	hash, count, counted := bytes.Cut(line, []byte{':'})
	var raw [hashDigits / 2]byte
	if len(hash) != hashDigits {
		return entry{}, errLine
	}
	if _, err := hex.Decode(raw[:], hash); err != nil {
		return entry{}, errLine
	}
	e := entry{key: key(raw[:]), count: 1}
	if counted {
		n, err := strconv.ParseUint(string(count), 10, 63)
		if err != nil {
			return entry{}, errLine
		}
		e.count = n
	}
	return e, nil
}

// rangeFiles is a directory with a file for each first five digits, as the official
// downloader leaves it: 00000.txt to FFFFF.txt, or with another suffix.
type rangeFiles struct {
	dir    string
	there  []uint8 // for each range: how its file ends, counted from 1 in suffixes; 0 is none
	at     int     // the next range
	open   *list
	newest time.Time
	each   uint64 // hashes of a file
	files  uint64
}

func suffixes() []string { return []string{".txt", "", ".txt.gz", ".gz"} }

func openRanges(dir string, partial bool) (*rangeFiles, error) {
	r := &rangeFiles{dir: dir, there: make([]uint8, ranges)}
	if err := r.list(); err != nil {
		return nil, err
	}
	switch missing := slices.Index(r.there, 0); {
	case r.files == 0:
		return nil, fmt.Errorf("%s: holds no range file 00000.txt to FFFFF.txt", dir)
	case missing >= 0 && !partial:
		return nil, fmt.Errorf("%s: the range %05X and others, %d in all, are missing: the download is not complete (--partial takes what there is)", dir, missing, ranges-r.files)
	}
	if err := r.advance(); err != nil {
		return nil, err
	}
	r.each = 2 * r.open.hashes() // they differ in size
	return r, nil
}

// list finds which range files there are, some thousand names at a time.
func (r *rangeFiles) list() error {
	d, err := os.Open(r.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(4096)
		for _, name := range names {
			if len(name) < 5 {
				continue
			}
			n, bad := strconv.ParseUint(name[:5], 16, 20)
			i := slices.Index(suffixes(), name[5:])
			if bad != nil || i < 0 || fmt.Sprintf("%05X", n) != name[:5] {
				continue
			}
			if r.there[n] != 0 {
				return fmt.Errorf("%s: has two files of the range %05X", r.dir, n)
			}
			r.there[n] = uint8(i + 1)
			r.files++
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// advance opens the next range file that there is.
func (r *rangeFiles) advance() error {
	r.close()
	for r.at < ranges && r.there[r.at] == 0 {
		r.at++
	}
	if r.at == ranges {
		return io.EOF
	}
	prefix := fmt.Sprintf("%05X", r.at)
	l, err := openList(filepath.Join(r.dir, prefix+suffixes()[r.there[r.at]-1]), prefix)
	if err != nil {
		return err
	}
	r.at++
	r.open = l
	if l.made().After(r.newest) {
		r.newest = l.made()
	}
	return nil
}

func (r *rangeFiles) next() (entry, error) {
	for r.open != nil {
		e, err := r.open.next()
		if !errors.Is(err, io.EOF) {
			return e, err
		}
		if err := r.advance(); err != nil {
			return entry{}, err
		}
	}
	return entry{}, io.EOF
}

func (r *rangeFiles) hashes() uint64  { return r.each * r.files }
func (r *rangeFiles) share() float64  { return float64(r.at) / ranges }
func (r *rangeFiles) made() time.Time { return r.newest }

func (r *rangeFiles) close() {
	if r.open != nil {
		r.open.close()
		r.open = nil
	}
}
