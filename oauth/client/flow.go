package client

import (
	"crypto/sha256"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Flow is what a registration says of how people allow the client something in a browser.
type Flow struct {
	// RedirectURIs are where browsers may be sent back to, byte for byte ([Metadata.Redirects]).
	RedirectURIs []string `json:"redirect_uris,omitempty" maxItems:"20" doc:"Where browsers may be sent back to: https, http on loopback, or a scheme of the program's own with a dot in it"`
	// ResponseTypes are what the authorization endpoint may answer with.
	ResponseTypes []string `json:"response_types,omitempty" doc:"What the authorization endpoint answers with: code, which it is without this member, too"`
	// RequirePKCE nil is true: a request without a challenge is refused (RFC 7636, RFC 9700 §2.1.1).
	RequirePKCE *bool `json:"require_pkce,omitempty" doc:"Refuse requests without a code_challenge; true by default, and false only for clients with a secret or keys"`
	// Origins are those of further pages that may call the endpoints of tokens ([Metadata.PageOrigins]).
	Origins []string `json:"allowed_cors_origins,omitempty" maxItems:"20" doc:"Origins whose pages may call the token endpoint by a script, beside those of the redirect_uris of a public client: https://app.example"`
	// RequirePushed refuses requests that come in the address of a browser (RFC 9126 §6).
	RequirePushed bool `json:"require_pushed_authorization_requests,omitempty" doc:"Refuse authorization requests that were not pushed before (PAR)"`
	// Profile holds the client to a profile of OAuth: ProfileFAPI2, or "".
	Profile string `json:"profile,omitempty" enum:"fapi2" doc:"fapi2: it is held to the FAPI 2.0 Security Profile: pushed requests, PKCE, private_key_jwt, bound tokens, strong algorithms"`
	// FirstParty clients are the realm's own. Nothing but an administrator's registration makes one.
	FirstParty bool `json:"first_party,omitempty" doc:"The client belongs to whoever runs the realm: people are not asked whether it may"`
}

// Most of what a registration holds about its flow.
const (
	maxRedirects = 20
	maxRedirect  = 512 // bytes
)

// NeedsPKCE reports whether a request of the client must come with a challenge. A public client always has to.
func (m Metadata) NeedsPKCE() bool { return m.Public() || m.FAPI2() || !m.sparesPKCE() }

// sparesPKCE is what the registration itself says.
func (m Metadata) sparesPKCE() bool { return m.RequirePKCE != nil && !*m.RequirePKCE }

// SkipsConsent reports whether people are not asked before a browser is sent to redirectURI. Of a client that is public,
// anybody can say to be it where the address proves nothing: a port of the own machine, a scheme (RFC 8252 §8.6).
func (m Metadata) SkipsConsent(redirectURI string) bool {
	return m.FirstParty && m.Proves(redirectURI)
}

// Remembers reports whether people are not asked each time before a browser is sent to redirectURI. Where nothing proves which
// program it is, only the person can tell (RFC 8252 §8.6), but for those that the realm calls its own.
func (m Metadata) Remembers(redirectURI string) bool { return m.FirstParty || m.Proves(redirectURI) }

// Proves reports whether it is sure that what a browser brings to redirectURI gets to the client: it proves itself, or has the host.
func (m Metadata) Proves(redirectURI string) bool {
	return !m.Public() || strings.HasPrefix(redirectURI, "https://")
}

// Hosts are those to which browsers are sent back, each once: not the own machine, and no scheme of a program's own.
func (m Metadata) Hosts() (hosts []string) {
	for _, uri := range m.RedirectURIs {
		if u, err := url.Parse(uri); err == nil && u.Scheme == "https" && !slices.Contains(hosts, u.Hostname()) {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}

// Print is of what people are shown of the client, and by which they know it: where it is another one, an answer of before says nothing.
func (m Metadata) Print() []byte {
	uris := slices.Sorted(slices.Values(m.RedirectURIs))
	sum := sha256.Sum256([]byte(strings.Join(append([]string{m.Name, strconv.FormatBool(m.Public())}, append(uris, m.shown()...)...), "\x00"))) // no name or address holds a NUL
	return sum[:]
}

// Redirects reports whether uri is registered, byte for byte (RFC 9700 §2.1). Of a loopback address the port is the
// program's to choose when it runs, and everything else the same (RFC 8252 §7.3).
func (m Metadata) Redirects(uri string) bool {
	if slices.Contains(m.RedirectURIs, uri) {
		return uri != ""
	}
	host, rest, ok := loopback(uri)
	return ok && slices.ContainsFunc(m.RedirectURIs, func(registered string) bool {
		h, r, ok := loopback(registered)
		return ok && h == host && r == rest
	})
}

// loopback divides an address of the own machine into what stands before its port and behind it. It is read as text: two
// parsers could find two hosts in one address.
func loopback(uri string) (host, rest string, ok bool) {
	for _, host := range [...]string{"http://127.0.0.1", "http://[::1]"} {
		rest, found := strings.CutPrefix(uri, host)
		if !found {
			continue
		}
		if port, found := strings.CutPrefix(rest, ":"); found {
			rest = strings.TrimLeft(port, "0123456789")
			if n := len(port) - len(rest); n < 1 || n > 5 {
				return "", "", false
			}
		}
		if rest == "" || rest[0] == '/' || rest[0] == '?' {
			return host, rest, true
		}
	}
	return "", "", false
}

// checkFlow gives fault what is wrong with what m says of the flow.
func (m Metadata) checkFlow(fault func(member, text string)) {
	code := m.May(GrantAuthorizationCode)
	switch {
	case code != (len(m.RedirectURIs) > 0):
		fault("redirect_uris", "must be there with the grant type authorization_code, and with no other")
	case len(m.RedirectURIs) > maxRedirects:
		fault("redirect_uris", "must be at most 20")
	}
	for i, uri := range m.RedirectURIs {
		if wrong := wrongRedirect(uri); wrong != "" {
			fault("redirect_uris", wrong)
			break
		}
		if slices.Contains(m.RedirectURIs[:i], uri) {
			fault("redirect_uris", "must name each address once")
			break
		}
	}
	m.checkOrigins(fault)
	if len(m.ResponseTypes) > 0 && (!code || !slices.Equal(m.ResponseTypes, []string{"code"})) {
		fault("response_types", `must be ["code"], with the grant type authorization_code`)
	}
	if m.May(GrantRefreshToken) && !code && !m.May(GrantDeviceCode) && !m.May(GrantBackchannel) {
		fault("grant_types", "must have authorization_code, "+GrantDeviceCode+" or "+GrantBackchannel+" beside refresh_token: nothing else gives refresh tokens")
	}
	if slices.Contains(m.Scopes(), ScopeOffline) && !m.May(GrantRefreshToken) {
		fault("scope", "must not have offline_access without the grant type refresh_token")
	}
	if m.Public() && m.May(GrantClientCredentials) {
		fault("grant_types", "must not have client_credentials: a public client cannot prove that it asks for itself")
	}
	if (m.RequestAlg != "" || m.RequireSignedRequest) && !code {
		fault("request_object_signing_alg", "and require_signed_request_object are for clients with the grant type authorization_code")
	}
	if m.Public() && m.sparesPKCE() {
		fault("require_pkce", "must not be false for a public client")
	}
}

const hostLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]"

// wrongRedirect tells what is wrong with an address to send browsers back to; "" for nothing.
func wrongRedirect(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case len(uri) > maxRedirect:
		return "must have at most 512 bytes each"
	case err != nil || strings.ContainsFunc(uri, unescaped):
		return "must be addresses, with everything escaped that cannot stand in one"
	case strings.Contains(uri, "#"):
		return "must have no fragment (RFC 6749 3.1.2)"
	case u.User != nil:
		return "must name no user"
	case strings.ContainsFunc(u.Host, func(r rune) bool { return !strings.ContainsRune(hostLetters, r) }):
		return "must have a host of letters, digits, dots and hyphens" // it goes into a content policy
	case !strings.HasPrefix(uri, u.Scheme+":"):
		return "must have their scheme in small letters"
	}
	for _, name := range answerNames() {
		if u.Query().Has(name) {
			return "must not have the parameter " + name + ", which the answer has" // of two, clients might take the wrong one
		}
	}
	switch {
	case u.Scheme == "https" && u.Host != "" && u.Hostname() != "":
		return ""
	case u.Scheme == "http":
		if _, _, ok := loopback(uri); ok || u.Hostname() == "localhost" {
			return ""
		}
		return "must be https, but for http://127.0.0.1, http://[::1] and http://localhost"
	case strings.Contains(u.Scheme, "."): // RFC 8252 §7.1
		return ""
	}
	return "must be https, http on loopback, or a scheme of your own with a dot in it (com.example.app:/back)"
}

// answerNames are the parameters of an authorization response (RFC 6749 §4.1.2, RFC 9207).
func answerNames() []string {
	return []string{"code", "state", "iss", "error", "error_description", "error_uri", "response"}
}
