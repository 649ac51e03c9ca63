package provider

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

const (
	// answerWithin is how long somebody has for the pages of a provider.
	answerWithin = 10 * time.Minute
	// maxState bounds state, in characters; what is sealed in it is bounded by maxReturn.
	maxState = 8 << 10
	// MaxReturn bounds the path to go to afterwards, in bytes.
	MaxReturn = 4<<10 + 256
)

// flight is a sign-in that has begun. It travels in state.
type flight struct {
	Provider string `json:"p"`
	Issuer   string `json:"i"`
	ClientID string `json:"c"`
	Return   string `json:"r"`
	Began    int64  `json:"b"` // milliseconds
	// User and Session are who would link an account, and in which session; "" for a sign-in.
	User    string `json:"u,omitempty"`
	Session string `json:"n,omitempty"`
	// Secret is what nonce and verifier are made of.
	Secret []byte `json:"s"`
}

// newFlight begins a sign-in with p.
func (s *Service) newFlight(p gatehouse.Provider, to string) flight {
	f := flight{Provider: p.ID, Issuer: p.Issuer, ClientID: p.ClientID, Return: to, Began: s.c.Now().UnixMilli(), Secret: make([]byte, 32)}
	_, _ = rand.Read(f.Secret) // never fails (crypto/rand)
	return f
}

func (f flight) began() time.Time { return time.UnixMilli(f.Began) }

// nonce ties the ID token to this sign-in, verifier the code (RFC 7636 §4.1). Neither tells the other.
func (f flight) nonce() string    { return f.derive("nonce") }
func (f flight) verifier() string { return f.derive("verifier") }

func (f flight) derive(what string) string {
	mac := hmac.New(sha256.New, f.Secret)
	mac.Write([]byte("gatehouse provider " + what))
	return encode(mac.Sum(nil))
}

// statePlace binds state to a realm and to the browser that began.
func statePlace(realm string, browser []byte) seal.Place {
	sum := sha256.Sum256(browser)
	return seal.Place{Purpose: "sign-in at a provider", Realm: realm, ID: hex.EncodeToString(sum[:])}
}

// state is f as it travels.
func (s *Service) state(realm string, browser []byte, f flight) (string, error) {
	plain, err := json.Marshal(f)
	if err != nil {
		return "", err
	}
	sealed, err := s.c.Box.Seal(plain, statePlace(realm, browser))
	return encode(sealed), err
}

// open reads state that came back to p in a browser.
func (s *Service) open(realm string, browser []byte, p gatehouse.Provider, state string) (f flight, err error) {
	if len(browser) == 0 || state == "" || len(state) > maxState {
		return f, errors.New("no state, or no cookie that it could be bound to")
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(state)
	if err == nil {
		var plain []byte
		if plain, err = s.c.Box.Open(sealed, statePlace(realm, browser)); err == nil {
			err = json.Unmarshal(plain, &f)
		}
	}
	if err != nil {
		return flight{}, errors.New("state is none of ours, of another realm, or of another browser")
	}
	age := s.c.Now().Sub(f.began())
	switch {
	case f.Provider != p.ID:
		return f, errors.New("state was given to another provider")
	case f.Issuer != p.Issuer, f.ClientID != p.ClientID:
		return f, errors.New("the provider was set up anew meanwhile")
	case age >= answerWithin || age < -once.Margin:
		return f, errors.New("the sign-in took too long")
	}
	return f, nil
}

// kindState is for state that came back: the key is its hash.
const kindState once.Kind = "provider"

// used is the note that state came back.
func used(state string, f flight) once.Record {
	sum := sha256.Sum256([]byte(state))
	return once.Record{Kind: kindState, Key: sum[:], ExpiresAt: f.began().Add(answerWithin)}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
