package webauthn

import (
	"encoding/base64"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
)

// Types of ceremonies, as browsers write them (§5.8.1).
const (
	typeCreate = "webauthn.create"
	typeGet    = "webauthn.get"
)

var (
	errClientData  = errors.New("what the browser says of its question is malformed")
	errType        = errors.New("it answers a question of another type")
	errChallenge   = errors.New("it answers another question, one that is over, or one that another browser was asked")
	errOrigin      = errors.New("a page of another origin asked for it")
	errCrossOrigin = errors.New("a page within a page of another origin asked for it")
)

// clientData is what is looked at of the browser's account of the ceremony. Members that are
// not known may be there (§5.8.1); none may be there twice.
type clientData struct {
	Type        string `json:"type"`
	Challenge   string `json:"challenge"`
	Origin      string `json:"origin"`
	CrossOrigin bool   `json:"crossOrigin"`
	TopOrigin   string `json:"topOrigin"`
}

// base is how binary values are written: base64url without padding, in one way only.
var base = base64.RawURLEncoding.Strict() // read-only

// checkClientData is steps 7 to 11 of §7.1, and 10 to 14 of §7.2.
func (rp RelyingParty) checkClientData(raw []byte, ceremony string, d Demand) error {
	if len(raw) == 0 || len(raw) > maxClientData {
		return errClientData
	}
	var c clientData
	if err := json.Unmarshal(raw, &c); err != nil {
		return errClientData
	}
	if c.Type != ceremony {
		return errType
	}
	challenge, err := base.DecodeString(c.Challenge)
	if err != nil || len(challenge) < minChallenge || d.Challenge == nil || !d.Challenge(challenge) {
		return errChallenge
	}
	if !slices.Contains(rp.Origins, c.Origin) {
		return errOrigin
	}
	if c.CrossOrigin || c.TopOrigin != "" {
		return errCrossOrigin
	}
	return nil
}
