package authorize

import (
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/openid"
	"github.com/gatehouse-auth/gatehouse/token"
)

// levels are the values of acr that a sign-in can have, the lowest first.
func levels() []string { return []string{gatehouse.AAL1, gatehouse.AAL2} }

// openID reports whether r is a request of OpenID Connect: what follows is read of no other (Core §3.1.2.1).
func (r *Request) openID() bool { return slices.Contains(r.Scopes, openid.ScopeOpenID) }

// claims takes what is asked of the person claim by claim, as far as a scope of the client's registration would give it, and
// the level of assurance. What it may not have it does not get, without an error (Core §5.5.1).
func (in *reading) claims() error {
	if !in.openID() {
		return nil
	}
	if text := in.values.Get("claims"); text != "" {
		asked, err := openid.ReadClaims(text)
		if err != nil {
			return fault{"invalid_request", "The parameter claims cannot be read: " + err.Error() + "."}
		}
		in.asked = asked
	}
	may := openid.ClaimsOf(in.Client.Metadata.Scopes())
	for _, names := range []*[]string{&in.asked.UserInfo, &in.asked.IDToken} {
		*names = slices.DeleteFunc(*names, func(name string) bool { return !slices.Contains(may, name) })
	}
	if len(in.asked.ACR) == 0 {
		in.asked.ACR = strings.Fields(in.values.Get("acr_values"))
	}
	return nil
}

// hint takes whom the client means: an ID token that it was given here, which may be over.
func (in *reading) hint() error {
	text := in.values.Get("id_token_hint")
	if text == "" || !in.openID() {
		return nil
	}
	c, err := token.OpenHint(text, in.issuer, in.Client.ID, in.s.c.Keys(in.realm.Name), in.s.c.Now)
	switch {
	case gatehouse.KindOf(err) == gatehouse.Unavailable:
		return err
	case err != nil:
		return fault{"invalid_request", "The id_token_hint is no ID token that was issued here to this client, or its key is gone."}
	case in.asked.Subject != "" && in.asked.Subject != c.Subject:
		return fault{"invalid_request", "The id_token_hint and the parameter claims mean two persons."}
	}
	in.asked.Subject = c.Subject
	return nil
}

// unmet is the error for what r demands and a sign-in of who does not have; "" for nothing.
func (r *Request) unmet(who *gatehouse.Principal) string {
	switch {
	case r.asked.Subject != "" && r.asked.Subject != who.ID:
		return "login_required" // OpenID Connect Core §3.1.2.1
	case r.DemandsMore(who):
		return "unmet_authentication_requirements" // RFC 9470 §5
	}
	return ""
}

// below reports whether who signed in by less than the least of the levels that r asks for. Levels that nobody knows here ask for nothing,
// unless they are essential.
func (r *Request) below(who *gatehouse.Principal) bool {
	least := -1
	for _, acr := range r.asked.ACR {
		if level := slices.Index(levels(), acr); level >= 0 && (least < 0 || level < least) {
			least = level
		}
	}
	if least < 0 {
		return r.asked.Essential
	}
	return slices.Index(levels(), who.ACR) < least
}

// Shown are the scopes of what the client will be told and may do, for whoever decides: those that it asked for, and those that would give
// the claims that it asked for one by one.
func (r *Request) Shown() []string {
	out := slices.Clone(r.Scopes)
	for _, name := range append(slices.Clone(r.asked.UserInfo), r.asked.IDToken...) {
		if scope := openid.ScopeOf(name); !slices.Contains(out, scope) {
			out = append(out, scope)
		}
	}
	return out
}

// DemandsMore reports whether r demands that more is proved than who has.
func (r *Request) DemandsMore(who *gatehouse.Principal) bool {
	return r.asked.Essential && r.below(who)
}
