package server

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// patientListener bounds how long a write may wait for a client that does not
// read what it asked for. The server's own WriteTimeout would also bound how long
// an answer takes to make. It knows its connections, see drain.go.
type patientListener struct {
	net.Listener
	leaving atomic.Bool
	again   bool          // the last attempt to accept found nothing; of Accept alone
	empty   chan struct{} // closed when nothing is left to accept after leave

	mu    sync.Mutex
	conns map[*patientConn]struct{}
}

func (l *patientListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			l.again = false
			return &patientConn{Conn: c}, nil
		case !l.leaving.Load() || !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		case l.again || l.lastCall() != nil:
			close(l.empty)
			return nil, net.ErrClosed
		}
		// The time may have been over before anything was looked for: once more.
		l.again = true
	}
}

type patientConn struct {
	net.Conn
	state atomic.Int32  // http.ConnState
	turns atomic.Uint32 // how often that changed

	mu     sync.Mutex
	set    time.Time // when the deadline was set
	theirs bool      // a handler did that
}

// Write sets a new deadline only when the last one is a while old, so that few
// writes pay for it. A write has between two thirds and all of writeTimeout.
func (c *patientConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	if now := time.Now(); !c.theirs && now.Sub(c.set) >= writeTimeout/3 {
		c.set = now
		_ = c.Conn.SetWriteDeadline(now.Add(writeTimeout)) // fails only when the connection has ended
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// SetWriteDeadline is for a handler with a bound of its own. That holds until the handler sets none (the zero time), after
// which the bound of all is set anew: it neither prolongs the handler's, nor does the handler's end an answer after it.
func (c *patientConn) SetWriteDeadline(d time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.theirs, c.set = !d.IsZero(), time.Time{}
	return c.Conn.SetWriteDeadline(d)
}

// CloseWrite is how net/http and crypto/tls end an answer before a connection.
func (c *patientConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
