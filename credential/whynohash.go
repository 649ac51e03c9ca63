package credential

import "strings"

// WhyNoHash says, after the name of the member that held it, why [ImportHash] refuses a
// password hash: which kind it is, where that is known, and what is wrong with it. It
// quotes nothing of the hash.
func WhyNoHash(text string) string {
	const again = "; the account needs a new password"
	switch {
	case strings.HasPrefix(text, "$apr1$"), strings.HasPrefix(text, "$1$"):
		return "is MD5 crypt, which is guessed at millions a second" + again
	case strings.HasPrefix(text, "{SHA}"), strings.HasPrefix(text, "{SSHA}"):
		return "is one round of SHA-1, which is guessed at billions a second" + again
	case strings.HasPrefix(text, "{SSHA256}"), strings.HasPrefix(text, "{SSHA512}"), strings.HasPrefix(text, "{SHA256}"), strings.HasPrefix(text, "{SHA512}"):
		return "is one round of SHA-2, which is guessed at billions a second" + again
	case strings.HasPrefix(text, "$P$"), strings.HasPrefix(text, "$H$"):
		return "is phpass of MD5, which is guessed at millions a second" + again
	case strings.HasPrefix(text, "$y$"), strings.HasPrefix(text, "$gy$"), strings.HasPrefix(text, "$7$"):
		return "is yescrypt, which cannot be verified here" + again
	case strings.HasPrefix(text, "$argon2d$"):
		return "is Argon2d, which cannot be verified here" + again
	case strings.HasPrefix(text, `{"`):
		return "is no password credential of Keycloak whose members credentialData and secretData are known here"
	case strings.HasPrefix(text, "{"):
		return "has a scheme in braces that is not known here, or is not well formed behind it"
	case strings.HasPrefix(text, "$2x$"):
		return "is bcrypt of a program that confused passwords" + again
	case strings.HasPrefix(text, "$2"), strings.HasPrefix(text, "$argon2"), strings.HasPrefix(text, "$scrypt$"),
		strings.HasPrefix(text, "$5$"), strings.HasPrefix(text, "$6$"), strings.HasPrefix(text, "$wp$"), strings.HasPrefix(text, "$pbkdf2"),
		strings.HasPrefix(text, "pbkdf2"), strings.HasPrefix(text, "scrypt"), strings.HasPrefix(text, "bcrypt"), strings.HasPrefix(text, "argon2"),
		strings.HasPrefix(text, "AQAAAA"):
		return "is not well formed, or is too weak or too costly to verify"
	case (len(text) == 80 || len(text) == 96) && strings.Trim(text, "0123456789abcdef") == "":
		return "may be PBKDF2 of Spring, whose text does not say how often; {pbkdf2@SpringSecurity_v5_8} before it does"
	case len(text) == 13 && strings.Trim(text, "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == "":
		return "is DES crypt, which looks at eight characters only" + again
	}
	return "is not a hash that can be verified here; a password in clear text must be set with password"
}
