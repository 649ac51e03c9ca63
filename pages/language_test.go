package pages

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/credential"
)

func languages(t *testing.T) *dress {
	t.Helper()
	all, err := readLanguages()
	if err != nil {
		t.Fatal(err)
	}
	return &dress{languages: all}
}

// TestMessages: every language has every message, with the same places to fill, and every
// message is used.
func TestMessages(t *testing.T) {
	files, err := filepath.Glob("messages/*.json")
	if err != nil || len(files) != len(tags) {
		t.Fatalf("%d files for %d languages: %v", len(files), len(tags), err)
	}
	h := languages(t)
	english, holes := h.languages[0].texts, regexp.MustCompile(`\{\d\}`)
	for _, l := range h.languages[1:] {
		if got, want := slices.Sorted(maps.Keys(l.texts)), slices.Sorted(maps.Keys(english)); !slices.Equal(got, want) {
			t.Errorf("%s has not the messages of English: %q and %q", l.Tag, got, want)
		}
		for key, text := range l.texts {
			got, want := holes.FindAllString(text, -1), holes.FindAllString(english[key], -1)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) || strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s is %q, in English %q", l.Tag, key, text, english[key])
			}
		}
	}
	var source strings.Builder
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(b)
		}
	}
	for key := range english {
		if kind, deed := strings.CutPrefix(key, "activity."); deed && slices.Contains(deedKinds[:], kind) {
			continue
		}
		if !strings.Contains(source.String(), `"`+key+`"`) && !strings.HasPrefix(key, "error.") && !strings.HasPrefix(key, "problem.") && !strings.HasPrefix(key, "theme.") && !strings.HasPrefix(key, "scope.") {
			t.Errorf("nothing says %s", key)
		}
	}
	for _, p := range []credential.Problem{credential.PasswordInvalidText, credential.PasswordTooShort, credential.PasswordTooLong, credential.PasswordCommon,
		credential.PasswordContext, credential.PasswordRepetitive, credential.PasswordTooWeak, credential.PasswordBreached} {
		if english["problem."+string(p)] == "" {
			t.Errorf("nothing says what is wrong with a password: %s", p)
		}
	}
	// Every code with a phrase of its own has its page.
	for key := range english {
		code, ok := strings.CutPrefix(key, "error.")
		if !ok || slices.Contains([]string{"title", "again", "details", "code", "request", "time"}, code) {
			continue
		}
		if _, err := os.Stat("../docs/errors/" + code + ".md"); err != nil {
			t.Error(err)
		}
	}
}

func TestChoose(t *testing.T) {
	h := languages(t)
	for accept, want := range map[string]string{
		"": "en", "*": "en", "xx": "en", "de": "de", "DE-at": "de", "de-AT,de;q=0.9,en;q=0.8": "de", "en;q=0.5, de;q=0.6": "de", "en,de": "en",
		"de;q=0": "en", "de;q=x": "en", "de;q=2": "en", "de;q=NaN": "en", "de;q=1.001": "en", "de;q=0.0001": "en", "de;q=": "en", "de;q=+1": "en", "de;q=1.000": "de", "de;q=0.001": "de", "de;q=1.": "de", "it-CH, it;q=0.9, de;q=0.7, *;q=0.5": "de", "fr-CH, fr;q=0.9, de;q=0.7": "fr", "ja": "ja", "es-MX": "es",
		strings.Repeat("xx,", maxLanguagesWanted-1) + "de": "de", strings.Repeat("xx,", maxLanguagesWanted) + "de": "en",
		strings.Repeat(" ", maxAcceptLanguage) + "de": "en",
	} {
		if got := h.choose(accept).Tag; got != want {
			t.Errorf("%.60q: %s, want %s", accept, got, want)
		}
	}
}

func TestText(t *testing.T) {
	l := &language{Tag: "en", texts: map[string]string{"a": "{0} and {1}, {0}"}}
	if got, err := l.text("a", "x{1}", 2); err != nil || got != "x{1} and 2, x{1}" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := l.text("b"); err == nil {
		t.Error("a message that is not there")
	}
}
