package gatehouse

import (
	"cmp"
	"net/url"
	"time"
)

// MainRealm exists from the start; its administrators administer all realms.
const MainRealm = "main"

// MaxGrantTTL bounds how long a login may live however often it is renewed, and
// with it how far ahead the end of a token can lie.
const MaxGrantTTL = 400 * 24 * time.Hour

// Realm is a unit of isolation: its own users, keys, roles, policies and issuer.
type Realm struct {
	Name      string        `json:"name"` // [a-z0-9][a-z0-9-]{0,62}
	Title     string        `json:"title"`
	Disabled  bool          `json:"disabled"`
	CreatedAt time.Time     `json:"created_at"`
	UpdatedAt time.Time     `json:"updated_at"`
	Settings  RealmSettings `json:"settings"`
	// CutOffAt is when everything of the realm was last ended at once (a panic); zero: never.
	// It is never moved back, whoever enables the realm again.
	CutOffAt time.Time `json:"cut_off_at,omitzero"`
}

// CutOff reports whether a panic of the realm has ended a credential for good: a key or
// password that was made then, a token that was issued or a login that began then. It
// goes by whole milliseconds, as all that judges tokens; what has no time is old.
func (r Realm) CutOff(made time.Time) bool {
	return !r.CutOffAt.IsZero() && made.UnixMilli() <= r.CutOffAt.UnixMilli()
}

