package credential

import "strings"

// WhyNoHash says, after the name of the member that held it, why [ParseHash] refuses a
// password hash: which kind it is, where that is known, and what is wrong with it. It
// quotes nothing of the hash.
func WhyNoHash(text string) string {
	const again = "; the account needs a new password"
	switch {
	case strings.HasPrefix(text, "$apr1$"), strings.HasPrefix(text, "$1$"):
		return "is MD5 crypt, which is guessed at millions a second" + again
	case strings.HasPrefix(text, "{SHA}"), strings.HasPrefix(text, "{SSHA}"):
		return "is one round of SHA-1, which is guessed at billions a second" + again
	case strings.HasPrefix(text, "$5$"), strings.HasPrefix(text, "$6$"):
		return "is SHA crypt, which cannot be verified here: make it anew with bcrypt (htpasswd -B)"
	case strings.HasPrefix(text, "$argon2i$"), strings.HasPrefix(text, "$argon2d$"):
		return "is another Argon2 than Argon2id, which cannot be verified here" + again
	case strings.HasPrefix(text, "$2x$"):
		return "is bcrypt of a program that confused passwords" + again
	case strings.HasPrefix(text, "$2"), strings.HasPrefix(text, "$argon2id$"), strings.HasPrefix(text, "$scrypt$"),
		strings.HasPrefix(text, "$pbkdf2"), strings.HasPrefix(text, "pbkdf2_"):
		return "is not well formed, or is too weak or too costly to verify"
	case len(text) == 13 && strings.Trim(text, "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == "":
		return "is DES crypt, which looks at eight characters only" + again
	}
	return "is not a hash that can be verified here; a password in clear text must be set with password"
}
