package guard

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
	"github.com/gatehouse-auth/gatehouse/internal/egress"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/proof"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// RemoteConfig sets a guard that verifies signed tokens by itself. Issuer,
// Audience and Routes are required.
type RemoteConfig struct {
	// Issuer is the issuer URL of a Gatehouse realm, compared exactly. Its tokens
	// are believed fully, so name no issuer here that others control.
	Issuer string
	// Audience must be among the audiences of every token.
	Audience string
	// JWKSURL is where the issuer's public keys are; ISSUER/.well-known/jwks.json
	// when empty. JWKS is the set itself, in place of fetching it.
	JWKSURL string
	JWKS    []byte
	// StatusURL is where the issuer's status lists are, without their number;
	// ISSUER/status/ when empty. With JWKS and no StatusURL nothing is fetched at
	// all, and a revoked token is refused when it expires. Assertions are not on any
	// list: they live for less than a minute.
	StatusURL string
	// Follow, when it is there, has the guard learn within a second what was ended.
	Follow *Follow
	// AllowPrivateAddress lets JWKSURL and StatusURL lead to loopback and private
	// addresses, and there without TLS.
	AllowPrivateAddress bool
	// Type is the typ of the realm's access tokens, at+jwt when empty; a realm may be
	// set to JWT (access_token_type).
	Type string
	// Algorithms that are accepted; ES256, Ed25519, PS256 and RS256 when empty.
	Algorithms []token.Algorithm
	// Assertions makes the guard read the assertion that a Gatehouse gateway adds,
	// in place of Authorization. Audience is then the upstream's name there.
	Assertions bool

	// Routes are the rules, as the gateway has them. Source "upstream" and
	// "stored", CORS and Filter are not for programs of their own.
	Routes []enforce.Route
	// Policies are Cedar policies for the routes' actions and for Allowed; Schema
	// and Roles belong to them. Without any, every action is denied.
	Policies string
	Schema   string
	Roles    []policy.Role
	// RolesClaim names the claim that holds roles; "roles" when empty.
	RolesClaim string

	// Proofs verifies the DPoP proofs of bound tokens. Nil remembers used ones in this process: several that stand for one
	// address need a verifier that shares what was used ([proof.Seen]) and the key of nonces.
	Proofs *proof.Verifier

	// TrustedProxies are the addresses whose X-Forwarded-* lines are believed.
	TrustedProxies []string
	// ClientCertificates has the lines Client-Cert of the trusted proxies be believed (RFC 9440), for tokens that are bound to a
	// certificate: each of those proxies must remove such lines from what clients send. Of TLS that the program serves itself
	// they are taken anyway; its tls.Config has to ask for them (tls.RequestClientCert).
	ClientCertificates bool
	// Record gets the event of each request; nil logs refusals.
	Record       enforce.Recorder
	MaxBodyBytes int64
	DocsBase     string
	Logger       *slog.Logger // nil: slog.Default
	Now          func() time.Time
}

// typeAssertion is the typ of the gateway's assertions.
const typeAssertion = "gatehouse-assertion+jwt"

const (
	verifiedTokens = 10_000
	// verifiedFor bounds how long a verified token is not verified again, and with
	// it how long a key that the issuer took back still counts.
	verifiedFor = time.Minute
	leeway      = 5 * time.Second
)

