package client

import (
	"net/netip"
	"net/url"
	"strings"
)

// TLS is what a registration says of client certificates (RFC 8705 §2.1.2, §3.4).
type TLS struct {
	// One of these says whose the certificate of a client with AuthTLS is.
	SubjectDN string `json:"tls_client_auth_subject_dn,omitempty" maxLength:"1024" doc:"For tls_client_auth: the subject of its certificate (RFC 4514), CN=robot,O=Example"`
	SANDNS    string `json:"tls_client_auth_san_dns,omitempty" maxLength:"253" doc:"Or a DNS name among its alternative names"`
	SANURI    string `json:"tls_client_auth_san_uri,omitempty" maxLength:"512" doc:"Or a URI among them, such as spiffe://example/robot"`
	SANIP     string `json:"tls_client_auth_san_ip,omitempty" maxLength:"45" doc:"Or an IP address among them"`
	SANEmail  string `json:"tls_client_auth_san_email,omitempty" maxLength:"254" doc:"Or a mail address among them"`
	// CertificateBound has it get tokens that are bound to the certificate by which it asks, and no others.
	CertificateBound bool `json:"tls_client_certificate_bound_access_tokens,omitempty" doc:"It gets only tokens that are bound to the client certificate with which it asks for them"`
}

// ByTLS reports whether a client with m proves itself by a client certificate.
func (m Metadata) ByTLS() bool { return m.AuthMethod == AuthTLS || m.AuthMethod == AuthSelfSigned }

// Names is t as far as it says whose a certificate is.
func (t TLS) Names() TLS {
	t.CertificateBound = false
	return t
}

// check gives fault what is wrong with t for a client with a method.
func (t TLS) check(method string, fault func(member, text string)) {
	given := 0
	for _, m := range []struct {
		member, value, wrong string
		ok                   func(string) bool
	}{
		{"subject_dn", t.SubjectDN, "must be a distinguished name such as CN=robot,O=Example (RFC 4514)", func(s string) bool { _, err := parseDN(s); return err == nil }},
		{"san_dns", t.SANDNS, "must be a host name, without a wildcard", func(s string) bool {
			return len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool { return strings.ContainsRune(":[]", r) || !strings.ContainsRune(hostLetters+"_", r) })
		}},
		{"san_uri", t.SANURI, "must be a URI with a scheme", func(s string) bool {
			u, err := url.Parse(s)
			return err == nil && u.IsAbs() && len(s) <= 512 && u.String() == s
		}},
		{"san_ip", t.SANIP, "must be an IP address as it is usually written", func(s string) bool {
			a, err := netip.ParseAddr(s)
			return err == nil && a.Zone() == "" && !a.Is4In6() && a.String() == s
		}},
		{"san_email", t.SANEmail, "must be a mail address", func(s string) bool {
			return len(s) <= 254 && strings.Count(s, "@") == 1 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
		}},
	} {
		if m.value == "" {
			continue
		}
		if given++; !m.ok(m.value) {
			fault("tls_client_auth_"+m.member, m.wrong)
		}
	}
	switch {
	case method == AuthTLS && given != 1: // RFC 8705 §2.1.2
		fault("tls_client_auth_subject_dn", "or one of tls_client_auth_san_dns, _san_uri, _san_ip and _san_email is needed, exactly one")
	case method != AuthTLS && given > 0:
		fault("tls_client_auth_subject_dn", "and its like are for clients with token_endpoint_auth_method "+AuthTLS)
	}
}
