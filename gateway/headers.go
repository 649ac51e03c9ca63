package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
)

// Response and request header names of ours.
const (
	HeaderAssertion = "X-Gatehouse-Assertion"
	headerRequestID = "X-Request-Id"
)

// strippedNames are request headers that never pass from the caller to an
// upstream, in the form of normalName. Two sorts: those that programs behind an
// authenticating proxy take for the caller's identity or origin, and those by
// which frameworks let the caller replace the method or path of the request line,
// which would make the upstream do something else than was judged.
var strippedNames = map[string]bool{
	"remote-user": true, "remote-name": true, "remote-email": true, "remote-groups": true, "remote-addr": true,
	"x-remote-user": true, "x-remote-group": true, "x-remote-groups": true, "x-remote-addr": true, "x-remote-ip": true,
	"x-user": true, "x-user-id": true, "x-user-name": true, "x-username": true, "x-user-email": true,
	"x-user-role": true, "x-user-roles": true, "x-user-groups": true, "x-userid": true,
	"x-email": true, "x-groups": true, "x-roles": true,
	"x-auth-user": true, "x-auth-username": true, "x-auth-email": true, "x-auth-groups": true, "x-auth-roles": true,
	"x-authenticated-user": true, "x-authenticated-userid": true, "x-authenticated-scope": true, "x-authenticated-groups": true,
	"x-consumer-id": true, "x-consumer-username": true, "x-consumer-custom-id": true, "x-credential-identifier": true,
	"x-anonymous-consumer": true, "x-original-user": true, "x-proxy-user": true, "x-sso-user": true, "x-subject": true,
	"x-client-cert": true, "x-client-dn": true, "x-client-verify": true, "x-client-ip": true, "x-cluster-client-ip": true,
	"client-cert": true, "client-cert-chain": true, "x-real-ip": true, "true-client-ip": true, "forwarded": true,
	"x-original-url": true, "x-original-uri": true, "x-original-method": true, "x-original-host": true, "x-rewrite-url": true,
	"x-http-method": true, "x-http-method-override": true, "x-method-override": true, "x-host": true,
	"x-accel-redirect": true, "x-sendfile": true,
	// CGI turns Proxy into HTTP_PROXY, which HTTP libraries obey.
	"proxy": true,
	// Ours is set anew.
	"x-request-id": true,
}

// strippedPrefixes work as strippedNames do.
var strippedPrefixes = [...]string{"x-gatehouse-", "x-forwarded-", "x-auth-request-", "x-webauth-", "x-authentik-",
	"x-goog-authenticated-user-", "x-ms-client-principal", "x-ms-token-", "x-amzn-oidc-", "cf-access-", "x-pomerium-",
	"tailscale-user-", "x-ssl-client-", "ssl-client-", "x-forwarded"}

// normalName is the name a CGI-like upstream would see: letters folded, every
// other sign the same. "X_Remote.User" and "X-Remote-User" are one variable there.
func normalName(name string) string { return string(appendNormal(nil, name)) }

// nameRoom holds most names, so that looking at one allocates nothing.
type nameRoom = [64]byte

// appendNormal appends the normalName of name.
func appendNormal(b []byte, name string) []byte {
	for _, c := range []byte(name) {
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			c = '-'
		}
		b = append(b, c)
	}
	return b
}

// identityName reports whether the caller may not set the header of that name.
// more holds further normalized names.
func identityName(name string, more ...map[string]bool) bool {
	var room nameRoom
	n := appendNormal(room[:0], name)
	if strippedNames[string(n)] {
		return true
	}
	for _, m := range more {
		if m[string(n)] {
			return true
		}
	}
	for _, p := range strippedPrefixes {
		if len(n) >= len(p) && string(n[:len(p)]) == p {
			return true
		}
	}
	return false
}

// credentialName reports whether the header carries a credential that we read,
// or would to a CGI-like upstream.
func credentialName(name string) bool {
	var room nameRoom
	switch string(appendNormal(room[:0], name)) {
	case "authorization", "x-api-key", "proxy-authorization":
		return true
	}
	return false
}

// endsHere reports whether the header carries a credential for us, by the verdict
// on its request, so that no upstream is to see it.
func endsHere(name string, v *enforce.Verdict) bool {
	if credentialName(name) {
		return !slices.Contains(v.Foreign, name)
	}
	if name == "Dpop" { // used up with the token; without one it is the API's own
		return v.Principal != nil && v.Principal.Confirmation.Bound()
	}
	if len(v.Route.Credentials) == 0 {
		return false
	}
	n := normalName(name)
	return slices.ContainsFunc(v.Credentials, func(field string) bool { return n == normalName(field) })
}

// strip removes what the caller may not tell the upstream from a header or
// trailer.
func strip(h http.Header, credentials bool, v *enforce.Verdict, more ...map[string]bool) {
	for name := range h {
		if identityName(name, more...) || credentials && endsHere(name, v) {
			delete(h, name)
		}
	}
}

// plainHeader is a line that tells the upstream one fact about the principal,
// whose roles of now stand beside it.
type plainHeader struct {
	name  string
	value func(p *gatehouse.Principal, roles []string) string
}

var plainValues = map[string]func(*gatehouse.Principal, []string) string{
	"subject":    func(p *gatehouse.Principal, _ []string) string { return encodeValue(p.ID) },
	"username":   func(p *gatehouse.Principal, _ []string) string { return encodeValue(p.Name) },
	"roles":      func(_ *gatehouse.Principal, roles []string) string { return encodeList(roles, ",") },
	"scopes":     func(p *gatehouse.Principal, _ []string) string { return encodeList(p.Scopes, " ") },
	"realm":      func(p *gatehouse.Principal, _ []string) string { return encodeValue(p.Realm) },
	"client":     func(p *gatehouse.Principal, _ []string) string { return encodeValue(p.ClientID) },
	"credential": func(p *gatehouse.Principal, _ []string) string { return encodeValue(p.CredentialID) },
}

var defaultPlain = [...]plainHeader{{"Subject", plainValues["subject"]}, {"Username", plainValues["username"]},
	{"Roles", plainValues["roles"]}, {"Scopes", plainValues["scopes"]}}

// encodeValue writes s so that no byte of it can end the line, begin another or
// be taken for a separator: everything but visible ASCII is percent-encoded, and
// so are '%', ',' and ';'. A reader decodes it with any URL library.
func encodeValue(s string) string {
	safe := true
	for _, c := range []byte(s) {
		if !plainByte(c) {
			safe = false
			break
		}
	}
	if safe {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for _, c := range []byte(s) {
		if plainByte(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func plainByte(c byte) bool { return c > ' ' && c < 0x7f && c != '%' && c != ',' && c != ';' }

func encodeList(list []string, sep string) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return encodeValue(list[0])
	}
	enc := make([]string, len(list))
	for i, s := range list {
		enc[i] = encodeValue(s)
	}
	return strings.Join(enc, sep)
}

// setPlain sets the plain lines for an authenticated principal. A fact that is
// empty sends no line.
func setPlain(h http.Header, lines []plainHeader, p *gatehouse.Principal, roles []string) {
	values := make([]string, len(lines))
	for i, l := range lines {
		if v := l.value(p, roles); v != "" {
			values[i] = v
			h[l.name] = values[i : i+1 : i+1]
		}
	}
}
