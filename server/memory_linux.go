package server

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// releaseProgramFile unmaps the pages of the program's own file that are mapped
// read-only. They stay in the system's cache; those that are needed again come
// back at the first touch, without reading the disk.
func releaseProgramFile() error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer f.Close()
	var failed []error
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 00400000-010e6000 r-xp 00000000 fe:00 9994806   /usr/bin/gatehouse
		var from, to uintptr
		var mode, name string
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 {
			continue
		}
		mode, name = fields[1], strings.Join(fields[5:], " ")
		// A page that can be written may hold what the file does not.
		if name != self || strings.Contains(mode, "w") {
			continue
		}
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err != nil {
			return err
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED); errno != 0 {
			failed = append(failed, errno)
		}
	}
	return errors.Join(failed...)
}
