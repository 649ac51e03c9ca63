package authn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// trust is what one realm accepts, built from the realm's settings. It is
// immutable: a change of the realm or of its keys makes a new one, and tokens
// verified under another trust do not count.
type trust struct {
	realm    gatehouse.Realm
	issuer   string
	audience []string        // of our own tokens
	issuers  []trustedIssuer // our own first
	all      *token.Verifier // of our own tokens, for whichever of the realm's audiences

	sessionIdle, sessionTTL time.Duration
}

type trustedIssuer struct {
	issuer   string
	verifier *token.Verifier
	foreign  *gatehouse.TrustedIssuer // nil: ourselves
	err      error                    // why there is no verifier
}

// trust returns what realm accepts; a disabled realm accepts nothing.
func (a *Authenticator) trust(ctx context.Context, realm string) (*trust, error) {
	t, err := a.trusts.get(ctx, realm, a.loadTrust)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return nil, errRealmUnknown.With(errors.New("realm " + realm))
	case err != nil:
		return nil, err
	case t.realm.Disabled:
		return nil, errRealmDisabled.With(errors.New("realm " + realm))
	}
	return t, nil
}

func (a *Authenticator) loadTrust(ctx context.Context, name string) (*trust, error) {
	realm, err := a.cfg.Store.Realm(ctx, name)
	if err != nil {
		return nil, err
	}
	if realm.Name != name {
		return nil, gatehouse.NotFound
	}
	t := &trust{realm: realm, issuer: a.cfg.Issuer(name)}
	settings := realm.Settings.Defaults()
	t.sessionIdle, t.sessionTTL = settings.SessionIdle, settings.SessionTTL
	t.audience = []string{t.issuer}
	if realm.Settings.Audience != "" {
		t.audience = append(t.audience, realm.Settings.Audience)
	}
	types := []string{token.TypeAccess}
	if realm.Settings.AccessTokenType == token.TypeJWT { // nothing else that a realm signs has that typ
		types = append(types, token.TypeJWT)
	}
	cfg := token.VerifierConfig{
		Issuer: t.issuer, Audience: t.audience, Algorithms: token.Algorithms(), Types: types,
		Keys: a.cfg.Keys(name), Leeway: a.cfg.Leeway, MaxBytes: MaxTokenBytes,
		RequireClaims: []string{"jti", "client_id", "status"}, Now: a.cfg.Now,
	}
	own, err := token.NewVerifier(cfg)
	if err != nil {
		return nil, err
	}
	cfg.Audience = realm.Settings.AudiencesOf(t.issuer)
	if t.all, err = token.NewVerifier(cfg); err != nil {
		return nil, err
	}
	t.issuers = append(t.issuers, trustedIssuer{issuer: t.issuer, verifier: own})
	for i := range realm.Settings.TrustedIssuers {
		f := &realm.Settings.TrustedIssuers[i]
		// Our own issuer is found first, so an entry for it could never apply.
		// One issuer that cannot be set up is refused; the realm goes on.
		v, err := a.foreignVerifier(name, f)
		t.issuers = append(t.issuers, trustedIssuer{f.Issuer, v, f, err})
	}
	return t, nil
}

func (a *Authenticator) foreignVerifier(realm string, f *gatehouse.TrustedIssuer) (*token.Verifier, error) {
	var algorithms []token.Algorithm
	for _, name := range f.Algorithms {
		alg, ok := token.ParseAlgorithm(name)
		if !ok || alg.Symmetric() {
			return nil, errors.New("authn: a foreign issuer needs a list of asymmetric algorithms")
		}
		algorithms = append(algorithms, alg)
	}
	keys, err := a.cfg.ForeignKeys(realm, *f)
	if err != nil {
		return nil, err
	}
	types := []string{f.Type}
	if f.Type == "" {
		types = []string{"at+jwt", "JWT", ""}
	}
	return token.NewVerifier(token.VerifierConfig{
		Issuer: f.Issuer, Audience: f.Accepts(), Algorithms: algorithms, Types: types, RequireClaims: f.RequiredClaims,
		Keys: keys, Leeway: a.cfg.Leeway, MaxBytes: MaxTokenBytes, Now: a.cfg.Now,
	})
}

// verifyJWT checks a signed access token of the realm's own issuer or of one it
// trusts. The issuer that the token claims only chooses the verifier, which then
// insists on it.
func (a *Authenticator) verifyJWT(ctx context.Context, t *trust, p Presented, rule Rule) (*gatehouse.Principal, error) {
	if rule.Audience != "" {
		return a.verifyFor(ctx, t, p.Secret.Reveal(), rule.Audience)
	}
	e, err := a.verified(ctx, t, p.Secret.Reveal())
	if err != nil {
		return nil, err
	}
	return a.standing(ctx, e)
}

// standing returns the principal of a verified token as it is now.
func (a *Authenticator) standing(ctx context.Context, e *tokenEntry) (*gatehouse.Principal, error) {
	if revoked, reason := a.cfg.Revocations.Revoked(e.ref); revoked {
		return nil, revokedBy(reason, e.principal.GrantID)
	}
	if e.principal.Foreign || e.principal.Kind == gatehouse.KindClient {
		return e.principal, nil // not in the directory
	}
	return a.local(ctx, e.principal)
}

