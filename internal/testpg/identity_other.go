//go:build !unix

package testpg

import "syscall"

// identity: a Unix socket in a private directory is all that this package offers.
func identity(string) (*syscall.SysProcAttr, error) { return nil, ErrMissing }
