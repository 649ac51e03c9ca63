package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Publish answers a GET of a public document: cacheable for maxAge, revalidated by entity
// tag (RFC 9110 §8.8.3, §13.1.2). An empty tag is computed from the body. Any
// origin may read it, and ask first whether it may: it holds nothing that depends on who asks, nor on a query,
// which some clients add (?kid=…, ?v=2) and which is ignored.
func Publish(w http.ResponseWriter, r *http.Request, contentType, etag string, maxAge time.Duration, body []byte) error {
	if asked, _, ok := Preflight(r); ok && asked == http.MethodGet { // some scripts add lines of their own
		AnswerPreflight(w, "*", asked, false, everyLine, publicPreflightAge)
		return nil
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return MethodNotAllowed(http.MethodGet, http.MethodHead)
	}
	if etag == "" {
		etag = TagOf(body)
	}
	if !strings.HasPrefix(etag, `"`) {
		etag = `"` + etag + `"`
	}
	h := w.Header()
	delete(h, "Referrer-Policy") // data has no links to follow
	h["Etag"] = []string{etag}
	h["Cache-Control"] = []string{"public, max-age=" + strconv.Itoa(int(maxAge/time.Second)) + ", must-revalidate"}
	h["Access-Control-Allow-Origin"] = anybody
	h["Cross-Origin-Resource-Policy"] = crossOrigin
	h["X-Content-Type-Options"] = nosniff.values
	if matches(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"] = []string{contentType}
	if len(body) > counted || r.Method == http.MethodHead {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
	return nil
}

// TagOf is an entity tag that follows from the body alone, the same on all nodes.
func TagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
}

// counted is up to what size net/http counts a body by itself. Eight lines are
// what a small map holds: one more makes each answer dearer by a tenth.
const counted = 2048

// Values of lines that are the same in all answers; nobody may write into them.
var (
	anybody     = []string{"*"}
	crossOrigin = []string{"cross-origin"}
	everyLine   = []string{"*"}
)

// matches compares weakly, as If-None-Match asks (RFC 9110 §13.1.2).
func matches(lines []string, etag string) bool {
	for _, line := range lines {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
			if candidate == "*" || candidate == etag {
				return true
			}
		}
	}
	return false
}

// publicPreflightAge is how long browsers remember that every page may read what is published.
const publicPreflightAge = 24 * time.Hour
