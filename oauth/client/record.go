package client

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/openid"
)

// Client is a program that is registered with a realm.
type Client struct {
	Realm    string
	ID       string // "cli_…", its client_id
	Metadata Metadata
	Secret   Secret // the newest
	Former   Secret // the one before, until its ExpiresAt; zero for none
	Disabled bool
	// Registration is the hash of the token by which a client that registered itself changes its registration (RFC 7592 §1.2); empty for
	// those that an administrator registered.
	Registration []byte
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Version      int64 // 1, 2, 3…: the number of changes
}

// Secret is what is kept of the text by which a client proves itself.
type Secret struct {
	Hash      []byte    // credential.HashKey of the text; empty for a client that has none
	SetAt     time.Time // or, of a client without one, when its keys were set, or since when it is public
	ExpiresAt time.Time // zero: does not expire by itself
}

// Metadata is what a registration says of a client, under the names of RFC 7591 §2.
type Metadata struct {
	Name       string   `json:"client_name" doc:"What people know it by"`
	AuthMethod string   `json:"token_endpoint_auth_method" required:"false" enum:"client_secret_basic,client_secret_post,private_key_jwt,tls_client_auth,self_signed_tls_client_auth,none" doc:"How it proves who it is at the token endpoint; none: it is public, and proves nothing"`
	GrantTypes []string `json:"grant_types" required:"false" doc:"By what it may ask for tokens: client_credentials, authorization_code, urn:ietf:params:oauth:grant-type:device_code, urn:openid:params:grant-type:ciba, refresh_token, urn:ietf:params:oauth:grant-type:token-exchange"`
	Scope      string   `json:"scope,omitempty" doc:"Scopes that it may have, of the realm's catalogue and of OpenID Connect, separated by spaces"`
	Audiences  []string `json:"introspection_audiences,omitempty" doc:"Audiences of the realm for which it is the API: it may ask what a token for one of them stands for (RFC 7662)"`
	// Exchanges are which tokens it may exchange, and for what.
	Exchanges []Exchange `json:"token_exchange,omitempty" maxItems:"20" doc:"Which tokens it may exchange, and for what; of several rules for one audience the first counts"`
	// DetailTypes are the types of authorization details that it may ask for (RFC 9396 §10).
	DetailTypes []string `json:"authorization_details_types,omitempty" maxItems:"50" doc:"Types of authorization details that it may ask for, of those that the realm has"`
	Flow
	OpenID
	About
	Backchannel
	TLS
	// JWKS and JWKSURI are the public keys of a client that proves itself by keys, or signs: the set itself, or where it is fetched from.
	JWKS       json.RawMessage `json:"jwks,omitempty" doc:"Its public keys (JWK Set), for private_key_jwt, self_signed_tls_client_auth and signed requests"`
	JWKSURI    string          `json:"jwks_uri,omitempty" maxLength:"512" doc:"Where its public keys are, in place of jwks"`
	SigningAlg string          `json:"token_endpoint_auth_signing_alg,omitempty" maxLength:"16" doc:"The one algorithm by which it signs; without it, that of its key"`
	// LegacyAudience takes assertions that name the token endpoint, too (OpenID Connect Core §9). Whoever can have the client sign for
	// an address that he chose gets one that is good here (RFC 10070).
	LegacyAudience bool `json:"legacy_assertion_aud,omitempty" doc:"Take assertions whose aud is the address of the token endpoint in place of the issuer (private_key_jwt of before RFC 10070)"`
	// RequestAlg is that of request objects (RFC 9101 §10.5).
	RequestAlg           string `json:"request_object_signing_alg,omitempty" maxLength:"16" doc:"The one algorithm by which it signs authorization requests (JAR); without it, that of its key"`
	RequireSignedRequest bool   `json:"require_signed_request_object,omitempty" doc:"Refuse authorization requests that it did not sign (JAR)"`
	// AllowPrivateAddress lets JWKSURI and BackchannelURI lead to loopback and private addresses. Who may administer all realms may set it.
	AllowPrivateAddress bool `json:"allow_private_address,omitzero" doc:"Let jwks_uri and backchannel_logout_uri lead to loopback and private addresses; for administrators of all realms"`
	DPoPBound           bool `json:"dpop_bound_access_tokens,omitempty" doc:"It gets only tokens that are bound to a key, and always sends a DPoP proof"`
	DPoPNonce           bool `json:"require_dpop_nonce,omitempty" doc:"Its DPoP proofs must hold a nonce of the token endpoint"`
}

// How clients prove who they are at the token endpoint (RFC 7591 §2).
const (
	AuthBasic = "client_secret_basic" // HTTP Basic, both parts form-encoded (RFC 6749 §2.3.1)
	AuthPost  = "client_secret_post"  // client_id and client_secret in the form
	// AuthPrivateKey is an assertion that the client signs (RFC 7523 §2.2).
	AuthPrivateKey = "private_key_jwt"
	// AuthTLS is a client certificate that authorities of the realm vouch for (RFC 8705 §2.1), AuthSelfSigned one with a key that is
	// registered for the client (§2.2).
	AuthTLS        = "tls_client_auth"
	AuthSelfSigned = "self_signed_tls_client_auth"
	AuthNone       = "none" // it is public: whoever has the program has all that is in it
)

