package credential

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"

	"github.com/gatehouse-auth/gatehouse"
)

// HashKind is the function that a stored password hash was made with.
type HashKind string

// The kinds that can be verified. Only [Argon2id] is ever written.
const (
	Argon2id     HashKind = "argon2id"
	Bcrypt       HashKind = "bcrypt"
	Scrypt       HashKind = "scrypt"
	PBKDF2SHA256 HashKind = "pbkdf2-sha256"
	PBKDF2SHA512 HashKind = "pbkdf2-sha512"
	PBKDF2SHA1   HashKind = "pbkdf2" // as passlib calls it
	Argon2i      HashKind = "argon2i"
	SHA256Crypt  HashKind = "sha256-crypt"
	SHA512Crypt  HashKind = "sha512-crypt"
)

// Bounds of what a stored hash may ask for. An administrator may import hashes
// from anywhere; one line of such a file must not be able to take the memory or
// the processor away from everybody else at the login of one account.
const (
	MaxHashBytes      = 512
	maxArgonMemoryKiB = 128 << 10
	maxArgonTime      = 16
	maxArgonLanes     = 8
	maxArgonWork      = 512 << 10 // memory in KiB times passes
	maxBcryptCost     = 14
	maxScryptLog      = 20
	maxScryptMemory   = 128 << 20 // bytes: 128·N·r
	maxScryptWork     = 1 << 21   // N·r·p
	maxPBKDF2         = 5_000_000
	maxSalt           = 64
	minSum, maxSum    = 16, 64
	// MaxBcryptPassword is how much of a password bcrypt reads, in bytes. A
	// longer one was never verified as a whole, so it does not match.
	MaxBcryptPassword = 72
)

// StoredHash is a password hash as stored, parsed and within bounds.
type StoredHash struct {
	kind HashKind
	// form is how this hash is spelt, where its kind has several spellings: the
	// version letter of bcrypt; "", "i", "il" or "django" of PBKDF2.
	form string
	// wrap is what stands before a bcrypt hash that was not made of the password itself.
	wrap string
	dots bool // passlib's base64 alphabet
	// time, memory and lanes of Argon2id; log2 N, r and p of scrypt; the cost
	// of bcrypt; the iterations of PBKDF2.
	time, memory, lanes int
	salt, sum           []byte // sum of bcrypt: salt and hash in its own base64
	keyID               string
}

var errHashInvalid = gatehouse.E(gatehouse.Invalid, "password_hash_invalid",
	"The password hash has an unknown form, or parameters out of bounds.")

// ParseHash reads a stored password hash and checks that its parameters are
// within bounds. Accepted forms, each in its one canonical spelling:
//
//	$argon2id$v=19$m=…,t=…,p=…[,keyid=…]$salt$hash      (PHC)
//	$2a$ $2b$ $2y$ bcrypt                                (cost 4 to 14)
//	$argon2i$v=19$m=…,t=…,p=…$salt$hash                  (PHC)
//	bcrypt_sha256$$2b$…                                  (Django: of the SHA-256 in hexadecimal)
//	$wp$2y$…                                             (WordPress: of an HMAC-SHA384 in base64)
//	$scrypt$ln=…,r=…,p=…$salt$hash                       (PHC, passlib)
//	$5$[rounds=…$]salt$hash, $6$…                        (SHA crypt)
//	$pbkdf2$N$salt$hash                                  (passlib, SHA-1)
//	$pbkdf2-sha256$[i=]N[,l=L]$salt$hash, …-sha512       (PHC, passlib)
//	pbkdf2_sha256$N$salt$hash, pbkdf2_sha512$…           (Django)
//
// Error: password_hash_invalid.
func ParseHash(text string) (*StoredHash, error) {
	if len(text) > MaxHashBytes {
		return nil, errHashInvalid
	}
	s, err := parseHash(text)
	if err != nil {
		return nil, errHashInvalid.With(err)
	}
	if s.String() != text {
		return nil, errHashInvalid.With(fmt.Errorf("not in canonical form"))
	}
	return s, nil
}

