package web

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
)

var errNotFound = gatehouse.E(gatehouse.NotFound, "not_found", "There is nothing here.")

// Mux serves mux, with its own plain-text 404 and 405 answers turned into
// problems like every other.
func (p *Problems) Mux(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &probeWriter{header: http.Header{}}
		h.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			p.Write(w, r, MethodNotAllowed(probe.header.Get("Allow")))
			return
		}
		p.Write(w, r, errNotFound)
	})
}

// probeWriter learns what a handler would answer.
type probeWriter struct {
	header http.Header
	status int
}

func (w *probeWriter) Header() http.Header { return w.header }
func (w *probeWriter) Write(b []byte) (int, error) {
	return len(b), nil
}
func (w *probeWriter) WriteHeader(status int) { w.status = status }
