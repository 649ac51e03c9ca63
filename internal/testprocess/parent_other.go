//go:build !linux

package testprocess

import "syscall"

func dieWithParent(*syscall.SysProcAttr) {}
