package breached

import (
	"crypto/sha1" // what the lists have: it names a password, and protects nothing
	"encoding/binary"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse"
)

// hashes are the hashes under which password may be listed: as it is set here, in
// Unicode NFC, and as it was typed.
func hashes(password gatehouse.Secret) [][sha1.Size]byte {
	text := password.Reveal()
	out := [][sha1.Size]byte{sha1.Sum([]byte(text))}
	if nfc := norm.NFC.String(text); nfc != text {
		out = append(out, sha1.Sum([]byte(nfc)))
	}
	return out
}

// key is the part of a hash of which a value is made.
func key(hash []byte) uint64 { return binary.BigEndian.Uint64(hash) }
