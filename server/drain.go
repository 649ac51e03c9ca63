package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/gateway"
)

// How a server stops, so that no request is lost:
//
//   - It is not ready any more (/readyz), and goes on for shutdown.delay: whoever sends
//     it requests has the time to notice. Every answer says that its connection ends with
//     it (RFC 9112 §9.6; over HTTP/2 a GOAWAY, RFC 9113 §6.8).
//   - No new connections come. Those that the system has taken already are served.
//   - Requests that run end by themselves, within shutdown.grace. A connection without one
//     is closed once it has been quiet for a while: a request that was on its way when the
//     end of its connection was sent is lost, and HTTP/1.1 has no word to prevent that.
//   - What is still open is ended by its context, streams and WebSockets above all.
const (
	// acceptTime is what connections get whose handshake has begun, to come in.
	acceptTime = 50 * time.Millisecond
	// quietTime is how long a connection has no request before it is closed.
	quietTime = 250 * time.Millisecond
	// newTime is what a new connection gets to begin with its first request.
	newTime = time.Second
	// endTime is what requests get whose context has ended, to answer and be recorded.
	endTime = 2 * time.Second
	// recordTime is what the record gets to be stored.
	recordTime = 20 * time.Second

	drainTick = 10 * time.Millisecond
)

// drain ends the listeners as above. The end of hurry cuts short all waiting.
func (s *Server) drain(hurry context.Context) {
	s.leaving.Store(true)
	if s.cancel == nil { // it was never started
		for _, l := range s.listeners {
			_ = l.net.Close()
		}
		return
	}
	bounds := s.live.Load().cfg.Shutdown
	s.log.Info("stopping", "delay", bounds.Delay, "grace", bounds.Grace)
	fronts := slices.DeleteFunc(slices.Clone(s.listeners), func(l *listener) bool { return l.name == "metrics" })
	for _, l := range fronts {
		l.leaving.Store(true)
	}
	if bounds.Delay > 0 {
		select {
		case <-time.After(bounds.Delay):
		case <-hurry.Done():
		}
	}
	each(fronts, func(l *listener) { l.net.leave(hurry) })
	grace, cancel := context.WithTimeout(hurry, bounds.Grace)
	defer cancel()
	each(fronts, func(l *listener) { l.finish(grace) })
	// Until here it told that it is not ready, and what it does.
	each(s.listeners, func(l *listener) { l.close() })
}

func each(all []*listener, do func(*listener)) {
	var wg sync.WaitGroup
	for _, l := range all {
		wg.Go(func() { do(l) })
	}
	wg.Wait()
}

// count counts the requests that run, and says with each answer that its connection ends
// once the listener leaves. An upgrade names what it upgrades to in the same line.
func (l *listener) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.running.Add(1)
		defer l.running.Add(-1)
		if l.leaving.Load() && len(r.Header["Upgrade"]) == 0 {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// finish waits until nothing runs and every connection is quiet. When grace ends, it ends
// what still runs.
func (l *listener) finish(grace context.Context) {
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	seen := map[*patientConn]turn{}
	for !l.quiet(seen, time.Now()) {
		select {
		case <-tick.C:
		case <-grace.Done():
			l.server.SetKeepAlivesEnabled(false) // so say the answers that come now
			l.end(gateway.ErrStopping)
			for late := time.Now().Add(endTime); l.running.Load() > 0 && time.Now().Before(late); {
				<-tick.C
			}
			return
		}
	}
}

// turn is what a connection did last.
type turn struct {
	number uint32
	since  time.Time
}

// quiet reports whether nothing runs, and no connection had a request lately or is about
// to have its first one. seen is what the calls before saw.
func (l *listener) quiet(seen map[*patientConn]turn, now time.Time) bool {
	quiet := l.running.Load() == 0
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	for c := range l.net.conns {
		t, known := seen[c]
		if n := c.turns.Load(); !known || n != t.number {
			t = turn{n, now}
			seen[c] = t
		}
		patience := quietTime
		switch http.ConnState(c.state.Load()) {
		case http.StateNew:
			patience = newTime
		case http.StateActive: // a request whose header has come in part, or an answer
			patience = readHeaderTimeout
		}
		quiet = quiet && now.Sub(t.since) >= patience
	}
	return quiet
}

// close ends the listener and all of its connections, over HTTP/2 with a GOAWAY.
func (l *listener) close() {
	ctx, cancel := context.WithTimeout(context.Background(), quietTime)
	defer cancel()
	if l.server.Shutdown(ctx) != nil {
		_ = l.server.Close()
	}
	l.end(gateway.ErrStopping)
	_ = l.net.Close()
}

// turn is http.Server's ConnState.
func (l *patientListener) turn(c net.Conn, s http.ConnState) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	p, ok := c.(*patientConn)
	if !ok {
		return
	}
	p.state.Store(int32(s))
	p.turns.Add(1)
	switch s {
	case http.StateNew:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns[p] = struct{}{}
	case http.StateHijacked, http.StateClosed:
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, p)
	}
}

// leave closes the listener once it has served who was in its queue: closing alone would
// reset connections that the system has taken and that wait to be accepted.
func (l *patientListener) leave(hurry context.Context) {
	l.leaving.Store(true)
	if tcp, ok := l.Listener.(*net.TCPListener); ok && hurry.Err() == nil && refuseNew(tcp) == nil && l.lastCall() == nil {
		select {
		case <-l.empty:
		case <-hurry.Done():
		}
	}
	_ = l.Close()
}

// lastCall lets Accept wait for acceptTime only.
func (l *patientListener) lastCall() error {
	if d, ok := l.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		return d.SetDeadline(time.Now().Add(acceptTime))
	}
	return net.ErrClosed
}
