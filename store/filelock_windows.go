package store

import (
	"errors"
	"os"
	"syscall"
)

// lockFile opens a file beside the database without sharing it, which Windows
// refuses to a second process until the first one has closed it or ended.
func lockFile(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, errUnavailable.With(err)
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		const sharingViolation = syscall.Errno(32)
		if errors.Is(err, sharingViolation) {
			return nil, errLocked.With(errors.New("another process holds " + path))
		}
		return nil, errUnavailable.With(err)
	}
	return os.NewFile(uintptr(h), path), nil
}
