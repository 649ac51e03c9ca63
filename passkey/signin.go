package passkey

import (
	"context"
	"crypto/hmac"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
)

// Question is what a browser asks an authenticator (PublicKeyCredentialRequestOptionsJSON): any
// passkey of this site, and the person behind it.
type Question struct {
	Challenge        string   `json:"challenge"`
	RPID             string   `json:"rpId"`
	Timeout          int64    `json:"timeout"`                    // milliseconds
	Allow            []listed `json:"allowCredentials,omitempty"` // one of these; any when there are none
	UserVerification string   `json:"userVerification"`
}

// Ask is a question to whoever wants to sign in to a realm with this browser.
func (s *Service) Ask(realm string, browser []byte) Question {
	return s.question(asked{toSignIn, realm, "", browser})
}

func (s *Service) question(to asked) Question {
	return Question{Challenge: encode(s.challenge(to)), RPID: s.c.Site(to.realm).ID,
		Timeout: (answerWithin - leeway).Milliseconds(), UserVerification: "required"}
}

// SignIn returns who has answered a question of [Service.Ask], given that person, realm and session
// may still be opened: session.Service sees to that. A passkey that was unlocked is two factors, of
// which none can be copied by a page in the middle (NIST SP 800-63B-4 §3.1.7: AAL2 at most, since
// nobody vouches for what keeps the key).
//
// Errors: passkey_refused, passkey_unknown, passkey_of_another_realm. Each leaves an event.
func (s *Service) SignIn(ctx context.Context, realm string, browser, answer []byte) (*gatehouse.Principal, error) {
	if !s.On(realm) {
		return nil, ErrRefused
	}
	a, err := webauthn.ParseAssertion(answer)
	if err != nil {
		return nil, s.refused(ctx, realm, "", ErrRefused.With(err))
	}
	return s.answered(ctx, a, asked{toSignIn, realm, "", browser})
}

// answered is who answers a question, which is used up by it.
func (s *Service) answered(ctx context.Context, a webauthn.Assertion, to asked) (who *gatehouse.Principal, _ error) {
	found := ""
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		found = ""
		p, err := tx.PasskeyOf(ctx, a.ID)
		if errors.Is(err, gatehouse.NotFound) {
			return errUnknown
		} else if err != nil {
			return err
		}
		if p.Realm == to.realm {
			found = p.UserID
		}
		who, err = s.signIn(ctx, tx, p, a, to)
		return err
	})
	if err != nil {
		return nil, s.refused(ctx, to.realm, found, err)
	}
	return who, nil
}

func (s *Service) signIn(ctx context.Context, tx Tx, p Passkey, a webauthn.Assertion, to asked) (*gatehouse.Principal, error) {
	var challenge []byte
	proof, err := s.c.Site(to.realm).Assert(a, p.Credential, webauthn.Demand{UserVerified: true, Challenge: func(c []byte) bool {
		challenge = c
		return s.counts(c, to)
	}})
	if err != nil {
		return nil, ErrRefused.With(err)
	}
	switch {
	case !hmac.Equal(a.UserHandle, s.handle(p.Realm, p.UserID)) && (to.user == "" || len(a.UserHandle) != 0): // §7.2 step 6: who is known already need not be told
		return nil, ErrRefused.With(errors.New("the user handle is not that of its owner"))
	case p.Realm != to.realm:
		return nil, errRealm
	case to.user != "" && p.UserID != to.user:
		return nil, ErrRefused.With(errors.New("it is a passkey of another account"))
	}
	if err := s.spend(ctx, tx, challenge); err != nil {
		return nil, err
	}
	now := s.c.Now()
	p.SignCount, p.BackedUp, p.UsedAt = proof.SignCount, proof.BackedUp, now
	if err := tx.UsePasskey(ctx, p); err != nil {
		return nil, err
	}
	who := &gatehouse.Principal{Realm: p.Realm, Kind: gatehouse.KindUser, ID: p.UserID, IssuedAt: p.CreatedAt, AuthTime: now,
		AMR: append(Methods(), gatehouse.AMRMultiFactor), ACR: gatehouse.AAL2}
	events := []gatehouse.Event{s.event(ctx, p, audit.KindPasskeyUse, who)}
	if proof.Cloned {
		events = append(events, s.event(ctx, p, audit.KindPasskeyCloned, who))
		u, err := tx.User(ctx, p.Realm, p.UserID)
		if err != nil {
			return nil, err
		}
		if err := s.tell(ctx, tx, mail.KindPasskeyCloned, u, p, who); err != nil {
			return nil, err
		}
	}
	return who, tx.AppendEvents(ctx, events...)
}

// Methods of RFC 8176 §2: a key was used, and somebody touched what has it. Whether that is hardware
// ("hwk") only an attestation could say.
const (
	amrKey      = "pop"
	amrPresence = "user"
)

// Methods are those of RFC 8176 that the answer of a passkey shows.
func Methods() []string { return []string{amrKey, amrPresence} }

// spend notes that a challenge was answered.
func (s *Service) spend(ctx context.Context, tx onceWriter, challenge []byte) error {
	err := tx.PutOnce(ctx, used(challenge))
	if errors.Is(err, gatehouse.Conflict) {
		return ErrRefused.With(errors.New("the question was answered before"))
	}
	return err
}

// event is what happened to p by who.
func (s *Service) event(ctx context.Context, p Passkey, kind string, who *gatehouse.Principal) gatehouse.Event {
	e := gatehouse.Event{Time: s.c.Now(), Realm: p.Realm, Kind: kind, Outcome: gatehouse.OutcomeSuccess,
		Actor:     gatehouse.Actor{Kind: who.Kind, ID: who.ID, Name: who.Name, Credential: who.CredentialID, Scheme: who.Scheme},
		Target:    gatehouse.Target{Type: "user", ID: p.UserID},
		RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx),
		Detail: map[string]string{"passkey": p.ID}}
	if p.Name != "" {
		e.Detail["name"] = p.Name
	}
	return e
}

// refused records an attempt that was not let through, and returns err. The actor is nobody.
func (s *Service) refused(ctx context.Context, realm, userID string, err error) error {
	e := gatehouse.Event{Time: s.c.Now(), Realm: realm, Kind: audit.KindPasskeyFailure, Outcome: gatehouse.OutcomeFailure,
		Reason: gatehouse.CodeOf(err), RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx), Detail: map[string]string{}}
	if kind := gatehouse.KindOf(err); kind != gatehouse.Unauthenticated && kind != gatehouse.Conflict {
		e.Outcome = gatehouse.OutcomeError
	} else if public, ok := errors.AsType[*gatehouse.Error](err); ok && public.Cause != nil {
		e.Detail["why"] = public.Cause.Error() // a fixed text of ours
	}
	if userID != "" {
		e.Target = gatehouse.Target{Type: "user", ID: userID}
	}
	s.c.Record(&e)
	return err
}