// RealmSettings are what an administrator may set for a realm. Zero fields take
// the defaults named at each; Defaults fills them in.
type RealmSettings struct {
	// TokenFormat is "signed" (default) or "opaque" for access tokens.
	TokenFormat string `json:"token_format,omitempty"`
	// SigningAlgorithm of new keys: "ES256" by default.
	SigningAlgorithm string `json:"signing_algorithm,omitempty"`
	// AccessTokenTTL is 10 minutes by default, at most 1 hour.
	AccessTokenTTL time.Duration `json:"access_token_ttl,omitempty"`
	// RefreshTokenTTL is how long an unused refresh token lives: 7 days.
	RefreshTokenTTL time.Duration `json:"refresh_token_ttl,omitempty"`
	// GrantTTL is the absolute end of a grant however often refreshed: 30 days, at
	// most [MaxGrantTTL].
	GrantTTL time.Duration `json:"grant_ttl,omitempty"`
	// RefreshGrace is how long the token before the current one may be shown
	// again by a client that lost the answer: 10 seconds; the same successor
	// family goes on. Negative switches it off.
	RefreshGrace time.Duration `json:"refresh_grace,omitempty"`
	// Audience is the default audience of access tokens; the issuer if empty. Our own
	// gateway accepts both.
	Audience string `json:"audience,omitempty"`
	// Audiences are further ones that tokens can be asked for ("resource", RFC 8707),
	// by name. Our own gateway accepts none of them, unless it is Audience.
	Audiences map[string]AudienceRules `json:"audiences,omitempty"`
	// AccessTokenType is the typ of signed access tokens: "at+jwt" (RFC 9068), or
	// "JWT" for checkers that refuse the other.
	AccessTokenType string `json:"access_token_type,omitempty"`
	// RequirePushed refuses authorization requests that clients did not push before (RFC 9126 §5).
	RequirePushed bool `json:"require_pushed_authorization_requests,omitempty"`
	// Scopes is the catalogue: name → meaning. Only these can be asked for.
	Scopes map[string]string `json:"scopes,omitempty"`
	// DetailTypes are the types of authorization details (RFC 9396) that clients can be registered for.
	DetailTypes []DetailType `json:"authorization_details_types,omitempty"`
	// PasswordMinLength is 15 by default (NIST 800-63B-4 single factor), and never made
	// less; realms of before that was so may have 8 to 14.
	PasswordMinLength int `json:"password_min_length,omitempty"`
	// BannedWords may not be (or dominate) a password, beside realm and user names.
	BannedWords []string `json:"banned_words,omitempty"`
	// KeyRotation is how often signing keys rotate: 30 days. Negative: only by command.
	KeyRotation time.Duration `json:"key_rotation,omitempty"`
	// KeyPropagation is how long a new signing key is published before it signs: 1
	// hour. Verifiers hold their copy of the key set for a quarter of an hour and
	// more, whatever our cache lines say.
	KeyPropagation time.Duration `json:"key_propagation,omitempty"`
	// SessionIdle is how long a browser session lasts that nobody uses: 30 minutes (NIST
	// SP 800-63B-4 asks for at most 1 hour at AAL2).
	SessionIdle time.Duration `json:"session_idle,omitempty"`
	// SessionTTL is the absolute end of a browser session: 24 hours (likewise, AAL2).
	SessionTTL time.Duration `json:"session_ttl,omitempty"`
	// MaxSessions is how many sessions a user has at once: 20. One more ends the one that
	// was used least recently.
	MaxSessions int `json:"max_sessions,omitempty"`
	// ConsentTTL is how long people are not asked again for what they allowed a client: 180 days.
	// Negative: they are asked each time.
	ConsentTTL time.Duration `json:"consent_ttl,omitempty"`
	// MFA says who must have a second factor: "optional" (default), whoever wants one;
	// "required", everybody who has a password.
	MFA string `json:"mfa,omitempty"`
	// MFARoles are roles whose holders must have one, whatever MFA says.
	MFARoles []string `json:"mfa_roles,omitempty"`
	// AdminMFA says what is asked of people of the realm who administer: "optional" (default), what is
	// asked of everybody; "required", a second factor of whoever holds an administrative role, and
	// of each call of the management API that takes one, a sign-in with both.
	AdminMFA string `json:"admin_mfa,omitempty"`
	// AdminMaxAuthAge is how old that sign-in may be; 0 is any age.
	AdminMaxAuthAge time.Duration `json:"admin_max_auth_age,omitempty"`
	// TrustedIssuers are foreign issuers whose JWTs this realm accepts.
	TrustedIssuers []TrustedIssuer `json:"trusted_issuers,omitempty"`
	// Providers are those by whose accounts people may sign in.
	Providers []Provider `json:"providers,omitempty"`
	// Registration says who makes accounts for themselves: "off", "invitation" (default), "domain", who
	// reads an address at one of RegistrationDomains, or "open", who reads any address.
	Registration        string   `json:"registration,omitempty"`
	RegistrationDomains []string `json:"registration_domains,omitempty"` // in ASCII and lower case; of none another is part
	// ClientRegistration says which clients register themselves (RFC 7591): "closed" (default), none; "token", those with an initial access
	// token; "open", all. ClientRegistrationScopes are the scopes that such clients may be given, offline_access among them.
	ClientRegistration       string   `json:"client_registration,omitempty"`
	ClientRegistrationScopes []string `json:"client_registration_scopes,omitempty"`
	// ClientDocumentHosts are the hosts at which a client_id may be the address of a document that describes the client (OAuth Client ID
	// Metadata Document), AnyHost for all; none: there are no such clients. They are given ClientRegistrationScopes, too.
	ClientDocumentHosts []string `json:"client_document_hosts,omitempty"`
	// CertificateAuthorities are the certificates, in PEM, that vouch for those of clients (RFC 8705 §2.1); "" is nobody's.
	CertificateAuthorities string `json:"client_certificate_authorities,omitempty"`
	// Accent is the colour of buttons and links on light pages of the realm, AccentDark on dark
	// ones: "#rrggbb", or "" for ours.
	Accent     string `json:"accent,omitempty"`
	AccentDark string `json:"accent_dark,omitempty"`
	// TermsURL and PrivacyURL are the https addresses to which pages link at their foot; "" for no link.
	TermsURL   string `json:"terms_url,omitempty"`
	PrivacyURL string `json:"privacy_url,omitempty"`
	// TermsVersion is the version of the terms at TermsURL that people must have accepted; "" asks nobody.
	TermsVersion string `json:"terms_version,omitempty"`
}

// WebAddress reports whether s is an https address that people can be sent to: at most 512 visible characters of ASCII, with
// a host, without user or password.
func WebAddress(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	u, err := url.Parse(s)
	return err == nil && len(s) <= 512 && u.Scheme == "https" && u.Hostname() != "" && u.User == nil
}

