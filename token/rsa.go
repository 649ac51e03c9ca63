package token

import (
	"crypto/rsa"
	"errors"
	"math/big"
)

const (
	minRSABits = 2048 // RFC 7518 §3.3
	maxRSABits = 8192 // beyond, one verification costs an attacker's worth of time
)

// checkRSA refuses public keys that are too weak to trust or too large to use.
func checkRSA(pub *rsa.PublicKey) error {
	bits := pub.N.BitLen()
	switch {
	case bits < minRSABits:
		return errKeyWeak.With(errors.New("RSA modulus below 2048 bits"))
	case bits > maxRSABits:
		return errKeyInvalid.With(errors.New("RSA modulus above 8192 bits"))
	case pub.N.Bit(0) == 0:
		return errKeyWeak.With(errors.New("RSA modulus is even"))
	case pub.E < 65537 || pub.E&1 == 0:
		// 1 makes the signature the message; small ones have a long history of
		// forgeries against sloppy padding checks.
		return errKeyWeak.With(errors.New("RSA exponent is even or below 65537"))
	case isROCA(pub.N):
		return errKeyWeak.With(errors.New("RSA modulus has the ROCA pattern (CVE-2017-15361)"))
	}
	return nil
}

// isROCA recognises moduli of the Infineon generator of CVE-2017-15361. Its
// primes are k*M + (65537^a mod M) with M a product of the first primes, so the
// modulus is a power of 65537 modulo each of those primes; a random modulus is
// one modulo all of them once in about 2^27.
func isROCA(n *big.Int) bool {
	var r, p big.Int
	for _, prime := range [...]int64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
		97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167} {
		residue := r.Mod(n, p.SetInt64(prime)).Int64()
		if !isPowerOf(65537%prime, residue, prime) {
			return false
		}
	}
	return true
}

// isPowerOf reports whether residue is g^a modulo prime for some a.
func isPowerOf(g, residue, prime int64) bool {
	x := int64(1)
	for range prime {
		if x == residue {
			return true
		}
		x = x * g % prime
	}
	return false
}
