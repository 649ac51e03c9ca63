package credential

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/gatehouse-auth/gatehouse"
)

// Bounds of keys that another system made and that are known here by their hash.
const (
	// MinImportedBits is the least randomness that such a key must have: its hash is a
	// fast one, so whoever reads the database must not be able to guess.
	MinImportedBits = 128
	maxImportedBits = 4096
	// MinImportedKey and MaxImportedKey bound the text, in bytes. Fewer than 20
	// characters cannot hold 128 bits.
	MinImportedKey = 20
	MaxImportedKey = 512
	maxKeyPrefix   = 16
)

var errImported = gatehouse.E(gatehouse.Invalid, "key_import_invalid", "The key cannot be imported.")

// ImportableKey reports whether text can be an imported key: visible ASCII without
// commas, by which proxies join lines, and of a length that can hold a secret.
func ImportableKey(text string) bool {
	if len(text) < MinImportedKey || len(text) > MaxImportedKey {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == ',' {
			return false
		}
	}
	return true
}

// ParseImportedHash reads what an operator says of a key that another system made: its
// SHA-256 in 64 lower-case hexadecimal digits, the bits of randomness in it, and how its
// text begins, for people ("" says nothing). It refuses what is weak: fewer than
// [MinImportedBits], hashes of well-known passwords and words, of nothing, or that are
// no hash; and a prefix that would be a part of the secret worth having. Error:
// key_import_invalid, whose Fields name the member.
func ParseImportedHash(digest string, bits int, prefix string) ([]byte, error) {
	fields := map[string]string{}
	hash, err := hex.DecodeString(digest)
	switch {
	case err != nil || len(hash) != sha256.Size || hex.EncodeToString(hash) != digest:
		fields["sha256"] = "must be the SHA-256 of the key's text, as 64 lower-case hexadecimal digits"
	case weakDigest([sha256.Size]byte(hash)):
		fields["sha256"] = "is the hash of a well-known text, or none at all"
	}
	if bits < MinImportedBits || bits > maxImportedBits {
		fields["bits"] = "must be how many random bits the key has, at least " + strconv.Itoa(MinImportedBits) + ": a key with fewer can be guessed from its hash"
	}
	if len(prefix) > maxKeyPrefix || prefix != "" && !visible(prefix) {
		fields["prefix"] = "must be how the key's text begins, at most 16 visible characters"
	}
	if len(fields) > 0 {
		e := errImported.With(nil)
		e.Fields = fields
		return nil, e
	}
	return hash, nil
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// weakDigest reports whether sum is that of a text which anybody would try, or a
// pattern that no hash has. It takes some milliseconds.
func weakDigest(sum [sha256.Size]byte) bool {
	seen := map[byte]bool{}
	for _, b := range sum {
		seen[b] = true
	}
	if len(seen) < 8 { // 32 random bytes have fewer than 8 values once in 10²⁰
		return true
	}
	weak := sha256.Sum256(nil) == sum
	for word := range shippedWords {
		if weak {
			break
		}
		weak = sha256.Sum256([]byte(word)) == sum
	}
	return weak
}
