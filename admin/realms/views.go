package realms

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

// Realm is a realm as the API shows it.
type Realm struct {
	Name      string        `json:"name"`
	Title     string        `json:"title"`
	Disabled  bool          `json:"disabled"`
	Settings  RealmSettings `json:"settings"`
	CreatedAt time.Time     `json:"created_at"`
	UpdatedAt time.Time     `json:"updated_at"`
	CutOffAt  time.Time     `json:"cut_off_at,omitzero" doc:"Of the last panic: passwords, keys, logins and tokens of then and before are dead for good"`
	Version   int64         `json:"version" doc:"Changes with every change"`
}

// RealmSettings: see [gatehouse.RealmSettings]. An absent member has its default.
type RealmSettings struct {
	TokenFormat              string                             `json:"token_format,omitempty" enum:"signed,opaque" doc:"Form of access tokens; signed by default"`
	SigningAlgorithm         string                             `json:"signing_algorithm,omitempty" doc:"Of new signing keys; ES256 by default"`
	AccessTokenTTL           kernel.Duration                    `json:"access_token_ttl,omitzero" doc:"1m to 1h, 10m by default"`
	RefreshTokenTTL          kernel.Duration                    `json:"refresh_token_ttl,omitzero" doc:"Life of an unused refresh token, 168h by default"`
	GrantTTL                 kernel.Duration                    `json:"grant_ttl,omitzero" doc:"Absolute end of a login however often renewed, 720h by default"`
	RefreshGrace             kernel.Duration                    `json:"refresh_grace,omitzero" doc:"How long a lost answer is given again, at most 30s, 10s by default, negative never"`
	Audience                 string                             `json:"audience,omitempty" doc:"Audience of access tokens; the issuer by default"`
	Audiences                map[string]gatehouse.AudienceRules `json:"audiences,omitempty" doc:"Further audiences that tokens can be asked for by resource, and the claims about the user that tokens for an audience carry: preferred_username, name, email, roles, groups"`
	AccessTokenType          string                             `json:"access_token_type,omitempty" enum:"at+jwt,JWT" doc:"typ of signed access tokens; at+jwt by default, JWT for checkers that refuse it"`
	RequirePushed            bool                               `json:"require_pushed_authorization_requests,omitzero" doc:"Refuse authorization requests that clients did not push before (PAR)"`
	Scopes                   map[string]string                  `json:"scopes,omitempty" doc:"Catalogue: scope name to meaning"`
	DetailTypes              []gatehouse.DetailType             `json:"authorization_details_types,omitempty" doc:"Types of authorization details (RFC 9396) that clients can be registered for"`
	PasswordMinLength        int                                `json:"password_min_length,omitzero" doc:"15 to 128, 15 by default; from 8 on where mfa is required; a realm that has less keeps it, and cannot lower it"`
	BannedWords              []string                           `json:"banned_words,omitempty"`
	KeyRotation              kernel.Duration                    `json:"key_rotation,omitzero" doc:"How often signing keys rotate, 720h by default, negative only by command"`
	KeyPropagation           kernel.Duration                    `json:"key_propagation,omitzero" doc:"How long a new signing key is published before it signs, 1h by default; less than 6m counts as 6m: longer than verifiers keep their copy of the key set"`
	SessionIdle              kernel.Duration                    `json:"session_idle,omitzero" doc:"End of a browser session that nobody uses, 5m to 720h, 30m by default"`
	SessionTTL               kernel.Duration                    `json:"session_ttl,omitzero" doc:"End of a browser session however much it is used, 5m to 720h, 24h by default"`
	MaxSessions              int                                `json:"max_sessions,omitzero" doc:"Browser sessions of one user at once, 1 to 100, 20 by default; one more ends the one that was used least recently"`
	ConsentTTL               kernel.Duration                    `json:"consent_ttl,omitzero" doc:"How long people are not asked again for what they allowed a client, 1m to 9600h, 4320h by default; negative: they are asked each time"`
	MFA                      string                             `json:"mfa,omitempty" enum:"optional,required" doc:"Who must have a second factor: whoever wants one (by default), or everybody with a password"`
	MFARoles                 []string                           `json:"mfa_roles,omitempty" doc:"Roles whose holders must have a second factor, as assigned to them, whatever mfa says"`
	AdminMFA                 string                             `json:"admin_mfa,omitempty" enum:"optional,required" doc:"What is asked of people of this realm who administer: what is asked of everybody (by default), or a second factor, and a sign-in with both for each call of the management API. API keys go on"`
	AdminMaxAuthAge          kernel.Duration                    `json:"admin_max_auth_age,omitzero" doc:"How old that sign-in may be where admin_mfa is required, 5m to 720h; without it any age"`
	TrustedIssuers           []gatehouse.TrustedIssuer          `json:"trusted_issuers,omitempty"`
	Providers                []gatehouse.Provider               `json:"providers,omitempty" doc:"OpenID providers by whose accounts people may sign in; their client secrets are set apart"`
	Registration             string                             `json:"registration,omitempty" enum:"off,invitation,domain,open" doc:"Who makes accounts for themselves, by a link that is sent to their address: nobody, who was invited (by default), also whoever reads an address at one of registration_domains, or whoever reads an address"`
	RegistrationDomains      []string                           `json:"registration_domains,omitempty" doc:"For domain: example.com, say; not its subdomains"`
	ClientRegistration       string                             `json:"client_registration,omitempty" enum:"closed,token,open" doc:"Which clients register themselves (RFC 7591): none (by default), those with an initial access token, or all"`
	ClientRegistrationScopes []string                           `json:"client_registration_scopes,omitempty" doc:"Scopes that such clients may be given, offline_access among them"`
	ClientDocumentHosts      []string                           `json:"client_document_hosts,omitempty" doc:"Hosts at which a client_id may be the https address of a document that describes the client; * for all, none by default. Such clients may be given client_registration_scopes"`
	CertificateAuthorities   string                             `json:"client_certificate_authorities,omitempty" doc:"Certificates, in PEM, that vouch for those of clients with tls_client_auth (RFC 8705); without any, none counts"`
	Accent                   string                             `json:"accent,omitempty" doc:"Colour of buttons and links on light pages, #rrggbb; at least 4.5 to 1 against their grounds (WCAG 2.2 AA)"`
	AccentDark               string                             `json:"accent_dark,omitempty" doc:"The same on dark pages"`
	TermsURL                 string                             `json:"terms_url,omitempty" doc:"https address of the terms, to which pages link at their foot"`
	PrivacyURL               string                             `json:"privacy_url,omitempty" doc:"https address of what is said about privacy, likewise"`
	TermsVersion             string                             `json:"terms_version,omitempty" doc:"Version of the terms, 1 to 64 plain characters: people who have not accepted it are asked after signing in, and use no page and no gateway by a browser before. API keys and tokens are not asked"`
}

// NewRealm makes a realm.
type NewRealm struct {
	Name     string        `json:"name" doc:"Lower-case letters, digits and '-', at most 63"`
	Title    string        `json:"title,omitempty"`
	Settings RealmSettings `json:"settings,omitzero"`
}

// RealmPatch is a merge patch of a realm.
type RealmPatch struct {
	Title    *string        `json:"title,omitempty"`
	Disabled *bool          `json:"disabled,omitempty"`
	Settings *SettingsPatch `json:"settings,omitempty"`
	Version  *int64         `json:"version,omitempty" doc:"When present, the change is refused unless the realm still has this version"`
}
