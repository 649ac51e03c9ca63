//go:build !linux

package server

import (
	"errors"
	"net"
)

// refuseNew needs a filter that other systems do not have: who waits to be accepted in the
// moment in which the listener closes is reset.
func refuseNew(*net.TCPListener) error { return errors.ErrUnsupported }
