//go:build linux || darwin

package diskspace

import (
	"os"
	"syscall"
)

// freeSpace returns what the file system of path has.
func freeSpace(path string) (Space, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return Space{}, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	size := uint64(st.Bsize)
	return Space{Free: uint64(st.Bavail) * size, Total: uint64(st.Blocks) * size}, nil
}

// Same reports whether two paths are on one file system; false when that cannot be told.
func Same(a, b string) bool {
	var one, two syscall.Stat_t
	return syscall.Stat(a, &one) == nil && syscall.Stat(b, &two) == nil && one.Dev == two.Dev
}
