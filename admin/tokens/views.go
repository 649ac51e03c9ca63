package tokens

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Grant is an open or ended login.
type Grant struct {
	ID        string    `json:"id"`
	Realm     string    `json:"realm"`
	Subject   string    `json:"subject"`
	ClientID  string    `json:"client_id"`
	Scopes    []string  `json:"scopes"`
	Parent    string    `json:"exchanged_grant,omitempty" doc:"The grant whose token was exchanged for it; it ends with that"`
	Actors    []string  `json:"actors,omitempty" doc:"Who acts for the subject, the last one first"`
	AuthTime  time.Time `json:"auth_time,omitzero"`
	AMR       []string  `json:"amr"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	EndReason string    `json:"end_reason,omitempty"`
}

// TokenInspection is what is written in a token, whether or not it is true.
type TokenInspection struct {
	Kind    string         `json:"kind" enum:"jwt,access_token,refresh_token,api_key"`
	Header  map[string]any `json:"header,omitempty"`
	Claims  map[string]any `json:"claims,omitempty"`
	ID      string         `json:"id,omitempty" doc:"Public id inside a key or opaque token"`
	Trusted bool           `json:"trusted" doc:"Always false: nothing here has been verified"`
	Note    string         `json:"note"`
}

// TokenVerification is the answer of the verifier that guards requests.
type TokenVerification struct {
	Active    bool      `json:"active"`
	Reason    string    `json:"reason,omitempty" doc:"When not active: the code of the rule that was broken, which the caller of a request does not see"`
	Detail    string    `json:"detail,omitempty" doc:"What the rule missed: the claim, the audiences that are accepted"`
	Subject   string    `json:"subject,omitempty"`
	Name      string    `json:"name,omitempty"`
	Scheme    string    `json:"scheme,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	Scopes    []string  `json:"scopes"`
	GrantID   string    `json:"grant_id,omitempty"`
	TokenID   string    `json:"token_id,omitempty"`
	IssuedAt  time.Time `json:"issued_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// NewRevocation is a cut-off: nothing issued until Before is valid any more.
type NewRevocation struct {
	Kind   string    `json:"kind" enum:"subject,client,session,key,realm" doc:"key means a signing key id"`
	ID     string    `json:"id,omitempty" doc:"Absent for a realm"`
	Before time.Time `json:"before,omitzero" doc:"Not in the future; now by default"`
}

// Revocation is a cut-off that is in effect.
type Revocation struct {
	Kind      string    `json:"kind"`
	ID        string    `json:"id,omitempty"`
	Before    time.Time `json:"before"`
	ExpiresAt time.Time `json:"expires_at" doc:"When everything issued before has expired by itself"`
}

// TokenText is a token or key to look at.
type TokenText struct {
	Token gatehouse.Secret `json:"token"`
}
