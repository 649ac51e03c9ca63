//go:build !linux

package testldap

import "syscall"

func dieWithParent(*syscall.SysProcAttr) {}
