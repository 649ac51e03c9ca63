package clients

import (
	"encoding/json"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// Client is a registered client without its secret.
type Client struct {
	ID string `json:"client_id"`
	client.Metadata
	Disabled        bool      `json:"disabled" doc:"It gets no tokens"`
	Dynamic         bool      `json:"registered_itself,omitzero" doc:"Nobody looked at what it says of itself; it is removed when it is not used"`
	SecretSetAt     time.Time `json:"secret_set_at,omitzero" doc:"Absent: it has no secret"`
	KeysSetAt       time.Time `json:"keys_set_at,omitzero" doc:"When what it proves itself by was registered, where that is keys or a certificate of its own"`
	SecretExpiresAt time.Time `json:"secret_expires_at,omitzero" doc:"Absent: the secret does not end by itself"`
	// FormerSecretUntil is set while the secret before counts as well.
	FormerSecretUntil time.Time `json:"former_secret_until,omitzero" doc:"Until when the secret before it works as well"`
	CreatedAt         time.Time `json:"created_at"`
	UpdatedAt         time.Time `json:"updated_at"`
	Version           int64     `json:"version"`
}

// NewClient registers a client.
type NewClient struct {
	client.Metadata
	// Template fills what is left out of the registration ([client.Template]).
	Template        string    `json:"template,omitempty" enum:"web,spa,native,cli,service,mcp" doc:"What kind of program it is: how it proves who it is, grant_types and scope are filled in where they are left out, and what does not go with it is refused"`
	SecretExpiresAt time.Time `json:"secret_expires_at,omitzero" doc:"When its secret ends; absent: never by itself"`
}

// CreatedClient is a client with a secret that was made for it, unless it has keys.
type CreatedClient struct {
	Client
	Secret gatehouse.Secret `json:"client_secret,omitempty" doc:"Shown this once; absent for a client that has keys or a certificate, or is public"`
}

// ClientPatch is a merge patch of a client; lists are replaced.
type ClientPatch struct {
	Name                *string          `json:"client_name,omitempty"`
	AuthMethod          *string          `json:"token_endpoint_auth_method,omitempty"`
	GrantTypes          *[]string        `json:"grant_types,omitempty"`
	Scope               *string          `json:"scope,omitempty" doc:"Separated by spaces"`
	RedirectURIs        *[]string        `json:"redirect_uris,omitempty"`
	PostLogoutURIs      *[]string        `json:"post_logout_redirect_uris,omitempty"`
	BackchannelURI      *string          `json:"backchannel_logout_uri,omitempty"`
	BackchannelSession  *bool            `json:"backchannel_logout_session_required,omitempty"`
	FrontchannelURI     *string          `json:"frontchannel_logout_uri,omitempty"`
	FrontchannelSession *bool            `json:"frontchannel_logout_session_required,omitempty"`
	Origins             *[]string        `json:"allowed_cors_origins,omitempty"`
	RequirePKCE         *bool            `json:"require_pkce,omitempty"`
	Profile             *string          `json:"profile,omitempty"`
	RequirePushed       *bool            `json:"require_pushed_authorization_requests,omitempty"`
	FirstParty          *bool            `json:"first_party,omitempty"`
	Audiences           *[]string        `json:"introspection_audiences,omitempty" doc:"Audiences of the realm for which it is the API"`
	SecretExpiresAt     *time.Time       `json:"secret_expires_at,omitempty"`
	JWKS                *json.RawMessage `json:"jwks,omitempty" doc:"Its public keys; what it has by keys that are not among them ends at once. null takes them away"`
	JWKSURI             *string          `json:"jwks_uri,omitempty"`
	SigningAlg          *string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	DetailTypes         *[]string        `json:"authorization_details_types,omitempty"`
	LegacyAudience      *bool            `json:"legacy_assertion_aud,omitempty"`
	ClientURI           *string          `json:"client_uri,omitempty"`
	PolicyURI           *string          `json:"policy_uri,omitempty"`
	TermsURI            *string          `json:"tos_uri,omitempty"`
	Contacts            *[]string        `json:"contacts,omitempty"`
	RequestAlg          *string          `json:"request_object_signing_alg,omitempty"`
	RequireSigned       *bool            `json:"require_signed_request_object,omitempty"`
	AllowPrivateAddress *bool            `json:"allow_private_address,omitempty"`
	Delivery            *string          `json:"backchannel_token_delivery_mode,omitempty"`
	BackchannelAlg      *string          `json:"backchannel_authentication_request_signing_alg,omitempty"`
	AnswerAlg           *string          `json:"authorization_signed_response_alg,omitempty"`
	IntrospectionAlg    *string          `json:"introspection_signed_response_alg,omitempty"`
	IDTokenAlg          *string          `json:"id_token_signed_response_alg,omitempty"`
	UserInfoAlg         *string          `json:"userinfo_signed_response_alg,omitempty"`
	DPoPBound           *bool            `json:"dpop_bound_access_tokens,omitempty"`
	DPoPNonce           *bool            `json:"require_dpop_nonce,omitempty"`
	SubjectDN           *string          `json:"tls_client_auth_subject_dn,omitempty" doc:"This, or one of the next four, takes the place of the one that there was"`
	SANDNS              *string          `json:"tls_client_auth_san_dns,omitempty"`
	SANURI              *string          `json:"tls_client_auth_san_uri,omitempty"`
	SANIP               *string          `json:"tls_client_auth_san_ip,omitempty"`
	SANEmail            *string          `json:"tls_client_auth_san_email,omitempty"`
	CertificateBound    *bool            `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	Disabled            *bool            `json:"disabled,omitempty" doc:"Give it no tokens until it is enabled again; what it has ends at once"`
	Version             *int64           `json:"version,omitempty" doc:"When present, the change is refused unless the client still has this version"`

	Exchanges *[]client.Exchange `json:"token_exchange,omitempty" doc:"Which tokens it may exchange, and for what; what it has by a rule that is not among them ends at once"`
}

// UnmarshalJSON reads a merge patch.
func (p *ClientPatch) UnmarshalJSON(b []byte) error {
	type plain ClientPatch
	return kernel.ReadPatch(b, (*plain)(p))
}

// SecretRotation replaces the secret of a client.
type SecretRotation struct {
	Overlap   *kernel.Duration `json:"overlap,omitempty" doc:"How long the old secret works as well, 0 to 90d, 24h by default; 0 ends it, and what was issued by it, at once"`
	ExpiresAt time.Time        `json:"secret_expires_at,omitzero" doc:"When the new one ends; absent: never by itself"`
}
