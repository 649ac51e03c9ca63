package enforce

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
)

// Verdict is the outcome of the pipeline for one request. The zero value denies.
type Verdict struct {
	Allowed   bool
	Route     *Route // nil: no rule matched
	Principal *gatehouse.Principal
	Decision  gatehouse.Decision
	// Err is why not; never nil when Allowed is false.
	Err *gatehouse.Error
	// Header goes on the response either way: WWW-Authenticate lines,
	// RateLimit fields, Retry-After.
	Header http.Header
	// Params are the path parameters of the match.
	Params map[string]string
}
