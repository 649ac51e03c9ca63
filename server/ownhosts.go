package server

import (
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// ownHosts are the realms at hosts of their own. It is immutable.
type ownHosts struct {
	issuer map[string]string // of a realm
	realm  map[string]string // of a host name
}

// newOwnHosts takes the issuers of realms at hosts of their own. A port 0 stands for that of the auth listener.
func newOwnHosts(of map[string]string, auth net.Addr) ownHosts {
	h := ownHosts{issuer: maps.Clone(of), realm: map[string]string{}}
	for realm, issuer := range of {
		h.issuer[realm] = withPort(issuer, auth)
		if u, err := url.Parse(issuer); err == nil { // it was checked
			h.realm[web.HostName(u.Host)] = realm
		}
	}
	return h
}

// Metadata of an issuer with a path has this before the path (RFC 8414 §3.1).
const wellKnownMetadata = "/.well-known/oauth-authorization-server"

// only has each of these realms found at its host and nowhere else: cookies and passkeys belong to a host, and what
// checks tokens compares the issuer. next knows realms by their paths.
func (h ownHosts) only(p *web.Problems, next http.Handler) http.Handler {
	if len(h.realm) == 0 {
		return next
	}
	return p.Handler(func(w http.ResponseWriter, r *http.Request) error {
		if realm, ok := h.realm[web.HostName(r.Host)]; ok {
			if r.URL.Path == "/" { // for people who know no more than the name
				w.Header().Set("Location", "/account")
				w.WriteHeader(http.StatusSeeOther)
				return nil
			}
			next.ServeHTTP(w, below(r, realm))
			return nil
		}
		realm := realmIn(r.URL.Path)
		issuer := h.issuer[realm]
		switch {
		case issuer == "":
			next.ServeHTTP(w, r)
			return nil
		case r.Method != http.MethodGet && r.Method != http.MethodHead: // what is sent is not carried from host to host
			return errElsewhere
		}
		to := *r.URL
		to.Path, to.RawPath = strings.Replace(to.Path, "/realms/"+realm, "", 1), strings.Replace(to.RawPath, "/realms/"+realm, "", 1)
		w.Header().Set("Location", issuer+to.RequestURI())
		w.WriteHeader(http.StatusFound)
		return nil
	})
}

var errElsewhere = gatehouse.E(gatehouse.NotFound, "realm_elsewhere", "This realm is at a host of its own, which the Location line of a GET of this address names.")

// realmIn is the realm that a path of next names; "" for none.
func realmIn(path string) string {
	path = strings.TrimPrefix(path, wellKnownMetadata)
	rest, ok := strings.CutPrefix(path, "/realms/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// below is r as next has it: with the realm in the path, but for what all realms share.
func below(r *http.Request, realm string) *http.Request {
	path := r.URL.Path
	if strings.HasPrefix(path, "/ui/") || strings.HasPrefix(path, "/errors/") {
		return r
	}
	out, u := *r, *r.URL
	out.URL = &u
	if path == wellKnownMetadata {
		u.Path = path + "/realms/" + realm
		return &out
	}
	u.Path = "/realms/" + realm + path
	if u.RawPath != "" {
		u.RawPath = "/realms/" + realm + u.RawPath
	}
	return &out
}