func parseHash(text string) (*StoredHash, error) {
	fields := strings.Split(text, "$")
	switch {
	case strings.HasPrefix(text, "$argon2id$"), strings.HasPrefix(text, "$argon2i$"):
		return parseArgon2(fields)
	case strings.HasPrefix(text, "$5$"), strings.HasPrefix(text, "$6$"):
		return parseSHACrypt(fields)
	case strings.HasPrefix(text, wrapWordPress+"$2"):
		return parseWrapped(wrapWordPress, fields[1:])
	case strings.HasPrefix(text, wrapDjango+"$2"):
		return parseWrapped(wrapDjango, fields[1:])
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return parseBcrypt(fields)
	case strings.HasPrefix(text, "$scrypt$"):
		return parseScrypt(fields)
	case strings.HasPrefix(text, "$pbkdf2$"), strings.HasPrefix(text, "$pbkdf2-sha256$"), strings.HasPrefix(text, "$pbkdf2-sha512$"):
		return parsePBKDF2(fields)
	case strings.HasPrefix(text, "pbkdf2_sha256$"), strings.HasPrefix(text, "pbkdf2_sha512$"):
		return parseDjango(fields)
	}
	return nil, fmt.Errorf("unknown kind of hash")
}

// Kind returns the function that the hash was made with.
func (s *StoredHash) Kind() HashKind { return s.kind }

// String encodes the hash again, to the very text that was parsed. It should not
// be shown to anybody: it can be guessed against.
func (s *StoredHash) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	salt, sum := b64(s.salt), b64(s.sum)
	switch s.kind {
	case Argon2id, Argon2i:
		keyID := ""
		if s.keyID != "" {
			keyID = ",keyid=" + b64([]byte(s.keyID))
		}
		return fmt.Sprintf("$%s$v=19$m=%d,t=%d,p=%d%s$%s$%s", s.kind, s.memory, s.time, s.lanes, keyID, salt, sum)
	case Bcrypt:
		return s.wrap + s.bcrypt()
	case SHA256Crypt, SHA512Crypt:
		version, rounds := "5", ""
		if s.kind == SHA512Crypt {
			version = "6"
		}
		if s.form == "rounds" {
			rounds = fmt.Sprintf("rounds=%d$", s.time)
		}
		return fmt.Sprintf("$%s$%s%s$%s", version, rounds, s.salt, s.sum)
	case Scrypt:
		return fmt.Sprintf("$scrypt$ln=%d,r=%d,p=%d$%s$%s", s.time, s.memory, s.lanes, salt, sum)
	}
	if s.dots {
		salt, sum = strings.ReplaceAll(salt, "+", "."), strings.ReplaceAll(sum, "+", ".")
	}
	switch s.form {
	case "django":
		return fmt.Sprintf("%s$%d$%s$%s", strings.Replace(string(s.kind), "-", "_", 1), s.time, s.salt, base64.StdEncoding.EncodeToString(s.sum))
	case "il":
		return fmt.Sprintf("$%s$i=%d,l=%d$%s$%s", s.kind, s.time, len(s.sum), salt, sum)
	case "i":
		return fmt.Sprintf("$%s$i=%d$%s$%s", s.kind, s.time, salt, sum)
	}
	return fmt.Sprintf("$%s$%d$%s$%s", s.kind, s.time, salt, sum)
}

func (s *StoredHash) bcrypt() string { return fmt.Sprintf("$2%s$%02d$%s", s.form, s.time, s.sum) }

// What stands before a bcrypt hash tells of what it was made.
const (
	wrapWordPress = "$wp"
	wrapDjango    = "bcrypt_sha256$"
)

// unwrapped is what bcrypt was given for password.
func (s *StoredHash) unwrapped(password []byte) []byte {
	switch s.wrap {
	case wrapWordPress: // which leaves out white space at the ends
		mac := hmac.New(sha512.New384, []byte("wp-sha384"))
		mac.Write(bytes.Trim(password, " \t\n\r\x00\x0b"))
		return base64.StdEncoding.AppendEncode(nil, mac.Sum(nil))
	case wrapDjango:
		sum := sha256.Sum256(password)
		return hex.AppendEncode(nil, sum[:])
	}
	return password
}

// class names kind and cost: two hashes of one class take equally long.
func (s *StoredHash) class() string {
	return fmt.Sprintf("%s %d %d %d", s.kind, s.time, s.memory, s.lanes)
}

