//go:build unix

package writable

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

const (
	write  = unix.W_OK
	search = unix.X_OK
)

// access asks the kernel, which knows of read-only file systems and access lists too,
// for the user whose rights this process has.
func access(path string, mode uint32) error {
	if err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}
