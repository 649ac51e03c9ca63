package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// aliased are the paths that clients with certificates call at an address of their own (RFC 8705 §5), by their names in metadata.
func aliased() map[string]string {
	return map[string]string{"token_endpoint": "/token", "introspection_endpoint": "/introspect", "revocation_endpoint": "/revoke",
		"pushed_authorization_request_endpoint": "/par", "device_authorization_endpoint": "/device_authorization", "userinfo_endpoint": "/userinfo",
		"backchannel_authentication_endpoint": "/backchannel-authentication"}
}

// certificates are those that the client of r showed.
func (s *Server) certificates(r *http.Request) ([]*x509.Certificate, error) {
	return s.live.Load().proxies.Certificates(r)
}

// tokenCertificates is certificates for the endpoints of tokens; nil where none can come there.
func (s *Server) tokenCertificates() func(*http.Request) ([]*x509.Certificate, error) {
	if !s.cfg.ClientCertificates.Taken() {
		return nil
	}
	return s.certificates
}

// requestCertificates has a listener ask for a certificate and take none as well. Who issued it is looked at where it matters, and
// differs from realm to realm; that the client has its key, the handshake proves.
func (l *listener) requestCertificates() { l.server.TLSConfig.ClientAuth = tls.RequestClientCert }

type mtlsKey struct{}

// toAliases marks the requests of the listener for clients with certificates.
func toAliases(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), mtlsKey{}, true)))
	})
}

// atAlias reports whether r came to the address of clients with certificates: at its listener, or by its name through a proxy.
func (s *Server) atAlias(r *http.Request) bool {
	if r.Context().Value(mtlsKey{}) != nil {
		return true
	}
	u, err := url.Parse(s.aliases)
	return s.aliases != "" && err == nil && strings.EqualFold(strings.TrimSuffix(r.Host, ":443"), strings.TrimSuffix(u.Host, ":443"))
}

// withAliases serves the endpoints of tokens, and nothing for people, at the address of clients with certificates, where realms with
// hosts of their own are found by their paths as all others; elsewhere next answers.
func (s *Server) withAliases(all, next http.Handler) http.Handler {
	paths := slices.Collect(maps.Values(aliased()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.atAlias(r) {
			next.ServeHTTP(w, r)
			return
		}
		path := r.URL.Path
		if realm := realmIn(path); realm != "" {
			path = strings.TrimPrefix(path, "/realms/"+realm)
		}
		if !slices.Contains(paths, path) {
			s.problems.Write(w, r, gatehouse.ErrNotFound)
			return
		}
		all.ServeHTTP(w, r)
	})
}

// describeAliases adds to a realm's metadata where clients with certificates go (RFC 8705 §5, §3.3), behind all other endpoints.
func (s *Server) describeAliases(m map[string]any, r gatehouse.Realm, base string) {
	if s.cfg.ClientCertificates.Taken() {
		m["tls_client_certificate_bound_access_tokens"] = true
	}
	if s.aliases == "" {
		return
	}
	at, out := s.aliases, map[string]string{}
	if r.Name != gatehouse.MainRealm {
		at += "/realms/" + url.PathEscape(r.Name)
	}
	for name, path := range aliased() {
		if m[name] == base+path {
			out[name] = at + path
		}
	}
	m["mtls_endpoint_aliases"] = out
}

// useAliases takes the listener for clients with certificates, nil where there is none, before anything is served.
func (s *Server) useAliases(l *listener) {
	s.aliases = s.cfg.ClientCertificates.URL
	if l != nil {
		l.requestCertificates()
		s.aliases = withPort(s.aliases, l.net.Addr())
	}
}
