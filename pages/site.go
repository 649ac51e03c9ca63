package pages

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// site is where the pages of a realm are: on the host of all realms, or on one of their own.
type site struct {
	// path is what browsers see before the name of a page: "", "/realms/shop", or "/auth/realms/shop" where a proxy
	// puts "/auth" before everything.
	path string
	// base is that of what all realms share, such as the style sheet.
	base string
	// routed is what the mux sees in place of path.
	routed string
}

// site finds that of a realm; "" is main.
func (h *Handler) site(realm string) (at site) {
	if realm != "" {
		at.routed = "/realms/" + realm
	}
	issuer, err := url.Parse(h.c.Issuer(cmp.Or(realm, gatehouse.MainRealm)))
	if err != nil { // it was checked at start
		return at
	}
	at.path = issuer.EscapedPath()
	at.base = strings.TrimSuffix(at.path, at.routed)
	return at
}

// seen is a path of the mux as browsers see it.
func (s site) seen(path string) string { return s.path + strings.TrimPrefix(path, s.routed) }
