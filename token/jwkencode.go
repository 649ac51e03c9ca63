package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"

	"github.com/go-json-experiment/json/jsontext"
)

// member is one string member of a JWK. All JWKs are built from lists of these,
// in a fixed order, so that one key has one text.
type member struct{ name, value string }

func appendObject(dst []byte, members []member) []byte {
	dst = append(dst, '{')
	first := true
	for _, m := range members {
		if m.value == "" {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, '"'), m.name...), '"', ':')
		// Values are base64url, constants, or a kid that was valid UTF-8 when read.
		dst, _ = jsontext.AppendQuote(dst, m.value)
	}
	return append(dst, '}')
}

// public returns the required public members in the lexicographic order that
// RFC 7638 §3.2 asks for; HMAC keys have none.
func (k *Key) public() []member {
	kty, crv := k.Algorithm.keyType()
	switch {
	case k.ec != nil:
		point, err := k.ec.Bytes()
		if err != nil {
			return nil
		}
		half := len(point) / 2
		return []member{{"crv", crv}, {"kty", kty},
			{"x", b64.EncodeToString(point[1 : 1+half])}, {"y", b64.EncodeToString(point[1+half:])}}
	case k.rsa != nil:
		return []member{{"e", b64.EncodeToString(big.NewInt(int64(k.rsa.E)).Bytes())}, {"kty", kty},
			{"n", b64.EncodeToString(k.rsa.N.Bytes())}}
	case k.ed != nil:
		return []member{{"crv", crv}, {"kty", kty}, {"x", b64.EncodeToString(k.ed)}}
	}
	return nil
}

// Thumbprint returns the base64url RFC 7638 SHA-256 thumbprint of the public
// key, "" for an HMAC key.
func (k *Key) Thumbprint() string {
	p := k.public()
	if p == nil {
		return ""
	}
	sum := sha256.Sum256(appendObject(nil, p))
	return b64.EncodeToString(sum[:])
}

func (k *Key) labels() []member {
	return []member{{"use", "sig"}, {"alg", string(k.Algorithm)}, {"kid", k.KID}}
}

// PublicJWK returns the public half as a JWK, nil for an HMAC key: what could
// forge tokens is never published.
func (k *Key) PublicJWK() []byte {
	p := k.public()
	if p == nil {
		return nil
	}
	return appendObject(nil, append(p, k.labels()...))
}

// MarshalPrivate returns the whole key as a JWK, for sealing. The caller must
// not store or log it in clear.
func (k *Key) MarshalPrivate() ([]byte, error) {
	members := k.public()
	switch p := k.private.(type) {
	case *ecdsa.PrivateKey:
		d, err := p.Bytes()
		if err != nil {
			return nil, err
		}
		members = append(members, member{"d", b64.EncodeToString(d)})
	case ed25519.PrivateKey:
		members = append(members, member{"d", b64.EncodeToString(p.Seed())})
	case *rsa.PrivateKey:
		if len(p.Primes) != 2 {
			return nil, errors.New("RSA key has not two primes")
		}
		p.Precompute()
		for _, m := range [...]struct {
			name string
			v    *big.Int
		}{{"d", p.D}, {"p", p.Primes[0]}, {"q", p.Primes[1]},
			{"dp", p.Precomputed.Dp}, {"dq", p.Precomputed.Dq}, {"qi", p.Precomputed.Qinv}} {
			members = append(members, member{m.name, b64.EncodeToString(m.v.Bytes())})
		}
	default:
		if k.secret == nil {
			return nil, errors.New("not a private key")
		}
		members = []member{{"kty", "oct"}, {"k", b64.EncodeToString(k.secret)}}
	}
	return appendObject(nil, append(members, k.labels()...)), nil
}
