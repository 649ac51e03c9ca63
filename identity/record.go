package identity

import (
	"slices"
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
	UsernameKey string
	DisplayName string
	Email       string
	// VerifiedEmail is the address that the person was shown to read ([User.EmailVerified]).
	VerifiedEmail string
	// NewEmail takes the place of Email when it is verified; "" for none.
	NewEmail     string
	Roles        []string
	Groups       []string
	Attributes   map[string]any // JSON-like; policies may read them
	PasswordHash string         // PHC string; "" has no password
	PasswordAt   time.Time
	// InitialAt is the PasswordAt of the password that somebody else has made for the person ([User.Initial]).
	InitialAt time.Time
	// DirectoryID is the entry of an LDAP directory that the account belongs to, which then has
	// the password; "" for an account that is kept here. It never changes.
	DirectoryID string
	Disabled    bool
	// DirectoryOut is set while the directory says that the entry is gone or disabled; Disabled is set
	// then because of that, and ends with it.
	DirectoryOut bool
	// SecondFactor is set while the user has a factor beside the password (package factor).
	SecondFactor bool
	// TermsVersion is the version of the realm's terms that the person has accepted; "" for none.
	TermsVersion string
	// DevicesSince is when lost factors were replaced, or the person said that a sign-in was somebody else's: browsers in which the
	// account was known before are not known any more.
	DevicesSince time.Time
	// SignedIn is set when the account has had a session in a browser.
	SignedIn  bool
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64
}

// EmailVerified reports whether the person was shown to read what is sent to Email.
func (u *User) EmailVerified() bool { return u.Email != "" && u.VerifiedEmail == u.Email }

// InitialFor is how long a password counts that somebody else has made for a person: until then it is exchanged for one that the
// person chooses (ASVS 6.4.1).
const InitialFor = 72 * time.Hour

// Initial reports whether the password is one that somebody else has made: it lets nobody in, and is good for choosing another one alone.
func (u *User) Initial() bool { return !u.InitialAt.IsZero() && u.InitialAt.Equal(u.PasswordAt) }

// InitialUntil is when such a password ends; the zero time of any other.
func (u *User) InitialUntil() time.Time {
	if !u.Initial() || u.PasswordHash == "" {
		return time.Time{}
	}
	return u.PasswordAt.Add(InitialFor)
}

// Owes is nil unless p proved u by the password, or by a provider's word, alone where that is not enough: gatehouse.ErrSecondFactor
// where u has a second factor, gatehouse.ErrNoSecondFactor where u has none and the realm demands one; gatehouse.ErrInitialPassword for a password that is not the person's own, whatever was
// proved beside it. Whoever
// opens something that lasts asks it of user and realm as stored: another node may have heard a moment later than
// this one that there is a factor, and what was opened until then would go around it for days.
func (u *User) Owes(p *gatehouse.Principal, s gatehouse.RealmSettings) error {
	switch {
	case p.Scheme == gatehouse.SchemeBasic && u.Initial():
		return gatehouse.ErrInitialPassword
	case p.Scheme != gatehouse.SchemeBasic && p.Scheme != gatehouse.SchemeProvider || slices.Contains(p.AMR, gatehouse.AMRMultiFactor):
		return nil
	case u.SecondFactor:
		return gatehouse.ErrSecondFactor
	case u.Kind == gatehouse.KindUser && s.DemandsSecondFactor(u.Roles):
		return gatehouse.ErrNoSecondFactor
	}
	return nil
}

// knownSince is from when on a browser, or a network, of a sign-in of u counts as known: whoever has the password of before, or the
// device that was lost, is a stranger; so is whoever the person does not know.
func (u *User) knownSince() time.Time {
	if u.DevicesSince.After(u.PasswordAt) {
		return u.DevicesSince
	}
	return u.PasswordAt
}

// share lets u hold the one copy, which text returns, of each text that it has in common
// with others: there may be very many users in memory.
func (u *User) share(text func(string) string) {
	u.Realm = text(u.Realm)
	u.Kind = gatehouse.PrincipalKind(text(string(u.Kind)))
	if u.UsernameKey == u.Username {
		u.UsernameKey = u.Username
	}
	u.Roles, u.Groups = shared(u.Roles, text), shared(u.Groups, text)
}

func shared(names []string, text func(string) string) []string {
	if len(names) == 0 {
		return names
	}
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = text(name)
	}
	return out
}

// Subject is the account without what only its management needs. It shares the
// lists and attributes of u.
func (u *User) Subject() gatehouse.Subject {
	return gatehouse.Subject{ID: u.ID, Kind: u.Kind, Name: u.Username, Email: u.Email, Roles: u.Roles, Groups: u.Groups,
		Attributes: u.Attributes, Disabled: u.Disabled, SecondFactor: u.SecondFactor}
}
