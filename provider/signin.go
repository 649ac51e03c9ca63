package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Begin returns the address at a provider to which a browser goes to sign in. browser is what ties
// forms to that browser, to the path to go to afterwards, of at most [MaxReturn] bytes. Anew has the
// provider ask again who it is.
//
// Errors: provider_not_found, provider_unavailable.
func (s *Service) Begin(ctx context.Context, realm gatehouse.Realm, id, to string, browser []byte, anew bool) (address string, err error) {
	p, err := find(realm, id)
	if err != nil {
		return "", err
	}
	if len(to) > MaxReturn {
		to = ""
	}
	return s.begin(ctx, realm, p, s.newFlight(p, to), browser, anew)
}

func (s *Service) begin(ctx context.Context, realm gatehouse.Realm, p gatehouse.Provider, f flight, browser []byte, anew bool) (string, error) {
	r, err := s.remote(realm.Name, p)
	if err != nil {
		return "", s.failed(ctx, realm.Name, p.ID, err)
	}
	m, err := r.read(ctx)
	if err == nil {
		_, err = s.secret(ctx, realm.Name, p) // without it nobody could come back
	}
	if err != nil {
		return "", s.failed(ctx, realm.Name, p.ID, err)
	}
	state, err := s.state(realm.Name, browser, f)
	if err != nil {
		return "", err
	}
	challenge := sha256.Sum256([]byte(f.verifier()))
	scopes := p.Scopes
	q := url.Values{"response_type": {"code"}, "client_id": {p.ClientID}, "redirect_uri": {s.c.Redirect(realm.Name, p.ID)}, "state": {state},
		"code_challenge": {encode(challenge[:])}, "code_challenge_method": {"S256"}}
	if r.known.OpenID() {
		q["nonce"], scopes = []string{f.nonce()}, append([]string{"openid"}, scopes...)
	}
	q["scope"] = []string{strings.Join(scopes, " ")}
	if r.known.FormPost {
		q["response_mode"] = []string{"form_post"}
	}
	if anew && r.known.Asks != "" {
		q["prompt"] = []string{r.known.Asks}
		if r.known.Asks == "login" {
			q["max_age"] = []string{"0"} // with max_age it must say when that was (Core §3.1.2.1)
		}
	}
	return m.to(q)
}

// Arrival is what came of an answer from a provider.
type Arrival struct {
	// Who may have a session now, given that account and realm allow one (session.Service sees to
	// that). Nil: nobody.
	Who *gatehouse.Principal
	To  string // the path that Begin was given
	// Link: it was to link an account, and no sign-in. Without an error it is linked.
	Link bool
}

// Finish takes the answer that a browser brings back from a provider. in is who is signed in at that
// browser here, nil for nobody: whoever would link an account. What has begun is in the Arrival also beside
// an error, as far as it is known.
//
// Errors: provider_not_found, provider_refused, provider_cancelled, provider_unavailable,
// provider_account_unknown, provider_linked, provider_link_limit. Each but the first leaves an event.
func (s *Service) Finish(ctx context.Context, realm gatehouse.Realm, id string, browser []byte, in *gatehouse.Principal, answer url.Values) (Arrival, error) {
	p, err := find(realm, id)
	if err != nil {
		return Arrival{}, err
	}
	answer, err = s.unhold(realm.Name, p, answer)
	var f flight
	var c *said
	if err == nil {
		f, c, err = s.finish(ctx, realm, p, browser, in, answer)
	}
	a := Arrival{To: f.Return, Link: f.User != ""}
	if err == nil && a.Link {
		err = s.join(ctx, p, f, in, c)
	} else if err == nil {
		a.Who, err = s.account(ctx, realm, p, c)
	}
	if err != nil {
		return a, s.failed(ctx, realm.Name, id, err)
	}
	return a, nil
}

