package client

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
)

// Why a client's certificate was refused, for the record alone.
var (
	errNoCertificate = gatehouse.E(gatehouse.Unauthenticated, "certificate_missing", "")
	errUntrusted     = gatehouse.E(gatehouse.Unauthenticated, "certificate_untrusted", "") // or over
	errOther         = gatehouse.E(gatehouse.Unauthenticated, "certificate_other", "")     // another one's than the client's
)

const (
	maxPools = 256
	// MaxAuthorities bounds the certificates of authorities of a realm, in bytes of PEM.
	MaxAuthorities = 64 << 10
)

// Certificates verify those by which clients prove who they are (RFC 8705 §2). That whoever shows one has its key, the connection
// has proven, or a proxy says. It is safe for concurrent use.
type Certificates struct {
	keys  *Assertions
	pools *cache.Cache[[sha256.Size]byte, *x509.CertPool]
}

// NewCertificates takes what knows the keys of clients.
func NewCertificates(keys *Assertions) *Certificates {
	return &Certificates{keys, cache.New[[sha256.Size]byte, *x509.CertPool](maxPools)}
}

// verify checks that shown, one certificate with those above it that came along, proves to be c. The error is of kind
// Unauthenticated, or Unavailable where the keys of c could not be had.
func (v *Certificates) verify(c Client, authorities string, shown []*x509.Certificate, now time.Time) error {
	switch {
	case v == nil || len(shown) == 0:
		return errNoCertificate
	case now.Before(shown[0].NotBefore) || now.After(shown[0].NotAfter):
		return errUntrusted.With(errors.New("it is not of this time"))
	case c.Metadata.AuthMethod == AuthSelfSigned:
		return v.registered(c, shown[0])
	case c.Metadata.AuthMethod != AuthTLS:
		return errMethod
	}
	roots, err := v.pool(authorities)
	if err != nil {
		return err
	}
	above := x509.NewCertPool()
	for _, cert := range shown[1:] {
		above.AddCert(cert)
	}
	// With no authorities there must be none, and not those of the system: anybody can have a certificate of theirs.
	if _, err := shown[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: above, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return errUntrusted.With(err)
	}
	if !c.Metadata.names(shown[0]) {
		return errOther
	}
	return nil
}

// registered checks that the key of a certificate is one of c. Who signed it means nothing (RFC 8705 §2.2).
func (v *Certificates) registered(c Client, shown *x509.Certificate) error {
	keys, err := v.keys.keys(c)
	if err != nil {
		return err
	}
	held, err := keys.Holds(shown.PublicKey)
	if err == nil && !held {
		err = errOther
	}
	return err
}

// names reports whether a certificate is of whom t says.
func (t TLS) names(c *x509.Certificate) bool {
	switch t.Names() {
	case TLS{SubjectDN: t.SubjectDN}:
		return t.SubjectDN != "" && hasSubject(c.RawSubject, t.SubjectDN)
	case TLS{SANDNS: t.SANDNS}:
		return slices.ContainsFunc(c.DNSNames, func(name string) bool { return strings.EqualFold(name, t.SANDNS) })
	case TLS{SANURI: t.SANURI}:
		for _, u := range c.URIs {
			if u.String() == t.SANURI {
				return true
			}
		}
	case TLS{SANIP: t.SANIP}:
		want, err := netip.ParseAddr(t.SANIP)
		for _, ip := range c.IPAddresses {
			if have, ok := netip.AddrFromSlice(ip); err == nil && ok && have == want {
				return true
			}
		}
	case TLS{SANEmail: t.SANEmail}:
		return slices.Contains(c.EmailAddresses, t.SANEmail)
	}
	return false
}

// pool are the authorities in a text, which was checked.
func (v *Certificates) pool(authorities string) (*x509.CertPool, error) {
	name := sha256.Sum256([]byte(authorities))
	if p, ok := v.pools.Get(name); ok {
		return p, nil
	}
	list, err := Authorities(authorities)
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	for _, c := range list {
		p.AddCert(c)
	}
	v.pools.Set(name, p)
	return p, nil
}

// Authorities reads the certificates of those who vouch for clients of a realm, in PEM; "" is nobody.
func Authorities(text string) ([]*x509.Certificate, error) {
	if len(text) > MaxAuthorities {
		return nil, errors.New("it is longer than 64 KiB")
	}
	var out []*x509.Certificate
	for rest := []byte(text); len(strings.TrimSpace(string(rest))) > 0; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil || b.Type != "CERTIFICATE" {
			return nil, errors.New("it holds something else than certificates in PEM")
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, errors.New("it holds a certificate that cannot be read")
		}
		out = append(out, c)
	}
	return out, nil
}
