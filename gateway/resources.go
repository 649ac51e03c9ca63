package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// metadataAge is how long the metadata of an API may be kept.
const metadataAge = 5 * time.Minute

// publish answers a request for the metadata of an API (RFC 9728 §3.1), which everybody may read. It reports whether it did: what has
// a route of its own is the API's to answer.
func (g *Gateway) publish(w http.ResponseWriter, r *http.Request) bool {
	if route := g.cfg.Enforcer.Match(r); route != nil && strings.Contains(route.Pattern, enforce.WellKnownResource) {
		return false
	}
	body, err := g.cfg.Metadata(r)
	if err == nil && body == nil {
		return false
	}
	web.Identify(g.cfg.Proxies, g.cfg.Now, web.SecurityHeaders(g.cfg.Proxies, g.cfg.Problems.Handler(func(w http.ResponseWriter, r *http.Request) error {
		if err != nil {
			return err
		}
		return web.Publish(w, r, "application/json", "", metadataAge, body)
	}))).ServeHTTP(w, r)
	return true
}
