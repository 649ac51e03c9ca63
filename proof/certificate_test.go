package proof_test

import (
	"crypto/x509"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testcert"
	"github.com/gatehouse-auth/gatehouse/proof"
)

// TestVerifyCertificate: a token is bound to the whole of one certificate, and those that came along with another are none.
func TestVerifyCertificate(t *testing.T) {
	ca := testcert.Authority(t, "clients")
	mine, other := ca.Issue(t, &x509.Certificate{}), ca.Issue(t, &x509.Certificate{})
	if proof.CertificateThumbprint(mine.Certificate) != mine.Thumbprint() {
		t.Error("the thumbprint is not that of RFC 8705 §3.1")
	}
	for name, c := range map[string]struct {
		shown []*x509.Certificate
		print string
		ok    bool
	}{
		"its own":          {[]*x509.Certificate{mine.Certificate, ca.Certificate}, mine.Thumbprint(), true},
		"another":          {[]*x509.Certificate{other.Certificate}, mine.Thumbprint(), false},
		"behind another":   {[]*x509.Certificate{other.Certificate, mine.Certificate}, mine.Thumbprint(), false},
		"none":             {nil, mine.Thumbprint(), false},
		"bound to nothing": {[]*x509.Certificate{mine.Certificate}, "", false},
	} {
		if err := proof.VerifyCertificate(c.shown, c.print); (err == nil) != c.ok || !c.ok && gatehouse.CodeOf(err) != proof.ErrCertificate.Code {
			t.Errorf("%s: %v", name, err)
		}
	}
}
