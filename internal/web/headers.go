package web

import "net/http"

// HSTS is sent on every response to a request that came over TLS (ASVS 3.4.1:
// at least a year). Subdomains are not ours to bind.
const HSTS = "max-age=63072000"

// apiHeaders are set on API responses. The names are in canonical form.
var apiHeaders = [...][2]string{
	{"X-Content-Type-Options", "nosniff"},
	{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
	{"Referrer-Policy", "no-referrer"},
	{"X-Frame-Options", "DENY"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
}

// APIHeaders sets the security headers of an answer that no browser should
// render, cache, frame or sniff. secure adds HSTS: pass whether the client used
// TLS, see [Proxies.Scheme].
func APIHeaders(h http.Header, secure bool) {
	for _, kv := range apiHeaders {
		h[kv[0]] = []string{kv[1]}
	}
	h["Cache-Control"] = []string{"no-store"}
	if secure {
		h["Strict-Transport-Security"] = []string{HSTS}
	}
}

// UpstreamHeaders sets on a forwarded answer what the upstream did not set
// itself, leaving its content policy and caching alone.
func UpstreamHeaders(h http.Header, secure bool) {
	for _, kv := range [...][2]string{{"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "no-referrer"}} {
		if len(h[kv[0]]) == 0 {
			h[kv[0]] = []string{kv[1]}
		}
	}
	if secure && len(h["Strict-Transport-Security"]) == 0 {
		h["Strict-Transport-Security"] = []string{HSTS}
	}
}

// PageHeaders sets the headers of an HTML page: its own styles, scripts, images
// and forms only, no frames, no storage in caches.
func PageHeaders(h http.Header, secure bool) {
	APIHeaders(h, secure)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "+
		"font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// SecurityHeaders sets [APIHeaders] before next runs; next may replace them.
func SecurityHeaders(proxies *Proxies, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		APIHeaders(w.Header(), proxies.Scheme(r) == "https")
		next.ServeHTTP(w, r)
	})
}
