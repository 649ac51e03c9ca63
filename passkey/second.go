package passkey

import (
	"context"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
)

// AskOf is a question to a person who is known already, by the password: only those passkeys answer it
// that the account has.
//
// Errors: passkey_not_found where it has none.
func (s *Service) AskOf(ctx context.Context, realm, userID string, browser []byte) (Question, error) {
	list, err := s.List(ctx, realm, userID)
	if err != nil {
		return Question{}, err
	}
	if !s.On(realm) || len(list) == 0 {
		return Question{}, errNone
	}
	q := s.question(asked{toProve, realm, userID, browser})
	for _, p := range list {
		q.Allow = append(q.Allow, listed{"public-key", encode(p.Credential.ID), p.Transports})
	}
	return q, nil
}

// Complete returns p, who has proved a password or was sent by a provider, with the answer to a question of [Service.AskOf] beside it.
// What is asked of the passkey is what a sign-in by it alone asks for.
//
// Errors: those of [Service.SignIn]. Each leaves an event.
func (s *Service) Complete(ctx context.Context, p *gatehouse.Principal, browser, answer []byte) (*gatehouse.Principal, error) {
	if !p.Authenticated() || !s.On(p.Realm) {
		return nil, ErrRefused
	}
	a, err := webauthn.ParseAssertion(answer)
	if err != nil {
		return nil, s.refused(ctx, p.Realm, p.ID, ErrRefused.With(err))
	}
	by, err := s.answered(ctx, a, asked{toProve, p.Realm, p.ID, browser})
	if err != nil {
		return nil, err
	}
	next := *p
	next.AMR, next.ACR, next.AuthTime = append(slices.Clone(p.AMR), by.AMR...), by.ACR, by.AuthTime
	return &next, nil
}
