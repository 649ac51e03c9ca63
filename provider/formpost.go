package provider

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

const (
	// maxPosted bounds each field of an answer that is posted, in bytes, and maxHeld all of it sealed, in characters.
	maxPosted = 2048
	maxHeld   = 6144
)

// heldPlace binds an answer that was posted to the provider that it was posted for.
func heldPlace(realm, provider string) seal.Place {
	return seal.Place{Purpose: "answer of a provider", Realm: realm, ID: provider}
}

// Hold takes the answer of a provider that has browsers post it (OAuth 2.0 Form Post Response Mode), and returns it sealed,
// for [Service.Finish] as "answer". The post comes from the provider's site: no cookie of this host comes with it, by which it
// could be told whose answer it is. So it is looked at when the browser has come here by itself with it; and neither code nor
// name stands in an address.
//
// Errors: provider_not_found, provider_refused.
func (s *Service) Hold(realm gatehouse.Realm, id string, answer url.Values) (string, error) {
	p, err := find(realm, id)
	if err != nil {
		return "", err
	}
	if known, _ := p.Known(); !known.FormPost {
		return "", ErrNone
	}
	kept := url.Values{}
	for _, name := range []string{"state", "code", "iss", "error", "user"} {
		if values := answer[name]; len(values) > 1 || len(answer.Get(name)) > maxPosted {
			return "", ErrRefused.With(errors.New("a field of the answer is there twice, or too long"))
		} else if len(values) == 1 {
			kept[name] = values
		}
	}
	sealed, err := s.c.Box.Seal([]byte(kept.Encode()), heldPlace(realm.Name, id))
	if text := encode(sealed); err == nil && len(text) <= maxHeld {
		return text, nil
	} else if err == nil {
		err = ErrRefused.With(errors.New("the answer is too long"))
	}
	return "", err
}

// unhold is the answer to look at: what was held, where the provider has browsers post it, and nothing else then.
func (s *Service) unhold(realm string, p gatehouse.Provider, answer url.Values) (url.Values, error) {
	if known, _ := p.Known(); !known.FormPost {
		return answer, nil
	}
	bad := ErrRefused.With(errors.New("the answer was not posted, or to another provider"))
	if len(answer.Get("answer")) > maxHeld {
		return nil, bad
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(answer.Get("answer"))
	if err != nil {
		return nil, bad
	}
	plain, err := s.c.Box.Open(sealed, heldPlace(realm, p.ID))
	if err != nil {
		return nil, bad
	}
	return url.ParseQuery(string(plain))
}

// sayName adds the name that Apple tells beside the ID token, and once alone: unsigned, so it is for showing and nothing else.
func (s *said) sayName(user string) {
	var v struct {
		Name struct {
			First string `json:"firstName"`
			Last  string `json:"lastName"`
		} `json:"name"`
	}
	if s.claims[claimName] == nil && exactjson.Unmarshal([]byte(user), &v) == nil {
		s.say(claimName, strings.TrimSpace(v.Name.First+" "+v.Name.Last))
	}
}
