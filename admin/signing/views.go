package signing

import (
	"time"
)

// SigningKey is a signing key without its private half.
type SigningKey struct {
	KID         string    `json:"kid"`
	Algorithm   string    `json:"algorithm"`
	State       string    `json:"state" enum:"published,active,retired"`
	Use         string    `json:"use,omitempty" enum:"id" doc:"id: it signs ID tokens alone, for clients that want this algorithm; absent: everything"`
	CreatedAt   time.Time `json:"created_at"`
	ActivatedAt time.Time `json:"activated_at,omitzero"`
	RetiredAt   time.Time `json:"retired_at,omitzero"`
}

// SigningKeyRotation asks for a new signing key.
type SigningKeyRotation struct {
	Now bool `json:"now,omitempty" doc:"Sign with it at once, although verifiers may not have fetched it yet"`
}

// SigningKeyRotated names the new key.
type SigningKeyRotated struct {
	KID string `json:"kid"`
}
