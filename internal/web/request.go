package web

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// NewRequestID makes the id of a request, "req_…". We always make it ourselves:
// one chosen by the client could collide with, or impersonate, another record.
func NewRequestID(now time.Time) string { return gatehouse.NewID("req", now) }

// maxClientRequestID bounds the id that a client gave its request.
const maxClientRequestID = 128

// ClientRequestID returns the X-Request-Id that came with r, when it is one
// line of 1 to 128 characters that cannot forge a log record (ASVS 16.4.1),
// else "". It is kept beside our own id and never in its place.
func ClientRequestID(r *http.Request) string {
	lines := r.Header["X-Request-Id"]
	if len(lines) != 1 || lines[0] == "" || len(lines[0]) > maxClientRequestID {
		return ""
	}
	for _, c := range []byte(lines[0]) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '=', c == '+', c == '/':
		default:
			return ""
		}
	}
	return lines[0]
}

// Identify gives each request its id and the client's address, in the context
// and, for the id, in the X-Request-Id response line. now is the clock.
func Identify(proxies *Proxies, now func() time.Time, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := NewRequestID(now())
		w.Header()["X-Request-Id"] = []string{id}
		addr := ""
		if client := proxies.Client(r); client.IsValid() {
			addr = client.String()
		}
		next.ServeHTTP(w, r.WithContext(gatehouse.WithRequest(r.Context(), gatehouse.RequestFacts{ID: id, Address: addr})))
	})
}
