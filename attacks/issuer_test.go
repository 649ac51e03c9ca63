package attacks_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"
)

var b64 = base64.RawURLEncoding

// object is a JSON object under construction.
type object = map[string]any

// issuer signs tokens without any library of the product: what an attacker, or
// a careless foreign issuer, would send.
type issuer struct {
	name string
	ec   *ecdsa.PrivateKey
	rsa  *rsa.PrivateKey
	jwks string
}

func newIssuer(name string) (*issuer, error) {
	i := &issuer{name: name}
	var err error
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	b, err := json.Marshal(object{"keys": []any{i.ecJWK(), i.rsaJWK()}})
	i.jwks = string(b)
	return i, err
}

func (i *issuer) ecJWK() object {
	return object{"kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "use": "sig",
		"x": b64.EncodeToString(i.ec.X.FillBytes(make([]byte, 32))), "y": b64.EncodeToString(i.ec.Y.FillBytes(make([]byte, 32)))}
}

func (i *issuer) rsaJWK() object {
	return object{"kty": "RSA", "kid": "rsa", "alg": "RS256", "use": "sig",
		"n": b64.EncodeToString(i.rsa.N.Bytes()), "e": b64.EncodeToString(big.NewInt(int64(i.rsa.E)).Bytes())}
}

// trust is the entry of a realm's settings for the issuer.
func (i *issuer) trust(audience string) object {
	return object{"issuer": i.name, "audience": audience, "jwks": i.jwks, "algorithms": []string{"ES256", "RS256"}, "type": "at+jwt",
		"roles_claim": "roles", "role_map": map[string]string{"staff": "user"}, "name_claim": "name"}
}

// claims are those of an honest token, changed by pairs of name and value; a nil
// value removes the claim.
func (i *issuer) claims(change ...any) object {
	now := time.Now().Unix()
	c := object{"iss": i.name, "sub": "mallory", "aud": "documents", "iat": now, "exp": now + 300, "jti": random(),
		"client_id": "app", "scope": "documents:read", "roles": []string{"staff"}, "name": "Mallory"}
	return with(c, change...)
}

func with(o object, change ...any) object {
	out := maps.Clone(o)
	for j := 0; j+1 < len(change); j += 2 {
		if change[j+1] == nil {
			delete(out, change[j].(string))
		} else {
			out[change[j].(string)] = change[j+1]
		}
	}
	return out
}

// header is that of an honest ES256 token, changed likewise.
func header(change ...any) object {
	return with(object{"alg": "ES256", "kid": "ec", "typ": "at+jwt"}, change...)
}

// input is the signing input of a header and claims; strings are taken as they are.
func input(header, claims any) string {
	enc := func(v any) string {
		if s, ok := v.(string); ok {
			return b64.EncodeToString([]byte(s))
		}
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // the tests' own values
		}
		return b64.EncodeToString(b)
	}
	return enc(header) + "." + enc(claims)
}

// es signs with the issuer's EC key, rs with its RSA key, hs with a secret.
func (i *issuer) es(header, claims any) string { return es(i.ec, header, claims) }

func es(key *ecdsa.PrivateKey, header, claims any) string {
	in := input(header, claims)
	sum := sha256.Sum256([]byte(in))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		panic(err)
	}
	return in + "." + b64.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func (i *issuer) rs(header, claims any) string {
	in := input(header, claims)
	sum := sha256.Sum256([]byte(in))
	sig, err := rsa.SignPKCS1v15(nil, i.rsa, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return in + "." + b64.EncodeToString(sig)
}

func hs(alg string, secret []byte, header, claims any) string {
	in := input(header, claims)
	hash := sha256.New
	switch alg {
	case "HS384":
		hash = sha512.New384
	case "HS512":
		hash = sha512.New
	}
	mac := hmac.New(hash, secret)
	mac.Write([]byte(in))
	return in + "." + b64.EncodeToString(mac.Sum(nil))
}

// honest is a token that the gateway accepts.
func (i *issuer) honest() string { return i.es(header(), i.claims()) }

// publicForms are the spellings of a public key that somebody might have taken
// for an HMAC secret.
func publicForms(t *testing.T, key any, jwk object, jwks string) map[string][]byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	jwkText, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{"PEM": text, "PEM without its last line break": text[:len(text)-1],
		"PEM with CRLF": []byte(strings.ReplaceAll(string(text), "\n", "\r\n")), "DER": der,
		"base64 of DER": []byte(base64.StdEncoding.EncodeToString(der)), "JWK": jwkText, "JWKS": []byte(jwks)}
	for _, member := range []string{"n", "x", "y"} {
		if v, ok := jwk[member].(string); ok {
			out["member "+member] = []byte(v)
			out["octets of "+member], _ = b64.DecodeString(v)
		}
	}
	if k, ok := key.(*rsa.PublicKey); ok {
		der := x509.MarshalPKCS1PublicKey(k)
		out["PKCS#1 DER"], out["PKCS#1 PEM"] = der, pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der})
	}
	return out
}

// parts decodes header and claims of a token of ours.
func parts(t *testing.T, compact string) (h, c object, signature []byte) {
	t.Helper()
	p := strings.Split(compact, ".")
	if len(p) != 3 {
		t.Fatalf("not a token: %.40s", compact)
	}
	for n, to := range []*object{&h, &c} {
		b, err := b64.DecodeString(p[n])
		if err != nil || json.Unmarshal(b, to) != nil {
			t.Fatalf("part %d does not decode", n)
		}
	}
	signature, _ = b64.DecodeString(p[2])
	return h, c, signature
}