// NewRemote makes a guard that needs nothing but the issuer's public keys and
// status lists. It contacts nobody before the first token.
func NewRemote(cfg RemoteConfig) (*Guard, error) {
	if cfg.Issuer == "" || cfg.Audience == "" || len(cfg.Routes) == 0 {
		return nil, errors.New("guard: Issuer, Audience and Routes are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RolesClaim == "" {
		cfg.RolesClaim = "roles"
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []token.Algorithm{"ES256", "Ed25519", "PS256", "RS256"}
	}
	f, err := remoteFacts(cfg)
	if err != nil {
		return nil, err
	}
	g, err := newRemote(cfg, f)
	if err != nil {
		f.close()
		return nil, err
	}
	g.close = f.close
	return g, nil
}

// facts are what a remote guard knows of its issuer.
type facts struct {
	keys  token.KeySource
	lists *statusLists // nil: none are read
	// follow is nil where nothing is followed.
	follow *follower
	// renew fetches the keys anew and then calls done.
	renew func(done func())
	close func()
}

func remoteFacts(cfg RemoteConfig) (facts, error) {
	if cfg.Assertions && cfg.StatusURL != "" {
		return facts{}, errors.New("guard: assertions have no status lists")
	}
	client := egress.New(egress.Config{AllowPrivate: cfg.AllowPrivateAddress})
	c := jwks.Config{Issuer: cfg.Issuer, Static: cfg.JWKS, Algorithms: cfg.Algorithms, Logger: cfg.Logger, Now: cfg.Now}
	if cfg.JWKS == nil {
		c.URL, c.Fetcher = cfg.JWKSURL, client
		if c.URL == "" {
			c.URL = strings.TrimRight(cfg.Issuer, "/") + "/.well-known/jwks.json"
		}
		if err := checkURL(client, c.URL); err != nil {
			return facts{}, fmt.Errorf("guard: the address of the keys: %w", err)
		}
	}
	src, err := jwks.New(c)
	if err != nil {
		return facts{}, err
	}
	f := facts{keys: src, renew: src.Renew, close: func() { src.Close(); client.Close() }}
	if cfg.Follow != nil {
		if f.follow, err = newFollower(cfg, client); err != nil {
			f.close()
			return facts{}, err
		}
		f.close = func() { f.follow.close(); src.Close(); client.Close() }
	}
	switch {
	case cfg.Assertions:
		return f, nil
	case f.follow != nil && !f.follow.cfg.ReadLists:
		return f, nil
	case cfg.JWKS != nil && cfg.StatusURL == "":
		cfg.Logger.Warn("the keys of the issuer are given and its status lists are not: a revoked token is accepted until it expires",
			slog.String("issuer", cfg.Issuer))
		return f, nil
	}
	base := cfg.StatusURL
	if base == "" {
		base = cfg.Issuer + statusPath
	}
	if err := checkURL(client, base); err != nil {
		f.close()
		return facts{}, fmt.Errorf("guard: the address of the status lists: %w", err)
	}
	if f.lists, err = newStatusLists(cfg, base, src, client); err != nil {
		f.close()
		return facts{}, err
	}
	before := f.close
	f.close = func() { f.lists.close(); before() }
	return f, nil
}

func checkURL(client *egress.Client, address string) error {
	if u, err := url.Parse(address); err != nil || u.Host == "" {
		return errors.New("it is no URL")
	}
	return client.CheckURL(address)
}

func newRemote(cfg RemoteConfig, f facts) (*Guard, error) {
	types := []string{token.TypeAccess}
	switch {
	case cfg.Type != "" && cfg.Type != token.TypeAccess && cfg.Type != token.TypeJWT, cfg.Type != "" && cfg.Assertions:
		return nil, errors.New("guard: Type is at+jwt or JWT, and not for assertions")
	case cfg.Assertions:
		types = []string{typeAssertion}
	case cfg.Type != "":
		types = []string{cfg.Type}
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Issuer: cfg.Issuer, Audience: []string{cfg.Audience},
		Algorithms: cfg.Algorithms, Types: types, RequireClaims: []string{"jti"}, Keys: f.keys, Leeway: leeway, Now: cfg.Now})
	if err != nil {
		return nil, err
	}
	routes := slices.Clone(cfg.Routes)
	realm := routes[0].Realm
	if realm == "" {
		realm = gatehouse.MainRealm
	}
	for i := range routes {
		if routes[i].Realm == "" {
			routes[i].Realm = realm
		}
		if routes[i].Audience == "" && !cfg.Assertions && !routes[i].Closed {
			routes[i].Audience = cfg.Audience
		}
		switch r := &routes[i]; {
		case r.Realm != realm:
			return nil, errors.New("guard: the routes of a remote guard are of one realm")
		case r.Audience != "" && r.Audience != cfg.Audience:
			return nil, errors.New("guard: route " + r.Pattern + ": the audience of a remote guard is that of its tokens")
		case r.CORS != nil || r.Filter != nil:
			return nil, errors.New("guard: route " + r.Pattern + ": CORS and Filter are the gateway's")
		case cfg.Assertions && len(r.Credentials) > 0:
			return nil, errors.New("guard: route " + r.Pattern + ": the assertion takes the place of every other credential")
		case r.Resource != nil && r.Resource.Source == "stored":
			return nil, errors.New("guard: route " + r.Pattern + ": a remote guard has no stored resources")
		}
	}
	cfg.Roles = withRoles(cfg.Roles, routes)
	rules := remoteRules{realm: realm, cfg: cfg}
	in := rules.input()
	in.CheckFacts = true
	if _, err := policy.Compile(in); err != nil {
		return nil, err // now, and not as a denial of everything later
	}
	decider, err := authz.New(context.Background(), authz.Config{Store: rules, Directory: rules, Logger: cfg.Logger, Now: cfg.Now})
	if err != nil {
		return nil, err
	}
	proxies, err := web.NewProxies(web.ProxyConfig{Trusted: cfg.TrustedProxies, Certificates: cfg.ClientCertificates})
	if err != nil {
		return nil, err
	}
	record := cfg.Record
	if record == nil {
		record = logRecorder{cfg.Logger}
	}
	callers := &remoteAuthenticator{verifier: verifier, lists: f.lists, follow: f.follow, cfg: cfg,
		seen: cache.New[[sha256.Size]byte, verified](verifiedTokens)}
	if cfg.Proofs == nil {
		if cfg.Proofs, err = ownProofs(cfg.Now); err != nil {
			return nil, err
		}
	}
	pipeline, err := enforce.New(enforce.Config{Authenticator: callers, Proofs: cfg.Proofs,
		Decider: decider, Recorder: record, Limiter: limit.New(limit.Config{Now: cfg.Now}), Proxies: proxies, Now: cfg.Now,
		Issuer: func(string) string { return cfg.Issuer }, Audience: func(context.Context, string) string { return "" }})
	if err != nil {
		return nil, err
	}
	if err := pipeline.SetRoutes(routes); err != nil {
		return nil, err
	}
	g, err := New(Config{Pipeline: pipeline, Decider: decider, DocsBase: cfg.DocsBase, MaxBodyBytes: cfg.MaxBodyBytes, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	g.assertion = cfg.Assertions
	if f.follow != nil {
		f.follow.start(func() { f.renew(callers.seen.Clear) }) // tokens are verified again, by the keys of now
	}
	return g, nil
}

// ownProofs makes a verifier of this process alone.
func ownProofs(now func() time.Time) (*proof.Verifier, error) {
	key := make([]byte, proof.NonceKeySize)
	_, _ = rand.Read(key) // never fails
	nonces, err := proof.NewNonces(key)
	if err != nil {
		return nil, err
	}
	return proof.NewVerifier(proof.Config{Seen: proof.NewMemory(now), Nonces: nonces, Now: now})
}

// withRoles defines the roles that routes ask for and nobody described: without
// permissions, they are names that a token may carry.
func withRoles(roles []policy.Role, routes []enforce.Route) []policy.Role {
	out := slices.Clone(roles)
	for _, r := range routes {
		for _, name := range r.Roles {
			if !slices.ContainsFunc(out, func(have policy.Role) bool { return have.Name == name }) && !policy.IsBuiltinRole(name) {
				out = append(out, policy.Role{Realm: r.Realm, Name: name})
			}
		}
	}
	return out
}

// remoteAuthenticator verifies the tokens of one issuer.
type remoteAuthenticator struct {
	verifier *token.Verifier
	lists    *statusLists // nil: none are read
	follow   *follower    // nil: nothing is followed
	cfg      RemoteConfig
	seen     *cache.Cache[[sha256.Size]byte, verified]
}

type verified struct {
	principal *gatehouse.Principal
	listed    bool // there is a place to ask for
	place     place
	ref       revocation.Ref
	until     time.Time
}

var ()

// Supports reports whether a scheme can be verified without a server.
func (a *remoteAuthenticator) Supports(s gatehouse.Scheme) bool { return s == gatehouse.SchemeJWT }

// Authenticate implements enforce.Authenticator.
func (a *remoteAuthenticator) Authenticate(ctx context.Context, realm string, p authn.Presented, rule authn.Rule) (*gatehouse.Principal, error) {
	if p.Scheme != gatehouse.SchemeJWT || len(rule.Schemes) > 0 && !slices.Contains(rule.Schemes, p.Scheme) {
		return nil, authn.ErrNotAccepted
	}
	v, err := a.verify(realm, p.Secret.Reveal())
	if err == nil {
		if unfit := authn.Fits(p, v.principal.Confirmation, rule); unfit != nil {
			err = authn.ErrInvalidToken.With(unfit)
		}
	}
	if err != nil {
		return nil, err
	}
	if a.follow != nil {
		switch sure, err := a.follow.check(v.ref); {
		case err != nil:
			return nil, err
		case sure:
			return v.principal, nil
		case a.lists == nil:
			return nil, authn.ErrUnavailable.With(errors.New("nothing was heard of revocations for too long"))
		}
	}
	if v.listed && a.lists != nil {
		if err := a.lists.check(ctx, v.place); err != nil {
			return nil, err
		}
	}
	return v.principal, nil
}

// verify says all about a token that does not change; what does is asked for on
// every request.
func (a *remoteAuthenticator) verify(realm, text string) (verified, error) {
	key := sha256.Sum256([]byte(text))
	at := a.cfg.Now()
	if v, ok := a.seen.Get(key); ok && at.Before(v.until) {
		return v, nil
	}
	claims, err := a.verifier.Verify(text)
	if err != nil {
		if errors.Is(err, gatehouse.Unavailable) {
			return verified{}, authn.ErrUnavailable.With(err) // no fault of the caller, and no advantage
		}
		return verified{}, authn.ErrInvalidToken.With(err)
	}
	v := verified{principal: a.principal(realm, claims), until: at.Add(verifiedFor)}
	if claims.ExpiresAt.Before(v.until) {
		v.until = claims.ExpiresAt
	}
	if a.lists != nil || a.follow != nil {
		if !claims.HasStatus && claims.Lookup("status") != nil {
			return verified{}, authn.ErrInvalidToken.With(errors.New("the token's status is not understood"))
		}
		v.listed, v.place = claims.HasStatus, place{claims.StatusList, claims.StatusIndex}
	}
	v.ref = refOf(claims)
	a.seen.Set(key, v)
	return v, nil
}

// principal maps the claims of a Gatehouse token or assertion. It is Foreign
// because this program has no directory: what the token says is all there is.
func (a *remoteAuthenticator) principal(realm string, c *token.Claims) *gatehouse.Principal {
	p := authn.FromClaims(realm, c)
	p.Kind, p.Name, p.Foreign, p.Roles = kindOf(c), text(c, "name"), true, texts(c, a.cfg.RolesClaim)
	if a.cfg.Assertions {
		p.CredentialID = text(c, "credential")
	}
	return p
}

// kindOf tells what sort of party a subject is: an assertion says so, an access
// token by the form of its subject.
func kindOf(c *token.Claims) gatehouse.PrincipalKind {
	switch k := gatehouse.PrincipalKind(text(c, "kind")); {
	case k == gatehouse.KindService, k == "" && strings.HasPrefix(c.Subject, "svc_"):
		return gatehouse.KindService
	case k == gatehouse.KindClient, k == "" && c.ClientID != "" && c.ClientID == c.Subject:
		return gatehouse.KindClient
	}
	return gatehouse.KindUser
}

func text(c *token.Claims, name string) string {
	var s string
	if json.Unmarshal(c.Lookup(name), &s) != nil {
		return ""
	}
	return s
}

func texts(c *token.Claims, name string) []string {
	var list []string
	if json.Unmarshal(c.Lookup(name), &list) != nil {
		return nil
	}
	return list
}

// remoteRules is the fixed policy store of a remote guard, and its directory, in
// which there is nobody.
type remoteRules struct {
	realm string
	cfg   RemoteConfig
}

func (s remoteRules) input() policy.Input {
	in := policy.Input{Roles: s.cfg.Roles, Documents: s.documents()}
	if s.cfg.Schema != "" {
		in.Schema = &policy.Schema{Realm: s.realm, Text: s.cfg.Schema}
	}
	return in
}

func (s remoteRules) documents() []policy.Document {
	if s.cfg.Policies == "" {
		return nil
	}
	return []policy.Document{{Realm: s.realm, ID: "guard", Text: s.cfg.Policies}}
}

func (s remoteRules) Roles(context.Context, string) ([]policy.Role, error) { return s.cfg.Roles, nil }
func (s remoteRules) Policies(context.Context, string) ([]policy.Document, error) {
	return s.documents(), nil
}
func (s remoteRules) Policy(_ context.Context, _, id string) (policy.Document, error) {
	for _, d := range s.documents() {
		if d.ID == id {
			return d, nil
		}
	}
	return policy.Document{}, gatehouse.NotFound
}
func (s remoteRules) Schema(context.Context, string) (policy.Schema, error) {
	if s.cfg.Schema == "" {
		return policy.Schema{}, gatehouse.NotFound
	}
	return policy.Schema{Realm: s.realm, Text: s.cfg.Schema}, nil
}
func (s remoteRules) Realms(context.Context) ([]gatehouse.Realm, error) {
	return []gatehouse.Realm{{Name: s.realm}}, nil
}
func (s remoteRules) Realm(_ context.Context, name string) (gatehouse.Realm, error) {
	if name != s.realm {
		return gatehouse.Realm{}, gatehouse.NotFound
	}
	return gatehouse.Realm{Name: name}, nil
}
func (s remoteRules) Entity(context.Context, string, string, string) (policy.EntityRecord, error) {
	return policy.EntityRecord{}, gatehouse.NotFound
}
func (s remoteRules) Subject(context.Context, string, string) (gatehouse.Subject, error) {
	return gatehouse.Subject{}, gatehouse.NotFound
}

// logRecorder logs what was refused.
type logRecorder struct{ log *slog.Logger }

func (l logRecorder) Record(e *gatehouse.Event) {
	if e.Outcome == gatehouse.OutcomeSuccess {
		return
	}
	l.log.Info("request refused", slog.String("request_id", e.RequestID), slog.String("reason", e.Reason),
		slog.String("actor", e.Actor.ID), slog.String("method", e.Method), slog.String("path", e.Path),
		slog.String("route", e.Route), slog.Int("status", e.Status), slog.String("address", e.Address))
}
