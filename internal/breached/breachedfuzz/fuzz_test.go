package breachedfuzz

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/breached"
)

const blockSize = 4096

// FuzzOpen reads a filter whose checksums are right whatever is in it: looking up neither
// panics nor goes on for ever.
func FuzzOpen(f *testing.F) {
	list := filepath.Join(f.TempDir(), "list")
	var lines []string
	for i := range 3000 {
		lines = append(lines, fmt.Sprintf("%X:1", sha1.Sum([]byte{byte(i), byte(i >> 8)})))
	}
	slices.Sort(lines)
	if err := os.WriteFile(list, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		f.Fatal(err)
	}
	good := filepath.Join(f.TempDir(), "filter")
	if _, err := breached.Build(f.Context(), good, []string{list}, breached.BuildOptions{}); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:2*blockSize], "password")
	f.Add(b, "password")
	f.Add(bytes.Repeat([]byte{0xff}, 3*blockSize), "")
	f.Add([]byte("gatehouse-breach"), "x")
	f.Fuzz(func(t *testing.T, b []byte, password string) {
		if len(b) > 16*blockSize {
			return
		}
		table := crc32.MakeTable(crc32.Castagnoli)
		for i := 0; i+blockSize <= len(b); i += blockSize {
			if i == 0 {
				binary.BigEndian.PutUint32(b[60:], crc32.Checksum(b[:60], table))
			} else {
				binary.BigEndian.PutUint32(b[i:], crc32.Checksum(b[i+4:i+blockSize], table))
			}
		}
		path := filepath.Join(t.TempDir(), "filter")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		filter, err := breached.Open(path)
		if err != nil {
			return
		}
		if known, err := filter.Known(t.Context(), gatehouse.Secret(password)); known && err != nil {
			t.Fatal("an error comes with an answer")
		}
	})
}

// FuzzBuild makes a filter of any text: it is refused, or every hash in it is found.
func FuzzBuild(f *testing.F) {
	hash := func(p string) string { return fmt.Sprintf("%X", sha1.Sum([]byte(p))) }
	f.Add(hash("a")+":1", "a")
	f.Add(hash("a"), "a")
	f.Add("\r\n"+hash("b")+":7\r\n"+hash("a")+":1\r\n", "a")
	f.Add("password", "password")
	f.Add("\x1f\x8b", "")
	f.Fuzz(func(t *testing.T, text, password string) {
		dir := t.TempDir()
		list, to := filepath.Join(dir, "list"), filepath.Join(dir, "filter")
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := breached.Build(t.Context(), to, []string{list}, breached.BuildOptions{}); err != nil {
			if _, err := os.Stat(to); err == nil {
				t.Fatal("a list was refused, and there is a filter")
			}
			return
		}
		filter, err := breached.Open(to)
		if err != nil {
			t.Fatal(err)
		}
		known, err := filter.Known(t.Context(), gatehouse.Secret(password))
		if err != nil {
			t.Fatal(err)
		}
		if listed := strings.Contains(strings.ToUpper(text), hash(password)); listed && !known && !strings.HasPrefix(text, "\x1f\x8b") {
			t.Fatalf("%q is listed and not found", password)
		}
	})
}
