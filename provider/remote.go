package provider

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/egress"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	// maxAnswer bounds what a provider answers, in bytes.
	maxAnswer = 128 << 10
	// metadataFor is how long a provider's metadata are used.
	metadataFor = time.Hour
	// metadataWait is how long a provider that could not be asked is left alone.
	metadataWait = 5 * time.Second
	// leeway forgives clocks.
	leeway = time.Minute
)

// remote is how one provider is reached. Another configuration of it is another remote.
type remote struct {
	of       gatehouse.Provider
	known    gatehouse.Preset
	now      func() time.Time
	client   *egress.Client
	keys     *jwks.Source // nil, and the verifier, where it is no OpenID provider
	verifier *token.Verifier

	mu       sync.Mutex // held while its metadata are fetched: by one caller at a time
	metadata *metadata
	readAt   time.Time
	failed   error
	failedAt time.Time
}

// metadata is what this package reads of OpenID Provider metadata (OpenID Connect Discovery 1.0 §3,
// RFC 9207 §3).
type metadata struct {
	Issuer         string   `json:"issuer"`
	Authorization  string   `json:"authorization_endpoint"`
	Token          string   `json:"token_endpoint"`
	Userinfo       string   `json:"userinfo_endpoint"` // "": it has none
	SaysIssuer     bool     `json:"authorization_response_iss_parameter_supported"`
	Authentication []string `json:"token_endpoint_auth_methods_supported"`
}

// remote returns how p is reached.
func (s *Service) remote(realm string, p gatehouse.Provider) (*remote, error) {
	key := realm + "\x00" + p.ID
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.remotes[key]
	if old != nil && old.fits(p) {
		return old, nil
	}
	r, err := s.newRemote(p)
	if err != nil {
		return nil, err
	}
	s.remotes[key] = r
	if old != nil {
		go old.close() // it waits for a fetch that runs
	}
	return r, nil
}

// fits reports whether r is for a provider that is configured like p.
func (r *remote) fits(p gatehouse.Provider) bool {
	return r.of.Preset == p.Preset && r.of.TeamID == p.TeamID && r.of.KeyID == p.KeyID &&
		r.of.Issuer == p.Issuer && r.of.ClientID == p.ClientID && r.of.CA == p.CA && r.of.AllowPrivateAddress == p.AllowPrivateAddress &&
		slices.Equal(r.of.Algorithms, p.Algorithms)
}

func (s *Service) newRemote(p gatehouse.Provider) (*remote, error) {
	cfg := egress.Config{AllowPrivate: p.AllowPrivateAddress, MaxBytes: maxAnswer}
	if p.CA != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM([]byte(p.CA)) {
			return nil, errUnavailable.With(errors.New("ca holds no certificate"))
		}
	}
	algorithms := []token.Algorithm{token.RS256, token.ES256, token.EdDSA}
	if len(p.Algorithms) > 0 {
		algorithms = nil
	}
	for _, name := range p.Algorithms {
		a, ok := token.ParseAlgorithm(name)
		if !ok {
			return nil, errUnavailable.With(fmt.Errorf("no algorithm %q", name))
		}
		algorithms = append(algorithms, a)
	}
	known, ok := p.Known()
	if !ok {
		return nil, errUnavailable.With(errors.New("no such preset"))
	}
	r := &remote{of: p, known: known, now: s.c.Now, client: egress.New(cfg)}
	if !known.OpenID() {
		return r, nil
	}
	source := jwks.Config{Issuer: p.Issuer, Discover: known.Keys == "", Fetcher: r.client, Algorithms: algorithms, Logger: s.c.Logger, Now: s.c.Now}
	if known.Keys != "" {
		source.URL = p.Issuer + known.Keys
	}
	var err error
	r.keys, err = jwks.New(source)
	if err == nil {
		// An ID token has the typ JWT or none: what is typed as something else is something else.
		r.verifier, err = token.NewVerifier(token.VerifierConfig{Issuer: p.Issuer, Audience: []string{p.ClientID}, Algorithms: algorithms,
			Types: []string{token.TypeJWT, ""}, Keys: r.keys, Leeway: leeway, RequireClaims: []string{"nonce"}, Now: s.c.Now})
	}
	if err != nil {
		r.client.Close()
		return nil, errUnavailable.With(err)
	}
	return r, nil
}

func (r *remote) close() {
	if r.keys != nil {
		r.keys.Close()
	}
	r.client.Close()
}

// read returns the provider's metadata.
func (r *remote) read(ctx context.Context) (*metadata, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	switch {
	case r.metadata != nil && now.Sub(r.readAt).Abs() < metadataFor:
		return r.metadata, nil
	case r.failed != nil && now.Sub(r.failedAt).Abs() < metadataWait:
		return nil, r.failed
	}
	m, err := r.fetch(ctx)
	if err != nil {
		r.failed, r.failedAt = errUnavailable.With(err), now
		return nil, r.failed
	}
	r.metadata, r.readAt, r.failed = m, now, nil
	return m, nil
}

// fetch asks for the metadata, unless they are known. What names another issuer would speak for it.
func (r *remote) fetch(ctx context.Context) (*metadata, error) {
	if r.known.Token != "" {
		return r.usable(&metadata{Issuer: r.of.Issuer, Authorization: r.of.Issuer + r.known.Authorization, Token: r.of.Issuer + r.known.Token,
			Authentication: []string{"client_secret_post"}})
	}
	body, _, err := r.client.Fetch(ctx, strings.TrimSuffix(r.of.Issuer, "/")+"/.well-known/openid-configuration", "application/json")
	if err != nil {
		return nil, err
	}
	m := new(metadata)
	if err := exactjson.Unmarshal(body, m); err != nil {
		return nil, errors.New("the metadata are no JSON of the right types")
	}
	if m.Issuer != r.of.Issuer {
		return nil, errors.New("the metadata name another issuer")
	}
	return r.usable(m)
}

// usable is m when its endpoints may be reached.
func (r *remote) usable(m *metadata) (*metadata, error) {
	addresses := []string{m.Authorization, m.Token}
	if m.Userinfo != "" {
		addresses = append(addresses, m.Userinfo)
	}
	for _, address := range addresses {
		if err := r.client.CheckURL(address); err != nil {
			return nil, errors.New("an endpoint in the metadata is no address that may be used")
		}
	}
	return m, nil
}

// basic reports whether the client secret goes into the header rather than the form (OpenID Connect
// Discovery §3: what is meant when nothing is said).
func (m *metadata) basic() bool {
	return len(m.Authentication) == 0 || slices.Contains(m.Authentication, "client_secret_basic") || !slices.Contains(m.Authentication, "client_secret_post")
}

// to is the authorization endpoint with further parameters; those that it has stay (RFC 6749 §3.1).
func (m *metadata) to(parameters url.Values) (string, error) {
	u, err := url.Parse(m.Authorization)
	if err != nil {
		return "", errUnavailable
	}
	q := u.Query()
	for name, values := range parameters {
		q[name] = values
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}
