package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"

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
	sig, err := k.sign(buf)
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
			opt := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash}
			return rsa.SignPSS(rand.Reader, p, s.hash, s.digest(input), &opt)
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
		sig := make([]byte, s.size)
		r.FillBytes(sig[:s.size/2]) // RFC 7518 §3.4: fixed length, not DER
		t.FillBytes(sig[s.size/2:])
		return sig, nil
	case ed25519.PrivateKey:
		if s.family == familyEd25519 {
			return ed25519.Sign(p, input), nil
		}
	}
	return nil, errCannotSign
}
