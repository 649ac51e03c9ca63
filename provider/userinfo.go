package provider

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// userinfo is where, and by what, the provider tells more of who has signed in. The zero value: nowhere.
type userinfo struct {
	of          *remote
	address     string
	accessToken string
}

// complete asks userinfo for those of the claims called names that the ID token lacks, where the provider has userinfo
// (OpenID Connect Core §5.3). Many providers have the claims of a scope told there alone (§5.4). Nothing that the ID token says
// is replaced. The access token is forgotten by it.
//
// Errors: provider_refused, provider_unavailable.
func (s *said) complete(ctx context.Context, names ...string) error {
	from := s.more
	s.more = userinfo{}
	if s.claims[claimEmail] == nil {
		delete(s.claims, claimEmailVerified) // of no address
	}
	lacks := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return authn.HasClaim(s.claim, name) })
	if from.address == "" || len(lacks) == 0 {
		return nil
	}
	told, err := from.ask(ctx, s.Subject)
	if err != nil {
		return err
	}
	// Whether an address was verified is said of one: never of that in the ID token by what is said of another.
	if slices.Contains(lacks, claimEmailVerified) && s.claims[claimEmail] != nil && !bytes.Equal(s.claims[claimEmail], told[claimEmail]) {
		delete(told, claimEmailVerified)
	}
	for _, name := range lacks {
		for outer := range authn.OuterClaims(name) {
			if value := told[outer]; value != nil && s.claims[outer] == nil {
				s.claims[outer] = value
			}
		}
	}
	return nil
}

// ask returns what userinfo says of a subject.
func (u userinfo) ask(ctx context.Context, subject string) (told map[string]jsontext.Value, err error) {
	status, body, err := u.of.client.Get(ctx, u.address, http.Header{"Accept": {"application/json"}, "Authorization": {"Bearer " + u.accessToken}})
	switch {
	case err != nil:
		return nil, errUnavailable.With(err)
	case status != http.StatusOK:
		return nil, errUnavailable.With(errors.New("userinfo gave no claims"))
	case bytes.HasPrefix(body, []byte("eyJ")): // what every signed or encrypted one begins with
		return nil, errUnavailable.With(errors.New("userinfo is signed or encrypted; register this client without userinfo_signed_response_alg and userinfo_encrypted_response_alg"))
	}
	if err := exactjson.Unmarshal(body, &told); err != nil {
		return nil, errUnavailable.With(errors.New("userinfo is no JSON object"))
	}
	// Without this whoever has one access token passed off as another's could take that person's claims (§5.3.2).
	who := said{claims: told}
	if who.text("sub") != subject {
		return nil, ErrRefused.With(errors.New("userinfo is of another person than the ID token"))
	}
	return told, nil
}
