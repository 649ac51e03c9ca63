package enforce

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// Verdict is the outcome of the pipeline for one request. The zero value denies.
type Verdict struct {
	Allowed   bool
	Route     *Route // nil: no rule matched
	Principal *gatehouse.Principal
	Decision  gatehouse.Decision
	// Err is why not; never nil when Allowed is false.
	Err *gatehouse.Error
	// Header goes on the response to a refusal: WWW-Authenticate lines, Allow,
	// Retry-After.
	Header http.Header
	// Limits are the rates this request was counted under; they become the
	// RateLimit fields of the response either way.
	Limits []limit.Item
	// Credentials are the header fields in which the route reads credentials; they
	// end here, as Authorization and X-API-Key always do but where Foreign names
	// them: fields that the route does not read and that hold nothing of ours.
	Credentials, Foreign []string
	// Subprotocol is what the answer to a WebSocket's handshake selects when the API
	// selects nothing of what it was offered; "" for nothing.
	Subprotocol string
	// InURL: the URL that the client asked for carried the credential, a ticket. It is
	// out of the request by now; no answer may make the client repeat that URL.
	InURL bool
	// SignIn: a person who signs in may get what was refused: nothing was shown, or a session
	// that does not count, to a route that accepts sessions.
	SignIn bool
	// Params are the path parameters of the match.
	Params map[string]string
}

// SetHeader writes Header and Limits into the header of a response.
func (v *Verdict) SetHeader(h http.Header) {
	for name, lines := range v.Header {
		h[http.CanonicalHeaderKey(name)] = lines
	}
	limit.SetHeader(h, v.Limits...)
}
