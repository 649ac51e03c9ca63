package credential

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse"
)

// MaxBasicBytes is the most that the value of a Basic credential may take, in
// its encoded form.
const MaxBasicBytes = 8 << 10

var (
	errBasicTooLarge  = gatehouse.E(gatehouse.HeaderTooLarge, "basic_too_large", "The Basic credential is too long.")
	errBasicMalformed = gatehouse.E(gatehouse.Invalid, "basic_malformed", "The Basic credential is not canonical base64.")
	errBasicNotUTF8   = gatehouse.E(gatehouse.Invalid, "basic_not_utf8", "The Basic credential is not UTF-8 text.")
	errBasicNoColon   = gatehouse.E(gatehouse.Invalid, "basic_no_colon", "The Basic credential has no colon between user and password.")
	errBasicControl   = gatehouse.E(gatehouse.Invalid, "basic_control_character", "The Basic credential contains a control character.")
	errBasicNoUser    = gatehouse.E(gatehouse.Invalid, "basic_no_user", "The Basic credential has no username.")
)

// ParseBasic reads the value of an Authorization field after "Basic " (RFC 7617
// §2): canonical base64 with padding, of UTF-8 text (§2.1) without control
// characters, split at the first colon. The username is brought to NFC; the
// password is returned as received, [Hasher] normalises it.
//
// One spelling is accepted for each pair, so that two readers of the same field
// cannot see two different users: no line breaks or blanks, no base64url, no
// missing padding, no stray bits in the last character.
//
// Errors: basic_too_large, basic_malformed, basic_not_utf8, basic_no_colon,
// basic_control_character, basic_no_user.
func ParseBasic(value string) (user string, password gatehouse.Secret, err error) {
	if len(value) > MaxBasicBytes {
		return "", "", errBasicTooLarge
	}
	raw, decodeErr := base64.StdEncoding.Strict().DecodeString(value)
	// The decoder skips CR and LF wherever they stand; comparing with the
	// encoding of the result refuses those and every other second spelling.
	if decodeErr != nil || len(raw) == 0 || base64.StdEncoding.EncodeToString(raw) != value {
		return "", "", errBasicMalformed
	}
	if !utf8.Valid(raw) {
		return "", "", errBasicNotUTF8
	}
	text := string(raw)
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", "", errBasicControl
	}
	user, pass, ok := strings.Cut(text, ":")
	switch {
	case !ok:
		return "", "", errBasicNoColon
	case user == "":
		return "", "", errBasicNoUser
	}
	return norm.NFC.String(user), gatehouse.Secret(pass), nil
}

// FormatBasic is the value that a client sends after "Basic " (RFC 7617 §2). It
// reports false for a pair that the scheme cannot carry: a username that is
// empty or holds a colon, control characters, text that is not UTF-8.
func FormatBasic(user string, password gatehouse.Secret) (gatehouse.Secret, bool) {
	text := user + ":" + password.Reveal()
	if user == "" || strings.Contains(user, ":") || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return "", false
	}
	return gatehouse.Secret(base64.StdEncoding.EncodeToString([]byte(text))), true
}
