package grant

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// userCodeLetters make no words, and none is taken for another one (RFC 8628 §6.1).
const userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

const (
	userCodeSize = 8 // 34 bits, for ten minutes and some tries
	maxTyped     = 64
)

// newUserCode makes what a person is to type.
func newUserCode() string {
	out := make([]byte, 0, userCodeSize)
	var b [1]byte
	for len(out) < userCodeSize {
		_, _ = rand.Read(b[:])
		if b[0] < 240 { // the rest would make some letters likelier
			out = append(out, userCodeLetters[int(b[0])%len(userCodeLetters)])
		}
	}
	return string(out)
}

// shownCode is a code as people see it.
func shownCode(code string) string { return code[:userCodeSize/2] + "-" + code[userCodeSize/2:] }

// readUserCode reads what somebody typed: capitals or not, with whatever stands between the letters.
func readUserCode(typed string) (code string, ok bool) {
	if len(typed) > maxTyped {
		return "", false
	}
	code = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r > '~':
			return r
		}
		return -1
	}, typed)
	return code, len(code) == userCodeSize && strings.Trim(code, userCodeLetters) == ""
}

// UserCode is what somebody typed, as it is shown; "" for what can be no code.
func UserCode(typed string) string {
	code, ok := readUserCode(typed)
	if !ok {
		return ""
	}
	return shownCode(code)
}

// userCodeKey is under what a code is stored: whoever has the database alone could try all codes against a hash.
func (s *Service) userCodeKey(realm, code string) []byte {
	mac := hmac.New(sha256.New, s.c.SuccessorKey)
	mac.Write([]byte("gatehouse user code\x00" + realm + "\x00" + code))
	return mac.Sum(nil)
}
