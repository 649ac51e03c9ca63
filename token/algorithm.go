package token

import (
	"crypto"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"strings"
)

// Algorithm is a fully specified signature algorithm (RFC 7518 §3.1, RFC 9864).
// Only the constants below exist; there is none for unsigned tokens.
type Algorithm string

const (
	HS256 Algorithm = "HS256"
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	// EdDSA and Ed25519 are two names of one algorithm: the older, which names no
	// curve (RFC 8037 §3.1) and which nearly every library reads, and the fully
	// specified one (RFC 9864 §2.2), which few know. A key is bound to the
	// algorithm and written under the name it was made with; either name verifies.
	// Ed25519 is the only Edwards curve here.
	EdDSA   Algorithm = "EdDSA"
	Ed25519 Algorithm = "Ed25519"
)

type family uint8

const (
	familyNone family = iota
	familyHMAC
	familyPKCS1
	familyPSS
	familyECDSA
	familyEd25519
)

// spec is what an algorithm consists of. The zero spec verifies nothing.
type spec struct {
	family family
	hash   crypto.Hash // 0 for Ed25519
	// size is the signature length in octets; 0 when the key decides (RSA).
	size int
	// bit is the algorithm's place in a set.
	bit algorithmSet
}

// algorithmSet is a set of algorithms as a bit mask.
type algorithmSet uint16

func (a Algorithm) spec() spec {
	switch a {
	case HS256:
		return spec{familyHMAC, crypto.SHA256, 32, 1 << 0}
	case HS384:
		return spec{familyHMAC, crypto.SHA384, 48, 1 << 1}
	case HS512:
		return spec{familyHMAC, crypto.SHA512, 64, 1 << 2}
	case RS256:
		return spec{familyPKCS1, crypto.SHA256, 0, 1 << 3}
	case RS384:
		return spec{familyPKCS1, crypto.SHA384, 0, 1 << 4}
	case RS512:
		return spec{familyPKCS1, crypto.SHA512, 0, 1 << 5}
	case PS256:
		return spec{familyPSS, crypto.SHA256, 0, 1 << 6}
	case PS384:
		return spec{familyPSS, crypto.SHA384, 0, 1 << 7}
	case PS512:
		return spec{familyPSS, crypto.SHA512, 0, 1 << 8}
	case ES256:
		return spec{familyECDSA, crypto.SHA256, 64, 1 << 9}
	case ES384:
		return spec{familyECDSA, crypto.SHA384, 96, 1 << 10}
	case ES512:
		return spec{familyECDSA, crypto.SHA512, 132, 1 << 11}
	case EdDSA, Ed25519:
		return spec{familyEd25519, 0, 64, 1 << 12}
	}
	return spec{}
}

// Algorithms lists every algorithm of this package, the one with two names under
// both.
func Algorithms() []Algorithm {
	return []Algorithm{HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519}
}

// ParseAlgorithm returns the algorithm of that exact, case-sensitive name.
// Comparing by allow-list rather than against bad names stops
// every spelling of the unsigned algorithm (RFC 8725bis §3.1).
func ParseAlgorithm(name string) (Algorithm, bool) {
	a := Algorithm(name)
	return a, a.Valid()
}

// is reports whether a and b are names of one algorithm. A name that is none is
// like no other, itself included.
func (a Algorithm) is(b Algorithm) bool {
	bit := a.spec().bit
	return bit != 0 && bit == b.spec().bit
}

// Valid reports whether a is one of the constants.
func (a Algorithm) Valid() bool { return a.spec().family != familyNone }

// Symmetric reports whether whoever verifies with the key could also sign.
func (a Algorithm) Symmetric() bool { return a.spec().family == familyHMAC }

// keyType returns the JWK kty and crv that the algorithm needs.
func (a Algorithm) keyType() (kty, crv string) {
	switch a.spec().family {
	case familyHMAC:
		return "oct", ""
	case familyPKCS1, familyPSS:
		return "RSA", ""
	case familyECDSA:
		return "EC", a.curve().Params().Name
	case familyEd25519:
		return "OKP", "Ed25519"
	}
	return "", ""
}

// curve returns the curve of an ECDSA algorithm; curve and hash are bound
// together by RFC 7518 §3.4.
func (a Algorithm) curve() elliptic.Curve {
	switch a {
	case ES256:
		return elliptic.P256()
	case ES384:
		return elliptic.P384()
	case ES512:
		return elliptic.P521()
	}
	return nil
}

func setOf(algorithms []Algorithm) (algorithmSet, bool) {
	var set algorithmSet
	for _, a := range algorithms {
		s := a.spec()
		if s.family == familyNone {
			return 0, false
		}
		set |= s.bit
	}
	return set, true
}

func (s algorithmSet) has(a Algorithm) bool { return s&a.spec().bit != 0 }

// String lists the set for an operator.
func (s algorithmSet) String() string {
	var names []string
	for _, a := range Algorithms() {
		if s.has(a) {
			names = append(names, string(a))
		}
	}
	return strings.Join(names, ", ")
}

// digest hashes the signing input with the hash of the algorithm.
func (s spec) digest(input []byte) []byte {
	switch s.hash {
	case crypto.SHA256:
		sum := sha256.Sum256(input)
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384(input)
		return sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512(input)
		return sum[:]
	}
	return nil // not an algorithm that hashes by itself
}
