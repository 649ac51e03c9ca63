package proof

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// NonceKeySize is the least length of the key of nonces, in bytes.
const NonceKeySize = 32

// nonceLife is how long a nonce counts.
const nonceLife = 5 * time.Minute

// Nonces makes and checks the nonces that servers give (RFC 9449 §8). All that have the same key know each other's.
type Nonces struct{ key []byte }

// NewNonces takes a secret key of [NonceKeySize] bytes or more.
func NewNonces(key []byte) (*Nonces, error) {
	if len(key) < NonceKeySize {
		return nil, errors.New("proof: the key of nonces must have 32 bytes or more")
	}
	return &Nonces{key}, nil
}

const (
	nonceTime = 8
	nonceMAC  = 16
)

var nonceText = base64.RawURLEncoding.Strict()

// at is the nonce of a time, to the nanosecond: whoever has just begun can tell it from those that were made before.
func (n *Nonces) at(t time.Time) string {
	var b [nonceTime]byte
	binary.BigEndian.PutUint64(b[:], uint64(t.UnixNano()))
	return nonceText.EncodeToString(n.sum(b[:]))
}

// sum appends the MAC to a time.
func (n *Nonces) sum(b []byte) []byte {
	m := hmac.New(sha256.New, n.key)
	m.Write([]byte("dpop nonce\x00"))
	m.Write(b)
	return append(b, m.Sum(nil)[:nonceMAC]...)
}

// open returns when a nonce was made; ok is false for one that is not ours, or too old.
func (n *Nonces) open(s string, now time.Time) (made time.Time, ok bool) {
	b, err := nonceText.DecodeString(s)
	if err != nil || len(b) != nonceTime+nonceMAC || len(s) != nonceText.EncodedLen(len(b)) || !hmac.Equal(b, n.sum(b[:nonceTime:nonceTime])) {
		return time.Time{}, false
	}
	made = time.Unix(0, int64(binary.BigEndian.Uint64(b)))
	return made, now.Sub(made) < nonceLife && made.Sub(now) <= maxAhead
}