// revokedBy tells an operator what ended a token: its own grant, or a cut-off under
// which it falls with others.
func revokedBy(reason, grant string) error {
	switch reason {
	case revocation.ReasonToken:
		return errRevoked.With(errors.New("its grant " + grant + " was ended"))
	case revocation.ReasonUnknown:
		return errRevoked.With(errors.New("what is revoked is not known yet: the server is starting"))
	case revocation.ReasonStatus:
		return errRevoked.With(errors.New("its place in the status lists is none, or is gone"))
	}
	return errRevoked.With(errors.New("it was issued before a cut-off: " + reason))
}

// local checks that the subject of an own token is still in the directory, and returns
// its principal as the subject is now: the one remembered is of when the token was first
// seen, and may have another name, or none when the account was disabled then.
func (a *Authenticator) local(ctx context.Context, remembered *gatehouse.Principal) (*gatehouse.Principal, error) {
	s, err := a.subject(ctx, remembered.Realm, remembered.ID)
	if err != nil {
		return nil, err
	}
	if s.Kind == remembered.Kind && s.Name == remembered.Name {
		return remembered, nil
	}
	p := *remembered
	p.Kind, p.Name = s.Kind, s.Name
	return &p, nil
}

func (a *Authenticator) verifyToken(ctx context.Context, t *trust, text string) (*tokenEntry, error) {
	ti, err := t.issuerOf(text)
	if err != nil {
		return nil, err
	}
	if ti.err != nil {
		return nil, ti.err
	}
	claims, err := ti.verifier.Verify(text)
	if err != nil {
		if issuer, e := token.UnverifiedIssuer(text); e == nil && issuer != ti.issuer {
			return nil, t.wrongIssuer(issuer) // says more than that its key is not known
		}
		return nil, err
	}
	if ti.foreign == nil {
		return a.ownEntry(ctx, t, claims)
	}
	return newTokenEntry(t, foreignPrincipal(t.realm.Name, ti.foreign, claims), claims), nil
}

// ownEntry is what is remembered of a verified token of the realm's own.
func (a *Authenticator) ownEntry(ctx context.Context, t *trust, claims *token.Claims) (*tokenEntry, error) {
	e := newTokenEntry(t, ownPrincipal(t.realm.Name, claims), claims)
	e.ref.HasStatus, e.ref.List, e.ref.Index = claims.HasStatus, claims.StatusList, claims.StatusIndex
	if e.principal.Kind != gatehouse.KindClient { // a client has no account
		s, err := a.subject(ctx, t.realm.Name, e.principal.ID)
		if err != nil {
			return nil, err
		}
		e.principal.Kind, e.principal.Name = s.Kind, s.Name
	}
	return e, nil
}

// issuerOf chooses who is to have made the token. With one issuer there is
// nothing to choose, and its verifier insists on the claim.
func (t *trust) issuerOf(text string) (*trustedIssuer, error) {
	if len(t.issuers) == 1 {
		return &t.issuers[0], nil
	}
	issuer, err := token.UnverifiedIssuer(text)
	if err != nil {
		return nil, err
	}
	for i := range t.issuers {
		if t.issuers[i].issuer == issuer {
			return &t.issuers[i], nil
		}
	}
	return nil, t.wrongIssuer(issuer)
}

// wrongIssuer tells an operator which issuers the realm believes.
func (t *trust) wrongIssuer(theirs string) error {
	names := make([]string, len(t.issuers))
	for i := range t.issuers {
		names[i] = t.issuers[i].issuer
	}
	return token.ErrWrongIssuer.With(fmt.Errorf("the token says %.200q; believed here: %s", theirs, strings.Join(names, ", ")))
}

// Recognizes reports whether a signed token claims to be of an issuer that some
// realm believes, its own or a trusted one. It verifies nothing. Where that cannot
// be told it recognizes everything: what may be ours is not let through as the
// API's own.
func (a *Authenticator) Recognizes(ctx context.Context, text string) bool {
	issuer, err := token.UnverifiedIssuer(text)
	if err != nil {
		return false // no verifier of ours would take it either
	}
	known := a.issuers.Load()
	if known == nil {
		if known, err = a.loadIssuers(ctx); err != nil {
			return true
		}
	}
	return (*known)[issuer]
}

var errNoRealms = errors.New("authn: no list of realms")

// loadIssuers reads the issuers of all realms and keeps them until a realm changes.
func (a *Authenticator) loadIssuers(ctx context.Context) (*map[string]bool, error) {
	if a.cfg.Realms == nil {
		return nil, errNoRealms
	}
	began := a.realmChanges.Load()
	realms, err := a.cfg.Realms(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(realms))
	for _, r := range realms {
		known[a.cfg.Issuer(r.Name)] = true
		for _, t := range r.Settings.TrustedIssuers {
			known[t.Issuer] = true
		}
	}
	a.issuers.Store(&known)
	if a.realmChanges.Load() != began {
		a.issuers.Store(nil) // read before the change, stored after it
	}
	return &known, nil
}
