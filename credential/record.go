package credential

import (
	"net/netip"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Key is what is stored of an API key: everything but the secret.
type Key struct {
	ID    string // public part inside the key text; unique over all realms
	Realm string
	Name  string // for people
	// Hash is SHA-256 of the whole key text. The secret has 160 bits or more of
	// randomness, so a slow hash would add nothing.
	Hash        []byte
	OwnerID     string // user or service id
	Scopes      []string
	RoleLimit   []string // nil: all roles of the owner
	Environment gatehouse.Environment
	AllowedNets []netip.Prefix // empty: from anywhere
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero: never
	RevokedAt   time.Time
	LeakedAt    time.Time // reported as leaked; disabled
	DisabledAt  time.Time // switched off, perhaps for a while; zero: it is on
	RotatedTo   string    // successor's id; this key ends at ExpiresAt
	LastUsedAt  time.Time
	Metadata    map[string]string // notes of the operator; nothing decides by them
	QuotaDay    int64             // most uses in a day (UTC); 0: any number
	QuotaMonth  int64             // most uses in a month (UTC); 0: any number
	Imported    bool              // made by another system: its text has no form of ours, and Hash finds it
	Prefix      string            // how the text of an imported key begins, for people
	Version     int64             // compare-and-swap
}

// KeyUsage is a count of uses of one key on one day (UTC, "2006-01-02").
type KeyUsage struct {
	KeyID      string
	Realm      string
	Day        string
	Count      int64
	LastUsedAt time.Time
}

// OpaqueToken is what is stored of a random access token.
type OpaqueToken struct {
	Hash      []byte // SHA-256 of the token text
	ID        string // jti
	Realm     string
	GrantID   string
	Subject   string
	Scopes    []string
	Audience  []string
	IssuedAt  time.Time
	ExpiresAt time.Time
	// Confirmation is what it is bound to.
	Confirmation gatehouse.Confirmation
	Details      gatehouse.Details
}
