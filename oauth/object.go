package oauth

import (
	"errors"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// ClaimedParameters are those that a request object has (RFC 9101 §4): texts as they are, numbers as they are written, and what is made of
// parts as JSON. What makes it a token is none of them.
func ClaimedParameters(claims jsontext.Value) (url.Values, error) {
	var members map[string]jsontext.Value
	if err := exactjson.Unmarshal(claims, &members); err != nil {
		return nil, errors.New("it is no JSON object")
	}
	out := url.Values{}
	for name, v := range members {
		switch name {
		case "iss", "aud", "exp", "nbf", "iat", "jti", "sub":
			continue
		case "request", "request_uri":
			return nil, errors.New("a request inside a request")
		}
		switch kind := v.Kind(); {
		case kind == 'n':
			return nil, errors.New(name + " is null")
		case kind == '"':
			var text string
			if err := exactjson.Unmarshal(v, &text); err != nil {
				return nil, errors.New(name + " is no text")
			}
			out.Set(name, text)
		case kind == '[' && name == "resource": // RFC 8707 §2
			var list []string
			if err := exactjson.Unmarshal(v, &list); err != nil {
				return nil, errors.New("resource is no list of texts")
			}
			out[name] = list
		default:
			out.Set(name, string(v))
		}
	}
	return out, nil
}
