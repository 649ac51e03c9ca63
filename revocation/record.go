package revocation

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// StatusBit says that the tokens with this status index are no longer valid.
type StatusBit struct {
	Realm     string
	List      int64 // status list number, see ListFor
	Index     int64
	ExpiresAt time.Time // when every token of the list has expired by itself
}

// CutoffKind is what a cut-off applies to.
type CutoffKind string

const (
	CutoffSubject CutoffKind = "subject"
	CutoffClient  CutoffKind = "client"
	CutoffSession CutoffKind = "session"
	CutoffKey     CutoffKind = "key" // signing key id
	CutoffRealm   CutoffKind = "realm"
)

// Cutoff says that nothing issued at or before Before is valid any more.
type Cutoff struct {
	Realm     string
	Kind      CutoffKind
	ID        string // "" for a realm
	Before    time.Time
	ExpiresAt time.Time // when everything issued before has expired by itself
}

// Ref is what a verified credential tells the view about itself.
type Ref struct {
	Realm    string
	Subject  string
	Client   string
	Session  string
	KeyID    string // kid of the signing key
	IssuedAt time.Time
	// HasStatus is false for credentials without a status index.
	HasStatus bool
	List      int64
	Index     int64
}

// CutoffNow ends everything that was issued to a subject of a kind until now. It lives
// as long as any login may that was opened before, whatever the settings of its realm were
// then: one that outlived it could be renewed again.
func CutoffNow(realm string, kind CutoffKind, id string, now time.Time) Cutoff {
	return Cutoff{Realm: realm, Kind: kind, ID: id, Before: now, ExpiresAt: now.Add(gatehouse.MaxGrantTTL + time.Hour)}
}

// SignedList is the copy of a status list that all nodes give out.
type SignedList struct {
	Realm string
	List  int64
	// Serial is 1 for the first copy of a list, and one more for each that takes its place.
	Serial    int64
	KeyID     string // kid of the key that signed it
	SignedAt  time.Time
	ExpiresAt time.Time // when every token of the list has expired by itself: not the end of the copy, which is in Text
	Text      string    // the Status List Token
}
