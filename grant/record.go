package grant

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// Refresh is one refresh token of a grant's family, stored by hash.
type Refresh struct {
	Hash      []byte
	GrantID   string
	Realm     string
	Sequence  int64     // 0, 1, 2… within the family
	IssuedAt  time.Time // or, of one that stays what it is when it is used, when that was last
	ExpiresAt time.Time
	UsedAt    time.Time // zero: not yet used
}

// Family is a refresh token with what it belongs to, as stored now.
type Family struct {
	Refresh Refresh
	Grant   gatehouse.Grant
	// CutOff is the latest cut-off that is set for the grant's subject, client or
	// session, or for its realm; zero for none.
	CutOff time.Time
}

// Held is a grant that has not ended, and when its client last got or renewed tokens of it.
type Held struct {
	Grant  gatehouse.Grant
	UsedAt time.Time
}

// Issued is what one exchange adds to the store; nil members add nothing.
type Issued struct {
	Grant   *gatehouse.Grant
	Refresh *Refresh
	Opaque  *credential.OpaqueToken
	// Listener is to be told of the end of a session of which the client is told by an ID token.
	Listener *Listener
}

// Listener is a client that wants to be told of the end of a session.
type Listener struct {
	Realm, Session, Client, User string
	Ends                         time.Time // of the session, when nobody ends it before
}
