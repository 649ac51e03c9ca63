package server

import (
	"net"

	"golang.org/x/sys/unix"
)

// refuseNew makes the system overlook whoever wants to begin a connection (a segment with
// SYN), and finish those that have begun. Who is overlooked tries again, and finds the
// address closed, or another server behind it.
func refuseNew(l *net.TCPListener) error {
	const flags, syn = 13, 0x02 // of the TCP header (RFC 9293 §3.1), where the filter begins
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 1, K: syn},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff}, // all of the segment
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},          // none of it
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	}); err != nil {
		return err
	}
	return failed
}
