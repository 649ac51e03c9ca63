package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// allowedOrigin is the Access-Control-Allow-Origin value for an origin, or "".
// "*" is never combined with credentials: any site could then read as the user.
func allowedOrigin(c *enforce.CORS, origin string) string {
	if origin != "" && origin != "null" && origin != "*" && slices.Contains(c.Origins, origin) {
		return origin
	}
	if slices.Contains(c.Origins, "*") && !c.Credentials {
		return "*"
	}
	return ""
}

// setCORS sets the lines of an actual answer (Fetch §3.2). The gateway owns CORS
// where the route has a rule; else what the upstream says stays.
func setCORS(h http.Header, c *enforce.CORS, r *http.Request) {
	if c == nil {
		return
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(h, name)
		}
	}
	if !slices.Contains(c.Origins, "*") || c.Credentials {
		h["Vary"] = append(h["Vary"], "Origin")
	}
	origin := allowedOrigin(c, r.Header.Get("Origin"))
	if origin == "" || r.Header.Get("Origin") == "" {
		return
	}
	web.Readable(h, origin, c.Credentials, c.Expose...)
}

// preflight answers a CORS preflight (Fetch §4.8) for a route that has a rule,
// and reports whether it did. Browsers send preflights without credentials, so
// the pipeline would refuse them all; nothing is forwarded. It says no more than
// the rule: an origin that is not allowed gets the same answer without the lines.
func preflight(w http.ResponseWriter, r *http.Request, enforcer Enforcer, proxies *web.Proxies, id string) bool {
	method, origin, ok := web.Preflight(r)
	if !ok {
		return false
	}
	asked := r.Clone(r.Context())
	asked.Method = method
	route := enforcer.Match(asked)
	if route == nil || route.CORS == nil {
		return false
	}
	c, h := route.CORS, w.Header()
	web.APIHeaders(h, proxies.Scheme(r) == "https")
	if id != "" {
		h[headerRequestID] = []string{id}
	}
	allow := allowedOrigin(c, origin)
	if !allowedMethod(c, method) {
		allow = ""
	}
	web.AnswerPreflight(w, allow, method, c.Credentials, c.Headers, c.MaxAge)
	return true
}

func allowedMethod(c *enforce.CORS, method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodPost || slices.Contains(c.Methods, method)
}
