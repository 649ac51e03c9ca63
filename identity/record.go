package identity

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// User is a person or, with KindService, a program, in one realm.
type User struct {
	ID       string
	Realm    string
	Kind     gatehouse.PrincipalKind // KindUser or KindService
	Username string                  // as given, NFC
	// UsernameKey is the username folded for look-up (see NormalizeUsername);
	// unique in a realm.
	UsernameKey  string
	DisplayName  string
	Email        string
	Roles        []string
	Groups       []string
	Attributes   map[string]any // JSON-like; policies may read them
	PasswordHash string         // PHC string; "" has no password
	PasswordAt   time.Time
	Disabled     bool
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Version      int64
}

// Subject is the account without what only its management needs. It shares the
// lists and attributes of u.
func (u *User) Subject() gatehouse.Subject {
	return gatehouse.Subject{ID: u.ID, Kind: u.Kind, Name: u.Username, Email: u.Email, Roles: u.Roles, Groups: u.Groups,
		Attributes: u.Attributes, Disabled: u.Disabled}
}
