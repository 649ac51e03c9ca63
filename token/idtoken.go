package token

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// ID is an ID token to be issued: what a client is told of a person's sign-in (OpenID Connect Core §2).
type ID struct {
	Issuer    string // required
	Subject   string // required
	Audience  string // the client_id; required
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time
	Nonce     string
	ACR       string
	AMR       []string
	SessionID string
	// GrantID is the grant that it comes from, so that it counts as long as that where it is exchanged.
	GrantID string
	// AccessToken is the one that is issued beside it; the ID token tells that they belong together (at_hash, §3.1.3.6).
	AccessToken string
	// More are claims about the person. A name of another claim is refused.
	More map[string]any
}

// IDAlgorithms are those by which ID tokens, and answers of userinfo, can be signed. RS256 is what clients expect that say
// nothing (OpenID Connect Registration §2).
func IDAlgorithms() []Algorithm { return []Algorithm{RS256, PS256, ES256, ES384, EdDSA} }

// typeID is the typ of ID tokens: none. Nothing else that a realm signs goes without one, so no access token is taken for an ID
// token, whatever typ a realm gives those, nor the other way round (RFC 8725 §3.12).
const typeID = ""

// SignID issues t.
func (k *Key) SignID(t *ID) (string, error) {
	switch {
	case t.Issuer == "" || t.Subject == "" || t.Audience == "":
		return "", errors.New("ID token: iss, sub and aud are required")
	case t.IssuedAt.IsZero() || !t.ExpiresAt.After(t.IssuedAt):
		return "", errors.New("ID token: must expire after it is issued")
	}
	claims := map[string]any{"iss": t.Issuer, "sub": t.Subject, "aud": t.Audience, "iat": t.IssuedAt.Unix(), "exp": t.ExpiresAt.Unix()}
	for name, value := range map[string]string{"nonce": t.Nonce, "acr": t.ACR, "sid": t.SessionID, "grant_id": t.GrantID} {
		if value != "" {
			claims[name] = value
		}
	}
	if !t.AuthTime.IsZero() {
		claims["auth_time"] = t.AuthTime.Unix()
	}
	if len(t.AMR) > 0 {
		claims["amr"] = t.AMR
	}
	if t.AccessToken != "" {
		claims["at_hash"] = k.halfHash(t.AccessToken)
	}
	for name, value := range t.More {
		if _, there := claims[name]; there || reserved(name) || slices.Contains([]string{"nonce", "at_hash", "c_hash", "azp"}, name) {
			return "", fmt.Errorf("ID token: %q is no claim about a person", name)
		}
		claims[name] = value
	}
	return k.signClaims(claims)
}

// SignUserInfo signs what the userinfo endpoint of issuer tells client of a person (OpenID Connect Core §5.3.2). It has no times: it is
// neither an ID token nor a hint.
func (k *Key) SignUserInfo(issuer, client string, claims map[string]any) (string, error) {
	all := map[string]any{"iss": issuer, "aud": client}
	for name, value := range claims {
		if name != "sub" && reserved(name) {
			return "", fmt.Errorf("userinfo: %q is no claim about a person", name)
		}
		all[name] = value
	}
	return k.signClaims(all)
}

func (k *Key) signClaims(claims map[string]any) (string, error) {
	body, err := json.Marshal(claims, json.Deterministic(true))
	if err != nil {
		return "", err
	}
	return k.Sign(typeID, body)
}

// halfHash is the left half of the hash of text, by the algorithm with which k signs (OpenID Connect Core §3.1.3.6). Ed25519 hashes by
// SHA-512 (RFC 8032 §5.1).
func (k *Key) halfHash(text string) string {
	sum := k.Algorithm.spec().digest([]byte(text))
	if sum == nil {
		long := sha512.Sum512([]byte(text))
		sum = long[:]
	}
	return b64.EncodeToString(sum[:len(sum)/2])
}

// HintClient is the client that an ID token says it is for; nobody has verified that. Its only use is to choose what [OpenHint] insists on.
func HintClient(compact string) string {
	_, body, err := split(compact)
	if err != nil {
		return ""
	}
	raw, ok := decodeSegment(body)
	var w struct {
		Audience string `json:"aud"`
	}
	if !ok || !shallow(raw) || json.Unmarshal(raw, &w) != nil {
		return ""
	}
	return w.Audience
}

// OpenHint verifies an ID token that a client sends along as a hint at whom it means (id_token_hint, OpenID Connect Core §3.1.2.1): that
// issuer made it for that client. It may have expired; whoever is named is not signed in by it. Errors are those of [Verifier.Verify].
func OpenHint(compact, issuer, client string, keys KeySource, now func() time.Time) (*Claims, error) {
	v, err := NewVerifier(VerifierConfig{Issuer: issuer, Audience: []string{client}, Algorithms: IDAlgorithms(), Types: []string{typeID}, Keys: keys,
		Leeway: MaxLeeway, Now: now})
	if err != nil {
		return nil, err
	}
	v.hint = true
	return v.Verify(compact)
}

// OpenID verifies an ID token that a client shows in place of an access token (RFC 8693 §3): that issuer made it for that client, and
// that it has not expired. Errors are those of [Verifier.Verify].
func OpenID(compact, issuer, client string, keys KeySource, now func() time.Time) (*Claims, error) {
	v, err := NewVerifier(VerifierConfig{Issuer: issuer, Audience: []string{client}, Algorithms: IDAlgorithms(), Types: []string{typeID}, Keys: keys,
		RequireClaims: []string{"grant_id"}, Now: now})
	if err != nil {
		return nil, err
	}
	return v.Verify(compact)
}
