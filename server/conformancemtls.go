package server

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/server/config"
)

// By what clients of FAPI 2.0 prove who they are, and what their tokens are bound to, in the words of the suite's variants.
const (
	suiteMTLS       = "mtls"
	suitePrivateKey = "private_key_jwt"
	suiteDPoP       = "dpop"
)

// suiteCertificate is the certificate of a client in the suite's configuration.
type suiteCertificate struct {
	Certificate string `json:"cert"`
	Key         string `json:"key"`
	CA          string `json:"ca"`
}

// checkVariants refuses variants that there are not.
func (cfg *ConformanceConfig) checkVariants() error {
	for _, v := range []struct {
		flag, value, other string
	}{{"client-auth-type", cfg.ClientAuth, suitePrivateKey}, {"sender-constrain", cfg.SenderConstrain, suiteDPoP}} {
		switch {
		case v.value != "" && !cfg.FAPI2:
			return fmt.Errorf("conformance: %s is for the plans of FAPI 2.0", v.flag)
		case v.value != "" && v.value != suiteMTLS && v.value != v.other:
			return fmt.Errorf("conformance: %s is %s or %s", v.flag, v.other, suiteMTLS)
		}
	}
	return nil
}

// certified reports whether the suite's clients come with certificates.
func (cfg ConformanceConfig) certified() bool {
	return cfg.ClientAuth == suiteMTLS || cfg.SenderConstrain == suiteMTLS
}

// askForCertificates has c listen for clients with certificates, on the port behind that of the issuer.
func (cfg ConformanceConfig) askForCertificates(c *Config, port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("conformance: %s is no port", port)
	}
	if n > 0 {
		n++
	}
	host, _, _ := net.SplitHostPort(cfg.Listen) // it was checked
	port = strconv.FormatUint(n, 10)
	c.Listen.MTLS = config.Listener{Address: net.JoinHostPort(host, port), CertFile: cfg.certFile(), KeyFile: cfg.keyFile()}
	c.ClientCertificates.URL = "https://localhost:" + port
	return nil
}

// certificates makes what the suite's clients show, by their names, and who vouches for them, in PEM.
func (cfg ConformanceConfig) certificates() (map[string]suiteCertificate, string, error) {
	out := map[string]suiteCertificate{}
	if !cfg.certified() {
		return out, "", nil
	}
	ca, caKey, err := certificateOf("Suite", nil, nil)
	if err != nil {
		return nil, "", err
	}
	authority := certificateText(ca)
	for _, name := range suiteClients() {
		made, key, err := certificateOf(suiteName(name), ca, caKey)
		if err != nil {
			return nil, "", err
		}
		secret, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, "", err
		}
		out[name] = suiteCertificate{certificateText(made), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), authority}
	}
	return out, authority, nil
}

// suiteName is the DNS name in the certificate of a client.
func suiteName(client string) string {
	return strings.ReplaceAll(client, "_", "-") + ".suite.example"
}

func certificateText(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// certificateOf makes a certificate, by itself where by is nil. Its key is of RSA, which every client of TLS can read.
func certificateOf(name string, by *x509.Certificate, byKey *rsa.PrivateKey) (*x509.Certificate, *rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	of := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(30 * 24 * time.Hour), BasicConstraintsValid: true}
	if by == nil {
		of.IsCA, of.KeyUsage, by, byKey = true, x509.KeyUsageCertSign, of, key
	} else {
		of.DNSNames, of.KeyUsage, of.ExtKeyUsage = []string{name}, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, of, by, key.Public(), byKey)
	if err != nil {
		return nil, nil, err
	}
	made, err := x509.ParseCertificate(der)
	return made, key, err
}
