package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// checker is the small program that somebody writes behind auth_request: it
// verifies an access token with the standard library alone, each time anew, and
// decides nothing else. It stands in for the peers' own checks in comparisons.
type checker struct {
	issuer, audience string
	keys             map[string]verifyKey
	now              func() time.Time
}

// verifyKey is a public key with the one algorithm that it is for.
type verifyKey struct {
	alg     string
	ecdsa   *ecdsa.PublicKey
	ed25519 ed25519.PublicKey
}

type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*a = make(audience, 1)
		return json.Unmarshal(b, &(*a)[0])
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// fetchChecker takes the keys of an issuer, once.
func fetchChecker(issuer string) (*checker, error) {
	resp, err := http.Get(issuer + "/.well-known/jwks.json")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var set struct {
		Keys []struct {
			Kty, Crv, Kid, X, Y string
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return nil, err
	}
	c := &checker{issuer: issuer, audience: issuer, keys: map[string]verifyKey{}, now: time.Now}
	for _, k := range set.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if err := errors.Join(errX, errY); err != nil {
			return nil, err
		}
		switch {
		case k.Kty == "EC" && k.Crv == "P-256":
			public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
			if err != nil {
				return nil, err
			}
			c.keys[k.Kid] = verifyKey{alg: "ES256", ecdsa: public}
		case k.Kty == "OKP" && k.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize:
			c.keys[k.Kid] = verifyKey{alg: "EdDSA", ed25519: x}
		}
	}
	if len(c.keys) == 0 {
		return nil, fmt.Errorf("%s has no key that this check can use", issuer)
	}
	return c, nil
}

func (c *checker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if subject, ok := c.caller(w, r); ok {
		w.Header().Set("X-User", subject)
		w.WriteHeader(http.StatusOK)
	}
}

// before lets requests with a good token go on to next, which learns who calls.
func (c *checker) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subject, ok := c.caller(w, r); ok {
			r.Header.Del("Authorization")
			r.Header.Set("X-User", subject)
			next.ServeHTTP(w, r)
		}
	})
}

// caller returns who calls, or answers 401.
func (c *checker) caller(w http.ResponseWriter, r *http.Request) (subject string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	err := errNotGood
	if strings.EqualFold(scheme, "Bearer") {
		subject, err = c.verify(token)
	}
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return "", false
	}
	return subject, true
}

var errNotGood = errors.New("not a good token")

// verify returns the subject of a token with a good signature, of our issuer,
// meant for us and not expired.
func (c *checker) verify(token string) (subject string, err error) {
	parts := strings.Split(token, ".")
	if len(token) > 8<<10 || len(parts) != 3 {
		return "", errNotGood
	}
	var header struct{ Alg, Kid, Typ string }
	var claims struct {
		Iss string
		Sub string
		Aud audience
		Exp int64
	}
	sig, errSig := base64.RawURLEncoding.DecodeString(parts[2])
	if err := errors.Join(errSig, unpack(parts[0], &header), unpack(parts[1], &claims)); err != nil {
		return "", err
	}
	key, known := c.keys[header.Kid]
	if !known || key.alg != header.Alg || header.Typ != "at+jwt" || !key.good([]byte(token[:len(token)-len(parts[2])-1]), sig) {
		return "", errNotGood
	}
	if claims.Iss != c.issuer || !slices.Contains(claims.Aud, c.audience) || claims.Exp <= c.now().Unix() || claims.Sub == "" {
		return "", errNotGood
	}
	return claims.Sub, nil
}

func unpack(part string, into any) error {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

func (k verifyKey) good(input, sig []byte) bool {
	if k.ed25519 != nil {
		return ed25519.Verify(k.ed25519, input, sig)
	}
	if len(sig) != 64 {
		return false
	}
	sum := sha256.Sum256(input)
	der, err := der(sig)
	return err == nil && ecdsa.VerifyASN1(k.ecdsa, sum[:], der)
}

// der is the form in which the standard library wants a signature r‖s.
func der(sig []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[:32]))
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[32:]))
	})
	return b.Bytes()
}
