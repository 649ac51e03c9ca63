package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

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
	h["Access-Control-Allow-Origin"] = []string{origin}
	if c.Credentials {
		h["Access-Control-Allow-Credentials"] = []string{"true"}
	}
	expose := append([]string{headerRequestID, "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "DPoP-Nonce"}, c.Expose...)
	h["Access-Control-Expose-Headers"] = []string{strings.Join(expose, ", ")}
	// The page of an allowed origin may read it; APIHeaders says same-origin.
	delete(h, "Cross-Origin-Resource-Policy")
}

// preflight answers a CORS preflight (Fetch §4.8) for a route that has a rule,
// and reports whether it did. Browsers send preflights without credentials, so
// the pipeline would refuse them all; nothing is forwarded. It says no more than
// the rule: an origin that is not allowed gets the same answer without the lines.
func preflight(w http.ResponseWriter, r *http.Request, enforcer Enforcer, proxies *web.Proxies, id string) bool {
	method := r.Header.Get("Access-Control-Request-Method")
	origin := r.Header.Get("Origin")
	if r.Method != http.MethodOptions || method == "" || origin == "" {
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
	h["Vary"] = []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	if allow := allowedOrigin(c, origin); allow != "" && allowedMethod(c, method) {
		h["Access-Control-Allow-Origin"] = []string{allow}
		h["Access-Control-Allow-Methods"] = []string{method}
		if c.Credentials {
			h["Access-Control-Allow-Credentials"] = []string{"true"}
		}
		if len(c.Headers) > 0 {
			h["Access-Control-Allow-Headers"] = []string{strings.Join(c.Headers, ", ")}
		}
		if c.MaxAge > 0 {
			h["Access-Control-Max-Age"] = []string{strconv.Itoa(int(c.MaxAge / time.Second))}
		}
		delete(h, "Cross-Origin-Resource-Policy")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

func allowedMethod(c *enforce.CORS, method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodPost || slices.Contains(c.Methods, method)
}
