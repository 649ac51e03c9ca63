package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"hash/crc32"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// Prefixes of the uses of the key form.
const (
	PrefixKey     = "ghk" // API key, unless the installation chose another prefix
	PrefixAccess  = "ght" // opaque access token
	PrefixRefresh = "ghr" // refresh token
	PrefixClient  = "ghc" // secret of a registered client
	PrefixCode    = "gha" // authorization code
	PrefixDevice  = "ghd" // code of a device that waits for a person
	PrefixAsked   = "ghq" // auth_req_id of a client that waits for a person
)

const (
	base62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	keyIDLen    = 12
	keySecret   = 30 // 178 bits
	keyCRC      = 6
	keyBody     = keyIDLen + keySecret + keyCRC
	maxPrefix   = 10
	maxKeyBytes = maxPrefix + len("_live_") + keyBody
)

// ParsedKey is the public part of a key text.
type ParsedKey struct {
	Prefix      string
	Environment gatehouse.Environment
	ID          string
}

// IsAccessToken reports whether the text was an opaque access token.
func (p ParsedKey) IsAccessToken() bool { return p.Prefix == PrefixAccess }

// IsRefreshToken reports whether the text was a refresh token, which is never a
// credential for a request.
func (p ParsedKey) IsRefreshToken() bool { return p.Prefix == PrefixRefresh }

// IsAPIKey reports whether the text was an API key of an installation that uses
// prefix ("" means [PrefixKey]).
func (p ParsedKey) IsAPIKey(prefix string) bool {
	if prefix == "" {
		prefix = PrefixKey
	}
	return p.Prefix == prefix && ValidKeyPrefix(prefix)
}

var (
	ErrKeyMalformed = gatehouse.E(gatehouse.Unauthenticated, "key_malformed", "The key is not in the form of a key.")
	errKeyChecksum  = gatehouse.E(gatehouse.Unauthenticated, "key_checksum", "The key is mistyped or incomplete.")
)

// ValidKeyPrefix reports whether an installation may use prefix for its API
// keys: the right form, and not one of the token prefixes.
func ValidKeyPrefix(prefix string) bool {
	return validPrefix(prefix) && prefix != PrefixAccess && prefix != PrefixRefresh && prefix != PrefixTicket && prefix != PrefixSession && prefix != PrefixClient && prefix != PrefixCode && prefix != PrefixDevice && prefix != PrefixAsked
}

func validPrefix(s string) bool {
	if len(s) < 2 || len(s) > maxPrefix || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func validEnvironment(e gatehouse.Environment) bool {
	return e == gatehouse.EnvironmentLive || e == gatehouse.EnvironmentTest
}

// MintKey makes a new random key, opaque token or refresh token. It returns the
// text (shown once, never stored), the public id inside it, and the hash to
// store. prefix and env come from configuration that was validated at start:
// MintKey panics on others rather than mint something that never verifies.
func MintKey(prefix string, env gatehouse.Environment) (text gatehouse.Secret, id string, hash []byte) {
	if !validPrefix(prefix) || !validEnvironment(env) {
		panic("credential: MintKey with an invalid prefix or environment")
	}
	id = randomBase62(keyIDLen)
	body := prefix + "_" + string(env) + "_" + id + randomBase62(keySecret)
	sum := checksum(body)
	full := body + string(sum[:])
	return gatehouse.Secret(full), id, HashKey(full)
}

// ParseKey checks the form and the checksum of text and returns its public part.
// It looks nothing up and proves nothing: the caller finds the record and then
// calls [MatchKey]. Errors: key_malformed, key_checksum.
func ParseKey(text string) (ParsedKey, error) {
	if len(text) > maxKeyBytes {
		return ParsedKey{}, ErrKeyMalformed
	}
	prefix, rest, ok := strings.Cut(text, "_")
	env, body, ok2 := strings.Cut(rest, "_")
	p := ParsedKey{Prefix: prefix, Environment: gatehouse.Environment(env)}
	if !ok || !ok2 || !validPrefix(prefix) || !validEnvironment(p.Environment) || len(body) != keyBody {
		return ParsedKey{}, ErrKeyMalformed
	}
	for i := range len(body) {
		if c := body[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return ParsedKey{}, ErrKeyMalformed
		}
	}
	split := len(text) - keyCRC
	if sum := checksum(text[:split]); string(sum[:]) != text[split:] {
		return ParsedKey{}, errKeyChecksum
	}
	p.ID = body[:keyIDLen]
	return p, nil
}

// HashKey returns what is stored of a key text: its SHA-256. A secret of 178
// random bits cannot be guessed, so a slow hash would only slow us down.
func HashKey(text string) []byte {
	sum := hashKey(text)
	return sum[:]
}

func hashKey(text string) [sha256.Size]byte {
	var room [maxKeyBytes]byte // no allocation for what has the length of a key
	return sha256.Sum256(append(room[:0], text...))
}

// MatchKey reports in constant time whether text is the key that hash was made
// from.
func MatchKey(hash []byte, text string) bool {
	sum := hashKey(text)
	return len(hash) == sha256.Size && subtle.ConstantTimeCompare(hash, sum[:]) == 1
}

// checksum returns the CRC-32 of s as 6 base62 digits, the highest first.
func checksum(s string) (out [keyCRC]byte) {
	sum := crc32.ChecksumIEEE([]byte(s))
	for i := keyCRC - 1; i >= 0; i-- {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return out
}

// randomBase62 returns n uniformly random base62 characters.
func randomBase62(n int) string {
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		_, _ = rand.Read(buf[:]) // never fails: crypto/rand ends the program instead
		for _, b := range buf {
			// 248 = 4*62: the bytes above would make the first characters
			// likelier than the others.
			if b < 248 && len(out) < n {
				out = append(out, base62[b%62])
			}
		}
	}
	return string(out)
}
