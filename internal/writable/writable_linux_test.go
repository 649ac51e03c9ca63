package writable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/writable"
)

// TestWritable: what can be written is told from what cannot, and nothing is made.
func TestWritable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		got  error
		want error
	}{
		{"a directory", writable.Directory(dir), nil},
		{"one that can be made", writable.Directory(filepath.Join(dir, "a", "b")), nil},
		{"a file in place of one", writable.Directory(file), syscall.ENOTDIR},
		{"one below a file", writable.Directory(filepath.Join(file, "a")), syscall.ENOTDIR},
		{"a file", writable.File(file), nil},
		{"one that can be made", writable.File(filepath.Join(dir, "new")), nil},
		{"one in no directory", writable.File(filepath.Join(dir, "a", "new")), fs.ErrNotExist},
		{"a directory in place of one", writable.File(dir), syscall.EISDIR},
	} {
		if !errors.Is(tc.got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, tc.got, tc.want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("something was made: %v %v", left, err)
	}
}

// TestWritableByRights asks as somebody without rights: root may write everything.
func TestWritableByRights(t *testing.T) {
	if os.Getuid() == 0 {
		runtime.LockOSThread() // never unlocked: the thread ends with the test, with its rights
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
			t.Fatal(errno)
		}
	}
	for _, path := range []string{"/", "/etc"} {
		if writable.Directory(path) == nil {
			t.Errorf("%s can be written", path)
		}
	}
	if writable.File("/etc/passwd") == nil || writable.Directory("/etc/gatehouse/data") == nil {
		t.Error("what others own can be written")
	}
}
