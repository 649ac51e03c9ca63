package mail

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAddress: what is written to is one bare address, and no text around it can become a
// header, another recipient or a command of the server's.
func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"ann@example.com":                         "ann@example.com",
		"ann+x@Example.com":                       "ann+x@example.com",
		"ann@bücher.example":                      "ann@xn--bcher-kva.example",
		"ann@example.com\r\nBcc: x@example.com":   "",
		"ann@example.com\n":                       "",
		"ann@example.com, bob@example.com":        "",
		"Ann <ann@example.com>":                   "",
		"<ann@example.com>":                       "",
		"ann@example.com (Ann)":                   "",
		"\"a\r\nb\"@example.com":                  "",
		"\"a b\"@example.com":                     "",
		"änn@example.com":                         "", // no server can be relied on to take it
		"ann":                                     "",
		"":                                        "",
		strings.Repeat("a", 250) + "@example.com": "",
	} {
		got, err := Address(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// TestSpellingsOfOneMailbox: who writes an address otherwise is not another recipient for
// the bounds.
func TestSpellingsOfOneMailbox(t *testing.T) {
	for _, a := range []string{"Ann.Lee@example.com", "annlee+1@example.com", "a.n.n.lee+x+y@EXAMPLE.com"} {
		if got := folded(a); got != "annlee@example.com" {
			t.Errorf("%s: %s", a, got)
		}
	}
}

// TestTexts: each message has its words in each language, with all values and with none,
// and what somebody chose is text: no header, no markup, no second line, no long letter.
func TestTexts(t *testing.T) {
	kinds := []Kind{KindTest, KindPasswordChanged, KindPasswordReset, KindResetLink, KindResetSent, KindAddressLink, KindAddressAsked, KindAddressChanged, KindInvitation, KindRegister, KindRegistered, KindKeyCreated, KindKeyExpires, KindLoginsEnded, KindFactorAdded, KindFactorRemoved, KindCodesRenewed, KindPasskeyAdded, KindPasskeyRemoved, KindFactorRenamed, KindPasskeyRenamed, KindPasskeyCloned, KindNewBrowser, KindGuessedSignIn, KindProviderLinked, KindProviderUnlinked, KindFactorsLink, KindFactorsReplaced}
	evil := "{Key}<a href=x>\r\nSubject: y\u202e" + strings.Repeat("z", 500)
	at := time.Date(2026, 11, 28, 19, 0, 0, 0, time.UTC)
	kinds = append(kinds, KindAccountDeleted)
	for _, language := range languages() {
		all, err := textsOf(language)
		if err != nil {
			t.Fatal(err)
		}
		if len(all.Messages) != len(kinds) || all.Unknown == "" {
			t.Errorf("%s has %d messages, not %d", language, len(all.Messages), len(kinds))
		}
		for _, k := range kinds {
			for _, d := range []Data{{}, {Account: evil, By: evil, Key: evil, KeyName: evil, Browser: evil, Place: evil, At: at, Ends: at}} {
				w, err := write(k, language, "https://id.example", d)
				if err != nil {
					t.Fatalf("%s %s: %v", language, k, err)
				}
				if w.Subject == "" || strings.ContainsAny(w.Subject, "\r\n{<") {
					t.Errorf("%s %s: subject %q", language, k, w.Subject)
				}
				if strings.Contains(w.Plain, "\nSubject") || strings.Contains(w.HTML, "<a ") || strings.Contains(strings.ReplaceAll(w.Plain, "{Key}<", ""), "{") ||
					strings.ContainsRune(w.Plain, '\u202e') || strings.Contains(w.Plain, strings.Repeat("z", 100)) {
					t.Errorf("%s %s: %s\n%s", language, k, w.Plain, w.HTML)
				}
			}
		}
	}
	if w, err := write(KindTest, "xx", "https://id.example", Data{}); err != nil || w.Subject != "Test message" {
		t.Errorf("a language that there is none of: %v %v", w, err)
	}
	if !slices.Equal(languages(), []string{"en", "de", "fr", "es", "ja"}) {
		t.Errorf("not the languages of the pages: %v", languages())
	}
}

// TestTextsSayTheSame: a message has the same values and as many paragraphs in each language, and none is left in English.
func TestTextsSayTheSame(t *testing.T) {
	values := func(c content) []string {
		found := regexp.MustCompile(`\{\w+\}`).FindAllString(strings.Join(c.Lines, " "), -1)
		slices.Sort(found)
		return slices.Compact(found)
	}
	english, err := textsOf("en")
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range languages()[1:] {
		all, err := textsOf(language)
		if err != nil {
			t.Fatal(err)
		}
		for k, want := range english.Messages {
			got := all.Messages[k]
			if !slices.Equal(values(got), values(want)) || len(got.Lines) != len(want.Lines) {
				t.Errorf("%s %s: %v in %d paragraphs, in English %v in %d", language, k, values(got), len(got.Lines), values(want), len(want.Lines))
			}
			if got.Subject == want.Subject || got.Lines[0] == want.Lines[0] {
				t.Errorf("%s %s is in English", language, k)
			}
		}
	}
}
