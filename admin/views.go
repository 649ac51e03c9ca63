package admin

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/duration"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Page is a part of a list. Next is the cursor of the following part, "" at the
// end.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last one"`
}

// Duration goes over the wire as [duration.Parse] reads it: "10m", "720h", "90d". It
// is written as Go writes durations: "10m0s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := duration.Parse(string(b))
	if err != nil {
		return errDuration
	}
	*d = Duration(v)
	return nil
}

var errDuration = gatehouse.E(gatehouse.Unprocessable, "duration_invalid", "must be written otherwise: "+duration.Form)

// Realm is a realm as the API shows it.
type Realm struct {
	Name      string        `json:"name"`
	Title     string        `json:"title"`
	Disabled  bool          `json:"disabled"`
	Settings  RealmSettings `json:"settings"`
	CreatedAt time.Time     `json:"created_at"`
	UpdatedAt time.Time     `json:"updated_at"`
	Version   int64         `json:"version" doc:"Changes with every change"`
}

// RealmSettings: see [gatehouse.RealmSettings]. An absent member has its default.
type RealmSettings struct {
	TokenFormat       string                             `json:"token_format,omitempty" enum:"signed,opaque" doc:"Form of access tokens; signed by default"`
	SigningAlgorithm  string                             `json:"signing_algorithm,omitempty" doc:"Of new signing keys; ES256 by default"`
	AccessTokenTTL    Duration                           `json:"access_token_ttl,omitzero" doc:"1m to 1h, 10m by default"`
	RefreshTokenTTL   Duration                           `json:"refresh_token_ttl,omitzero" doc:"Life of an unused refresh token, 168h by default"`
	GrantTTL          Duration                           `json:"grant_ttl,omitzero" doc:"Absolute end of a login however often renewed, 720h by default"`
	RefreshGrace      Duration                           `json:"refresh_grace,omitzero" doc:"How long a lost answer is given again, at most 30s, 10s by default, negative never"`
	Audience          string                             `json:"audience,omitempty" doc:"Audience of access tokens; the issuer by default"`
	Audiences         map[string]gatehouse.AudienceRules `json:"audiences,omitempty" doc:"Further audiences that tokens can be asked for by resource, and the claims about the user that tokens for an audience carry: preferred_username, name, email, roles, groups"`
	AccessTokenType   string                             `json:"access_token_type,omitempty" enum:"at+jwt,JWT" doc:"typ of signed access tokens; at+jwt by default, JWT for checkers that refuse it"`
	Scopes            map[string]string                  `json:"scopes,omitempty" doc:"Catalogue: scope name to meaning"`
	PasswordMinLength int                                `json:"password_min_length,omitzero" doc:"8 to 128, 15 by default"`
	BannedWords       []string                           `json:"banned_words,omitempty"`
	KeyRotation       Duration                           `json:"key_rotation,omitzero" doc:"How often signing keys rotate, 720h by default, negative only by command"`
	KeyPropagation    Duration                           `json:"key_propagation,omitzero" doc:"How long a new signing key is published before it signs, 1h by default, 5m at least: longer than verifiers keep their copy of the key set"`
	TrustedIssuers    []gatehouse.TrustedIssuer          `json:"trusted_issuers,omitempty"`
}

// NewRealm makes a realm.
type NewRealm struct {
	Name     string        `json:"name" doc:"Lower-case letters, digits and '-', at most 63"`
	Title    string        `json:"title,omitempty"`
	Settings RealmSettings `json:"settings,omitzero"`
}

// RealmPatch is a merge patch of a realm.
type RealmPatch struct {
	Title    *string        `json:"title,omitempty"`
	Disabled *bool          `json:"disabled,omitempty"`
	Settings *SettingsPatch `json:"settings,omitempty"`
	Version  *int64         `json:"version,omitempty" doc:"When present, the change is refused unless the realm still has this version"`
}

