package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/gatehouse-auth/gatehouse/token"
)

// BenchmarkVerify is the whole check of an access token; compare it with
// BenchmarkPrimitive, the bare signature check of the same octets.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []token.Algorithm{token.HS256, token.RS256, token.ES256, token.Ed25519} {
		b.Run(string(alg), func(b *testing.B) {
			k := newKey(b, alg)
			compact, err := k.SignAccess(access())
			if err != nil {
				b.Fatal(err)
			}
			v := newVerifier(b, config(keySet(b, k)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(compact); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestVerifyAllocations holds down what a check allocates beside the primitive:
// payload, its text, the claims, their two lists, the signing input and, for HMAC,
// its result.
func TestVerifyAllocations(t *testing.T) {
	for alg, most := range map[token.Algorithm]float64{token.HS256: 7, token.Ed25519: 6} {
		k := newKey(t, alg)
		compact, err := k.SignAccess(access())
		if err != nil {
			t.Fatal(err)
		}
		v := newVerifier(t, config(keySet(t, k)))
		least := most + 1
		for range 50 { // the race detector makes pools forget at random, so one run may need more
			least = min(least, testing.AllocsPerRun(1, func() { _, err = v.Verify(compact) }))
		}
		if err != nil || least > most {
			t.Errorf("%s: more than %v allocations (%v)", alg, most, err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for _, alg := range []token.Algorithm{token.HS256, token.ES256, token.Ed25519} {
		b.Run(string(alg), func(b *testing.B) {
			k := newKey(b, alg)
			a := access()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.SignAccess(a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPrimitive(b *testing.B) {
	message := make([]byte, 700)
	b.Run("ES256", func(b *testing.B) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		sum := sha256.Sum256(message)
		sig, err := ecdsa.SignASN1(rand.Reader, k, sum[:])
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			sum := sha256.Sum256(message)
			if !ecdsa.VerifyASN1(&k.PublicKey, sum[:], sig) {
				b.Fatal()
			}
		}
	})
	b.Run("RS256", func(b *testing.B) {
		k, err := rsa.GenerateKey(rand.Reader, 3072)
		if err != nil {
			b.Fatal(err)
		}
		sum := sha256.Sum256(message)
		sig, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			sum := sha256.Sum256(message)
			if rsa.VerifyPKCS1v15(&k.PublicKey, crypto.SHA256, sum[:], sig) != nil {
				b.Fatal()
			}
		}
	})
	b.Run("Ed25519", func(b *testing.B) {
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		sig := ed25519.Sign(priv, message)
		b.ReportAllocs()
		for b.Loop() {
			if !ed25519.Verify(pub, message, sig) {
				b.Fatal()
			}
		}
	})
}
