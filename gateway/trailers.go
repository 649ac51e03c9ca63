package gateway

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// forbiddenTrailers are answer lines that mean nothing, or the wrong thing, behind an
// answer, in the form of normalName: clients that merge trailers into the header would
// set a cookie or lose a rule that the header has (RFC 9110 §6.5.1).
var forbiddenTrailers = map[string]bool{
	"set-cookie": true, "set-cookie2": true, "clear-site-data": true, "location": true, "content-location": true, "refresh": true, "link": true,
	"www-authenticate": true, "authorization": true, "proxy-authenticate": true, "proxy-authorization": true,
	"cache-control": true, "expires": true, "age": true, "pragma": true, "vary": true, "date": true, "warning": true, "retry-after": true,
	"content-encoding": true, "content-type": true, "content-range": true, "content-length": true, "content-disposition": true,
	"transfer-encoding": true, "connection": true, "keep-alive": true, "upgrade": true, "te": true, "trailer": true, "host": true,
	"strict-transport-security": true, "content-security-policy": true, "content-security-policy-report-only": true,
	"x-content-type-options": true, "x-frame-options": true, "referrer-policy": true, "permissions-policy": true,
	"cross-origin-resource-policy": true, "cross-origin-opener-policy": true, "cross-origin-embedder-policy": true,
	"ratelimit": true, "ratelimit-policy": true, "x-request-id": true, "allow": true, "accept-ranges": true,
}

// filterTrailer keeps out of an answer's trailers what is kept out of its header,
// said there by us, or meant for a header only.
func filterTrailer(h http.Header) {
	for name := range h {
		n := normalName(name)
		if !answers(name) || !httpguts.ValidTrailerHeader(name) || forbiddenTrailers[n] || strings.HasPrefix(n, "access-control-") {
			delete(h, name)
		}
	}
}

// trailerAllowed keeps out of a request's trailers what is kept out of its header:
// some servers merge the two.
func trailerAllowed(name string, e *exchange) bool {
	n := normalName(name)
	return httpguts.ValidTrailerHeader(name) && !identityName(name, e.g.strip, e.up.protected) && !credentialName(name) && !endsHere(name, &e.v) &&
		n != "cookie" && n != "host" && !forbiddenTrailers[n]
}