// User is a person or a service as the API shows it.
type User struct {
	ID                string         `json:"id"`
	Realm             string         `json:"realm"`
	Kind              string         `json:"kind" enum:"user,service"`
	Username          string         `json:"username"`
	DisplayName       string         `json:"display_name,omitempty"`
	Email             string         `json:"email,omitempty"`
	Roles             []string       `json:"roles"`
	Groups            []string       `json:"groups"`
	Attributes        map[string]any `json:"attributes,omitempty"`
	HasPassword       bool           `json:"has_password"`
	PasswordChangedAt time.Time      `json:"password_changed_at,omitzero"`
	Disabled          bool           `json:"disabled"`
	CreatedAt         time.Time      `json:"created_at"`
	UpdatedAt         time.Time      `json:"updated_at"`
	Version           int64          `json:"version"`
}

// NewUser makes a person or a service. At most one of Password, PasswordHash
// and GeneratePassword is given; without any, the account has no password.
type NewUser struct {
	Username    string         `json:"username"`
	Kind        string         `json:"kind,omitempty" enum:"user,service" doc:"user by default"`
	DisplayName string         `json:"display_name,omitempty"`
	Email       string         `json:"email,omitempty"`
	Roles       []string       `json:"roles,omitempty"`
	Groups      []string       `json:"groups,omitempty"`
	Attributes  map[string]any `json:"attributes,omitempty"`
	// Password is one that the person has chosen.
	Password gatehouse.Secret `json:"password,omitempty" doc:"A password that the person has chosen"`
	// PasswordHash is a hash of another system: bcrypt, scrypt, PBKDF2, Argon2.
	PasswordHash gatehouse.Secret `json:"password_hash,omitempty" doc:"A hash from another system (bcrypt, scrypt, PBKDF2, Argon2), upgraded at the next login"`
	// GeneratePassword answers a random one, shown once.
	GeneratePassword bool `json:"generate_password,omitempty" doc:"Answer a random password, shown once"`

	id string // that the account is to have; "" makes one
}

// CreatedUser is a new user, with the password that was made for him.
type CreatedUser struct {
	User     User             `json:"user"`
	Password gatehouse.Secret `json:"password,omitempty" doc:"Shown this once, when it was generated"`
}

// UserPatch is a merge patch of a user; lists are replaced.
type UserPatch struct {
	DisplayName *string         `json:"display_name,omitempty"`
	Email       *string         `json:"email,omitempty"`
	Roles       *[]string       `json:"roles,omitempty"`
	Groups      *[]string       `json:"groups,omitempty"`
	Attributes  *map[string]any `json:"attributes,omitempty"`
	Disabled    *bool           `json:"disabled,omitempty" doc:"Disabling ends every login and token of the account"`
	Version     *int64          `json:"version,omitempty" doc:"When present, the change is refused unless the account still has this version"`
}

// PasswordChange sets a password. Without New a random one is made and shown
// once; an administrator does not choose other people's passwords (ASVS 6.4.6).
type PasswordChange struct {
	Current gatehouse.Secret `json:"current,omitempty" doc:"Required when changing one's own"`
	New     gatehouse.Secret `json:"new,omitempty" doc:"Only for one's own; absent resets to a random one, shown once"`
}

// PasswordChanged answers a reset with the password that was made.
type PasswordChanged struct {
	Password gatehouse.Secret `json:"password,omitempty" doc:"Shown this once, when it was generated"`
}

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
	Scopes      []string          `json:"scopes" doc:"From the realm's catalogue, or admin:read, admin:write, *"`
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
	Overlap *Duration `json:"overlap,omitempty" doc:"How long the old key goes on working, 0 to 90d, 24h by default; 0 ends it at once"`
}

// KeyUsage is the number of uses on one day.
type KeyUsage struct {
	Day        string    `json:"day" doc:"UTC, 2006-01-02"`
	Count      int64     `json:"count"`
	LastUsedAt time.Time `json:"last_used_at"`
}

