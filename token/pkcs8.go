package token

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// ParsePKCS8 reads the private key of an elliptic curve that another program made, in the PEM of PKCS #8
// (RFC 5958), for an algorithm (ES256, ES384 or ES512) and under a key ID. Nothing may follow it.
//
// Errors: jwk_invalid.
func ParsePKCS8(kid string, alg Algorithm, text []byte) (*Key, error) {
	if alg.spec().family != familyECDSA {
		return nil, errKeyInvalid.With(errors.New("not an algorithm of elliptic curves"))
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) > 0 {
		return nil, errKeyInvalid.With(errors.New("not one private key in PEM"))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errKeyInvalid.With(errors.New("not in the form of PKCS #8")) // the cause could tell of the key
	}
	p, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || p.Curve != alg.curve() {
		return nil, errKeyInvalid.With(errors.New("a key of another kind than the algorithm takes"))
	}
	return &Key{KID: kid, Algorithm: alg, ec: &p.PublicKey, private: p}, nil
}
