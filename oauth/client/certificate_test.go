package client

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testcert"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestSubjects: a registered name is compared with that of a certificate by what both are made of (RFC 4514), and not as a text.
func TestSubjects(t *testing.T) {
	of := func(rdns ...[]pkix.AttributeTypeAndValue) []byte {
		var seq pkix.RDNSequence
		for _, r := range rdns {
			seq = append(seq, r)
		}
		der, err := asn1.Marshal(seq)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	at := func(kind asn1.ObjectIdentifier, value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: kind, Value: value}
	}
	cn, o, ou, dc := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 11}, asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	type set = []pkix.AttributeTypeAndValue
	plain := of(set{at(o, "Example")}, set{at(cn, "robot")})
	for _, c := range []struct {
		der  []byte
		name string
		want bool
	}{
		{plain, "CN=robot,O=Example", true},
		{plain, "cn=robot, o=Example ", true},
		{plain, "2.5.4.3=robot,2.5.4.10=Example", true},
		{plain, `CN=\72obot,O=Exampl\65`, true},
		{plain, "CN=#1305726f626f74,O=Example", true},
		{plain, "O=Example,CN=robot", false}, // the other way round it is another name
		{plain, "CN=Robot,O=Example", false},
		{plain, "CN=robot", false},
		{plain, "CN=robot,O=Example,C=DE", false},
		{plain, "CN=robot+O=Example", false},
		{plain, "OU=robot,O=Example", false},
		{of(set{at(cn, "robot,O=Example")}), "CN=robot,O=Example", false}, // a text that looks as two parts
		{of(set{at(cn, "robot,O=Example")}), `CN=robot\,O=Example`, true},
		{of(set{at(cn, "robot"), at(ou, "night")}), "OU=night+CN=robot", true},
		{of(set{at(cn, "robot"), at(cn, "robot")}), "CN=robot+OU=night", false},
		{of(set{at(cn, " robot ")}), "CN= robot ", false},
		{of(set{at(cn, " robot ")}), `CN=\ robot\ `, true},
		{of(set{at(cn, "Müller")}), "CN=Müller", true},
		{of(set{at(cn, "Müller")}), `CN=M\c3\bcller`, true},
		{of(set{at(dc, "net")}, set{at(dc, "example")}), "DC=example,DC=net", true},
		{append(plain, 0), "CN=robot,O=Example", false},
		{nil, "CN=robot", false},
	} {
		if got := hasSubject(c.der, c.name); got != c.want {
			t.Errorf("%x as %s: %v", c.der, c.name, got)
		}
	}
	for _, wrong := range []string{"", "robot", "CN=", "CN=a,", ",CN=a", "CN=a\\", `CN=a\zz`, "XX=a", "CN=#", "CN=#1", "CN=a;O=b", `CN="a"`, "CN=a\x00", "CN=\xff", `CN=\ff`, "CN =a", "1=a", "1.02=a", "CN=" + strings.Repeat("a", 1100)} {
		if _, err := parseDN(wrong); err == nil {
			t.Errorf("%q is taken for a name", wrong)
		}
	}
}

// TestNobodyVouches: a realm without authorities trusts nobody, and least of all those whom the system trusts.
func TestNobodyVouches(t *testing.T) {
	ca := testcert.Authority(t, "everybody's")
	file, _ := ca.Files(t)
	t.Setenv("SSL_CERT_FILE", file)
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	good := ca.Issue(t, &x509.Certificate{DNSNames: []string{"robot.example"}})
	if _, err := good.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Fatalf("the system does not trust it: %v", err)
	}
	v := NewCertificates(nil)
	c := Client{Metadata: Metadata{AuthMethod: AuthTLS, TLS: TLS{SANDNS: "robot.example"}}}
	shown := []*x509.Certificate{good.Certificate}
	if err := v.verify(c, "", shown, time.Now()); gatehouse.CodeOf(err) != errUntrusted.Code {
		t.Errorf("without authorities: %v", err)
	}
	if err := v.verify(c, ca.PEM(), shown, time.Now()); err != nil {
		t.Errorf("with them: %v", err)
	}
	if err := (*Certificates)(nil).verify(c, ca.PEM(), shown, time.Now()); err == nil {
		t.Error("where certificates are not looked at")
	}
	if _, err := Authorities(strings.Repeat(ca.PEM(), 200)); err == nil {
		t.Error("any number of authorities")
	}
	if _, err := Authorities("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"); err == nil {
		t.Error("a key is taken for an authority")
	}
}

// TestKeysOutOfReach: where the keys of a client cannot be had, nobody knows whether a certificate is its own.
func TestKeysOutOfReach(t *testing.T) {
	away := gatehouse.E(gatehouse.Unavailable, "away", "")
	keys, err := NewAssertions(AssertionsConfig{Issuer: func(string) string { return "https://id.example" }, TokenEndpoint: func(string) string { return "" }, Fetched: func(Client) (Keys, error) { return outOfReach{away}, nil },
		Run: func(context.Context, func(context.Context, OnceTx) error) error { return nil }, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	c := Client{Metadata: Metadata{AuthMethod: AuthSelfSigned, JWKSURI: "https://robot.example/keys"}}
	shown := []*x509.Certificate{testcert.SelfSigned(t, &x509.Certificate{}).Certificate}
	if err := NewCertificates(keys).verify(c, "", shown, time.Now()); gatehouse.KindOf(err) != gatehouse.Unavailable {
		t.Error(err)
	}
}

type outOfReach struct{ err error }

func (o outOfReach) Key(string, token.Algorithm) (*token.Key, error) { return nil, o.err }
func (o outOfReach) Holds(crypto.PublicKey) (bool, error)            { return false, o.err }
