package provider

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/token"
)

// exchange changes a code for tokens, and returns what the provider says of who signed in, once that is verified.
func (s *Service) exchange(ctx context.Context, realm string, r *remote, m *metadata, f flight, code string) (*said, error) {
	if code == "" {
		return nil, ErrRefused.With(errors.New("the answer has no code"))
	}
	secret, err := s.shownSecret(ctx, realm, r.of)
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {s.c.Redirect(realm, r.of.ID)}, "code_verifier": {f.verifier()}}
	lines := http.Header{"Accept": {"application/json"}}
	if m.basic() { // each part as in a form, before it is Basic (RFC 6749 §2.3.1)
		pair := url.QueryEscape(r.of.ClientID) + ":" + url.QueryEscape(secret.Reveal())
		lines.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	} else {
		form["client_id"], form["client_secret"] = []string{r.of.ClientID}, []string{secret.Reveal()}
	}
	status, body, err := r.client.Post(ctx, m.Token, lines, form)
	if err != nil {
		return nil, errUnavailable.With(err)
	}
	var answer struct {
		Error       string `json:"error"`
		IDToken     string `json:"id_token"`
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
	}
	if err := exactjson.Unmarshal(body, &answer); err != nil {
		return nil, errUnavailable.With(errors.New("the token endpoint answered no JSON of the right types"))
	}
	switch { // GitHub answers its errors with 200, and has one of its own for a code
	case answer.Error == "invalid_grant", answer.Error == "bad_verification_code":
		return nil, ErrRefused.With(errors.New("the token endpoint refused the code"))
	case answer.Error != "":
		return nil, errUnavailable.With(errors.New(errorCode(answer.Error) + " at the token endpoint"))
	case r.verifier == nil && status == http.StatusOK && answer.AccessToken != "" && strings.EqualFold(answer.TokenType, "bearer"):
		return r.askUser(ctx, answer.AccessToken)
	case status != http.StatusOK, r.verifier == nil, answer.IDToken == "":
		return nil, errUnavailable.With(errors.New("the token endpoint gave no ID token, or no token to ask with"))
	}
	claims, err := r.verify(answer.IDToken, answer.AccessToken, f)
	if err != nil {
		return nil, err
	}
	c, err := read(claims)
	if err == nil && m.Userinfo != "" && answer.AccessToken != "" && strings.EqualFold(answer.TokenType, "bearer") {
		c.more = userinfo{of: r, address: m.Userinfo, accessToken: answer.AccessToken}
	}
	return c, err
}

// accessHash is at_hash for an access token (OpenID Connect Core §3.1.3.6): the left half of its hash
// under the hash function of the signature.
func accessHash(alg token.Algorithm, accessToken string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(string(alg), "384"):
		h := sha512.Sum384([]byte(accessToken))
		sum = h[:]
	case strings.HasSuffix(string(alg), "512"), alg == token.EdDSA: // Ed25519 hashes by SHA-512
		h := sha512.Sum512([]byte(accessToken))
		sum = h[:]
	default:
		h := sha256.Sum256([]byte(accessToken))
		sum = h[:]
	}
	return encode(sum[:len(sum)/2])
}

// text is a claim that is a text; one that is something else is there, and empty.
func text(c *token.Claims, name string) (value string, there bool) {
	raw := c.Lookup(name)
	if raw == nil {
		return "", false
	}
	_ = json.Unmarshal(raw, &value)
	return value, true
}
