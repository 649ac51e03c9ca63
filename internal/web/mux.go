package web

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
)

// Mux serves mux, with its own plain-text 404 and 405 answers turned into
// problems like every other. It takes the pattern "/" of mux for itself.
func (p *Problems) Mux(mux *http.ServeMux) http.Handler {
	mux.Handle("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allowed := allowedMethods(mux, r); len(allowed) > 0 {
			p.Write(w, r, MethodNotAllowed(allowed...))
			return
		}
		p.Write(w, r, gatehouse.ErrNotFound)
	}))
	return mux
}

// allowedMethods are those for which mux has another pattern than "/", which has every
// method. It costs a look-up for each, for requests that are refused anyway.
func allowedMethods(mux *http.ServeMux, r *http.Request) (allowed []string) {
	probe := *r
	for _, probe.Method = range [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		if _, pattern := mux.Handler(&probe); pattern != "/" {
			allowed = append(allowed, probe.Method)
		}
	}
	return allowed
}
