package credential

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"
)

const (
	cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	defaultRounds = 5000
	minRounds     = 1000
	maxRounds     = 1_000_000
	maxCryptSalt  = 16
	// maxCryptPassword bounds what each round reads, in bytes: a longer password does not match.
	maxCryptPassword = 256
)

// parseSHACrypt reads "$5$[rounds=N$]salt$hash" and "$6$…".
func parseSHACrypt(f []string) (*StoredHash, error) {
	s := &StoredHash{kind: SHA256Crypt, time: defaultRounds}
	length := 43
	if f[1] == "6" {
		s.kind, length = SHA512Crypt, 86
	}
	if len(f) == 5 {
		s.form = "rounds"
		var err error
		if s.time, err = number(f[2], "rounds=", minRounds, maxRounds); err != nil {
			return nil, err
		}
		f = f[1:]
	}
	if len(f) != 4 || len(f[2]) > maxCryptSalt || strings.Trim(f[2]+f[3], cryptAlphabet) != "" || len(f[3]) != length {
		return nil, fmt.Errorf("crypt: wrong form")
	}
	s.salt, s.sum = []byte(f[2]), []byte(f[3])
	return s, nil
}

// shaCrypt is the hash of U. Drepper's "Unix crypt using SHA-256 and SHA-512", in its own
// base64. The steps are numbered there.
func shaCrypt(kind HashKind, password, salt []byte, rounds int) []byte {
	newHash := sha256.New
	if kind == SHA512Crypt {
		newHash = func() hash.Hash { return sha512.New() }
	}
	sum := func(parts ...[]byte) []byte {
		h := newHash()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	stretch := func(b []byte, n int) []byte { return bytes.Repeat(b, n/len(b)+1)[:n] }
	b := sum(password, salt, password) // 4 to 8
	parts := [][]byte{password, salt, stretch(b, len(password))}
	for n := len(password); n > 0; n >>= 1 { // 11
		if n&1 == 1 {
			parts = append(parts, b)
		} else {
			parts = append(parts, password)
		}
	}
	a := sum(parts...)
	p := stretch(sum(bytes.Repeat(password, len(password))), len(password)) // 13 to 16
	s := stretch(sum(bytes.Repeat(salt, 16+int(a[0]))), len(salt))          // 17 to 20
	h := newHash()
	for i := range rounds { // 21
		h.Reset()
		if i%2 == 1 {
			h.Write(p)
		} else {
			h.Write(a)
		}
		if i%3 != 0 {
			h.Write(s)
		}
		if i%7 != 0 {
			h.Write(p)
		}
		if i%2 == 1 {
			h.Write(a)
		} else {
			h.Write(p)
		}
		a = h.Sum(a[:0])
	}
	var out []byte
	put := func(x, y, z byte, n int) {
		for w := uint(x)<<16 | uint(y)<<8 | uint(z); n > 0; n-- {
			out = append(out, cryptAlphabet[w&63])
			w >>= 6
		}
	}
	third := len(a) / 3
	x, y, z := 0, third, 2*third
	for range third {
		put(a[x], a[y], a[z], 4)
		if kind == SHA512Crypt {
			x, y, z = y+1, z+1, x+1
		} else {
			x, y, z = z+1, x+1, y+1
		}
	}
	if kind == SHA512Crypt {
		put(0, 0, a[63], 2)
	} else {
		put(0, a[31], a[30], 3)
	}
	return out
}
