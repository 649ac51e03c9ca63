//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package http1

import "net"

// canPeek says whether a connection can be looked into without waiting.
const canPeek = false

type peeker struct{}

func newPeeker(net.Conn) (peeker, error) { return peeker{}, nil }

func (peeker) quiet() bool { return false }
