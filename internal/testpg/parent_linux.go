package testpg

import "syscall"

// dieWithParent stops the server when a test binary is killed before it could
// clean up. SIGQUIT is PostgreSQL's immediate shutdown.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
