package factors

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/factor"
)

// Factor is a second factor, without its secret.
type Factor struct {
	ID   string `json:"id"`
	Kind string `json:"kind" enum:"totp,recovery" doc:"An authenticator app, or the recovery codes"`
	Name string `json:"name,omitempty"`
	// Confirmed: it counts. An app that waits to be confirmed does not.
	Confirmed  bool      `json:"confirmed" doc:"It counts; an app that was not confirmed does not"`
	CodesLeft  *int      `json:"codes_left,omitempty" doc:"Recovery codes that were not used"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// Proof is how a person proves who changes the own factors.
type Proof struct {
	Password gatehouse.Secret `json:"password,omitempty" doc:"The caller's password"`
	Code     gatehouse.Secret `json:"code,omitempty" doc:"A code of an app or a recovery code, when there is a factor already"`
}

// NewTOTP begins to enrol an authenticator app.
type NewTOTP struct {
	Proof
	Name string `json:"name,omitempty" doc:"For the person: which telephone"`
}

// BegunTOTP is an app that waits to be confirmed, with what the app must know.
type BegunTOTP struct {
	Factor Factor           `json:"factor"`
	Secret gatehouse.Secret `json:"secret" doc:"To type into the app; shown this once"`
	URI    gatehouse.Secret `json:"uri" doc:"The same for an app on this device (otpauth)"`
	QR     gatehouse.Secret `json:"qr" doc:"The same for a camera: an SVG image"`
	Until  time.Time        `json:"until" doc:"When it can be confirmed no more"`
}

// Confirmation shows that the app knows the secret.
type Confirmation struct {
	Code gatehouse.Secret `json:"code" doc:"What the app shows now"`
}

// ConfirmedTOTP is an app that counts from now on.
type ConfirmedTOTP struct {
	Factor Factor `json:"factor"`
	// RecoveryCodes are made with the first app.
	RecoveryCodes []gatehouse.Secret `json:"recovery_codes,omitempty" doc:"Made with the first app; shown this once"`
}

// FactorName renames a factor.
type FactorName struct {
	Name string `json:"name"`
}

// RecoveryCodes is a new set of codes; all of before are worth nothing.
type RecoveryCodes struct {
	Factor Factor             `json:"factor"`
	Codes  []gatehouse.Secret `json:"codes" doc:"Each works once; shown this once"`
}

func view(f factor.Factor) Factor {
	v := Factor{ID: f.ID, Kind: string(f.Kind), Name: f.Name, Confirmed: f.Confirmed(), CreatedAt: f.CreatedAt, LastUsedAt: f.UsedAt}
	if f.Kind == factor.Recovery {
		n := len(f.Hashes)
		v.CodesLeft = &n
	}
	return v
}