// finish returns what the provider says of who has come back, and what was begun.
func (s *Service) finish(ctx context.Context, realm gatehouse.Realm, p gatehouse.Provider, browser []byte, in *gatehouse.Principal, answer url.Values) (flight, *said, error) {
	for _, name := range []string{"state", "code", "iss", "error", "user"} {
		if len(answer[name]) > 1 || len(answer.Get(name)) > maxState {
			return flight{}, nil, ErrRefused.With(errors.New("a parameter of the answer is there twice, or too long"))
		}
	}
	state := answer.Get("state")
	f, err := s.open(realm.Name, browser, p, state)
	if err == nil {
		err = f.own(in)
	}
	if err != nil {
		return f, nil, ErrRefused.With(err)
	}
	r, err := s.remote(realm.Name, p)
	if err != nil {
		return f, nil, err
	}
	m, err := r.read(ctx)
	if err != nil {
		return f, nil, err
	}
	// Whose answer it is comes before everything that it says (RFC 9207 §2.4).
	if iss, said := answer["iss"]; said && iss[0] != p.Issuer || !said && m.SaysIssuer {
		return f, nil, ErrRefused.With(errors.New("the answer does not say that it is of this issuer"))
	}
	// Before the provider is asked, so that nobody has it asked twice.
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error { return tx.PutOnce(ctx, used(state, f)) })
	if errors.Is(err, gatehouse.Conflict) {
		err = ErrRefused.With(errors.New("this answer was brought before"))
	}
	if err != nil {
		return f, nil, err
	}
	if code := answer.Get("error"); code != "" {
		return f, nil, errCancelled.With(errors.New(errorCode(code)))
	}
	c, err := s.exchange(ctx, realm.Name, r, m, f, answer.Get("code"))
	if err == nil && r.known.FormPost {
		c.sayName(answer.Get("user"))
	}
	return f, c, err
}

// errorCode is an error code of a provider (RFC 6749 §4.1.2.1), or that it was none.
func errorCode(code string) string {
	if len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "the provider sent an error without a code"
	}
	return "the provider said " + code
}

// verify checks an ID token beyond what every verifier does (OpenID Connect Core §3.1.3.7).
func (r *remote) verify(idToken, accessToken string, f flight) (*token.Claims, error) {
	c, err := r.verifier.Verify(idToken)
	switch {
	case errors.Is(err, gatehouse.Unavailable):
		return nil, errUnavailable.With(err)
	case err != nil:
		return nil, ErrRefused.With(errors.New("the ID token: " + gatehouse.CodeOf(err)))
	}
	azp, there := text(c, "azp")
	nonce, _ := text(c, "nonce")
	hash, hashed := text(c, "at_hash")
	switch {
	case subtle.ConstantTimeCompare([]byte(nonce), []byte(f.nonce())) != 1:
		err = errors.New("the ID token was made for another sign-in")
	case there && azp != r.of.ClientID, !there && len(c.Audience) > 1:
		err = errors.New("the ID token was made for another party")
	case c.IssuedAt.Before(f.began().Add(-leeway)):
		err = errors.New("the ID token is older than the sign-in")
	case len(c.Subject) > 255: // Core §2
		err = errors.New("the subject is too long")
	case hashed && hash != accessHash(c.Algorithm, accessToken):
		err = errors.New("the access token is not the one that belongs to the ID token")
	}
	if err != nil {
		return nil, ErrRefused.With(err)
	}
	return c, nil
}

// principal is who signed in, as far as the provider's word goes.
func (s *Service) principal(p gatehouse.Provider, l Link, c *said) *gatehouse.Principal {
	now := s.c.Now()
	who := &gatehouse.Principal{Realm: l.Realm, Kind: gatehouse.KindUser, ID: l.UserID, Scheme: gatehouse.SchemeProvider, IssuedAt: l.CreatedAt,
		AMR: []string{gatehouse.AMRProvider}, ACR: gatehouse.AAL1, AuthTime: now.Add(-unsaid)}
	if !c.AuthTime.IsZero() {
		who.AuthTime = c.AuthTime
		if who.AuthTime.After(now) {
			who.AuthTime = now
		}
	}
	if slices.ContainsFunc(p.SecondFactorBy, func(v string) bool { return v == c.ACR || slices.Contains(c.AMR, v) }) {
		who.AMR, who.ACR = append(who.AMR, gatehouse.AMRMultiFactor), gatehouse.AAL2
	}
	return who
}

// failed records an attempt that led nowhere, and returns err. The actor is nobody.
func (s *Service) failed(ctx context.Context, realm, id string, err error) error {
	e := gatehouse.Event{Time: s.c.Now(), Realm: realm, Kind: audit.KindProviderFailure, Outcome: gatehouse.OutcomeFailure, Reason: gatehouse.CodeOf(err),
		Target: gatehouse.Target{Type: "provider", ID: id}, RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx), Detail: map[string]string{}}
	if kind := gatehouse.KindOf(err); kind != gatehouse.Unauthenticated && kind != gatehouse.Conflict {
		e.Outcome = gatehouse.OutcomeError
	}
	if public, ok := errors.AsType[*gatehouse.Error](err); ok && public.Cause != nil {
		e.Detail["why"] = public.Cause.Error()
	}
	s.c.Record(&e)
	return err
}
