package server

import (
	"net/http"
	"sync"
	"time"
)

// boundAnswers bounds, over HTTP/2, how long an answer waits for a client that opens no window for it. Such a client reads
// its connection, so that [patientConn] never ends it, and needs no credential to hold as many answers, each with its
// goroutine, as it makes requests (CVE-2019-9511, CVE-2019-9517).
func boundAnswers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 {
			h.ServeHTTP(w, r)
			return
		}
		a := &patientAnswer{ResponseWriter: w, c: http.NewResponseController(w)}
		h.ServeHTTP(a, r)
		if a.unsent {
			// The server sends the rest when the handler has returned, and nobody hears when it has done so.
			_ = a.c.SetWriteDeadline(time.Now().Add(writeTimeout))
		}
	})
}

// answerPart is how much of an answer has writeTimeout. A client that takes what is long, and slowly, takes it.
const answerPart = 32 << 10

// patientAnswer ends a stream of HTTP/2 when a write to it waits for longer than writeTimeout. The deadline that net/http has
// for that would end the stream also when nothing is being written: it is only set, into the past, when time is up.
type patientAnswer struct {
	http.ResponseWriter
	c      *http.ResponseController
	unsent bool // something was written after the last flush

	mu    sync.Mutex
	timer *time.Timer
	since time.Time // when the write began that waits; zero when none does
}

func (a *patientAnswer) Write(b []byte) (int, error) {
	a.unsent = true
	for n := 0; ; {
		a.begin()
		k, err := a.ResponseWriter.Write(b[n:min(len(b), n+answerPart)])
		a.end()
		if n += k; err != nil || n >= len(b) {
			return n, err
		}
	}
}

// FlushError is what http.ResponseController calls.
func (a *patientAnswer) FlushError() error {
	a.unsent = false
	a.begin()
	defer a.end()
	return a.c.Flush()
}

// Unwrap is for http.ResponseController.
func (a *patientAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *patientAnswer) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = time.Now()
	if a.timer == nil {
		a.timer = time.AfterFunc(writeTimeout, a.cut)
		return
	}
	a.timer.Reset(writeTimeout)
}

func (a *patientAnswer) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = time.Time{}
	a.timer.Stop()
}

// cut ends the stream, unless the write has ended meanwhile: then the server may have the writer no more.
func (a *patientAnswer) cut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.since.IsZero() && time.Since(a.since) >= writeTimeout {
		_ = a.c.SetWriteDeadline(time.Unix(1, 0))
	}
}
