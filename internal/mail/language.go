package mail

import (
	"context"
	"slices"
)

type languageKey struct{}

// WithLanguage says in which language the page is that somebody asks for a message on.
func WithLanguage(ctx context.Context, language string) context.Context {
	return context.WithValue(ctx, languageKey{}, language)
}

// asked reports whether whoever has such a message sent is the one who reads it, as far as anybody knows. A notice is none of them:
// whoever has got into an account would have its owner told in a language that the owner does not read.
func (k Kind) asked() bool {
	switch k {
	case KindResetLink, KindAddressLink, KindRegister, KindRegistered:
		return true
	}
	return false
}

// languageOf is the language of a message of that kind: that of the page on which it is asked for, else the usual one.
func languageOf(ctx context.Context, k Kind, usual string) string {
	if l, _ := ctx.Value(languageKey{}).(string); k.asked() && slices.Contains(languages(), l) {
		return l
	}
	return usual
}
