package gatehouse

import "cmp"

// Provider is an OpenID provider by whose accounts people sign in to a realm. Its client secret is
// no setting (package provider).
type Provider struct {
	// ID is "[a-z0-9][a-z0-9-]{0,31}", one in its realm; it is part of the address to which the
	// provider sends browsers back.
	ID     string `json:"id"`
	Preset string `json:"preset,omitempty" doc:"google, microsoft, gitlab, okta, github or apple: fills in what is known of it"`
	Title  string `json:"title,omitempty"`  // what people know it by; the preset's or ID by default
	Issuer string `json:"issuer,omitempty"` // compared exactly; the preset's by default
	// ClientID is what the provider knows this realm by.
	ClientID string `json:"client_id"`
	// TeamID and KeyID name the key that a client secret is signed with where the preset says that it is (Apple).
	TeamID string `json:"team_id,omitempty"`
	KeyID  string `json:"key_id,omitempty"`
	// Scopes are asked for beside openid: profile and email by default.
	Scopes []string `json:"scopes,omitempty"`
	// CreateAccounts has everybody whom the provider knows get an account at the first sign-in.
	CreateAccounts bool `json:"create_accounts,omitempty"`
	// Grants are the roles and groups that its claims give.
	Grants []ClaimGrant `json:"grants,omitempty"`
	// SecondFactorBy are the values of amr or acr in the provider's ID tokens that say that it
	// has seen two factors. None by default: then its word counts as one.
	SecondFactorBy []string `json:"second_factor_by,omitempty"`
	// Algorithms are the allow-list for its ID tokens, asymmetric only: RS256, ES256 and EdDSA by default.
	Algorithms []string `json:"algorithms,omitempty"`
	// CA are the certificates, in PEM, that vouch for its hosts in place of those of the system.
	CA string `json:"ca,omitempty"`
	// AllowPrivateAddress lets its addresses resolve to loopback or private ones.
	AllowPrivateAddress bool `json:"allow_private_address,omitempty"`
}

// ClaimGrant gives a role or a group to whoever has a value in a claim, from one sign-in to the next.
type ClaimGrant struct {
	// Claim is the name of a claim that is a text or a list of texts; with dots it is looked for inside of others, too
	// ("realm_access.roles").
	Claim string `json:"claim"`
	Value string `json:"value"` // compared exactly
	// Role and Group are what is given: one of them, or both.
	Role  string `json:"role,omitempty"`
	Group string `json:"group,omitempty"`
	// Administrative lets Role be one that administers.
	Administrative bool `json:"administrative,omitempty"`
}

// Name is what people know p by.
func (p Provider) Name() string { return cmp.Or(p.Filled().Title, p.ID) }

// Provider returns the provider with an ID, filled in by its preset, if the realm has it.
func (s RealmSettings) Provider(id string) (Provider, bool) {
	for _, p := range s.Providers {
		if p.ID == id {
			return p.Filled(), true
		}
	}
	return Provider{}, false
}
