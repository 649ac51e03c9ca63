package web

import (
	"net/http"
	"strings"
)

// HSTS is sent on every response to a request that came over TLS (ASVS 3.4.1:
// at least a year). Subdomains are not ours to bind.
const HSTS = "max-age=63072000"

// line is a header line whose values are shared by all answers: nobody may write
// into the slice. (Adding to it makes another: it has no room.)
type line struct {
	name   string // in canonical form
	values []string
}

// apiHeaders are set on API responses.
var apiHeaders = [...]line{
	nosniff,
	// frame-ancestors says all that X-Frame-Options does (ASVS 3.4.6).
	{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
	noReferrer,
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
	{"Cache-Control", []string{"no-store"}},
}

var (
	nosniff    = line{"X-Content-Type-Options", []string{"nosniff"}}
	noReferrer = line{"Referrer-Policy", []string{"no-referrer"}}
	hsts       = line{"Strict-Transport-Security", []string{HSTS}}
)

// APIHeaders sets the security headers of an answer that no browser should
// render, cache, frame or sniff. secure adds HSTS: pass whether the client used
// TLS, see [Proxies.Scheme].
func APIHeaders(h http.Header, secure bool) {
	for i := range apiHeaders {
		h[apiHeaders[i].name] = apiHeaders[i].values
	}
	if secure {
		h[hsts.name] = hsts.values
	}
}

// PageHeaders sets what differs from [APIHeaders] on a page for browsers: it may be
// rendered, with the styles that are named (sources of CSP Level 3 §2.3.1, such as a
// hash), and still runs no script, loads nothing and stands in no frame.
func PageHeaders(h http.Header, styles string) {
	h["Content-Security-Policy"] = []string{"default-src 'none'; style-src " + styles + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	h["Cross-Origin-Opener-Policy"] = []string{"same-origin"}
	h["Permissions-Policy"] = []string{"camera=(), geolocation=(), microphone=()"}
}

// UpstreamHeaders sets on a forwarded answer what the upstream did not set
// itself, leaving its content policy and caching alone. JSON has no links to
// follow and gets no Referrer-Policy.
func UpstreamHeaders(h http.Header, secure bool) {
	if len(h[nosniff.name]) == 0 {
		h[nosniff.name] = nosniff.values
	}
	if len(h[noReferrer.name]) == 0 && !isJSON(h["Content-Type"]) {
		h[noReferrer.name] = noReferrer.values
	}
	if secure && len(h[hsts.name]) == 0 {
		h[hsts.name] = hsts.values
	}
}

func isJSON(contentType []string) bool {
	if len(contentType) != 1 {
		return false
	}
	t, _, _ := strings.Cut(contentType[0], ";")
	return t == "application/json"
}

// SecurityHeaders sets [APIHeaders] before next runs; next may replace them.
func SecurityHeaders(proxies *Proxies, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		APIHeaders(w.Header(), proxies.Scheme(r) == "https")
		next.ServeHTTP(w, r)
	})
}
