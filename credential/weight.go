package credential

import (
	"slices"
	"strings"
)

const (
	// minWord is the shortest word or walk that counts as one thing to guess.
	minWord, maxWord = 4, 24
	// leastWeight is what a password must weigh. A character that nothing explains
	// weighs 1, a listed word 2, whatever its length, a walk over the keyboard or
	// through the alphabet 1: four words, or eight characters, or a mixture.
	leastWeight = 8
	// maxWeighed bounds what is looked at, in characters.
	maxWeighed = 64
)

// walks are rows that fingers follow; they count forwards and backwards.
func walks() []string {
	return []string{"qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm", "1234567890", "01234567890",
		"abcdefghijklmnopqrstuvwxyz", "1qaz2wsx3edc4rfv", "qazwsxedcrfv"}
}

// weight estimates how many separate things somebody must guess to guess
// folded, which foldPassword has made: the cheapest way to write it as listed
// words, words of the context, walks and single characters.
func (c *commonList) weight(folded string, context []string) int {
	text := []rune(folded)
	if len(text) > maxWeighed {
		text = text[:maxWeighed]
	}
	plain := []rune(unleet(string(text))) // one rune for each, so places stay
	if len(plain) != len(text) {
		plain = text
	}
	var rows []string
	for _, w := range walks() {
		back := []rune(w)
		slices.Reverse(back)
		rows = append(rows, w, string(back))
	}
	// best[i] is the least weight of the first i characters.
	best := make([]int, len(text)+1)
	for i := 1; i <= len(text); i++ {
		best[i] = best[i-1] + 1
		if i > 1 && text[i-1] == text[i-2] {
			best[i] = best[i-1] // the same key again
		}
		for n := minWord; n <= min(i, maxWord); n++ {
			for _, part := range [...]string{string(text[i-n : i]), string(plain[i-n : i])} {
				if w := c.known(part, rows, context); w > 0 {
					best[i] = min(best[i], best[i-n]+w)
				}
			}
		}
	}
	return best[len(text)]
}

// known tells what a part weighs when it is one thing to guess, else 0.
func (c *commonList) known(part string, rows, context []string) int {
	for _, row := range rows {
		if strings.Contains(row, part) {
			return 1
		}
	}
	if slices.Contains(context, part) {
		return 1 // the attacker knows it
	}
	if c.words.has(part) || c.made(part) {
		return 2
	}
	return 0
}