// AudienceRules are what tokens for one audience are like. The issuer and
// [RealmSettings.Audience] may have rules too.
type AudienceRules struct {
	// Claims that are added about the user: preferred_username, name, email, roles,
	// groups. None by default: whoever holds a token can read it.
	Claims []string `json:"claims,omitempty"`
}

// AudienceClaims are the claims that [AudienceRules] can add.
func AudienceClaims() []string {
	return []string{"preferred_username", "name", "email", "roles", "groups"}
}

// TrustedIssuer is a foreign issuer and the fixed rules for its tokens.
type TrustedIssuer struct {
	Issuer string `json:"issuer"` // compared exactly
	// Audience and Audiences are who the issuer's tokens may be meant for: at least
	// one is required, and one of them must be in aud.
	Audience  string   `json:"audience,omitempty"`
	Audiences []string `json:"audiences,omitempty"`
	// JWKSURL is where the key set is, JWKS the set itself. Without both, the issuer's
	// metadata is asked (OpenID Connect Discovery, RFC 8414).
	JWKSURL string `json:"jwks_url,omitempty"`
	JWKS    string `json:"jwks,omitempty"`
	// CA are the certificates, in PEM, that vouch for the issuer's host in place of
	// those of the system.
	CA         string   `json:"ca,omitempty"`
	Algorithms []string `json:"algorithms"`     // required allow-list, asymmetric only
	Type       string   `json:"type,omitempty"` // required typ; "" accepts at+jwt and JWT or none
	// RequiredClaims must be there beside iss, sub, aud, exp and iat: "jti", say,
	// which large issuers do not write.
	RequiredClaims []string `json:"required_claims,omitempty"`
	// ScopeClaim, RolesClaim, NameClaim name the claims to map; empty maps none,
	// except ScopeClaim ("scope").
	ScopeClaim string `json:"scope_claim,omitempty"`
	RolesClaim string `json:"roles_claim,omitempty"`
	NameClaim  string `json:"name_claim,omitempty"`
	// RoleMap turns their roles into ours; a role not listed grants nothing.
	RoleMap map[string]string `json:"role_map,omitempty"`
	// AttributeClaims: our attribute → their claim.
	AttributeClaims map[string]string `json:"attribute_claims,omitempty"`
	// AllowPrivateAddress lets JWKSURL resolve to loopback or private addresses.
	AllowPrivateAddress bool `json:"allow_private_address,omitempty"`
}

// Accepts lists all audiences of t.
func (t TrustedIssuer) Accepts() []string {
	if t.Audience == "" {
		return t.Audiences
	}
	return append([]string{t.Audience}, t.Audiences...)
}

// Defaults returns s with every zero field set to its default.
func (s RealmSettings) Defaults() RealmSettings {
	s.TokenFormat = cmp.Or(s.TokenFormat, "signed")
	s.AccessTokenType = cmp.Or(s.AccessTokenType, "at+jwt")
	s.SigningAlgorithm = cmp.Or(s.SigningAlgorithm, "ES256")
	s.AccessTokenTTL = cmp.Or(s.AccessTokenTTL, 10*time.Minute)
	s.RefreshTokenTTL = cmp.Or(s.RefreshTokenTTL, 7*24*time.Hour)
	s.GrantTTL = cmp.Or(s.GrantTTL, 30*24*time.Hour)
	s.RefreshGrace = cmp.Or(s.RefreshGrace, 10*time.Second)
	s.KeyRotation = cmp.Or(s.KeyRotation, 30*24*time.Hour)
	s.KeyPropagation = cmp.Or(s.KeyPropagation, time.Hour)
	s.SessionIdle, s.SessionTTL = cmp.Or(s.SessionIdle, 30*time.Minute), cmp.Or(s.SessionTTL, 24*time.Hour)
	s.MaxSessions, s.ConsentTTL = cmp.Or(s.MaxSessions, 20), cmp.Or(s.ConsentTTL, 180*24*time.Hour)
	s.PasswordMinLength = cmp.Or(s.PasswordMinLength, 15)
	return s
}
