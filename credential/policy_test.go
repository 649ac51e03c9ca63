package credential

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
)

// ASVS: 6.2.1, 6.2.4, 6.2.5, 6.2.9, 6.2.11
func TestPasswordPolicy(t *testing.T) {
	p := NewPasswordPolicy()
	words := []string{"alice.smith", "Alice Smith", "acme-corp", "Gatehouse", "unit731"}
	for _, tt := range []struct {
		password string
		min      int
		want     []Problem // all must be there; none: must be accepted
	}{
		{"velvet otter canyon 47", 0, nil},
		{"tr0ub4dor&3-xkcd-lemma", 0, nil},
		{"пароль для моей кошки 7", 0, nil},
		{"绿色的大象在唱歌跳舞吃饭睡觉看书写", 0, nil},
		{"alllowercaseletterswithoutdigits", 0, nil}, // no composition rules
		{strings.Repeat("velvet otter ", 5), 0, []Problem{PasswordRepetitive}},
		{"quiet lamp 83 rivers of fog, " + strings.Repeat("a b c ", 5), 0, nil}, // 64 and more
		{"vqx7Lm2p", 8, nil},
		{"vqx7Lm2", 8, []Problem{PasswordTooShort}},
		{"vqx7Lm2p", 4, nil},
		{"vqx7Lm", 4, []Problem{PasswordTooShort}}, // never below 8
		{"velvet otter 4", 0, []Problem{PasswordTooShort}},
		{"", 0, []Problem{PasswordTooShort}},
		{"éééééééé", 9, []Problem{PasswordTooShort}}, // code points, not bytes
		{strings.Repeat("ab1é", 65), 0, []Problem{PasswordTooLong}},
		{strings.Repeat("x", 1<<20), 0, []Problem{PasswordTooLong}},
		{"velvet otter\x00 canyon 47", 0, []Problem{PasswordInvalidText}},
		{"velvet otter\xff canyon 47", 0, []Problem{PasswordInvalidText}},
		{"passwordpassword1", 0, []Problem{PasswordCommon}},
		{"P@ssw0rdP@ssw0rd", 0, []Problem{PasswordCommon}},
		{"welcomepassword2024!", 0, []Problem{PasswordCommon}},
		{"correct horse battery staple", 0, []Problem{PasswordCommon}},
		{"Ｐａｓｓｗｏｒｄ１２３４５６７８", 0, []Problem{PasswordCommon}}, // fullwidth
		{"йцукенгшщзфывапролд", 0, []Problem{PasswordCommon}},
		{"trustno1trustno1", 0, []Problem{PasswordCommon}},
		{"superman", 8, []Problem{PasswordCommon}},
		{"alice.smith.2026!!", 0, []Problem{PasswordContext}},
		{"Acme-Corp_Alice!", 0, []Problem{PasswordContext}},
		{"acme-0-1-3-corp-4", 0, []Problem{PasswordContext}},
		{"unit731!unit731.unit731", 0, []Problem{PasswordContext}},
		{"gatehouse-gatehouse", 0, []Problem{PasswordContext}},
		{"aaaaaaaaaaaaaaaa", 0, []Problem{PasswordRepetitive}},
		{"xk7#xk7#xk7#xk7#", 0, []Problem{PasswordRepetitive}},
		{"abcdefghijklmnopq", 0, []Problem{PasswordRepetitive}},
		{"987654321098765", 0, []Problem{PasswordRepetitive}},
		{"qwertyuiopasdfghjkl", 0, []Problem{PasswordTooWeak}},
	} {
		got := p.Check(gatehouse.Secret(tt.password), tt.min, words)
		if len(tt.want) == 0 && len(got) > 0 {
			t.Errorf("%q: %v", tt.password, got)
		}
		for _, w := range tt.want {
			if !slices.Contains(got, w) {
				t.Errorf("%q: %v, want %v", tt.password, got, w)
			}
		}
		for _, g := range got {
			if g.Text() == Problem("").Text() {
				t.Errorf("%s has no text", g)
			}
		}
	}
}

// ASVS 6.2.4: at least the 3,000 most common passwords that the length rule
// lets through, for the shortest that a realm may ask for and for the default.
//
// ASVS: 6.2.4
func TestCommonListIsLargeEnough(t *testing.T) {
	c := newCommonList()
	short, long := 0, 0
	seen := map[string]bool{}
	for word := range shippedWords {
		n := utf8.RuneCountInString(word)
		if seen[word] || n < LeastMinPassword {
			continue
		}
		seen[word] = true
		if !c.contains(foldPassword(word)) {
			t.Fatalf("%q is listed and not found", word)
		}
		short++
		if n >= DefaultMinPassword {
			long++
		}
	}
	// Few of the shipped words are long; the expanded stems are.
	for _, stem := range c.stems {
		for _, suffix := range c.suffixes {
			if word := stem + suffix; utf8.RuneCountInString(word) >= DefaultMinPassword && !seen[word] && c.contains(foldPassword(word)) {
				seen[word] = true
				long++
			}
		}
	}
	if short < 3000 || long < 3000 {
		t.Errorf("%d of 8 or more characters, %d of 15 or more", short, long)
	}
}

// TestWeight: a few things to guess weigh little, however long they are.
func TestWeight(t *testing.T) {
	c := newCommonList()
	for _, tt := range []struct {
		in       string
		weak     bool
		contexts []string
	}{
		{"qwertyuiopasdfghjkl", true, nil},
		{"superman12345678", true, nil},
		{"shadowshadow1234", true, nil},
		{"monkeydragon!!!!!!!!!!", true, nil},
		{"1qaz2wsx3edc4rfv", true, nil},
		{"gatehouse1234567890", true, []string{"gatehouse"}},
		{"m0nk3ydr4g0nqwertz", true, nil},
		{"vqx7lm2p", false, nil},
		{"velvet otter canyon 47", false, nil},
		{"alllowercaseletterswithoutdigits", false, nil},
		{strings.Repeat("x7#q", 60), false, nil},
	} {
		if w := c.weight(tt.in, tt.contexts); (w < leastWeight) != tt.weak {
			t.Errorf("%q weighs %d", tt.in, w)
		}
	}
}

// A word of the context in digits and signs that look like its letters is still the
// word, and nothing else is wrong with such a password.
func TestPasswordContextInOtherLetters(t *testing.T) {
	p := NewPasswordPolicy()
	for _, tt := range []struct{ password, word string }{
		{"Zq9-w1nt3rm0th-xV", "wintermoth"}, {"xk#w1nt3rm0th#9Vq", "Wintermoth"}, {"Kx7 gr4n1t3l4nt3rn Vq9", "granitelantern"},
	} {
		if got := p.Check(gatehouse.Secret(tt.password), 0, []string{tt.word}); !slices.Equal(got, []Problem{PasswordContext}) {
			t.Errorf("%q beside %q: %v, want that alone", tt.password, tt.word, got)
		}
		if got := p.Check(gatehouse.Secret(tt.password), 0, []string{"other"}); got != nil {
			t.Errorf("%q beside another word: %v", tt.password, got)
		}
	}
}
