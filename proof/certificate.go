package proof

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
)

// ErrCertificate refuses a token that is bound to a certificate and came without it (RFC 8705 §3).
var ErrCertificate = gatehouse.E(gatehouse.Unauthenticated, "certificate_mismatch", "The token is bound to a client certificate, and did not come with that.")

// CertificateThumbprint is what a token is bound to that is bound to a certificate: a hash of all of it (RFC 8705 §3.1).
func CertificateThumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// VerifyCertificate checks that a token that is bound to the certificate with a thumbprint came with it. shown is what whoever sent
// it proved to have the key of, with what came along; nil for nothing.
func VerifyCertificate(shown []*x509.Certificate, thumbprint string) error {
	switch {
	case len(shown) == 0:
		return ErrCertificate.With(errors.New("there was none"))
	case thumbprint == "" || subtle.ConstantTimeCompare([]byte(CertificateThumbprint(shown[0])), []byte(thumbprint)) != 1:
		return ErrCertificate.With(errors.New("it came with another one"))
	}
	return nil
}
