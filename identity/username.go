package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse"
)

// MaxUsername bounds a username, in characters of its folded form.
const MaxUsername = 128

// maxUsernameBytes bounds what is folded at all.
const maxUsernameBytes = 4 * MaxUsername

var errUsername = gatehouse.E(gatehouse.Unprocessable, "username_invalid",
	"A username has 1 to 128 letters, digits and signs of one script, without blanks, colons or slashes.")

// NormalizeUsername returns a username as it is kept (NFC, as given) and the key
// that it is found by. Two usernames with one key are one username.
//
// The key is the NFKC form brought through UsernameCaseMapped of RFC 8265 §3.3:
// width and case are folded, blanks, controls, symbols outside ASCII and
// unassigned characters are refused. Also refused: a colon, which Basic cannot
// carry; slashes and the names "." and "..", which a path cannot; the form of
// our own ids, which the management API accepts in the place of a username; and
// Latin, Greek and Cyrillic letters in one name, which people cannot tell apart.
//
// Error: username_invalid.
func NormalizeUsername(username string) (name, key string, err error) {
	if username == "" || len(username) > maxUsernameBytes || !utf8.ValidString(username) {
		return "", "", errUsername
	}
	key, err = foldUsername(username)
	if err != nil {
		return "", "", err
	}
	// A key that folds to another key would be two accounts or none.
	if again, _ := foldUsername(key); again != key { // with an error it is ""
		return "", "", errUsername
	}
	return norm.NFC.String(username), key, nil
}

func foldUsername(s string) (string, error) {
	key, err := precis.UsernameCaseMapped.String(norm.NFKC.String(s))
	if err != nil {
		return "", errUsername.With(err)
	}
	_, isID := gatehouse.IDTime(key)
	if utf8.RuneCountInString(key) > MaxUsername || strings.ContainsAny(key, `:/\`) || key == "." || key == ".." || isID || mixedScripts(key) {
		return "", errUsername
	}
	return key, nil
}

// mixedScripts reports whether s holds letters of two of the scripts whose
// letters look alike: "аdmin" with a Cyrillic а is not "admin".
func mixedScripts(s string) bool {
	found := 0
	for _, script := range []*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee} {
		if strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(script, r) }) {
			found++
		}
	}
	return found > 1
}
