package authorize

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/openid"
)

// asks reports whether the person has to say whether the client may.
func (s *Service) asks(ctx context.Context, r *Request, who *gatehouse.Principal, now time.Time) (bool, error) {
	switch {
	case r.spared():
		return false, nil
	case !r.AtOnce():
		return true, nil
	}
	had, err := s.c.Codes.Consent(ctx, r.realm.Name, who.ID, r.Client.ID)
	return !had.Covers(r.wish(), now), err
}

// spared reports whether nobody is asked about r: the client is the realm's own, and did not want it.
func (r *Request) spared() bool {
	return r.Client.Metadata.SkipsConsent(r.RedirectURI) && !slices.Contains(r.prompt, "consent")
}

// AtOnce reports whether r may be answered without a question, if the person allowed it before.
func (r *Request) AtOnce() bool {
	return r.Client.Metadata.Remembers(r.RedirectURI) && !slices.Contains(r.prompt, "consent")
}

// wish is what an answer to r is about, and what one of before has to be about.
func (r *Request) wish() grant.Wish {
	return grant.Wish{Print: r.Client.Metadata.Print(), Scopes: r.Shown(), Details: r.Details, Keep: r.kept(), Resources: r.Audiences(), For: r.realm.Settings.Defaults().ConsentTTL}
}

// Audiences are for whom the tokens will be.
func (r *Request) Audiences() []string {
	if len(r.Resources) > 0 {
		return r.Resources
	}
	return []string{r.audience}
}

// AsksAgain is when the person is asked again who allows r at now; zero: each time.
func (r *Request) AsksAgain(now time.Time) time.Time {
	ttl := r.realm.Settings.Defaults().ConsentTTL
	if ttl <= 0 || !r.Client.Metadata.Remembers(r.RedirectURI) || len(r.kept()) < len(r.Details) {
		return time.Time{}
	}
	return now.Add(ttl)
}

// Ends is when the last token ends of what is allowed at now; where it does not outlive the session, it may be earlier.
func (r *Request) Ends(now time.Time) (at time.Time, withSession bool) {
	s := r.realm.Settings.Defaults()
	life := s.AccessTokenTTL
	if r.Client.Metadata.May(client.GrantRefreshToken) {
		life = s.GrantTTL
	}
	if slices.Contains(r.Scopes, client.ScopeOffline) {
		return now.Add(life), false
	}
	return now.Add(min(life, s.SessionTTL)), true
}

// needed are scopes that a person does not choose: without them the request is another one (OpenID Connect Core §3.1.2.1).
func needed(scope string) bool { return scope == openid.ScopeOpenID }

// Optional reports whether a person may allow r without that scope of it.
func (r *Request) Optional(scope string) bool {
	return slices.Contains(r.Shown(), scope) && !needed(scope)
}

// AllowSome gives the client what the person, who was asked, lets it have of what it asks for: ticked are the optional scopes of that.
// What was not asked for is not given, and no claim of a scope that is not ticked.
func (s *Service) AllowSome(ctx context.Context, r *Request, who *gatehouse.Principal, ticked []string) (Answer, error) {
	allowed := slices.DeleteFunc(r.Shown(), func(name string) bool { return r.Optional(name) && !slices.Contains(ticked, name) })
	c := r.code(who)
	c.Scopes = slices.DeleteFunc(slices.Clone(c.Scopes), func(name string) bool { return !slices.Contains(allowed, name) })
	beyond := func(claim string) bool { return !slices.Contains(allowed, openid.ScopeOf(claim)) }
	c.Claims.IDToken = slices.DeleteFunc(slices.Clone(c.Claims.IDToken), beyond)
	c.Claims.UserInfo = slices.DeleteFunc(slices.Clone(c.Claims.UserInfo), beyond)
	w := r.wish()
	w.Allowed = allowed
	return s.give(ctx, r, who, c, w, grant.Asked)
}
