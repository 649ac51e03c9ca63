package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"sync"
)

// Key is a verification key, or a signing key when it has its private half. It
// is bound to one algorithm for life. Keys come from [ParseJWK], [ParseJWKSet],
// [UnmarshalPrivate], [NewSecretKey] and [GenerateKey]; the exported fields are
// for reading. A Key prints as its id and algorithm only.
type Key struct {
	KID       string
	Algorithm Algorithm

	secret  []byte // HMAC
	rsa     *rsa.PublicKey
	ec      *ecdsa.PublicKey
	ed      ed25519.PublicKey
	private crypto.Signer // nil for a public or HMAC key

	// headers caches the encoded protected header per typ, for signing.
	headers sync.Map
	// macs holds the [hash.Hash] of an HMAC key for reuse.
	macs sync.Pool
}

// Is reports whether pub is the public half of the key, whatever algorithm it is for.
func (k *Key) Is(pub crypto.PublicKey) bool {
	switch {
	case k.rsa != nil:
		return k.rsa.Equal(pub)
	case k.ec != nil:
		return k.ec.Equal(pub)
	case k.ed != nil:
		return k.ed.Equal(pub)
	}
	return false
}

// CanSign reports whether the key holds what signing needs.
func (k *Key) CanSign() bool { return k.private != nil || k.secret != nil }

func (k *Key) String() string       { return "key " + k.KID + " (" + string(k.Algorithm) + ")" }
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Format keeps every verb of fmt, %x and %#v too, from walking into the key.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// rsaBits is the size of RSA keys we make; 128-bit strength (NIST SP 800-57).
const rsaBits = 3072

// GenerateKey makes a new signing key. Its kid never begins with "-", so that it can be
// pasted behind any command. The kid is the RFC 7638 thumbprint, or
// random for HMAC keys, whose thumbprint would let anybody test guesses
// (RFC 7638 §7).
func GenerateKey(alg Algorithm) (*Key, error) {
	for {
		k, err := generateKey(alg)
		if err != nil || k.KID[0] != '-' { // one thumbprint in 64 does
			return k, err
		}
	}
}

func generateKey(alg Algorithm) (*Key, error) {
	s := alg.spec()
	k := &Key{Algorithm: alg}
	switch s.family {
	case familyHMAC:
		k.secret = make([]byte, s.hash.Size())
		_, _ = rand.Read(k.secret) // never fails
		var id [16]byte
		_, _ = rand.Read(id[:])
		k.KID = b64.EncodeToString(id[:])
		return k, nil
	case familyPKCS1, familyPSS:
		p, err := rsa.GenerateKey(rand.Reader, rsaBits)
		if err != nil {
			return nil, fmt.Errorf("generate RSA key: %w", err)
		}
		k.rsa, k.private = &p.PublicKey, p
	case familyECDSA:
		p, err := ecdsa.GenerateKey(alg.curve(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate EC key: %w", err)
		}
		k.ec, k.private = &p.PublicKey, p
	case familyEd25519:
		pub, p, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate Ed25519 key: %w", err)
		}
		k.ed, k.private = pub, p
	default:
		return nil, errKeyInvalid.With(errors.New("unknown algorithm"))
	}
	k.KID = k.Thumbprint()
	return k, nil
}

// NewSecretKey makes an HMAC key from a configured secret. It refuses secrets
// that [CheckSecret] refuses.
func NewSecretKey(kid string, alg Algorithm, secret []byte) (*Key, error) {
	if !alg.Symmetric() {
		return nil, errKeyInvalid.With(errors.New("not an HMAC algorithm"))
	}
	if err := CheckSecret(alg, secret); err != nil {
		return nil, err
	}
	return &Key{KID: kid, Algorithm: alg, secret: append([]byte(nil), secret...)}, nil
}

// mac appends the HMAC of input to dst. Setting up an HMAC hashes the key twice;
// macs keeps those that are set up.
func (k *Key) mac(dst, input []byte) []byte {
	m, ok := k.macs.Get().(hash.Hash)
	if ok {
		m.Reset()
	} else {
		m = hmac.New(k.Algorithm.spec().hash.New, k.secret)
	}
	m.Write(input)
	dst = m.Sum(dst)
	k.macs.Put(m)
	return dst
}

// verify reports whether sig is a signature of input under k. The algorithm is
// the key's own; the caller has compared it with the header before. A key that
// lacks the part its algorithm needs verifies nothing.
func (k *Key) verify(input, sig []byte) bool {
	s := k.Algorithm.spec()
	if s.size != 0 && len(sig) != s.size {
		return false
	}
	switch {
	case s.family == familyHMAC && len(k.secret) >= s.hash.Size():
		return hmac.Equal(sig, k.mac(make([]byte, 0, 64), input))
	case s.family == familyPKCS1 && k.rsa != nil:
		return rsa.VerifyPKCS1v15(k.rsa, s.hash, s.digest(input), sig) == nil
	case s.family == familyPSS && k.rsa != nil:
		// RFC 7518 §3.5: the salt is as long as the hash, not "whatever fits".
		opt := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash}
		return rsa.VerifyPSS(k.rsa, s.hash, s.digest(input), sig, &opt) == nil
	case s.family == familyECDSA && k.ec != nil:
		var buf [160]byte
		return ecdsa.VerifyASN1(k.ec, s.digest(input), appendDER(buf[:0], sig)) // refuses 0 and >= n
	case s.family == familyEd25519 && len(k.ed) == ed25519.PublicKeySize:
		return ed25519.Verify(k.ed, input, sig)
	}
	return false
}