// By what a client may ask for tokens (RFC 7591 §2).
const (
	GrantClientCredentials = "client_credentials" // for itself (RFC 6749 §4.4)
	GrantAuthorizationCode = "authorization_code" // for a person who allowed it in a browser (RFC 6749 §4.1)
	GrantRefreshToken      = "refresh_token"      // anew, by what it was given for a person (RFC 6749 §6)
	// GrantDeviceCode is for a device without a browser, for a person who allowed it in a browser elsewhere (RFC 8628 §3.4).
	GrantDeviceCode = "urn:ietf:params:oauth:grant-type:device_code"
	// GrantTokenExchange is for a token that somebody has already (RFC 8693 §2.1), as far as [Metadata.Exchanges] says so.
	GrantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// AuthMethods are those that a registration can name.
func AuthMethods() []string {
	return []string{AuthBasic, AuthPost, AuthPrivateKey, AuthTLS, AuthSelfSigned, AuthNone}
}

// GrantTypes are those that a registration can name.
func GrantTypes() []string {
	return []string{GrantClientCredentials, GrantAuthorizationCode, GrantDeviceCode, GrantBackchannel, GrantRefreshToken, GrantTokenExchange}
}

// HasSecret reports whether a client with m proves itself by a secret that is made here.
func (m Metadata) HasSecret() bool { return m.AuthMethod == AuthBasic || m.AuthMethod == AuthPost }

// Public reports whether the client proves nothing: its client_id is a name and no more (RFC 6749 §2.1).
func (m Metadata) Public() bool { return m.AuthMethod == AuthNone }

// Scopes are those of m, one by one.
func (m Metadata) Scopes() []string { return strings.Fields(m.Scope) }

// ScopesOf are those of m that the realm has in its catalogue now, and what [IsPersonal], which means the same in every realm.
func (m Metadata) ScopesOf(s gatehouse.RealmSettings) []string {
	return slices.DeleteFunc(m.Scopes(), func(name string) bool {
		_, known := s.Scopes[name]
		return !known && !IsPersonal(name)
	})
}

// ScopeOffline is the scope by which what a person allowed outlives the session in which that was (OpenID Connect Core §11).
const ScopeOffline = "offline_access"

// OwnScopes are those that the client can have for itself: what says something of a person is of no API, unless the realm has it in its
// catalogue, too.
func (m Metadata) OwnScopes(s gatehouse.RealmSettings) []string {
	return slices.DeleteFunc(m.ScopesOf(s), func(name string) bool {
		_, known := s.Scopes[name]
		return !known
	})
}

// IsPersonal reports whether a scope says something of a person and no API: who it is, or that what was allowed outlives its session.
func IsPersonal(scope string) bool { return scope == ScopeOffline || openid.IsScope(scope) }

// May reports whether the client may ask by a type of grant.
func (m Metadata) May(grantType string) bool { return slices.Contains(m.GrantTypes, grantType) }

// Serves reports whether the client is the API that tokens for an audience are meant for.
func (m Metadata) Serves(audience string) bool { return slices.Contains(m.Audiences, audience) }

// Most of what a registration holds.
const (
	maxScopes = 100
	maxScope  = 8 << 10 // bytes of all scopes together

	maxAudiences   = 20
	maxDetailTypes = 50
)

// Check gives fault what is wrong with m by itself, by its member: which scopes there are is the
// realm's to say.
func (m Metadata) Check(fault func(member, text string)) {
	if !slices.Contains(AuthMethods(), m.AuthMethod) {
		fault("token_endpoint_auth_method", "must be one of "+strings.Join(AuthMethods(), ", "))
	}
	m.checkKeys(fault)
	m.TLS.check(m.AuthMethod, fault)
	if m.CertificateBound && m.DPoPBound {
		fault("tls_client_certificate_bound_access_tokens", "must not be true beside dpop_bound_access_tokens: a token is bound to one of both")
	}
	if len(m.GrantTypes) == 0 {
		fault("grant_types", "must name one or more of "+strings.Join(GrantTypes(), ", "))
	}
	for i, g := range m.GrantTypes {
		if !slices.Contains(GrantTypes(), g) || slices.Contains(m.GrantTypes[:i], g) {
			fault("grant_types", "must be of "+strings.Join(GrantTypes(), ", ")+", each once")
			break
		}
	}
	scopes := m.Scopes()
	if len(scopes) > maxScopes || len(m.Scope) > maxScope {
		fault("scope", "must have at most 100 scopes")
	}
	for i, s := range scopes {
		if slices.Contains(scopes[:i], s) {
			fault("scope", "must name each scope once")
			break
		}
	}
	if len(m.Audiences) > maxAudiences {
		fault("introspection_audiences", "must have at most 20 audiences")
	}
	for i, a := range m.Audiences {
		if slices.Contains(m.Audiences[:i], a) {
			fault("introspection_audiences", "must name each audience once")
			break
		}
	}
	if len(m.DetailTypes) > maxDetailTypes {
		fault("authorization_details_types", "must have at most 50 types")
	}
	m.checkFlow(fault)
	m.checkOpenID(fault)
	m.checkAbout(fault)
	m.checkBackchannel(fault)
	m.checkProfile(fault)
	m.checkExchanges(fault)
}
