package credential

import (
	_ "embed"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go/data"
	"github.com/go-json-experiment/json"
	"golang.org/x/text/unicode/norm"
)

//go:embed common_passwords.txt
var commonText string

// minCommon is the shortest password that any realm may allow, so the shortest
// that is worth listing.
const minCommon = 8

// commonList is the set of common passwords, folded by foldPassword.
type commonList struct {
	words    *wordSet // zxcvbn's passwords, words and names of minWord letters or more
	phrases  []string // in order, as the stems are
	stems    []string
	suffixes []string
}

// shippedWords yields zxcvbn's frequency lists: common passwords, and the words
// and names that are passwords by themselves.
func shippedWords(yield func(string) bool) {
	for _, name := range [...]string{"Passwords", "English", "MaleNames", "FemaleNames", "Surnames"} {
		for _, word := range shippedList(name) {
			if !yield(word) {
				return
			}
		}
	}
}

// newCommonList expands the shipped file and adds zxcvbn's lists.
func newCommonList() *commonList {
	c := &commonList{}
	section := ""
	for line := range strings.Lines(commonText) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = line
		case section == "[stems]":
			c.stems = append(c.stems, strings.Fields(foldPassword(line))...)
		case section == "[suffixes]":
			c.suffixes = append(c.suffixes, strings.Fields(foldPassword(line))...)
		case section == "[phrases]":
			c.phrases = append(c.phrases, strings.Fields(foldPassword(line))...)
		}
	}
	slices.Sort(c.stems)
	slices.Sort(c.phrases)
	c.words = newWordSet(func(yield func(string) bool) {
		for word := range shippedWords {
			if len(word) >= minWord && !yield(foldPassword(word)) {
				return
			}
		}
	})
	return c
}

// made reports whether s is a phrase, a stem, a stem twice, or a stem with a suffix.
func (c *commonList) made(s string) bool {
	if utf8.RuneCountInString(s) < minCommon {
		return false
	}
	if _, ok := slices.BinarySearch(c.phrases, s); ok || c.stem(s) || s[:len(s)/2] == s[len(s)/2:] && c.stem(s[:len(s)/2]) {
		return true
	}
	for _, suffix := range c.suffixes {
		if stem, ok := strings.CutSuffix(s, suffix); ok && c.stem(stem) {
			return true
		}
	}
	return false
}

func (c *commonList) stem(s string) bool {
	_, ok := slices.BinarySearch(c.stems, s)
	return ok
}

// shippedList reads one of zxcvbn's frequency lists. Only its data package is
// linked: the packages above it read every list when the program starts, which
// costs each start 50 ms and 18 MB.
func shippedList(name string) []string {
	raw, err := data.Asset("data/" + name + ".json")
	if err == nil {
		var file struct {
			List []string `json:"List"`
		}
		if err = json.Unmarshal(raw, &file, json.MatchCaseInsensitiveNames(true)); err == nil && len(file.List) > 0 {
			return file.List
		}
	}
	panic("credential: the list " + name + " is not in the module that ships it") // TestCommonListIsLargeEnough
}

// contains reports whether folded is a common password: listed as it stands,
// without the blanks and hyphens inside, with letters in the place of the digits
// that look like them, or without the digits and signs at its ends; or two
// stems, with or without a suffix.
func (c *commonList) contains(folded string) bool {
	joined := strings.NewReplacer(" ", "", "-", "", "_", "", ".", "").Replace(folded)
	return c.listed(folded) || joined != folded && c.listed(joined)
}

func (c *commonList) listed(folded string) bool {
	plain := unleet(folded)
	for _, s := range [...]string{folded, plain, trimOrnament(folded), trimOrnament(plain)} {
		if utf8.RuneCountInString(s) < minCommon {
			continue
		}
		if c.made(s) || c.words.has(s) {
			return true
		}
	}
	return c.pair(folded) || c.pair(trimOrnament(folded)) || c.pair(trimOrnament(plain))
}

// pair reports whether s is two stems, such as "welcomepassword", perhaps with
// a suffix.
func (c *commonList) pair(s string) bool {
	for _, first := range c.stems {
		rest, ok := strings.CutPrefix(s, first)
		if !ok || rest == "" {
			continue
		}
		for _, second := range c.stems {
			tail, ok := strings.CutPrefix(rest, second)
			if !ok {
				continue
			}
			if tail == "" {
				return true
			}
			for _, suffix := range c.suffixes {
				if tail == suffix {
					return true
				}
			}
		}
	}
	return false
}

// foldPassword brings two spellings of one word together, for comparing with
// lists only: compatibility forms, case, and accents are dropped.
func foldPassword(s string) string {
	s = strings.ToLower(norm.NFKD.String(s))
	return strings.Map(func(r rune) rune {
		if r >= 0x300 && r <= 0x36f { // combining diacritical marks
			return -1
		}
		return r
	}, s)
}

// unleet writes letters for the digits and signs that stand for them.
func unleet(s string) string {
	return strings.Map(func(r rune) rune {
		if i := strings.IndexRune("0134578@$!|+", r); i >= 0 {
			return rune("oieastbasilt"[i])
		}
		return r
	}, s)
}

// trimOrnament removes what people add at the ends of a word: digits and signs.
func trimOrnament(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r < utf8.RuneSelf && (r < 'a' || r > 'z') })
}
