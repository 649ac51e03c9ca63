package grant

import "time"

// Grant is the authorization from which tokens come; ending it ends them all.
type Grant struct {
	ID         string // "grt_…"
	Realm      string
	Subject    string
	ClientID   string
	SessionID  string
	Scopes     []string
	Audience   []string
	AuthTime   time.Time
	AMR        []string
	ACR        string
	StatusList int64 // revocation status list
	StatusIdx  int64
	CreatedAt  time.Time
	ExpiresAt  time.Time // absolute end
	EndedAt    time.Time
	EndReason  string
}

// Refresh is one refresh token of a grant's family, stored by hash.
type Refresh struct {
	Hash      []byte
	GrantID   string
	Realm     string
	Sequence  int64 // 0, 1, 2… within the family
	IssuedAt  time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // zero: not yet used
}
