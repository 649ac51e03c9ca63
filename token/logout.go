package token

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
)

// Logout is a logout token to be issued: it tells a client that a sign-in has ended (OpenID Connect Back-Channel Logout §2.4).
type Logout struct {
	Issuer    string // required
	Subject   string // required
	SessionID string // required: who is signed in twice is signed out once
	Audience  string // the client_id; required
	ID        string // required
	IssuedAt  time.Time
	ExpiresAt time.Time // at most [LogoutLife] later
}

const (
	// TypeLogout is the typ of logout tokens, by which none is taken for an ID token, nor the other way round (§2.4, §4).
	TypeLogout = "logout+jwt"
	// LogoutLife is the longest life of a logout token (§4).
	LogoutLife = 2 * time.Minute

	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

// SignLogout issues t.
func (k *Key) SignLogout(t *Logout) (string, error) {
	switch {
	case t.Issuer == "" || t.Subject == "" || t.SessionID == "" || t.Audience == "" || t.ID == "":
		return "", errors.New("logout token: iss, sub, sid, aud and jti are required")
	case t.IssuedAt.IsZero() || !t.ExpiresAt.After(t.IssuedAt) || t.ExpiresAt.Sub(t.IssuedAt) > LogoutLife:
		return "", errors.New("logout token: must expire after it is issued, and soon")
	}
	body, err := json.Marshal(map[string]any{"iss": t.Issuer, "sub": t.Subject, "sid": t.SessionID, "aud": t.Audience, "jti": t.ID,
		"iat": t.IssuedAt.Unix(), "exp": t.ExpiresAt.Unix(), "events": map[string]any{logoutEvent: struct{}{}}}, json.Deterministic(true))
	if err != nil {
		return "", err
	}
	return k.Sign(TypeLogout, body)
}
