package token

import (
	"bytes"
	"errors"
	"math"
)

// CheckSecret reports why secret must not be an HMAC key for alg: shorter than
// the hash (RFC 7518 §3.2), well known, made by repeating or padding something
// short, a sequence, or typed by a person (RFC 8725 §3.5). It cannot prove that
// a secret is random; it refuses what attackers try first. Use it wherever a
// secret is configured.
func CheckSecret(alg Algorithm, secret []byte) error {
	if err := checkSecret(alg, secret); err != nil {
		return err
	}
	switch {
	case isPeriodic(secret):
		return errKeyWeak.With(errors.New("HMAC secret repeats itself"))
	case isPadded(secret):
		return errKeyWeak.With(errors.New("HMAC secret is padding for the most part"))
	case isSequence(secret):
		return errKeyWeak.With(errors.New("HMAC secret is a sequence"))
	case entropyBits(secret) < 80:
		return errKeyWeak.With(errors.New("HMAC secret has too few different octets"))
	}
	return nil
}

// checkSecret holds even for the keys of test vectors, which are often patterns.
func checkSecret(alg Algorithm, secret []byte) error {
	s := alg.spec()
	switch {
	case s.family != familyHMAC:
		return errKeyInvalid.With(errors.New("not an HMAC algorithm"))
	case len(secret) < s.hash.Size():
		return errKeyWeak.With(errors.New("HMAC secret shorter than the hash"))
	case len(secret) > 1024:
		return errKeyInvalid.With(errors.New("HMAC secret longer than 1024 octets"))
	case isTyped(secret):
		return errKeyWeak.With(errors.New("HMAC secret looks like words, not like random octets"))
	}
	return nil
}

// isPeriodic reports whether b is something short over and over, twice at least:
// "secretsecretsecret…", "my_super_secret" repeated to the length asked for.
func isPeriodic(b []byte) bool {
	for p := 1; p < 32 && 2*p <= len(b); p++ {
		if bytes.Equal(b[p:], b[:len(b)-p]) {
			return true
		}
	}
	return false
}

// isPadded reports whether a run of one octet at either end leaves less than
// 16 octets: a short secret filled up to the length asked for.
func isPadded(b []byte) bool {
	head, tail := 0, 0
	for head < len(b) && b[head] == b[0] {
		head++
	}
	for tail < len(b) && b[len(b)-1-tail] == b[len(b)-1] {
		tail++
	}
	return len(b)-head < 16 || len(b)-tail < 16
}

// isSequence reports whether every octet follows the one before by a fixed step. b
// has two octets at least.
func isSequence(b []byte) bool {
	step := b[1] - b[0]
	for i := 1; i < len(b); i++ {
		if b[i]-b[i-1] != step {
			return false
		}
	}
	return true
}

// entropyBits is the Shannon estimate over the octets of b. 32 random octets
// give about 155, 32 random hexadecimal digits between 95 and 125.
func entropyBits(b []byte) float64 {
	var count [256]int
	for _, c := range b {
		count[c]++
	}
	var bits float64
	for _, n := range count {
		if n > 0 {
			bits -= float64(n) * math.Log2(float64(n)/float64(len(b)))
		}
	}
	return bits
}

// commonWords appear in secrets that people type or copy from examples: "secret",
// "your-256-bit-secret", "my_super_secret", "changeme…". None is shorter than six
// characters, so that one turns up in a random base64 text of 43 characters about once
// in four million, whatever the case of its letters.
var commonWords = [...]string{"secret", "password", "passwort", "passwd", "passphrase", "changeme", "default", "example",
	"private", "signing", "qwerty", "letmein", "gatehouse", "123456", "abcdef", "please", "replace", "sample", "insecure", "development", "production"}

// isTyped reports whether b is printable text that a person wrote: it contains a
// common word, or blanks, or keeps to one kind of character where a random text
// of this length would not.
func isTyped(b []byte) bool {
	var lower, upper, digit, blank bool
	for _, c := range b {
		switch {
		case c < 0x20 || c > 0x7e:
			return false // octets, not text
		case c == ' ':
			blank = true
		case 'a' <= c && c <= 'z':
			lower = true
		case 'A' <= c && c <= 'Z':
			upper = true
		case '0' <= c && c <= '9':
			digit = true
		}
	}
	if isHex(b) {
		return !digit || !(lower || upper)
	}
	if blank {
		return true
	}
	folded := bytes.ToLower(b)
	for _, w := range commonWords {
		if bytes.Contains(folded, []byte(w)) {
			return true
		}
	}
	kinds := 0
	for _, has := range [...]bool{lower, upper, digit} {
		if has {
			kinds++
		}
	}
	return kinds < 2
}

func isHex(b []byte) bool {
	for _, c := range b {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}
