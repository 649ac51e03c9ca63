package gatehouse

import (
	"slices"
	"strings"
	"time"
)

// PrincipalKind tells what sort of party a principal is. The zero value is
// nobody.
type PrincipalKind string

const (
	// KindAnonymous is a caller that presented no credential on a route which
	// allows that. It is never the result of a failed credential.
	KindAnonymous PrincipalKind = "anonymous"
	// KindUser is a person with an account in a realm.
	KindUser PrincipalKind = "user"
	// KindService is a program with an API key of its own.
	KindService PrincipalKind = "service"
	// KindClient is a registered OAuth client acting for itself.
	KindClient PrincipalKind = "client"
)

// Scheme names how a credential was presented.
type Scheme string

const (
	SchemeNone    Scheme = ""
	SchemeBasic   Scheme = "basic"   // RFC 7617
	SchemeAPIKey  Scheme = "api_key" // our key format, as Bearer or X-API-Key
	SchemeJWT     Scheme = "jwt"     // signed access token (RFC 9068), ours or a trusted issuer's
	SchemeOpaque  Scheme = "opaque"  // random access token
	SchemeSession Scheme = "session" // a browser session's cookie
	SchemeTicket  Scheme = "ticket"  // one-time ticket in a URL, for another credential
	// SchemeProvider is a sign-in at an identity provider, from which a session is opened. No request
	// presents it.
	SchemeProvider Scheme = "provider"
)

// Levels of assurance by which a person proved who it is (acr), after NIST SP 800-63B-4.
const (
	AAL1 = "aal1" // one factor
	AAL2 = "aal2" // two
	AAL3 = "aal3" // two, of which one is in hardware and resists phishing; no sign-in here claims it
)

// AMRMultiFactor is the method that stands beside the others when more than one factor was proved (RFC 8176 §2).
const AMRMultiFactor = "mfa"

// AMRProvider is the method of a sign-in at an identity provider, for which RFC 8176 has no name.
const AMRProvider = "fed"

// ScopeAll is the scope of a credential that is the user's own rather than a
// delegated one: Basic, and first-party tokens issued without narrowing. Only
// Gatehouse itself grants it; it is dropped from the claims of foreign issuers.
const ScopeAll = "*"

// Environment separates keys for trying things from keys for real work.
type Environment string

const (
	EnvironmentLive Environment = "live"
	EnvironmentTest Environment = "test"
)

// Principal is who a verified credential speaks for. It is immutable once
// built: verified-token caches share one value between requests.
type Principal struct {
	Realm string        // realm name
	Kind  PrincipalKind // user, service, client, anonymous
	// ID is the stable subject identifier: "usr_…", "svc_…"; for a foreign
	// issuer "ext_" + hash of (iss, sub), so it can never equal a local one.
	ID   string
	Name string // display name or username; never used for a decision

	// Roles, Groups and Attributes come from the directory at the time of the
	// request for local subjects, and from mapped claims for foreign ones.
	// For local subjects they are empty until authz resolves them; RoleLimit
	// narrows what the directory grants.
	Roles      []string
	Groups     []string
	Attributes map[string]any
	// RoleLimit, when not nil, is the most this credential may use of its
	// owner's roles (an API key created with fewer roles).
	RoleLimit []string
	// Foreign is set when the subject is not in our directory.
	Foreign bool

	Scopes      []string
	Scheme      Scheme
	Environment Environment

	CredentialID string // key id, grant id or "" (never the secret)
	ClientID     string
	SessionID    string
	GrantID      string
	TokenID      string // jti
	Issuer       string

	// Act is who acts for the principal by a token that was exchanged (RFC 8693 §4.1); nil for nobody.
	Act *Act

	// Details are the authorization details of a token of the realm, a JSON array (RFC 9396 §9.1): "" for none. Whoever serves the
	// request judges them.
	Details string

	// Confirmation is what the token is bound to. Whoever lets in a principal that is bound has seen the proof.
	Confirmation Confirmation

	IssuedAt  time.Time // of a password: when it was set
	ExpiresAt time.Time // zero: does not expire by itself
	AuthTime  time.Time
	ACR       string
	AMR       []string // RFC 8176
}

// Authenticated reports whether a credential was verified for p.
func (p *Principal) Authenticated() bool {
	return p != nil && p.ID != "" && p.Kind != "" && p.Kind != KindAnonymous
}

// HasScope reports whether the credential carries scope s, or [ScopeAll].
func (p *Principal) HasScope(s string) bool {
	return p != nil && s != "" && (slices.Contains(p.Scopes, s) || slices.Contains(p.Scopes, ScopeAll))
}

// ScopeString joins the scopes as RFC 6749 §3.3 writes them.
func (p *Principal) ScopeString() string { return strings.Join(p.Scopes, " ") }
