package endpoint

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

var errQuery = gatehouse.E(gatehouse.Invalid, "query_not_allowed", "This endpoint takes no query parameters; secrets never belong into a URL.")

// serve answers a public document: cacheable for maxAge, revalidated by entity
// tag (RFC 9110 §8.8.3, §13.1.2). An empty tag is computed from the body. Any
// origin may read it: it holds nothing that depends on who asks.
func serve(w http.ResponseWriter, r *http.Request, contentType, etag string, maxAge time.Duration, body []byte) error {
	if r.URL.RawQuery != "" {
		return errQuery
	}
	if etag == "" {
		sum := sha256.Sum256(body)
		etag = base64.RawURLEncoding.EncodeToString(sum[:18])
	}
	if !strings.HasPrefix(etag, `"`) {
		etag = `"` + etag + `"`
	}
	h := w.Header()
	h.Set("ETag", etag)
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(maxAge/time.Second))+", must-revalidate")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	if matches(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
	return nil
}

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