// SigningKey is a signing key without its private half.
type SigningKey struct {
	KID         string    `json:"kid"`
	Algorithm   string    `json:"algorithm"`
	State       string    `json:"state" enum:"published,active,retired"`
	CreatedAt   time.Time `json:"created_at"`
	ActivatedAt time.Time `json:"activated_at,omitzero"`
	RetiredAt   time.Time `json:"retired_at,omitzero"`
}

// Grant is an open or ended login.
type Grant struct {
	ID        string    `json:"id"`
	Realm     string    `json:"realm"`
	Subject   string    `json:"subject"`
	ClientID  string    `json:"client_id"`
	Scopes    []string  `json:"scopes"`
	AuthTime  time.Time `json:"auth_time,omitzero"`
	AMR       []string  `json:"amr"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	EndReason string    `json:"end_reason,omitempty"`
}

// Me is who the caller is, as Gatehouse sees him.
type Me struct {
	Realm        string    `json:"realm"`
	ID           string    `json:"id"`
	Kind         string    `json:"kind"`
	Name         string    `json:"name,omitempty"`
	Scheme       string    `json:"scheme"`
	Scopes       []string  `json:"scopes"`
	Roles        []string  `json:"roles" doc:"In effect, inherited ones included"`
	CredentialID string    `json:"credential_id,omitempty"`
	GrantID      string    `json:"grant_id,omitempty"`
	ACR          string    `json:"acr,omitempty"`
	AMR          []string  `json:"amr"`
	AuthTime     time.Time `json:"auth_time,omitzero"`
	ExpiresAt    time.Time `json:"expires_at,omitzero"`
}

// TokenInspection is what is written in a token, whether or not it is true.
type TokenInspection struct {
	Kind    string         `json:"kind" enum:"jwt,access_token,refresh_token,api_key"`
	Header  map[string]any `json:"header,omitempty"`
	Claims  map[string]any `json:"claims,omitempty"`
	ID      string         `json:"id,omitempty" doc:"Public id inside a key or opaque token"`
	Trusted bool           `json:"trusted" doc:"Always false: nothing here has been verified"`
	Note    string         `json:"note"`
}

// TokenVerification is the answer of the verifier that guards requests.
type TokenVerification struct {
	Active    bool      `json:"active"`
	Reason    string    `json:"reason,omitempty" doc:"When not active: the code of the rule that was broken, which the caller of a request does not see"`
	Detail    string    `json:"detail,omitempty" doc:"What the rule missed: the claim, the audiences that are accepted"`
	Subject   string    `json:"subject,omitempty"`
	Name      string    `json:"name,omitempty"`
	Scheme    string    `json:"scheme,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	Scopes    []string  `json:"scopes"`
	GrantID   string    `json:"grant_id,omitempty"`
	TokenID   string    `json:"token_id,omitempty"`
	IssuedAt  time.Time `json:"issued_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// NewRevocation is a cut-off: nothing issued until Before is valid any more.
type NewRevocation struct {
	Kind   string    `json:"kind" enum:"subject,client,session,key,realm" doc:"key means a signing key id"`
	ID     string    `json:"id,omitempty" doc:"Absent for a realm"`
	Before time.Time `json:"before,omitzero" doc:"Not in the future; now by default"`
}

// Revocation is a cut-off that is in effect.
type Revocation struct {
	Kind      string    `json:"kind"`
	ID        string    `json:"id,omitempty"`
	Before    time.Time `json:"before"`
	ExpiresAt time.Time `json:"expires_at" doc:"When everything issued before has expired by itself"`
}

// NewBootstrap makes the first administrator.
type NewBootstrap struct {
	Secret   gatehouse.Secret `json:"secret" doc:"The one-time secret that the first start printed"`
	Username string           `json:"username"`
	Password gatehouse.Secret `json:"password"`
}

// Bootstrapped is the first administrator, with an API key.
type Bootstrapped struct {
	User   User             `json:"user"`
	APIKey gatehouse.Secret `json:"api_key" doc:"Shown this once; it expires after 30 days"`
}

// Question is an access question to explain.
type Question struct {
	Principal string         `json:"principal" doc:"Id or username of a user or service of the realm; empty asks for an anonymous caller"`
	Action    string         `json:"action"`
	Resource  Resource       `json:"resource"`
	Context   map[string]any `json:"context,omitempty" doc:"Facts of the request to assume, such as address, method or time; what is left out is unknown, and time is now"`
	// Policies are tried without being stored.
	Policies map[string]string `json:"policies,omitempty" doc:"Texts of policy documents by id, to be tried beside those stored or in place of those of the same id; nothing is stored"`
}

// Resource is what the question is about.
type Resource struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Parents    []EntityRef    `json:"parents,omitempty"`
}

// EntityRef names an entity.
type EntityRef struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Answer is a decision with its reasons.
type Answer struct {
	Allowed bool               `json:"allowed"`
	Code    string             `json:"code"`
	Reasons []gatehouse.Reason `json:"reasons"`
	Errors  []string           `json:"errors"`
	Missing []string           `json:"missing"`
	// Considered is how many policies could apply by their scope, of Total.
	Considered int            `json:"considered" doc:"How many policies could apply by their scope"`
	Total      int            `json:"total" doc:"How many policies there are"`
	Policies   []policy.Trace `json:"policies" doc:"The policies that matched or failed, then the permits that came nearest, with what they lack"`
}

// RoleInput is what a role is replaced with.
type RoleInput struct {
	Description string              `json:"description,omitempty"`
	Parents     []string            `json:"parents,omitempty" doc:"Roles whose permissions it holds too"`
	Permissions []policy.Permission `json:"permissions,omitempty"`
}

// PolicyInput is what a policy document is replaced with.
type PolicyInput struct {
	Text     string `json:"text" doc:"Cedar policies"`
	Disabled bool   `json:"disabled,omitempty"`
}

// SchemaInput is what a schema is replaced with.
type SchemaInput struct {
	Text string `json:"text" doc:"Cedar schema in the readable syntax; empty removes it"`
}

// EntityInput is what an entity is replaced with.
type EntityInput struct {
	Attributes map[string]any     `json:"attributes,omitempty"`
	Parents    []policy.ParentRef `json:"parents,omitempty"`
}

// TokenText is a token or key to look at.
type TokenText struct {
	Token gatehouse.Secret `json:"token"`
}

// LeakedKey is a key to disable.
type LeakedKey struct {
	Key gatehouse.Secret `json:"key" doc:"The whole key: holding it is the proof"`
}

// SigningKeyRotation asks for a new signing key.
type SigningKeyRotation struct {
	Now bool `json:"now,omitempty" doc:"Sign with it at once, although verifiers may not have fetched it yet"`
}

// SigningKeyRotated names the new key.
type SigningKeyRotated struct {
	KID string `json:"kid"`
}

// LogVerification says what to verify beside the stored log.
type LogVerification struct {
	Checkpoints []string `json:"checkpoints,omitempty" maxItems:"16" doc:"Signed checkpoints that were saved outside of Gatehouse: the log must be the continuation of each, and so each of the one before"`
	Index       *int64   `json:"index,omitempty" minimum:"0" doc:"Prove that this event is in the log, too"`
}

// LogReport is the result of a verification.
type LogReport struct {
	OK bool `json:"ok" doc:"Whether nothing is wrong"`
	audit.Report
	Inclusion *audit.Inclusion `json:"inclusion,omitempty" doc:"The proof for the event that was asked for"`
}

// Checkpoint is a signed note over a realm's log.
type Checkpoint struct {
	Note string `json:"note"`
}

// List is a list that is never paged.
type List[T any] struct {
	Items []T `json:"items"`
}

// Backup is a finished copy of the database.
type Backup struct {
	Name string `json:"name" doc:"Where on the server it lies"`
	Size int64  `json:"size" doc:"Bytes"`
}
