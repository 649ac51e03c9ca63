package credential

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// maxForeign bounds a hash as another system wrote it, in bytes.
const maxForeign = 4096

// ImportHash reads a password hash as another system stores it and returns it in a form
// that [ParseHash] takes, with the kind that it is of. Beside those forms it reads
//
//	$argon2id$… $argon2i$… with m, t and p in any order     (npm argon2)
//	argon2$… bcrypt$… scrypt$N$salt$r$p$… pbkdf2_sha1$…     (Django)
//	scrypt:N:r:p$salt$hex, pbkdf2:sha256:N$salt$hex         (Werkzeug)
//	{bcrypt} {argon2@…} {scrypt@…} {pbkdf2@…} {CRYPT} {ARGON2} before the hash (Spring, slapd, Dovecot)
//	$e0801$salt$hash                                        (Spring's scrypt)
//	AQAAAA…                                                 (ASP.NET Identity, version 3)
//	{"credentialData":…,"secretData":…}                     (Keycloak)
//
// Error: password_hash_invalid; [WhyNoHash] says what is wrong.
func ImportHash(text string) (string, HashKind, error) {
	if len(text) > maxForeign {
		return "", "", errHashInvalid
	}
	rewritten, err := rewrite(text)
	if err != nil {
		return "", "", errHashInvalid.With(err)
	}
	s, err := ParseHash(rewritten)
	if err != nil {
		return "", "", err
	}
	return rewritten, s.kind, nil
}

var errForeign = fmt.Errorf("not well formed")

// rewrite turns the forms of other systems into those of [ParseHash], and leaves alone
// what is none of them.
func rewrite(text string) (string, error) {
	if strings.HasPrefix(text, `{"`) {
		return keycloak(text)
	}
	scheme := ""
	if strings.HasPrefix(text, "{") {
		var ok bool
		if scheme, text, ok = strings.Cut(text[1:], "}"); !ok {
			return "", errForeign
		}
		switch scheme = strings.ToLower(scheme); scheme {
		case "bcrypt", "blf-crypt", "crypt", "sha256-crypt", "sha512-crypt", "argon2", "argon2i", "argon2id", "argon2@springsecurity_v5_8":
		case "scrypt", "scrypt@springsecurity_v5_8":
			return springScrypt(text)
		case "pbkdf2@springsecurity_v5_8":
			return springPBKDF2(text)
		default:
			return "", fmt.Errorf("the scheme is none of those that are known")
		}
		if !strings.HasPrefix(text, "$") {
			return "", errForeign // {CRYPT} before DES crypt, say
		}
	}
	for prefix, form := range map[string]func(string) (string, error){
		"argon2$": argon2Order, "bcrypt$": bare, "scrypt$": djangoScrypt, "scrypt:": werkzeug, "pbkdf2:": werkzeug, "pbkdf2_sha1$": djangoSHA1, "AQAAAA": aspNet,
	} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			if prefix == "scrypt:" || prefix == "pbkdf2:" || prefix == "AQAAAA" {
				rest = text
			}
			return form(rest)
		}
	}
	if strings.HasPrefix(text, "$argon2") {
		return argon2Order(text)
	}
	if f := strings.Split(text, "$"); len(f) == 4 && f[0] == "" && len(f[1]) >= 5 && len(f[1]) <= 6 {
		return springScrypt(text)
	}
	return text, nil
}

func bare(text string) (string, error) { return text, nil }

// argon2Order puts the parameters into the order of the PHC format.
func argon2Order(text string) (string, error) {
	if !strings.HasPrefix(text, "$") {
		text = "$" + text // Django writes argon2$argon2id$…
	}
	f := strings.Split(text, "$")
	if len(f) != 6 {
		return "", errForeign
	}
	params := strings.Split(f[3], ",")
	if len(params) == 3 {
		rank := func(p string) int { return strings.Index("mtp", p[:min(1, len(p))]) }
		sorted.Slice(params, func(a, b string) int { return rank(a) - rank(b) })
	}
	f[3] = strings.Join(params, ",")
	return strings.Join(f, "$"), nil
}