// work is the memory written during one evaluation, in KiB; 0 for the kinds
// that use none worth counting.
func (s *StoredHash) work() int64 {
	if s.kind == Argon2id || s.kind == Argon2i {
		return int64(s.memory) * int64(s.time)
	}
	return 0
}

// match evaluates the function over password and compares in constant time.
func (s *StoredHash) match(password []byte) bool {
	var got []byte
	switch s.kind {
	case Argon2id:
		got = argon2.IDKey(password, s.salt, uint32(s.time), uint32(s.memory), uint8(s.lanes), uint32(len(s.sum)))
	case Bcrypt:
		password = s.unwrapped(password)
		ok := bcrypt.CompareHashAndPassword([]byte(s.bcrypt()), password) == nil
		return ok && len(password) <= MaxBcryptPassword
	case Argon2i:
		got = argon2.Key(password, s.salt, uint32(s.time), uint32(s.memory), uint8(s.lanes), uint32(len(s.sum)))
	case SHA256Crypt, SHA512Crypt:
		if len(password) <= maxCryptPassword {
			got = shaCrypt(s.kind, password, s.salt, s.time)
		}
	case PBKDF2SHA1:
		got, _ = pbkdf2.Key(sha1.New, string(password), s.salt, s.time, len(s.sum))
	case Scrypt:
		got, _ = scrypt.Key(password, s.salt, 1<<s.time, s.memory, s.lanes, len(s.sum))
	case PBKDF2SHA256:
		got, _ = pbkdf2.Key(sha256.New, string(password), s.salt, s.time, len(s.sum))
	case PBKDF2SHA512:
		got, _ = pbkdf2.Key(func() hash.Hash { return sha512.New() }, string(password), s.salt, s.time, len(s.sum))
	}
	return len(s.sum) >= minSum && subtle.ConstantTimeCompare(got, s.sum) == 1
}

func parseArgon2(f []string) (*StoredHash, error) {
	if len(f) != 6 || f[2] != "v=19" {
		return nil, fmt.Errorf("argon2id: wrong form or version")
	}
	params := strings.Split(f[3], ",")
	if len(params) != 3 && (len(params) != 4 || f[1] != string(Argon2id)) {
		return nil, fmt.Errorf("argon2id: wrong parameters")
	}
	s := &StoredHash{kind: HashKind(f[1])}
	var err error
	if len(params) == 4 {
		id, ok := strings.CutPrefix(params[3], "keyid=")
		raw, err := unbase64(id, 1, 8)
		if !ok || err != nil {
			return nil, fmt.Errorf("argon2id: wrong key id")
		}
		s.keyID = string(raw)
	}
	if s.memory, err = number(params[0], "m=", 8, maxArgonMemoryKiB); err != nil {
		return nil, err
	}
	if s.time, err = number(params[1], "t=", 1, maxArgonTime); err != nil {
		return nil, err
	}
	if s.lanes, err = number(params[2], "p=", 1, maxArgonLanes); err != nil {
		return nil, err
	}
	if s.memory*s.time > maxArgonWork || s.memory < 8*s.lanes {
		return nil, fmt.Errorf("argon2id: parameters out of bounds")
	}
	return s, s.saltAndSum(f[4], f[5])
}

// parseWrapped reads a bcrypt hash behind wrap.
func parseWrapped(wrap string, f []string) (*StoredHash, error) {
	if len(f) != 4 {
		return nil, fmt.Errorf("bcrypt: wrong form")
	}
	s, err := parseBcrypt(append([]string{""}, f[1:]...))
	if err == nil {
		s.wrap = wrap
	}
	return s, err
}

func parseBcrypt(f []string) (*StoredHash, error) {
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if len(f) != 4 || len(f[2]) != 2 || len(f[3]) != 53 || strings.Trim(f[3], alphabet) != "" {
		return nil, fmt.Errorf("bcrypt: wrong form")
	}
	// The 22 characters of the salt carry 128 of 132 bits, the 31 of the hash
	// 184 of 186: stray bits would be a second spelling of the same hash.
	if strings.IndexByte(alphabet, f[3][21])&15 != 0 || strings.IndexByte(alphabet, f[3][52])&3 != 0 {
		return nil, fmt.Errorf("bcrypt: not canonical")
	}
	cost, err := number(strings.TrimPrefix(f[2], "0"), "", bcrypt.MinCost, maxBcryptCost)
	if err != nil {
		return nil, err
	}
	return &StoredHash{kind: Bcrypt, form: f[1][1:], time: cost, sum: []byte(f[3])}, nil
}

