// Package testcert makes certificates for tests: authorities, and what they vouch for.
package testcert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificate is a certificate with its key.
type Certificate struct {
	*x509.Certificate
	Key crypto.Signer
	by  *Certificate // nil: itself
}

// Authority makes one that vouches for others.
func Authority(t testing.TB, name string) *Certificate {
	return issue(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})
}

// SelfSigned makes one for which nobody vouches.
func SelfSigned(t testing.TB, of *x509.Certificate) *Certificate { return issue(t, nil, of) }

// Issue makes one for which c vouches.
func (c *Certificate) Issue(t testing.TB, of *x509.Certificate) *Certificate { return issue(t, c, of) }

func issue(t testing.TB, by *Certificate, of *x509.Certificate) *Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := *of
	made.SerialNumber, made.BasicConstraintsValid = big.NewInt(time.Now().UnixNano()), true
	if made.NotAfter.IsZero() {
		made.NotBefore, made.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := &made, crypto.Signer(key)
	if by != nil {
		parent, signer = by.Certificate, by.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, &made, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Certificate{out, key, by}
}

// PEM is the certificate as files have it.
func (c *Certificate) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// Thumbprint is what a token is bound to (RFC 8705 §3.1).
func (c *Certificate) Thumbprint() string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Line is how a proxy passes the certificate on (RFC 9440 §2.1).
func (c *Certificate) Line() string { return ":" + base64.StdEncoding.EncodeToString(c.Raw) + ":" }

// Files writes the certificate and its key.
func (c *Certificate) Files(t testing.TB) (cert, key string) {
	t.Helper()
	secret, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, text := range map[string][]byte{cert: []byte(c.PEM()), key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// Server is a template of a certificate for this machine.
func Server() *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
}

// Client sends requests with c, nil for no certificate, to servers for whom an authority vouches. It follows no redirects.
func Client(t testing.TB, roots, c *Certificate) *http.Client {
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AddCert(roots.Certificate)
	if c != nil {
		shown := tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: c.Key}
		for above := c.by; above != nil && above.by != nil; above = above.by { // those between, and not who is trusted
			shown.Certificate = append(shown.Certificate, above.Raw)
		}
		// Whatever authorities the server names, and it names none.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }
	}
	out := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(out.CloseIdleConnections)
	return out
}

// JWK is the public key.
func (c *Certificate) JWK() map[string]any {
	point, err := c.Key.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		panic(err)
	}
	part := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	return map[string]any{"kty": "EC", "crv": "P-256", "x": part(point[1:33]), "y": part(point[33:])}
}
