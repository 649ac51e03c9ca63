package web

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// The lines by which a proxy passes on a client's certificate and those above it (RFC 9440 §2.2, §2.3).
const (
	HeaderClientCert      = "Client-Cert"
	HeaderClientCertChain = "Client-Cert-Chain"
)

// Most of what is read of those lines, in bytes, and how many certificates stand above one.
const (
	maxClientCert      = 12 << 10
	maxClientCertChain = 32 << 10
	maxChain           = 8
)

// errClientCert refuses what a proxy said of a certificate and cannot be read.
var errClientCert = gatehouse.E(gatehouse.Invalid, "client_cert_malformed", "The client certificate that the proxy passed on cannot be read.")

// ReadsCertificates reports whether trusted proxies pass on client certificates.
func (p *Proxies) ReadsCertificates() bool { return p != nil && p.certificates }

// Certificates returns the certificate of the client that sent r, whose key it proved to have, and behind it those above it that
// came along; nil where it showed none. Nothing is concluded here from who issued it. A trusted proxy's connection has a
// certificate of the proxy, if any: what the client showed, only its lines say (RFC 9440 §4), and from nobody else are they read.
func (p *Proxies) Certificates(r *http.Request) ([]*x509.Certificate, error) {
	switch {
	case p.FromTrusted(r) && p.certificates:
		return passedOn(r.Header)
	case p.FromTrusted(r), r.TLS == nil:
		return nil, nil
	}
	return r.TLS.PeerCertificates, nil
}

// passedOn reads the lines of a proxy.
func passedOn(h http.Header) ([]*x509.Certificate, error) {
	lines := h[HeaderClientCert]
	if len(lines) == 0 {
		return nil, nil
	}
	if len(lines) != 1 || len(lines[0]) > maxClientCert { // beside the proxy's, a caller's
		return nil, errClientCert.With(errors.New("Client-Cert is there twice, or too long"))
	}
	leaf, err := byteSequence(lines[0])
	if err != nil {
		return nil, errClientCert.With(err)
	}
	out, size := []*x509.Certificate{leaf}, 0
	for _, line := range h[HeaderClientCertChain] {
		if size += len(line); size > maxClientCertChain {
			return nil, errClientCert.With(errors.New("Client-Cert-Chain is too long"))
		}
		for item := range strings.SplitSeq(line, ",") {
			above, err := byteSequence(item)
			if out = append(out, above); err != nil || len(out) > 1+maxChain {
				return nil, errClientCert.With(errors.Join(err, errors.New("Client-Cert-Chain is no list of at most 8 certificates")))
			}
		}
	}
	return out, nil
}

// byteSequence reads a certificate in DER as a Byte Sequence (RFC 9651 §3.3.5).
func byteSequence(s string) (*x509.Certificate, error) {
	s = strings.Trim(s, " \t")
	if len(s) < 2 || s[0] != ':' || s[len(s)-1] != ':' || strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("it is no byte sequence, base64 between two colons")
	}
	der, err := base64.StdEncoding.Strict().DecodeString(s[1 : len(s)-1])
	if err != nil {
		return nil, errors.New("it is no base64")
	}
	return x509.ParseCertificate(der)
}
