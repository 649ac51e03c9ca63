package webauthn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
)

// The signature algorithms that are taken (IANA COSE Algorithms), in the order in which they
// are offered.
const (
	ES256 = -7
	EdDSA = -8 // with Ed25519
	RS256 = -257
)

// COSE labels (RFC 9052 §7, RFC 9053 §7, RFC 8230 §4).
const (
	labelType, labelAlgorithm = int64(1), int64(3)
	labelCurve, labelX        = int64(-1), int64(-2)
	labelY                    = int64(-3)
	labelModulus, labelPower  = int64(-1), int64(-2)
	typeOKP, typeEC2, typeRSA = int64(1), int64(2), int64(3)
	curveP256, curveEd25519   = int64(1), int64(6)
)

// Bounds of RSA keys, in bits. Authenticators make them of 2048; a longer one costs time.
const minRSA, maxRSA = 2048, 4096

var (
	errKey       = errors.New("the public key is malformed, weak or of another kind than its algorithm")
	errAlgorithm = errors.New("the algorithm of the key is none that was asked for")
	errSignature = errors.New("the signature is not right")
)

// publicKey is a key with the one algorithm that it is for.
type publicKey struct {
	algorithm int64
	key       crypto.PublicKey
}

// readKey reads a COSE_Key with exactly the labels that WebAuthn §5.8.5 has it hold, and
// returns what stands behind it.
func readKey(data []byte) (publicKey, []byte, error) {
	v, rest, err := readCBOR(data)
	if err != nil {
		return publicKey{}, nil, err
	}
	m, ok := v.(map[any]any)
	if !ok {
		return publicKey{}, nil, errKey
	}
	alg, ok := m[labelAlgorithm].(int64)
	if !ok {
		return publicKey{}, nil, errKey
	}
	k := publicKey{algorithm: alg}
	switch alg {
	case ES256:
		k.key, err = p256(m)
	case EdDSA:
		k.key, err = edwards(m)
	case RS256:
		k.key, err = rsaKey(m)
	default:
		err = errAlgorithm
	}
	return k, rest, err
}

func p256(m map[any]any) (crypto.PublicKey, error) {
	x, okX := m[labelX].([]byte)
	y, okY := m[labelY].([]byte) // a bool for a compressed point, which §5.8.5 forbids
	if len(m) != 5 || m[labelType] != typeEC2 || m[labelCurve] != curveP256 || !okX || !okY || len(x) != 32 || len(y) != 32 {
		return nil, errKey
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil { // no point of the curve
		return nil, errKey
	}
	return k, nil
}

func edwards(m map[any]any) (crypto.PublicKey, error) {
	x, ok := m[labelX].([]byte)
	if len(m) != 4 || m[labelType] != typeOKP || m[labelCurve] != curveEd25519 || !ok || len(x) != ed25519.PublicKeySize {
		return nil, errKey
	}
	return ed25519.PublicKey(x), nil
}

func rsaKey(m map[any]any) (crypto.PublicKey, error) {
	n, okN := m[labelModulus].([]byte)
	e, okE := m[labelPower].([]byte)
	if len(m) != 4 || m[labelType] != typeRSA || !okN || !okE || len(n) > maxRSA/8 || string(e) != "\x01\x00\x01" {
		return nil, errKey
	}
	k := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	if k.N.BitLen() < minRSA {
		return nil, errKey
	}
	return k, nil
}

// verify checks a signature over message by the key's own algorithm.
func (k publicKey) verify(message, signature []byte) error {
	sum := sha256.Sum256(message)
	good := false
	switch key := k.key.(type) {
	case *ecdsa.PublicKey:
		good = k.algorithm == ES256 && key.Curve == elliptic.P256() && ecdsa.VerifyASN1(key, sum[:], signature)
	case ed25519.PublicKey:
		good = k.algorithm == EdDSA && len(key) == ed25519.PublicKeySize && ed25519.Verify(key, message, signature)
	case *rsa.PublicKey:
		good = k.algorithm == RS256 && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	}
	if !good {
		return errSignature
	}
	return nil
}
