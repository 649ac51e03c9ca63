//go:build linux || darwin || freebsd || netbsd || openbsd

package http1

import (
	"fmt"
	"net"
	"syscall"
)

// canPeek says whether a connection can be looked into without waiting.
const canPeek = true

// peeker looks whether a connection has something to read.
type peeker struct {
	raw  syscall.RawConn
	look func(fd uintptr) bool
	ok   *bool
}

func newPeeker(c net.Conn) (peeker, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return peeker{}, fmt.Errorf("http1: a connection of type %T cannot be looked into", c)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return peeker{}, err
	}
	quiet := new(bool)
	var buf [1]byte
	return peeker{raw: raw, ok: quiet, look: func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		// Bytes and an orderly end are no error, and every other error is an end.
		*quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	}}, nil
}

// quiet reports that the connection is open and has nothing to read.
func (p peeker) quiet() bool {
	*p.ok = false
	return p.raw.Read(p.look) == nil && *p.ok
}
