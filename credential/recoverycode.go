package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// A recovery code is a look-up secret (NIST SP 800-63B-4 §3.1.2) of 120 random bits: 24 letters
// and digits in groups of four. With 112 bits and more nobody finds one by trying all against a
// stolen database, so that a plain hash does (§3.1.2.2); with fewer each would cost a password
// hash, ten for each attempt, which a stranger could ask for.
const (
	recoveryLetters = "0123456789abcdefghjkmnpqrstvwxyz" // Crockford's base 32: no i, l, o, u
	recoverySize    = 24
	recoveryGroup   = 4
)

// NewRecoveryCode makes a code, as it is shown once.
func NewRecoveryCode() gatehouse.Secret {
	var raw [recoverySize]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	out := make([]byte, 0, recoverySize+recoverySize/recoveryGroup)
	for i, b := range raw {
		if i > 0 && i%recoveryGroup == 0 {
			out = append(out, '-')
		}
		out = append(out, recoveryLetters[b%32]) // 256 is a multiple of 32: no letter is likelier
	}
	return gatehouse.Secret(out)
}

// HashRecoveryCode is what is stored of a code, and under what it is found. Case, blanks and
// hyphens do not count, and what looks alike is taken for what is meant (o for 0, i and l for
// 1). ok is false when the text cannot be a code.
func HashRecoveryCode(code string) (hash []byte, ok bool) {
	if len(code) > 4*recoverySize {
		return nil, false
	}
	plain := make([]byte, 0, recoverySize)
	for _, c := range []byte(strings.ToLower(code)) {
		switch c {
		case ' ', '-':
			continue
		case 'o':
			c = '0'
		case 'i', 'l':
			c = '1'
		}
		if strings.IndexByte(recoveryLetters, c) < 0 || len(plain) == recoverySize {
			return nil, false
		}
		plain = append(plain, c)
	}
	if len(plain) != recoverySize {
		return nil, false
	}
	sum := sha256.Sum256(append([]byte("gatehouse recovery code\x00"), plain...))
	return sum[:], true
}
