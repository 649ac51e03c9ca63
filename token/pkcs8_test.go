package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// TestParsePKCS8: a key that another program made signs, and what is not one of its algorithm is refused.
func TestParsePKCS8(t *testing.T) {
	text := func(key any, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	good := text(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	k, err := ParsePKCS8("K1", ES256, good)
	if err != nil || k.KID != "K1" || !k.CanSign() {
		t.Fatalf("%v %v", k, err)
	}
	sig, err := k.sign([]byte("x"))
	if err != nil || !k.verify([]byte("x"), sig) {
		t.Errorf("its signature: %v", err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	for what, bad := range map[string][]byte{"nothing": nil, "no PEM": []byte("x"), "another curve": text(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"another kind": text(ed, err), "two": append(append([]byte{}, good...), good...), "not PKCS #8": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}),
		"named as another": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x")})} {
		if _, err := ParsePKCS8("K1", ES256, bad); gatehouse.CodeOf(err) != "jwk_invalid" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ParsePKCS8("K1", RS256, good); gatehouse.CodeOf(err) != "jwk_invalid" {
		t.Errorf("for RS256: %v", err)
	}
}
