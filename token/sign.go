package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"

	"github.com/go-json-experiment/json/jsontext"
)

// Types of the tokens Gatehouse issues and reads (RFC 9068 §2.1, RFC 7519 §5.1,
// Token Status List).
const (
	TypeAccess     = "at+jwt"
	TypeJWT        = "JWT"
	TypeStatusList = "statuslist+jwt"
)

var errCannotSign = errors.New("the key cannot sign")

// Sign returns the compact serialization of claims, a JSON object, under the
// protected header {alg, kid, typ}. typ "" leaves the member out.
func (k *Key) Sign(typ string, claims []byte) (string, error) {
	return k.compact(typ, claims, k.sign)
}

// SignSame is [Key.Sign] with a signature that follows from the key and the claims alone:
// all who hold the key write the same text.
func (k *Key) SignSame(typ string, claims []byte) (string, error) {
	return k.compact(typ, claims, k.signSame)
}

func (k *Key) compact(typ string, claims []byte, sign func(input []byte) ([]byte, error)) (string, error) {
	h, err := k.header(typ)
	if err != nil {
		return "", err
	}
	size := k.signatureSize()
	// One buffer of the final size: "header.claims" is both the signing input
	// and the beginning of the token.
	buf := make([]byte, 0, len(h)+2+b64.EncodedLen(len(claims))+b64.EncodedLen(size))
	buf = append(buf, h...)
	buf = append(buf, '.')
	buf = b64.AppendEncode(buf, claims)
	sig, err := sign(buf)
	if err != nil {
		return "", err
	}
	buf = append(buf, '.')
	buf = b64.AppendEncode(buf, sig)
	return string(buf), nil
}

// header returns the base64url text of the protected header for typ.
func (k *Key) header(typ string) (string, error) {
	if h, ok := k.headers.Load(typ); ok {
		return h.(string), nil
	}
	j, err := jsontext.AppendQuote([]byte(`{"alg":`), string(k.Algorithm))
	if err != nil {
		return "", err
	}
	for _, m := range [...]struct{ name, value string }{{`,"kid":`, k.KID}, {`,"typ":`, typ}} {
		if m.value == "" {
			continue
		}
		if j, err = jsontext.AppendQuote(append(j, m.name...), m.value); err != nil {
			return "", err
		}
	}
	h := b64.EncodeToString(append(j, '}'))
	k.headers.Store(typ, h) // typ comes from our own code: a handful of values
	return h, nil
}

func (k *Key) signatureSize() int {
	if k.rsa != nil {
		return k.rsa.Size()
	}
	return k.Algorithm.spec().size
}

func (k *Key) sign(input []byte) ([]byte, error) {
	s := k.Algorithm.spec()
	if s.family == familyHMAC {
		if len(k.secret) < s.hash.Size() {
			return nil, errCannotSign
		}
		return k.mac(nil, input), nil
	}
	switch p := k.private.(type) {
	case *rsa.PrivateKey:
		if s.family == familyPSS {
			return signPSS(rand.Reader, p, s, s.digest(input))
		}
		if s.family == familyPKCS1 {
			return rsa.SignPKCS1v15(nil, p, s.hash, s.digest(input))
		}
	case *ecdsa.PrivateKey:
		if s.family != familyECDSA {
			break
		}
		r, t, err := ecdsa.Sign(rand.Reader, p, s.digest(input))
		if err != nil {
			return nil, err
		}
		return fixed(s.size, r, t), nil
	case ed25519.PrivateKey:
		if s.family == familyEd25519 {
			return ed25519.Sign(p, input), nil
		}
	}
	return nil, errCannotSign
}

// signSame draws nothing: for ECDSA what stands in the place of chance is made of key and
// message (RFC 6979), and the salt of PSS, which is no secret, is the digest (RFC 8017 §9.1
// lets it be the same each time). The other algorithms draw nothing anyway.
func (k *Key) signSame(input []byte) ([]byte, error) {
	s := k.Algorithm.spec()
	switch p := k.private.(type) {
	case *rsa.PrivateKey:
		if s.family == familyPSS {
			digest := s.digest(input)
			return signPSS(bytes.NewReader(digest), p, s, digest)
		}
	case *ecdsa.PrivateKey:
		if s.family != familyECDSA {
			break
		}
		der, err := p.Sign(nil, s.digest(input), s.hash)
		if err != nil {
			return nil, err
		}
		var sig struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(der, &sig); err != nil || len(rest) > 0 {
			return nil, errCannotSign
		}
		return fixed(s.size, sig.R, sig.S), nil
	}
	return k.sign(input)
}

func signPSS(random io.Reader, p *rsa.PrivateKey, s spec, digest []byte) ([]byte, error) {
	opt := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash}
	return rsa.SignPSS(random, p, s.hash, digest, &opt)
}

// fixed writes an ECDSA signature in its fixed length, not as DER (RFC 7518 §3.4).
func fixed(size int, r, s *big.Int) []byte {
	sig := make([]byte, size)
	r.FillBytes(sig[:size/2])
	s.FillBytes(sig[size/2:])
	return sig
}
