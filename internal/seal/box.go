package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	version = 1
	// MaxPlaintext bounds what may be sealed.
	MaxPlaintext = 1 << 20
)

// Place is where a blob belongs. It is not stored in the blob; opening at another
// place fails.
type Place struct {
	Purpose string // constant of the caller, "signing-key"
	Realm   string
	ID      string
}

// Box seals and opens. It is immutable and safe for concurrent use.
type Box struct {
	first string
	aeads map[string]cipher.AEAD
}

// NewBox makes a box that seals with the first key and opens with any.
func NewBox(keys ...MasterKey) (*Box, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal: no master key")
	}
	b := &Box{first: keys[0].id, aeads: make(map[string]cipher.AEAD, len(keys))}
	for _, k := range keys {
		if !validID(k.id) {
			return nil, errors.New("seal: master key without id")
		}
		if b.aeads[k.id] != nil {
			return nil, fmt.Errorf("seal: two master keys have the id %s", k.id)
		}
		a, err := chacha20poly1305.NewX(k.key[:])
		if err != nil {
			return nil, err
		}
		b.aeads[k.id] = a
	}
	return b, nil
}

func (b *Box) String() string       { return "seal box [redacted]" }
func (b *Box) LogValue() slog.Value { return slog.StringValue(b.String()) }

// Format keeps every verb of fmt from walking into the keys.
func (b *Box) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }

// Seal encrypts plaintext for place.
func (b *Box) Seal(plaintext []byte, place Place) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, errors.New("seal: too large")
	}
	if place.Purpose == "" {
		return nil, errors.New("seal: no purpose")
	}
	a := b.aeads[b.first]
	blob := make([]byte, 0, 2+len(b.first)+a.NonceSize()+len(plaintext)+a.Overhead())
	blob = append(blob, version, byte(len(b.first)))
	blob = append(blob, b.first...)
	head := len(blob)
	blob = blob[:head+a.NonceSize()]
	_, _ = rand.Read(blob[head:]) // never fails; 192 random bits do not repeat
	return a.Seal(blob, blob[head:], plaintext, associated(blob[:head], place)), nil
}

// ErrOpen says that a blob is damaged, was moved, or is sealed under a master key
// that this box lacks. Which of them is in the wrapping text.
var ErrOpen = errors.New("seal: cannot open")

// Open decrypts a blob sealed for place.
func (b *Box) Open(blob []byte, place Place) ([]byte, error) {
	id, head, err := parse(blob)
	if err != nil {
		return nil, err
	}
	a := b.aeads[id]
	if a == nil {
		return nil, fmt.Errorf("%w: master key %s is not configured", ErrOpen, id)
	}
	if len(blob) < head+a.NonceSize()+a.Overhead() {
		return nil, fmt.Errorf("%w: too short", ErrOpen)
	}
	nonce, ciphertext := blob[head:head+a.NonceSize()], blob[head+a.NonceSize():]
	plaintext, err := a.Open(nil, nonce, ciphertext, associated(blob[:head], place))
	if err != nil {
		return nil, fmt.Errorf("%w: damaged, or sealed for another place", ErrOpen)
	}
	return plaintext, nil
}

// KeyID returns the id of the master key that a blob names.
func KeyID(blob []byte) (string, error) {
	id, _, err := parse(blob)
	return id, err
}

// Stale reports whether blob should be sealed again because it does not name the
// first key of the box.
func (b *Box) Stale(blob []byte) bool {
	id, err := KeyID(blob)
	return err != nil || id != b.first
}

func parse(blob []byte) (id string, head int, err error) {
	if len(blob) < 2 || len(blob) > MaxPlaintext+256 || blob[0] != version {
		return "", 0, fmt.Errorf("%w: not a sealed blob", ErrOpen)
	}
	head = 2 + int(blob[1])
	if len(blob) < head || !validID(string(blob[2:head])) {
		return "", 0, fmt.Errorf("%w: not a sealed blob", ErrOpen)
	}
	return string(blob[2:head]), head, nil
}

// associated joins header and place with lengths in front, so that no two places
// give the same octets.
func associated(head []byte, p Place) []byte {
	var out []byte
	for _, part := range [...]string{string(head), p.Purpose, p.Realm, p.ID} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}
