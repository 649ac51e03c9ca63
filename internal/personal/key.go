package personal

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// SecretSize and SaltSize are in bytes.
	SecretSize = 32
	SaltSize   = 32

	// prefix begins what is sealed: a mark that no address and few names begin with, and the version of the form.
	prefix = "~1."
	// block is what the length of a value is padded to a multiple of, so that it tells little.
	block = 16
)

var b64 = base64.RawURLEncoding.Strict()

// Key is the key of one person. It is safe for concurrent use.
type Key struct {
	aead cipher.AEAD
	mac  [sha256.Size]byte
	// last is what was sealed last, for a few members: nearly all events of a person have the same name and address.
	last [4]atomic.Pointer[form]
}

type form struct{ member, value, text string }

// newKey derives the key of a subject from the secret of the installation and the subject's salt.
func newKey(secret, salt []byte, subject string) (*Key, error) {
	if len(secret) != SecretSize || len(salt) != SaltSize {
		return nil, fmt.Errorf("personal: a secret of %d bytes and a salt of %d", len(secret), len(salt))
	}
	out, err := hkdf.Key(sha256.New, secret, salt, "gatehouse personal data 1\x00"+subject, chacha20poly1305.KeySize+sha256.Size)
	if err != nil {
		return nil, err
	}
	k := &Key{}
	k.aead, err = chacha20poly1305.New(out[:chacha20poly1305.KeySize])
	copy(k.mac[:], out[chacha20poly1305.KeySize:])
	return k, err
}

// String keeps every verb of fmt from walking into the key.
func (k *Key) String() string { return "key of a person [redacted]" }

// Format is [Key.String] for every verb.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// Append appends value, sealed as that member, to dst: letters, digits and "~.-_" only. Of the empty value nothing is
// sealed.
func (k *Key) Append(dst []byte, member, value string) []byte {
	if value == "" {
		return dst
	}
	at := &k.last[int(member[len(member)-1])%len(k.last)]
	if f := at.Load(); f != nil && f.member == member && f.value == value {
		return append(dst, f.text...)
	}
	f := &form{strings.Clone(member), strings.Clone(value), k.seal(member, value)}
	at.Store(f)
	return append(dst, f.text...)
}

func (k *Key) seal(member, value string) string {
	h := hmac.New(sha256.New, k.mac[:])
	h.Write([]byte(member))
	h.Write([]byte{0}) // no member has one
	h.Write([]byte(value))
	sum := h.Sum(nil)
	// The nonce is a hash of what is sealed: two different values get the same one once in 2^48 values of a person.
	blob := append(make([]byte, 0, chacha20poly1305.NonceSize+len(value)+block+chacha20poly1305.Overhead), sum[:chacha20poly1305.NonceSize]...)
	padded := append(append(make([]byte, 0, len(value)+block), value...), 0x80)
	for len(padded)%block != 0 {
		padded = append(padded, 0)
	}
	return prefix + b64.EncodeToString(k.aead.Seal(blob, blob, padded, []byte(member)))
}

var errOpen = errors.New("personal: cannot open")

// Open returns the value that was sealed as that member.
func (k *Key) Open(member, text string) (string, error) {
	rest, sealed := strings.CutPrefix(text, prefix)
	blob, err := b64.DecodeString(rest)
	if !sealed || err != nil || len(blob) < chacha20poly1305.NonceSize+chacha20poly1305.Overhead {
		return "", errOpen
	}
	padded, err := k.aead.Open(nil, blob[:chacha20poly1305.NonceSize], blob[chacha20poly1305.NonceSize:], []byte(member))
	if err != nil {
		return "", errOpen
	}
	end := bytes.LastIndexByte(padded, 0x80)
	if end < 0 {
		return "", errOpen
	}
	return string(padded[:end]), nil
}

// Sealed reports whether text has the form of what [Key.Append] writes.
func Sealed(text string) bool { return strings.HasPrefix(text, prefix) }
