package token

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// TypeIntrospection is the typ of signed answers to introspections (RFC 9701 §5). It, and that neither sub nor exp stand outside of what is said of
// the token, keep one from being taken for an access token (§8.1).
const TypeIntrospection = "token-introspection+jwt"

// SignIntrospection signs what audience is told of a token.
func (k *Key) SignIntrospection(issuer, audience string, at time.Time, said jsontext.Value) (string, error) {
	if issuer == "" || audience == "" || at.IsZero() {
		return "", errors.New("introspection: iss, aud and iat are required")
	}
	claims, err := json.Marshal(struct {
		Issuer   string         `json:"iss"`
		Audience string         `json:"aud"`
		IssuedAt int64          `json:"iat"`
		Said     jsontext.Value `json:"token_introspection"`
	}{issuer, audience, at.Unix(), said})
	if err != nil {
		return "", err
	}
	return k.Sign(TypeIntrospection, claims)
}
