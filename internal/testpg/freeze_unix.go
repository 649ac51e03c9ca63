//go:build unix

package testpg

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Freeze stops all processes of the server where they are, until its end: it takes
// connections, keeps those that it has, and says nothing, as a machine that hangs.
func (s *Server) Freeze() error {
	if err := s.proc.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	s.frozen = []int{s.proc.Pid}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", s.proc.Pid, s.proc.Pid))
	for _, f := range strings.Fields(string(children)) {
		pid, _ := strconv.Atoi(f)
		if err := syscall.Kill(pid, syscall.SIGSTOP); err == nil {
			s.frozen = append(s.frozen, pid)
		}
	}
	return err
}

// Thaw has them go on.
func (s *Server) Thaw() {
	for _, pid := range s.frozen {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	s.frozen = nil
}
