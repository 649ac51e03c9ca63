package pages

import "net/http"

// pageHeaders are those of every page, beside [web.APIHeaders]. A page runs no script, loads
// the style sheet and the icon of this server, and sends its forms there.
func pageHeaders(h http.Header) {
	h["Content-Security-Policy"] = []string{"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}
	h["Cross-Origin-Opener-Policy"] = []string{"same-origin"}
	h["Permissions-Policy"] = []string{"camera=(), geolocation=(), microphone=()"}
	// With no-referrer, browsers send "Origin: null" with a form, by which one without
	// Sec-Fetch-Site could not be told from a page of another site (Fetch §3.1).
	h["Referrer-Policy"] = []string{"same-origin"}
}
