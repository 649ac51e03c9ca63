package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// askUser asks the API of a provider that knows OAuth 2.0 alone whose access token it is (GitHub, "Get the authenticated
// user"). The account is the number that it never gives to another; the name can change hands.
func (r *remote) askUser(ctx context.Context, accessToken string) (*said, error) {
	status, body, err := r.api(ctx, "/user", accessToken)
	var user struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
		Name  string `json:"name"`
	}
	if err != nil {
		return nil, errUnavailable.With(err)
	}
	if exactjson.Unmarshal(body, &user) != nil || status != http.StatusOK || user.ID <= 0 {
		return nil, errUnavailable.With(errors.New("the API did not say whose the access token is"))
	}
	s := &said{Subject: strconv.FormatInt(user.ID, 10), claims: map[string]jsontext.Value{}}
	s.say(claimUsername, user.Login)
	s.say(claimName, user.Name)
	return s, r.askEmail(ctx, accessToken, s)
}

// askEmail adds the primary address when it is verified. Somebody can keep his addresses to himself.
func (r *remote) askEmail(ctx context.Context, accessToken string, s *said) error {
	status, body, err := r.api(ctx, "/user/emails?per_page=100", accessToken)
	switch {
	case err != nil:
		return errUnavailable.With(err)
	case status == http.StatusForbidden, status == http.StatusNotFound: // the scope was not granted
		return nil
	}
	var list []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if exactjson.Unmarshal(body, &list) != nil || status != http.StatusOK {
		return errUnavailable.With(errors.New("the API did not list the addresses of e-mail"))
	}
	for _, e := range list {
		if e.Primary && e.Verified {
			s.say(claimEmail, e.Email)
			s.say(claimEmailVerified, true)
		}
	}
	return nil
}

// api asks the API of the provider for what is at a path.
func (r *remote) api(ctx context.Context, path, accessToken string) (status int, body []byte, err error) {
	base := r.known.API
	if r.of.Issuer != r.known.Issuer { // an installation of one's own
		u, err := url.Parse(r.of.Issuer)
		if err != nil {
			return 0, nil, err
		}
		base = u.Scheme + "://" + u.Host + r.known.UserAPI
	}
	return r.client.Get(ctx, base+path, http.Header{"Accept": {"application/vnd.github+json"}, "X-Github-Api-Version": {"2022-11-28"}, "Authorization": {"Bearer " + accessToken}})
}
