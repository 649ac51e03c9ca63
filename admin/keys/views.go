package keys

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

// Key is an API key without its secret.
type Key struct {
	ID    string `json:"id"`
	Realm string `json:"realm"`
	Name  string `json:"name"`
	Owner string `json:"owner" doc:"Id of the user or service"`
	// OwnerName is absent when the owner is gone.
	OwnerName string `json:"owner_name,omitempty" doc:"Username of the owner"`
	// RoleLimit is what the key may use of its owner's roles; absent: all.
	RoleLimit   []string  `json:"role_limit,omitzero" doc:"Most that the key may use of its owner's roles; absent means all, empty none"`
	Scopes      []string  `json:"scopes"`
	Environment string    `json:"environment" enum:"live,test"`
	AllowedNets []string  `json:"allowed_nets"`
	Status      string    `json:"status" enum:"active,disabled,expired,revoked,leaked"`
	CreatedAt   time.Time `json:"created_at"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
	RevokedAt   time.Time `json:"revoked_at,omitzero"`
	LeakedAt    time.Time `json:"leaked_at,omitzero"`
	LastUsedAt  time.Time `json:"last_used_at,omitzero"`
	RotatedTo   string    `json:"rotated_to,omitempty"`
	DisabledAt  time.Time `json:"disabled_at,omitzero"`
	// Metadata are notes; nothing decides by them.
	Metadata   map[string]string `json:"metadata,omitempty"`
	QuotaDay   int64             `json:"quota_day,omitzero" doc:"Most uses in a day (UTC); absent: any number"`
	QuotaMonth int64             `json:"quota_month,omitzero" doc:"Most uses in a month (UTC); absent: any number"`
	Imported   bool              `json:"imported,omitzero" doc:"Another system made it"`
	Prefix     string            `json:"prefix,omitempty" doc:"How the text of an imported key begins"`
	Version    int64             `json:"version"`
}

// ImportedKey is a key that another system made, of which only a hash is known.
type ImportedKey struct {
	NewKey
	SHA256 string `json:"sha256" doc:"SHA-256 of the key's text, 64 lower-case hexadecimal digits"`
	Bits   int    `json:"bits" doc:"Random bits in the key, as its maker says; at least 128"`
	Prefix string `json:"prefix,omitempty" doc:"How its text begins, for people; at most 16 characters"`
}

// NewKey makes an API key.
type NewKey struct {
	Name        string            `json:"name" doc:"For people"`
	Owner       string            `json:"owner,omitempty" doc:"Id or username; the caller by default"`
	Scopes      []string          `json:"scopes" doc:"From the realm's catalogue, or admin:read, admin:write, admin:revocations, *"`
	RoleLimit   []string          `json:"role_limit,omitzero" doc:"Roles of the owner that the key may use; absent means all, empty none"`
	Environment string            `json:"environment,omitempty" enum:"live,test" doc:"live by default"`
	ExpiresAt   time.Time         `json:"expires_at,omitzero" doc:"Absent: does not expire"`
	AllowedNets []string          `json:"allowed_nets,omitempty" doc:"Addresses or CIDR prefixes; empty: from anywhere"`
	Metadata    map[string]string `json:"metadata,omitempty" doc:"Notes, at most 32 of 64 and 512 bytes; never a secret"`
	QuotaDay    int64             `json:"quota_day,omitzero" minimum:"0" doc:"Most uses in a day (UTC); 0 or absent: any number"`
	QuotaMonth  int64             `json:"quota_month,omitzero" minimum:"0" doc:"Most uses in a month (UTC); 0 or absent: any number"`
}

// CreatedKey is a new key with its text.
type CreatedKey struct {
	Key  Key              `json:"key"`
	Text gatehouse.Secret `json:"text" doc:"The key itself; shown this once"`
}

// KeyPatch is a merge patch of a key; lists are replaced. Scopes, nets and end only
// narrow what the key may; widening takes a new key. Its owner may lower a quota and
// disable the key; raising one and enabling it again take the right to write keys.
type KeyPatch struct {
	Name        *string             `json:"name,omitempty"`
	Scopes      *[]string           `json:"scopes,omitempty"`
	AllowedNets *[]string           `json:"allowed_nets,omitempty"`
	ExpiresAt   *time.Time          `json:"expires_at,omitempty"`
	Disabled    *bool               `json:"disabled,omitempty" doc:"Refuse the key until it is enabled again"`
	Metadata    *map[string]*string `json:"metadata,omitempty" doc:"Merged name by name; null takes a name, or all of them, away"`
	QuotaDay    *int64              `json:"quota_day,omitempty" minimum:"0" doc:"0: any number"`
	QuotaMonth  *int64              `json:"quota_month,omitempty" minimum:"0" doc:"0: any number"`
	Version     *int64              `json:"version,omitempty" doc:"When present, the change is refused unless the key still has this version"`
}

// KeyRotation replaces a key.
type KeyRotation struct {
	Overlap *kernel.Duration `json:"overlap,omitempty" doc:"How long the old key goes on working, 0 to 90d, 24h by default; 0 ends it at once"`
}

// KeyUsage is the number of uses on one day.
type KeyUsage struct {
	Day        string    `json:"day" doc:"UTC, 2006-01-02"`
	Count      int64     `json:"count"`
	LastUsedAt time.Time `json:"last_used_at"`
}

// LeakedKey is a key to disable, or the secret of a client to end.
type LeakedKey struct {
	Key gatehouse.Secret `json:"key" doc:"The whole key or secret: holding it is the proof"`
}

// UnmarshalJSON reads a merge patch.
func (p *KeyPatch) UnmarshalJSON(b []byte) error {
	type plain KeyPatch
	return kernel.ReadPatch(b, (*plain)(p))
}
