package testprocess

import "syscall"

// dieWithParent stops the server when a test binary is killed before it could clean up.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
