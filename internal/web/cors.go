package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// exposed are the lines of every answer that a page may read which may read the answer.
const exposed = "X-Request-Id, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, DPoP-Nonce"

// Readable lets the pages of an origin, "*" for all, read an answer, also those of its lines that are named (Fetch §3.2).
func Readable(h http.Header, origin string, credentials bool, expose ...string) {
	h["Access-Control-Allow-Origin"] = []string{origin}
	if credentials {
		h["Access-Control-Allow-Credentials"] = []string{"true"}
	}
	h["Access-Control-Expose-Headers"] = []string{strings.Join(append([]string{exposed}, expose...), ", ")}
	delete(h, "Cross-Origin-Resource-Policy") // APIHeaders says same-origin
}

// Unreadable takes back what [Readable] allowed.
func Unreadable(h http.Header) {
	for _, name := range [...]string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers"} {
		delete(h, name)
	}
	h["Cross-Origin-Resource-Policy"] = sameOrigin
}

var sameOrigin = []string{"same-origin"}

// Preflight reports whether r is the question of a browser whether a page of origin may send a request by method (Fetch §4.8).
func Preflight(r *http.Request) (method, origin string, ok bool) {
	method, origin = r.Header.Get("Access-Control-Request-Method"), r.Header.Get("Origin")
	return method, origin, r.Method == http.MethodOptions && method != "" && origin != ""
}

// AnswerPreflight answers such a question: pages of allow, "*" for all and "" for none, may send a request by method with those headers. Who
// is refused gets the same answer without the lines.
func AnswerPreflight(w http.ResponseWriter, allow, method string, credentials bool, headers []string, maxAge time.Duration) {
	h := w.Header()
	h["Vary"] = []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	if allow != "" {
		h["Access-Control-Allow-Origin"] = []string{allow}
		h["Access-Control-Allow-Methods"] = []string{method}
		if credentials {
			h["Access-Control-Allow-Credentials"] = []string{"true"}
		}
		if len(headers) > 0 {
			h["Access-Control-Allow-Headers"] = []string{strings.Join(headers, ", ")}
		}
		if maxAge > 0 {
			h["Access-Control-Max-Age"] = []string{strconv.Itoa(int(maxAge / time.Second))}
		}
		delete(h, "Cross-Origin-Resource-Policy")
	}
	w.WriteHeader(http.StatusNoContent)
}
