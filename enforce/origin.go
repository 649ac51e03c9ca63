package enforce

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// origin refuses requests that a page of another site made with a credential
// that browsers add unasked, such as a saved password: it shows no intent of the
// user (CSRF). It stands before the credential is verified, so that such a page
// can neither use up the user's attempts nor learn from the time that it takes.
// Origins that the route's CORS rule trusts with credentials may.
func (p *Pipeline) origin(x *Exchange, r *http.Request) error {
	if !x.presented.Ambient() || !p.crossSite(r, x.point.Tickets) || trustsOrigin(x.route.CORS, r.Header["Origin"]) {
		return nil
	}
	return web.ErrCrossOrigin.With(fmt.Errorf("the page's Origin %.120q, Sec-Fetch-Site %.40q", r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")))
}

// crossSite reports whether a page of another site made the request, and it is
// one that can change something: any but GET, HEAD and OPTIONS, whose answers
// that page cannot read, or a WebSocket, which is opened by GET and then goes
// both ways, readable for whoever opened it.
//
// unsafe says that it changes something whatever its method.
func (p *Pipeline) crossSite(r *http.Request, unsafe bool) bool {
	if !unsafe && !opensWebSocket(r) {
		return p.sameOrigin.Check(r) != nil // by Sec-Fetch-Site, else by Origin
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		origin := r.Header.Get("Origin")
		u, err := url.Parse(origin)
		return origin != "" && (err != nil || !strings.EqualFold(u.Host, r.Host))
	}
	return true
}

// opensWebSocket reports the opening handshake of a WebSocket (RFC 6455 §4.1).
// A proxy that asks about a request has taken the hop-by-hop lines Connection and
// Upgrade away, so the lines that only this handshake has count as well.
func opensWebSocket(r *http.Request) bool {
	h := r.Header
	return len(h["Sec-Websocket-Key"]) > 0 || len(h["Sec-Websocket-Version"]) > 0 ||
		slices.ContainsFunc(h["Upgrade"], func(v string) bool { return strings.Contains(strings.ToLower(v), "websocket") }) ||
		h.Get("Sec-Fetch-Mode") == "websocket"
}

// trustsOrigin reports whether c lets pages of the one origin act with credentials.
func trustsOrigin(c *CORS, origin []string) bool {
	return c != nil && c.Credentials && len(origin) == 1 && origin[0] != "null" && origin[0] != "*" && slices.Contains(c.Origins, origin[0])
}
