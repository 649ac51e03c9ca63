package provider

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/token"
)

// said is what a provider says of who has signed in, once it is verified.
type said struct {
	Subject  string
	AuthTime time.Time // zero: it does not say
	ACR      string
	AMR      []string
	claims   map[string]jsontext.Value
	more     userinfo
}

// Claims of which accounts are made (OpenID Connect Core §5.1).
const (
	claimName          = "name"
	claimUsername      = "preferred_username"
	claimEmail         = "email"
	claimEmailVerified = "email_verified"
)

// read is what the claims of a verified ID token say.
func read(c *token.Claims) (*said, error) {
	s := &said{Subject: c.Subject, AuthTime: c.AuthTime, ACR: c.ACR, AMR: c.AMR}
	if err := exactjson.Unmarshal(c.Raw, &s.claims); err != nil {
		return nil, ErrRefused.With(errors.New("the claims of the ID token are no JSON object"))
	}
	return s, nil
}

// text is a claim that is a text; one that is something else is empty.
func (s *said) text(name string) (value string) {
	_ = json.Unmarshal(s.claims[name], &value)
	return value
}

// claim is one of the claims; nil: it is not said.
func (s *said) claim(name string) jsontext.Value { return s.claims[name] }

// say has a claim be a value that can be JSON.
func (s *said) say(name string, value any) {
	if b, err := json.Marshal(value); err == nil {
		s.claims[name] = b
	}
}
