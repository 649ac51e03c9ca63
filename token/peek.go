package token

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Unverified is what a token says about itself. Nothing of it is true until a
// [Verifier] has said so.
type Unverified struct {
	Header jsontext.Value
	Claims jsontext.Value
}

// Peek decodes a token without verifying it, for a person to look at. It is no
// step of any decision.
func Peek(compact string) (Unverified, error) {
	head, body, err := split(compact)
	if err != nil {
		return Unverified{}, err
	}
	u := Unverified{}
	for _, part := range [...]struct {
		text string
		to   *jsontext.Value
	}{{head, &u.Header}, {body, &u.Claims}} {
		raw, ok := decodeSegment(part.text)
		if !ok || !shallow(raw) || !jsontext.Value(raw).IsValid() {
			return Unverified{}, errMalformed
		}
		*part.to = raw
	}
	return u, nil
}

// UnverifiedIssuer returns the iss claim of a token that nobody has verified.
// Its only use is to choose the verifier, which then insists on that issuer.
func UnverifiedIssuer(compact string) (string, error) {
	_, body, err := split(compact)
	if err != nil {
		return "", err
	}
	raw, ok := decodeSegment(body)
	if !ok || !shallow(raw) {
		return "", errMalformed
	}
	var w struct {
		Iss string `json:"iss"`
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		return "", errMalformed.With(errors.New("claims are not well-formed JSON of the right types"))
	}
	if w.Iss == "" {
		return "", errClaimMissing.With(errors.New("iss"))
	}
	return w.Iss, nil
}

func unverifiedHeader(compact string) (header, error) {
	head, _, err := split(compact)
	if err != nil {
		return header{}, err
	}
	raw, ok := decodeSegment(head)
	if !ok {
		return header{}, errMalformed
	}
	return parseHeader(raw)
}

// split returns the first two of exactly three parts.
func split(compact string) (head, body string, err error) {
	if len(compact) > maxMaxBytes {
		return "", "", ErrTooLarge
	}
	if strings.Count(compact, ".") != 2 {
		return "", "", errMalformed
	}
	head, rest, _ := strings.Cut(compact, ".")
	body, _, _ = strings.Cut(rest, ".")
	return head, body, nil
}