func phcScrypt(n, r, p uint64, salt, sum []byte) (string, error) {
	if n < 2 || n&(n-1) != 0 {
		return "", errForeign
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$scrypt$ln=%d,r=%d,p=%d$%s$%s", bits.TrailingZeros64(n), r, p, b64(salt), b64(sum)), nil
}

func phcPBKDF2(digest string, iterations uint64, salt, sum []byte) (string, error) {
	kind, ok := map[string]HashKind{"sha1": PBKDF2SHA1, "sha256": PBKDF2SHA256, "sha512": PBKDF2SHA512}[digest]
	if !ok {
		return "", fmt.Errorf("the digest is none of SHA-1, SHA-256 and SHA-512")
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$%s$%d$%s$%s", kind, iterations, b64(salt), b64(sum)), nil
}

// numbers reads decimal numbers below 2³¹.
func numbers(texts ...string) ([]uint64, error) {
	out := make([]uint64, len(texts))
	for i, t := range texts {
		n, err := strconv.ParseUint(t, 10, 31)
		if err != nil {
			return nil, errForeign
		}
		out[i] = n
	}
	return out, nil
}

// djangoScrypt reads N$salt$r$p$hash.
func djangoScrypt(text string) (string, error) {
	f := strings.Split(text, "$")
	if len(f) != 5 {
		return "", errForeign
	}
	n, err := numbers(f[0], f[2], f[3])
	if err != nil {
		return "", err
	}
	sum, err := base64.StdEncoding.DecodeString(f[4])
	if err != nil {
		return "", errForeign
	}
	return phcScrypt(n[0], n[1], n[2], []byte(f[1]), sum)
}

// djangoSHA1 reads N$salt$hash.
func djangoSHA1(text string) (string, error) {
	f := strings.Split(text, "$")
	if len(f) != 3 {
		return "", errForeign
	}
	n, err := numbers(f[0])
	if err != nil {
		return "", err
	}
	sum, err := base64.StdEncoding.DecodeString(f[2])
	if err != nil {
		return "", errForeign
	}
	return phcPBKDF2("sha1", n[0], []byte(f[1]), sum)
}

// werkzeug reads scrypt:N:r:p$salt$hex and pbkdf2:digest:N$salt$hex.
func werkzeug(text string) (string, error) {
	f := strings.Split(text, "$")
	if len(f) != 3 {
		return "", errForeign
	}
	sum, err := hex.DecodeString(f[2])
	if err != nil {
		return "", errForeign
	}
	how := strings.Split(f[0], ":")
	if how[0] == "scrypt" && len(how) == 4 {
		n, err := numbers(how[1:]...)
		if err != nil {
			return "", err
		}
		return phcScrypt(n[0], n[1], n[2], []byte(f[1]), sum)
	}
	if len(how) != 3 {
		return "", errForeign
	}
	n, err := numbers(how[2])
	if err != nil {
		return "", err
	}
	return phcPBKDF2(how[1], n[0], []byte(f[1]), sum)
}

// springScrypt reads $params$salt$hash; params are log2 N, r and p in hexadecimal, the
// last two of two digits each.
func springScrypt(text string) (string, error) {
	f := strings.Split(text, "$")
	if len(f) != 4 || f[0] != "" {
		return "", errForeign
	}
	params, err := strconv.ParseUint(f[1], 16, 24)
	salt, err1 := base64.StdEncoding.DecodeString(f[2])
	sum, err2 := base64.StdEncoding.DecodeString(f[3])
	if err != nil || err1 != nil || err2 != nil || params>>16 > maxScryptLog {
		return "", errForeign
	}
	return phcScrypt(1<<(params>>16), params>>8&0xff, params&0xff, salt, sum)
}

// springPBKDF2 reads what version 5.8 writes by default: 16 bytes of salt and 32 of hash in
// hexadecimal, 310,000 times SHA-256. No other choice can be seen in the text.
func springPBKDF2(text string) (string, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 48 {
		return "", errForeign
	}
	return phcPBKDF2("sha256", 310_000, raw[:16], raw[16:])
}

// aspNet reads version 3: 1, the digest, the iterations and the length of the salt as
// numbers of four bytes, the salt, the hash.
func aspNet(text string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) < 13 || raw[0] != 1 {
		return "", errForeign
	}
	n := func(at int) uint64 { return uint64(binary.BigEndian.Uint32(raw[at:])) }
	digests := []string{"sha1", "sha256", "sha512"}
	if n(1) >= uint64(len(digests)) || n(9) > uint64(len(raw)-13) {
		return "", errForeign
	}
	rest := raw[13:]
	return phcPBKDF2(digests[n(1)], n(5), rest[:n(9)], rest[n(9):])
}

// keycloak reads a credential of a realm's export: its two members are JSON in text.
func keycloak(text string) (string, error) {
	var c struct {
		CredentialData string `json:"credentialData"`
		SecretData     string `json:"secretData"`
	}
	var how struct {
		Algorithm  string              `json:"algorithm"`
		Iterations int                 `json:"hashIterations"`
		More       map[string][]string `json:"additionalParameters"`
	}
	var secret struct {
		Value []byte `json:"value"`
		Salt  []byte `json:"salt"`
	}
	if json.Unmarshal([]byte(text), &c) != nil || json.Unmarshal([]byte(c.CredentialData), &how) != nil ||
		json.Unmarshal([]byte(c.SecretData), &secret) != nil || how.Iterations < 1 {
		return "", errForeign
	}
	switch digest, isPBKDF2 := strings.CutPrefix(how.Algorithm, "pbkdf2-"); {
	case isPBKDF2:
		return phcPBKDF2(digest, uint64(how.Iterations), secret.Salt, secret.Value)
	case how.Algorithm == "pbkdf2":
		return phcPBKDF2("sha1", uint64(how.Iterations), secret.Salt, secret.Value)
	case how.Algorithm != "argon2":
		return "", fmt.Errorf("the algorithm is none of Keycloak's own")
	}
	more := func(name string) string {
		if v := how.More[name]; len(v) == 1 {
			return v[0]
		}
		return ""
	}
	n, err := numbers(more("memory"), more("parallelism"))
	if err != nil || more("version") != "1.3" {
		return "", errForeign
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2%s$v=19$m=%d,t=%d,p=%d$%s$%s", more("type"), n[0], how.Iterations, n[1], b64(secret.Salt), b64(secret.Value)), nil
}
