// Package writable tells whether a file or a directory can be written, without writing
// anything: for checks of a configuration that must change nothing.
package writable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Directory fails when files cannot be made in a directory. One that is not there must
// be one that can be made.
func Directory(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "write", Path: path, Err: syscall.ENOTDIR}
	case err == nil:
		return access(path, write|search)
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path:
		return Directory(filepath.Dir(path))
	}
	return err
}

// File fails when a file cannot be written. One that is not there must be one that can
// be made in a directory that is there.
func File(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return &fs.PathError{Op: "write", Path: path, Err: syscall.EISDIR}
	case err == nil:
		return access(path, write)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	return Directory(dir)
}
