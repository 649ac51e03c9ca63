package jwks

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// rediscover is how long a discovered address is used.
const rediscover = 24 * time.Hour

// address returns where the set is, from the metadata of the issuer if need be.
func (s *Source) address(ctx context.Context) (string, error) {
	if !s.cfg.Discover {
		return s.cfg.URL, nil
	}
	now := s.cfg.Now()
	if s.found != "" && now.Sub(s.foundAt) < rediscover {
		return s.found, nil
	}
	var problems []error
	for _, document := range metadataAddresses(s.cfg.Issuer) {
		found, err := s.readMetadata(ctx, document)
		if err == nil {
			s.found, s.foundAt = found, now
			return found, nil
		}
		problems = append(problems, err)
	}
	return "", errors.Join(problems...)
}

// metadataAddresses are the two places where issuers publish their metadata: the
// well-known part behind the issuer (OpenID Connect Discovery §4), and between
// its host and path (RFC 8414 §3.1).
func metadataAddresses(issuer string) []string {
	list := []string{strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"}
	u, err := url.Parse(issuer)
	if err != nil {
		return list
	}
	u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
	u.RawPath = ""
	return append(list, u.String())
}

// readMetadata returns jwks_uri of a document. One that names another issuer is
// refused (RFC 8414 §3.3): it would let whoever serves it speak for this one.
func (s *Source) readMetadata(ctx context.Context, document string) (string, error) {
	body, _, err := s.cfg.Fetcher.Fetch(ctx, document, "application/json")
	if err != nil {
		return "", err
	}
	var m struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	switch err := json.Unmarshal(body, &m); {
	case err != nil:
		return "", errors.New("the issuer's metadata is no JSON of the right types")
	case m.Issuer != s.cfg.Issuer:
		return "", errors.New("the metadata at the issuer's address names another issuer")
	case m.JWKSURI == "":
		return "", errors.New("the issuer's metadata has no jwks_uri")
	}
	return m.JWKSURI, nil
}
