package grant

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// Grant is the authorization from which tokens come; ending it ends them all.
type Grant struct {
	ID    string // "grt_…"
	Realm string
	// Subject is a user, or, equal to ClientID, a client that acts for itself (RFC
	// 9068 §2.2).
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

// ofClient reports whether the grant is a client's own, without a user.
func (g Grant) ofClient() bool { return g.Subject == g.ClientID }

func (g Grant) subjectKind() gatehouse.PrincipalKind {
	if g.ofClient() {
		return gatehouse.KindClient
	}
	return gatehouse.KindUser
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

// Issued is what one exchange adds to the store; nil members add nothing.
type Issued struct {
	Grant   *Grant
	Refresh *Refresh
	Opaque  *credential.OpaqueToken
}
