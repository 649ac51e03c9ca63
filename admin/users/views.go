package users

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

// User is a person or a service as the API shows it.
type User struct {
	ID                string         `json:"id"`
	Realm             string         `json:"realm"`
	Kind              string         `json:"kind" enum:"user,service"`
	Username          string         `json:"username"`
	DisplayName       string         `json:"display_name,omitempty"`
	Email             string         `json:"email,omitempty"`
	EmailVerified     bool           `json:"email_verified" doc:"The person was shown to read what is sent to email, or an administrator said so"`
	NewEmail          string         `json:"new_email,omitempty" doc:"The address that the person wants in its place; it counts when it is verified"`
	Roles             []string       `json:"roles"`
	Groups            []string       `json:"groups"`
	Attributes        map[string]any `json:"attributes,omitempty"`
	HasPassword       bool           `json:"has_password"`
	PasswordChangedAt time.Time      `json:"password_changed_at,omitzero"`
	InitialUntil      time.Time      `json:"initial_password_until,omitzero" doc:"The password was made by somebody else: until then the person can choose another one by it, and nothing else"`
	SecondFactor      bool           `json:"second_factor" doc:"There is an authenticator app beside the password"`
	DirectoryID       string         `json:"directory_id,omitempty" doc:"Entry of the LDAP directory that the account belongs to, which has the password"`
	Disabled          bool           `json:"disabled"`
	CreatedAt         time.Time      `json:"created_at"`
	UpdatedAt         time.Time      `json:"updated_at"`
	Version           int64          `json:"version"`
}

// NewUser makes a person or a service. At most one of Password, PasswordHash
// and GeneratePassword is given; without any, the account has no password.
type NewUser struct {
	Username      string         `json:"username"`
	Kind          string         `json:"kind,omitempty" enum:"user,service" doc:"user by default"`
	DisplayName   string         `json:"display_name,omitempty"`
	Email         string         `json:"email,omitempty"`
	EmailVerified bool           `json:"email_verified,omitempty" doc:"It is known to be the person's"`
	Roles         []string       `json:"roles,omitempty"`
	Groups        []string       `json:"groups,omitempty"`
	Attributes    map[string]any `json:"attributes,omitempty"`
	// Password is one that the person has chosen.
	Password gatehouse.Secret `json:"password,omitempty" doc:"A password that the person has chosen"`
	// PasswordInitial says that the person has not, and chooses another one.
	PasswordInitial bool `json:"password_initial,omitempty" doc:"password is one that somebody else has made: at the first sign-in, within 72 hours, the person has to choose another one"`
	// PasswordHash is for credential.ImportHash.
	PasswordHash gatehouse.Secret `json:"password_hash,omitempty" doc:"A hash from another system (bcrypt, scrypt, PBKDF2, Argon2, SHA crypt; as Django, Spring, Werkzeug, WordPress, ASP.NET or Keycloak writes it), upgraded at the next login"`
	// GeneratePassword answers a random one, shown once, in the place of which the person chooses another one.
	GeneratePassword bool `json:"generate_password,omitempty" doc:"Answer a random password, shown once; at the first sign-in, within 72 hours, the person has to choose another one"`

	// ID is what the account is to have; "" makes one. No request gives it.
	ID string `json:"-"`
}

// CreatedUser is a new user, with the password that was made for him.
type CreatedUser struct {
	User     User             `json:"user"`
	Password gatehouse.Secret `json:"password,omitempty" doc:"Shown this once, when it was generated"`
}

// NewInvitation asks somebody to make an account.
type NewInvitation struct {
	Email string   `json:"email" doc:"Where the link goes; it is the address of the account"`
	Roles []string `json:"roles,omitempty" doc:"Those of the account"`
}

// Invitation is one that waits.
type Invitation struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	Roles     []string  `json:"roles"`
	InvitedBy string    `json:"invited_by"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// UserPatch is a merge patch of a user; lists are replaced.
type UserPatch struct {
	DisplayName   *string         `json:"display_name,omitempty"`
	Email         *string         `json:"email,omitempty" doc:"Another one is not verified"`
	EmailVerified *bool           `json:"email_verified,omitempty" doc:"It is known to be the person's"`
	Roles         *[]string       `json:"roles,omitempty"`
	Groups        *[]string       `json:"groups,omitempty"`
	Attributes    *map[string]any `json:"attributes,omitempty"`
	Disabled      *bool           `json:"disabled,omitempty" doc:"Disabling ends every login and token of the account"`
	Version       *int64          `json:"version,omitempty" doc:"When present, the change is refused unless the account still has this version"`
}

// PasswordChange sets one's own password.
type PasswordChange struct {
	Current gatehouse.Secret `json:"current,omitempty"`
	New     gatehouse.Secret `json:"new,omitempty"`
}

// ResetOrder starts a reset of somebody's password.
type ResetOrder struct {
	End bool `json:"end,omitempty" doc:"The password of now ends at once, and every login with it, not only when another one is set"`
}

// ResetStarted says where a link went: to set a new password, or to replace lost second factors.
type ResetStarted struct {
	Sent      bool             `json:"sent" doc:"To the e-mail address of the account"`
	Link      gatehouse.Secret `json:"link,omitempty" doc:"Shown this once, where no mail is sent or the account has no address; it works once"`
	ExpiresAt time.Time        `json:"expires_at" doc:"When the link ends"`
}

// NewBootstrap makes the first administrator.
type NewBootstrap struct {
	Secret   gatehouse.Secret `json:"secret" doc:"The one-time secret that the first start printed"`
	Username string           `json:"username"`
	Email    string           `json:"email,omitzero"`
	Password gatehouse.Secret `json:"password"`
}

// NewFirst makes the first administrator in a browser: with a password, or, where Passkey is set, with that in its place.
type NewFirst struct {
	NewBootstrap
	ID string // of the account: what the passkey was made for
	// Passkey is asked once the secret is known to be right.
	Passkey func(ctx context.Context, who *gatehouse.Principal) (*passkey.First, error)
}

// Bootstrapped is the first administrator, with an API key.
type Bootstrapped struct {
	User   User             `json:"user"`
	APIKey gatehouse.Secret `json:"api_key" doc:"Shown this once; it expires after 30 days"`
}

// UnmarshalJSON reads a merge patch.
func (p *UserPatch) UnmarshalJSON(b []byte) error {
	type plain UserPatch
	return kernel.ReadPatch(b, (*plain)(p))
}

// Panicked is what a panic has ended.
type Panicked struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Grants   int    `json:"grants" doc:"Logins that were open, with all their tokens"`
	Sessions int    `json:"sessions" doc:"Browser sessions that were open"`
	Keys     int    `json:"keys" doc:"API keys that were not revoked"`
	Passkeys int    `json:"passkeys" doc:"Passkeys, which are removed"`
	Links    int    `json:"provider_links" doc:"Links with accounts at identity providers; they let nobody in any more"`
	Password bool   `json:"password" doc:"There was one. It is gone: the account has none until a new one is set"`
}
