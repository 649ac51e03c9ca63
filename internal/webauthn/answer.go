package webauthn

import (
	"errors"

	"github.com/go-json-experiment/json"
)

// maxAnswer bounds the JSON of an answer, and maxTransports what is kept of it, each in bytes or names.
const (
	maxAnswer     = 32 << 10
	maxTransports = 8
	maxTransport  = 32
)

var errAnswer = errors.New("the answer of the browser is malformed")

// bytes64 is a binary value in JSON.
type bytes64 []byte

func (b *bytes64) UnmarshalText(text []byte) (err error) {
	*b, err = base.DecodeString(string(text))
	return err
}

// answer is what PublicKeyCredential.toJSON() of a browser gives (§5.1: RegistrationResponseJSON,
// AuthenticationResponseJSON).
type answer struct {
	ID       bytes64 `json:"id"`
	RawID    bytes64 `json:"rawId"`
	Type     string  `json:"type"`
	Response struct {
		ClientData  bytes64  `json:"clientDataJSON"`
		Attestation bytes64  `json:"attestationObject"`
		Transports  []string `json:"transports"`
		AuthData    bytes64  `json:"authenticatorData"`
		Signature   bytes64  `json:"signature"`
		UserHandle  bytes64  `json:"userHandle"`
	} `json:"response"`
}

func parse(text []byte) (a answer, err error) {
	if len(text) > maxAnswer {
		return a, errAnswer
	}
	if err := json.Unmarshal(text, &a); err != nil || a.Type != "public-key" || string(a.ID) != string(a.RawID) || len(a.ID) == 0 || len(a.ID) > MaxID {
		return a, errAnswer
	}
	return a, nil
}

// ParseRegistration reads the JSON of an answer of navigator.credentials.create.
func ParseRegistration(text []byte) (Registration, error) {
	a, err := parse(text)
	if err != nil {
		return Registration{}, err
	}
	r := Registration{ID: a.ID, ClientData: a.Response.ClientData, Attestation: a.Response.Attestation}
	for _, t := range a.Response.Transports[:min(len(a.Response.Transports), maxTransports)] {
		if len(t) <= maxTransport {
			r.Transports = append(r.Transports, t)
		}
	}
	return r, nil
}

// ParseAssertion reads the JSON of an answer of navigator.credentials.get.
func ParseAssertion(text []byte) (Assertion, error) {
	a, err := parse(text)
	if err != nil {
		return Assertion{}, err
	}
	return Assertion{ID: a.ID, ClientData: a.Response.ClientData, AuthenticatorData: a.Response.AuthData, Signature: a.Response.Signature,
		UserHandle: a.Response.UserHandle}, nil
}
