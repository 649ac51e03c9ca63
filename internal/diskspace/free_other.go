//go:build !linux && !darwin

package diskspace

import "errors"

// freeSpace is not known on this system.
func freeSpace(string) (Space, error) { return Space{}, errors.ErrUnsupported }

// Same is not known on this system.
func Same(string, string) bool { return false }
