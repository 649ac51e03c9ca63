package token

import "time"

// KeyState is where a signing key stands in its life: published (in the JWKS,
// not signing yet), active (signs), retired (verifies only), then removed.
type KeyState string

const (
	KeyPublished KeyState = "published"
	KeyActive    KeyState = "active"
	KeyRetired   KeyState = "retired"
)

// KeyUse is what a key signs.
type KeyUse string

const (
	// UseAll keys sign whatever a realm signs. A realm has one that is active.
	UseAll KeyUse = ""
	// UseID keys sign ID tokens and answers of userinfo alone, for clients that want another algorithm than the realm's. A realm has
	// one that is active for each algorithm that a client wanted so far.
	UseID KeyUse = "id"
)

// StoredKey is a signing key at rest. Private is sealed under the master key.
type StoredKey struct {
	Realm       string
	KID         string
	Algorithm   string // "ES256", …; an HMAC key has no PublicJWK
	PublicJWK   []byte // JSON, public members only
	Private     []byte // sealed; names its master key
	State       KeyState
	Use         KeyUse
	CreatedAt   time.Time
	ActivatedAt time.Time
	RetiredAt   time.Time
	Version     int64
}