func parseScrypt(f []string) (*StoredHash, error) {
	if len(f) != 5 {
		return nil, fmt.Errorf("scrypt: wrong form")
	}
	params := strings.Split(f[2], ",")
	if len(params) != 3 {
		return nil, fmt.Errorf("scrypt: wrong parameters")
	}
	s := &StoredHash{kind: Scrypt}
	var err error
	if s.time, err = number(params[0], "ln=", 1, maxScryptLog); err != nil {
		return nil, err
	}
	if s.memory, err = number(params[1], "r=", 1, 64); err != nil {
		return nil, err
	}
	if s.lanes, err = number(params[2], "p=", 1, 64); err != nil {
		return nil, err
	}
	if 128*s.memory<<s.time > maxScryptMemory || s.memory*s.lanes<<s.time > maxScryptWork {
		return nil, fmt.Errorf("scrypt: parameters out of bounds")
	}
	return s, s.saltAndSum(f[3], f[4])
}

func parsePBKDF2(f []string) (*StoredHash, error) {
	if len(f) != 5 {
		return nil, fmt.Errorf("pbkdf2: wrong form")
	}
	s := &StoredHash{kind: HashKind(f[1])}
	iterations, length, hasLength := f[2], "", false
	if strings.HasPrefix(iterations, "i=") {
		iterations, length, hasLength = strings.Cut(iterations[2:], ",")
		s.form = "i"
	}
	var err error
	if s.time, err = number(iterations, "", 1, maxPBKDF2); err != nil {
		return nil, err
	}
	salt, sum := f[3], f[4]
	if s.dots = strings.Contains(salt+sum, "."); s.dots { // passlib writes "." for "+"
		if strings.Contains(salt+sum, "+") {
			return nil, fmt.Errorf("pbkdf2: two alphabets")
		}
		salt, sum = strings.ReplaceAll(salt, ".", "+"), strings.ReplaceAll(sum, ".", "+")
	}
	if err := s.saltAndSum(salt, sum); err != nil {
		return nil, err
	}
	if hasLength {
		if n, err := number(length, "l=", minSum, maxSum); err != nil || n != len(s.sum) {
			return nil, fmt.Errorf("pbkdf2: wrong length")
		}
		s.form = "il"
	}
	return s, nil
}

func parseDjango(f []string) (*StoredHash, error) {
	if len(f) != 4 || len(f[2]) == 0 || len(f[2]) > maxSalt {
		return nil, fmt.Errorf("pbkdf2: wrong form")
	}
	for i := range len(f[2]) {
		if c := f[2][i]; c <= ' ' || c > '~' {
			return nil, fmt.Errorf("pbkdf2: wrong salt")
		}
	}
	s := &StoredHash{kind: HashKind(strings.Replace(f[0], "_", "-", 1)), form: "django", salt: []byte(f[2])}
	var err error
	if s.time, err = number(f[1], "", 1, maxPBKDF2); err != nil {
		return nil, err
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(f[3])
	if err != nil || base64.StdEncoding.EncodeToString(sum) != f[3] || len(sum) < minSum || len(sum) > maxSum {
		return nil, fmt.Errorf("pbkdf2: wrong hash")
	}
	s.sum = sum
	return s, nil
}

func (s *StoredHash) saltAndSum(salt, sum string) error {
	var err error
	if s.salt, err = unbase64(salt, 8, maxSalt); err != nil {
		return err
	}
	s.sum, err = unbase64(sum, minSum, maxSum)
	return err
}

// number reads "<name><decimal>" without sign or leading zero.
func number(text, name string, low, high int) (int, error) {
	digits, ok := strings.CutPrefix(text, name)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < low || n > high || strconv.Itoa(n) != digits {
		return 0, fmt.Errorf("parameter %q out of bounds", name)
	}
	return n, nil
}

// unbase64 decodes canonical unpadded standard base64 of low to high bytes.
func unbase64(text string, low, high int) ([]byte, error) {
	raw, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || base64.RawStdEncoding.EncodeToString(raw) != text || len(raw) < low || len(raw) > high {
		return nil, fmt.Errorf("wrong base64 or length")
	}
	return raw, nil
}
