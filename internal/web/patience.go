package web

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// lingering is how long net/http may read what a handler left of a body, in
// order to keep the connection.
const lingering = time.Second

// Patience bounds the time in which a caller must have sent a request's body.
// The server's own ReadTimeout would also end what happens after the body:
// streams, and work that takes long. A nil *Patience, of a request without a
// body, bounds nothing.
//
// Without it a caller who announces a body and sends a byte now and then holds a
// connection and a goroutine for ever, and needs no credential for it: also after
// a refusal, net/http reads what it takes for the rest of the request first.
type Patience struct {
	rc *http.ResponseController

	mu    sync.Mutex
	ended bool // nothing more will be read of this body
}

// BoundBody gives the caller until d from now to send the body of r, and replaces
// r.Body. Done is to be called when the handler has returned.
func BoundBody(w http.ResponseWriter, r *http.Request, d time.Duration) *Patience {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	p := &Patience{rc: http.NewResponseController(w)}
	p.Allow(d)
	r.Body = &patientBody{ReadCloser: r.Body, p: p}
	return p
}

// Allow replaces the bound: d from now, or none when d is 0. A body that was read
// to its end stays unbounded.
func (p *Patience) Allow(d time.Duration) { p.bound(d, false) }

// Cut ends a read that waits for the caller, and every later one.
func (p *Patience) Cut() { p.bound(-time.Second, false) }

// Done hands the connection back to the server.
func (p *Patience) Done() { p.bound(lingering, true) }

func (p *Patience) bound(d time.Duration, last bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ended = last
	var t time.Time
	if d != 0 {
		t = time.Now().Add(d)
	}
	_ = p.rc.SetReadDeadline(t) // the writer of a test may have none
}

type patientBody struct {
	io.ReadCloser
	p *Patience
}

// Read lifts the bound at the end: from then on the server looks out for the
// caller's leaving, and would take the deadline for it.
func (b *patientBody) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf)
	if errors.Is(err, io.EOF) {
		b.p.bound(0, true)
	}
	return n, err
}
