package authorize

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Leaving is what a client wants that has a person sign out (OpenID Connect RP-Initiated Logout §2), found good.
type Leaving struct {
	To    string // where the browser is sent afterwards, a registered address with what the client wants back; "" for nowhere
	Forms string // where the forms of a page that leads there may end

	hint *token.Claims
}

// Means reports whether the client showed an ID token of who's session: it was told of that sign-in, so it may end it without a question. For
// anybody else there is one, or every page could sign people out.
func (l Leaving) Means(who *gatehouse.Principal) bool {
	return l.hint != nil && who != nil && l.hint.Subject == who.ID && l.hint.SessionID == who.SessionID && who.SessionID != ""
}

// Known reports whether the client showed an ID token that it was given here: nobody is led anywhere by an address that anybody could write.
func (l Leaving) Known() bool { return l.hint != nil }

// Leave judges the query of a request to the logout endpoint of realm. Every error is shown: while something is wrong nobody is sent on (§3).
func (s *Service) Leave(ctx context.Context, realm gatehouse.Realm, query string) (out Leaving, err error) {
	q, err := leavingQuery(query)
	if err != nil {
		return out, err
	}
	id := q.Get("client_id")
	if hint := q.Get("id_token_hint"); hint != "" {
		if id == "" {
			id = token.HintClient(hint)
		}
		if id == "" {
			return out, errRequest
		}
		out.hint, err = token.OpenHint(hint, s.c.Issuer(realm.Name), id, s.c.Keys(realm.Name), s.c.Now)
		switch {
		case gatehouse.KindOf(err) == gatehouse.Unavailable:
			return Leaving{}, err
		case err != nil: // also one of another client than client_id
			return Leaving{}, errRequest
		}
	}
	to := q.Get("post_logout_redirect_uri")
	if to == "" {
		return out, nil
	}
	if id == "" {
		return Leaving{}, errRedirectURI
	}
	c, err := s.c.Clients.Client(ctx, realm.Name, id)
	switch {
	case errors.Is(err, gatehouse.NotFound), err == nil && c.Disabled:
		return Leaving{}, errClient
	case err != nil:
		return Leaving{}, err
	case !slices.Contains(c.Metadata.PostLogoutURIs, to):
		return Leaving{}, errRedirectURI
	}
	out.To, out.Forms = withState(to, q.Get("state")), targets(c.Metadata.PostLogoutURIs)
	return out, nil
}

// leavingQuery reads a query in which nothing is there twice.
func leavingQuery(query string) (url.Values, error) {
	if len(query) > MaxQuery {
		return nil, errRequest
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, errRequest
	}
	for _, values := range q {
		if len(values) != 1 || !utf8.ValidString(values[0]) {
			return nil, errRequest
		}
	}
	return q, nil
}

// withState is an address with the state of the request.
func withState(to, state string) string {
	if state == "" {
		return to
	}
	return Answer{To: to, Params: []Param{{"state", state}}}.Location()
}
