// Package testdpop is a client that proves to have a key (RFC 9449), for tests. It signs by itself and shares no code
// with what verifies.
package testdpop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"time"
)

// Key is the key of a client.
type Key struct{ private *ecdsa.PrivateKey }

// New makes a key.
func New() *Key {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return &Key{private}
}

// JWK is the public key.
func (k *Key) JWK() map[string]any {
	point, err := k.private.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
}

// Private is the whole key as a JWK.
func (k *Key) Private() map[string]any {
	d, err := k.private.Bytes()
	if err != nil {
		panic(err)
	}
	out := k.JWK()
	out["d"] = b64(d)
	return out
}

// Thumbprint is that of the key (RFC 7638).
func (k *Key) Thumbprint() string {
	jwk := k.JWK()
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + jwk["x"].(string) + `","y":"` + jwk["y"].(string) + `"}`))
	return b64(sum[:])
}

// Header and Claims are those of a proof, to be changed before [Key.Sign].
func (k *Key) Header() map[string]any {
	return map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": k.JWK()}
}

// Claims are those of a proof made at that time; token is the access token that it goes with, or "".
func Claims(at time.Time, method, url, token string) map[string]any {
	c := map[string]any{"jti": rand.Text(), "htm": method, "htu": url, "iat": at.Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		c["ath"] = b64(sum[:])
	}
	return c
}

// Sign writes a proof of any header and claims, with ES256.
func (k *Key) Sign(header, claims map[string]any) string {
	input := b64(text(header)) + "." + b64(text(claims))
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		panic(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + b64(sig)
}

// Proof is a proof made now, with further claims such as a nonce.
func (k *Key) Proof(method, url, token string, more map[string]any) string {
	c := Claims(time.Now(), method, url, token)
	maps.Copy(c, more)
	return k.Sign(k.Header(), c)
}

func text(v map[string]any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return out
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
