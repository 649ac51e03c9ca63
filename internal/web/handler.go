package web

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// HandlerFunc is a handler that returns its failure in place of writing it.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Handler adapts fn: an error that it returns becomes a problem response. When
// fn had begun its response already, the connection is cut, so that a client
// cannot take half an answer for a whole one. That is an error of ours, unless the
// answer could not be written: anybody can leave one unread.
func (p *Problems) Handler(fn HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := Track(w)
		err := fn(t, r)
		if err == nil {
			return
		}
		switch {
		case t.lost != nil:
			p.untaken().note(r.Context(), t.lost)
			panic(http.ErrAbortHandler)
		case t.started():
			p.Log(r, "error after the response began", err)
			panic(http.ErrAbortHandler)
		}
		p.Write(t, r, err)
	})
}

// Recover answers 500 when next panics, logs the value and the stack under the
// request id, and then calls onPanic (which may be nil). http.ErrAbortHandler
// passes through: it is how a handler cuts a connection on purpose. So is the failure to
// write an answer, with which the router of the management API panics.
func (p *Problems) Recover(next http.Handler, onPanic func(r *http.Request, value any)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := Track(w)
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			} else if ok && t.lost != nil && errors.Is(err, t.lost) {
				p.untaken().note(r.Context(), t.lost)
				panic(http.ErrAbortHandler)
			}
			if p != nil && p.Logger != nil {
				p.Logger.ErrorContext(r.Context(), "panic", slog.Any("value", v), slog.String("stack", string(debug.Stack())))
			}
			if onPanic != nil {
				onPanic(r, v)
			}
			if t.started() {
				panic(http.ErrAbortHandler)
			}
			p.Write(t, r, errPanic)
		}()
		next.ServeHTTP(t, r)
	})
}

var errPanic = errors.New("web: handler panicked")

func (p *Problems) untaken() *Untaken {
	if p == nil {
		return nil
	}
	return p.Untaken
}

// Log tells the operator of an error that a caller is not shown.
func (p *Problems) Log(r *http.Request, msg string, err error) {
	if p != nil && p.Logger != nil {
		p.Logger.ErrorContext(r.Context(), msg, slog.Any("error", err))
	}
}

// Tracked is a ResponseWriter that knows what was sent through it. Flushing and
// hijacking work through http.ResponseController.
type Tracked struct {
	http.ResponseWriter
	status int
	bytes  int64
	lost   error // what a write of the body failed with
}

// Track wraps w, or returns it when it is a *Tracked already.
func Track(w http.ResponseWriter) *Tracked {
	if t, ok := w.(*Tracked); ok {
		return t
	}
	return &Tracked{ResponseWriter: w}
}

// Status is the final status sent, or 0 when none was (200 once a body began).
func (t *Tracked) Status() int { return t.status }

// Bytes is how much of the body was written.
func (t *Tracked) Bytes() int64 { return t.bytes }

// started reports whether a final status was sent.
func (t *Tracked) started() bool { return t.status != 0 }

// WriteHeader implements http.ResponseWriter. Informational responses (1xx) may
// precede the final one, except 101, which is final.
func (t *Tracked) WriteHeader(status int) {
	if t.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		t.status = status
	}
	t.ResponseWriter.WriteHeader(status)
}

func (t *Tracked) Write(b []byte) (int, error) {
	if t.status == 0 {
		t.status = http.StatusOK
	}
	n, err := t.ResponseWriter.Write(b)
	t.bytes += int64(n)
	if err != nil {
		t.lost = err
	}
	return n, err
}

// ReadFrom keeps the fast path of the server's own writer for io.Copy.
func (t *Tracked) ReadFrom(src io.Reader) (int64, error) {
	if t.status == 0 {
		t.status = http.StatusOK
	}
	n, err := io.Copy(t.ResponseWriter, src)
	t.bytes += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (t *Tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }
