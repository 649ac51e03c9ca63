package pages

import "net/http"

// pageHeaders are those of every page, beside [web.APIHeaders]. A page runs no script, unless
// [frame.run] says so, loads the style sheet and the icon of this server, and sends its forms there.
func pageHeaders(h http.Header) {
	h["Content-Security-Policy"] = []string{"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}
	h["X-Frame-Options"] = []string{"DENY"} // for browsers that know no frame-ancestors (RFC 9700 §4.16)
	h["Cross-Origin-Opener-Policy"] = []string{"same-origin"}
	h["Permissions-Policy"] = []string{"camera=(), geolocation=(), microphone=()"}
	// With no-referrer, browsers send "Origin: null" with a form, by which one without
	// Sec-Fetch-Site could not be told from a page of another site (Fetch §3.1).
	h["Referrer-Policy"] = []string{"same-origin"}
}

// run has a page load one script of this server, which may ask this server and nobody else, and can
// make no markup and no code out of text (Trusted Types).
func (f *frame) run(h http.Header, script string) {
	f.Script = script
	h["Content-Security-Policy"] = []string{h.Get("Content-Security-Policy") + "; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"}
}
