package seal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"golang.org/x/crypto/chacha20poly1305"
)

var b64 = base64.RawURLEncoding.Strict()

const maxID = 32

// MasterKey is a 256-bit key with an id. The id is stored in clear in each blob.
// Its text form is "<id>.<43 characters of base64url>"; only [MasterKey.Reveal]
// gives it.
type MasterKey struct {
	id  string
	key [chacha20poly1305.KeySize]byte
}

// GenerateMasterKey makes a random key whose id is the day of now and 32 random
// bits, as in "k20261122-1f9a03c4".
func GenerateMasterKey(now time.Time) MasterKey {
	var k MasterKey
	_, _ = rand.Read(k.key[:]) // never fails
	var tail [4]byte
	_, _ = rand.Read(tail[:])
	k.id = fmt.Sprintf("k%s-%x", now.UTC().Format("20060102"), tail)
	return k
}

var errMasterKey = errors.New(`a master key has the form "<id>.<43 characters of base64url>"`)

// ParseMasterKey reads the text form. It refuses keys whose octets are all the
// same, which are examples. Errors never quote the text.
func ParseMasterKey(text string) (MasterKey, error) {
	var k MasterKey
	id, secret, ok := strings.Cut(strings.TrimSpace(text), ".")
	if !ok || !validID(id) || strings.ContainsAny(secret, "\r\n") {
		return MasterKey{}, errMasterKey
	}
	raw, err := b64.DecodeString(secret)
	if err != nil || len(raw) != len(k.key) {
		return MasterKey{}, errMasterKey
	}
	same := true
	for _, c := range raw {
		same = same && c == raw[0]
	}
	if same {
		return MasterKey{}, errors.New("the master key is not random")
	}
	k.id = id
	copy(k.key[:], raw)
	return k, nil
}

// ParseMasterKeys reads one key a line, the first being the one to seal with.
// Blank lines and lines that begin with # are left out.
func ParseMasterKeys(text string) ([]MasterKey, error) {
	var keys []MasterKey
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		k, err := ParseMasterKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no master key")
	}
	return keys, nil
}

func validID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// ID names the key; it is no secret.
func (k MasterKey) ID() string { return k.id }

// Reveal returns the text form, for writing the key file.
func (k MasterKey) Reveal() gatehouse.Secret {
	return gatehouse.Secret(k.id + "." + b64.EncodeToString(k.key[:]))
}

func (k MasterKey) String() string               { return "master key " + k.id + " [redacted]" }
func (k MasterKey) LogValue() slog.Value         { return slog.StringValue(k.String()) }
func (k MasterKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Format keeps every verb of fmt from walking into the key.
func (k MasterKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }
