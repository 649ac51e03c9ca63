package mail

import (
	"context"
	"testing"
)

// TestLanguageOf: what somebody asks for on a page comes in the language of the page, if there are texts in it; a notice never does.
func TestLanguageOf(t *testing.T) {
	none := context.Background()
	for _, tc := range []struct {
		ctx  context.Context
		kind Kind
		want string
	}{
		{none, KindResetLink, "de"},
		{WithLanguage(none, "fr"), KindResetLink, "fr"},
		{WithLanguage(none, "fr"), KindAddressLink, "fr"},
		{WithLanguage(none, "ja"), KindRegister, "ja"},
		{WithLanguage(none, "ja"), KindRegistered, "ja"},
		{WithLanguage(none, "tlh"), KindResetLink, "de"},
		{WithLanguage(none, "../fr"), KindResetLink, "de"},
		{WithLanguage(none, ""), KindResetLink, "de"},
	} {
		if got := languageOf(tc.ctx, tc.kind, "de"); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.kind, got, tc.want)
		}
	}
	for _, notice := range []Kind{KindPasswordChanged, KindNewBrowser, KindGuessedSignIn, KindPasskeyAdded, KindFactorRemoved, KindAddressAsked, KindAddressChanged,
		KindKeyCreated, KindAccountDeleted, KindProviderLinked, KindFactorsReplaced} {
		if got := languageOf(WithLanguage(none, "fr"), notice, "de"); got != "de" {
			t.Errorf("%s is told in %s", notice, got)
		}
	}
}
