package credential

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse"
)

// Bounds of passwords, in Unicode code points of the NFC form.
const (
	DefaultMinPassword = 15 // NIST SP 800-63B-4 §3.1.1.2, single factor
	LeastMinPassword   = 8  // likewise, beside a second factor: the least that any realm may ask for
	MaxPasswordRunes   = 256
)

// Problem is a stable code for what is wrong with a new password.
type Problem string

// The problems, each with a page in docs/errors.
const (
	PasswordInvalidText Problem = "password_invalid_text"
	PasswordTooShort    Problem = "password_too_short"
	PasswordTooLong     Problem = "password_too_long"
	PasswordCommon      Problem = "password_common"
	PasswordContext     Problem = "password_context"
	PasswordRepetitive  Problem = "password_repetitive"
	PasswordTooWeak     Problem = "password_too_weak"
	PasswordBreached    Problem = "password_breached" // told by whoever has the lists; no rule of this package
	PasswordInitial     Problem = "password_initial"  // told by whoever knows the account
)

// Text says in one constant sentence what is wrong. It never holds the password
// or part of it.
func (p Problem) Text() string {
	switch p {
	case PasswordInvalidText:
		return "The password holds characters that cannot be typed, or is not valid text."
	case PasswordTooShort:
		return "The password is shorter than this realm asks for."
	case PasswordTooLong:
		return "The password is longer than 256 characters."
	case PasswordCommon:
		return "The password is on the list of common passwords."
	case PasswordContext:
		return "The password is little more than a name or word connected with the account or the service."
	case PasswordRepetitive:
		return "The password repeats or continues a few characters."
	case PasswordBreached:
		return "The password is known from a data breach."
	case PasswordInitial:
		return "The password is the one that was made for you. Choose one that you alone know."
	case PasswordTooWeak:
		return "The password is too easy to guess. A few unrelated words make a better one."
	}
	return "The password cannot be used."
}

// PasswordPolicy judges new passwords by NIST SP 800-63B-4 §3.1.1.2: length,
// a list of common passwords, words of the context, and how easily it is
// guessed. There are no composition rules. Make it once, with [NewPasswordPolicy];
// the zero value is not usable. It is safe for concurrent use.
type PasswordPolicy struct{ common func() *commonList }

// NewPasswordPolicy returns the policy. The shipped lists are expanded when the
// first password is judged: a server that only checks tokens never needs them.
func NewPasswordPolicy() *PasswordPolicy {
	return &PasswordPolicy{common: sync.OnceValue(newCommonList)}
}

// Check returns every problem of password, in a fixed order; none means that it
// may be set. minLength is in code points; 0 means [DefaultMinPassword] and less
// than [LeastMinPassword] counts as that. words are the words of the context:
// username, local part of the e-mail address, names, realm, banned words; those
// shorter than 3 characters are ignored. The time it takes is bounded.
func (p *PasswordPolicy) Check(password gatehouse.Secret, minLength int, words []string) []Problem {
	if minLength == 0 {
		minLength = DefaultMinPassword
	}
	minLength = max(minLength, LeastMinPassword)
	text := password.Reveal()
	if len(text) > MaxPasswordBytes {
		return []Problem{PasswordTooLong}
	}
	if text != "" && !hashable(password) {
		return []Problem{PasswordInvalidText}
	}
	text = norm.NFC.String(text)
	switch n := utf8.RuneCountInString(text); {
	case n < minLength:
		return []Problem{PasswordTooShort}
	case n > MaxPasswordRunes:
		return []Problem{PasswordTooLong}
	}
	folded := foldPassword(text)
	var problems []Problem
	if p.common().contains(folded) {
		problems = append(problems, PasswordCommon)
	}
	context := contextWords(words)
	if dominated(folded, context) || dominated(unleet(folded), context) {
		problems = append(problems, PasswordContext)
	}
	if repetitive([]rune(folded)) {
		problems = append(problems, PasswordRepetitive)
	}
	if p.common().weight(folded, context) < leastWeight {
		problems = append(problems, PasswordTooWeak)
	}
	return problems
}

// contextWords folds the words and adds the parts of those that have several.
func contextWords(words []string) []string {
	var out []string
	for _, w := range words {
		if len(w) > 512 || len(out) > 256 {
			continue
		}
		folded := foldPassword(w)
		parts := strings.FieldsFunc(folded, func(r rune) bool { return strings.ContainsRune(" .,-_@+/", r) })
		for _, part := range append(parts, folded, strings.Join(parts, "")) {
			if utf8.RuneCountInString(part) >= 3 {
				out = append(out, part)
			}
		}
	}
	return out
}

// dominated reports whether so few letters and digits are left of folded
// without the words of the context that the words make the password.
func dominated(folded string, words []string) bool {
	rest := folded
	for _, w := range words {
		rest = strings.ReplaceAll(rest, w, "")
	}
	left := 0
	for _, r := range rest {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			left++
		}
	}
	return rest != folded && left < LeastMinPassword
}

// repetitive reports whether r is made of few different characters, of one
// short unit over and over, or mostly of runs such as "aaaa", "1234", "dcba".
func repetitive(r []rune) bool {
	different := map[rune]struct{}{}
	runs := 0
	for i, c := range r {
		different[c] = struct{}{}
		if i > 0 {
			if d := c - r[i-1]; d >= -1 && d <= 1 {
				runs++
			}
		}
	}
	if len(different) < 5 || runs*3 > (len(r)-1)*2 {
		return true
	}
	for unit := 1; unit <= len(r)/2 && unit < 2*LeastMinPassword; unit++ {
		same := true
		for i := unit; i < len(r) && same; i++ {
			same = r[i] == r[i-unit]
		}
		if same {
			return true
		}
	}
	return false
}
