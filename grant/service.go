package grant

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/rar"
	"github.com/gatehouse-auth/gatehouse/token"
)

// FirstPartyClient is the client_id of tokens that a user obtains for himself
// with his password, without a registered client in between.
const FirstPartyClient = "gatehouse-first-party"

// Why a grant ended, as stored in Grant.EndReason and in the event.
const (
	ReasonLogout       = "logout"
	ReasonReuse        = "refresh_reuse"
	ReasonUserDisabled = "user_disabled"
	ReasonPassword     = "password_changed"
	ReasonRevoked      = "revoked"
	ReasonSession      = "session_ended" // of what ends with it
	ReasonCodeReuse    = "code_reuse"
	ReasonConsent      = "consent_revoked" // the person, or an administrator, took it back
	ReasonParent       = "exchanged_ended" // the grant ended whose token was exchanged for it
)

// Tx is the service's view of a transaction, in its parts.
type Tx struct {
	Parties
	Families
	Codes
	Consents
}

// Codes reads and uses up authorization codes, and the sessions in which people gave them.
type Codes interface {
	Once(ctx context.Context, kind once.Kind, key []byte) (once.Record, error)
	PutOnce(ctx context.Context, r once.Record) error
	// TakeOnce removes a code that has not ended: only one caller gets it, the others gatehouse.NotFound.
	TakeOnce(ctx context.Context, kind once.Kind, key []byte, now time.Time) (once.Record, error)
	// LiveSessions lists the sessions of a user that have not ended by now and were used after a time. Nobody ends what it
	// returned before the transaction does.
	LiveSessions(ctx context.Context, realm, user string, now, used time.Time) ([]gatehouse.Session, error)
	// CutOff is the latest cut-off that is set for one of them, or for the realm.
	CutOff(ctx context.Context, realm, subject, client, session string) (time.Time, error)
}

// Parties reads who tokens are for.
type Parties interface {
	// Party returns a realm with one of its users: nil when user is "", or is not there.
	Party(ctx context.Context, realm, user string) (gatehouse.Realm, *identity.User, error)
	User(ctx context.Context, realm, id string) (identity.User, error)
	Client(ctx context.Context, realm, id string) (client.Client, error)
}

// Families reads and writes grants and what comes of them.
type Families interface {
	// Family returns a refresh token by its hash, with its grant and the cut-offs. Who
	// sets a cut-off and holds the realm or the user comes before or after this
	// transaction as a whole.
	Family(ctx context.Context, hash []byte) (Family, error)
	// UseRefresh marks the token used. Of all callers exactly one wins.
	UseRefresh(ctx context.Context, hash []byte, at time.Time) (won bool, err error)
	// KeepRefresh has the time of an unused token begin anew; false where it was used.
	KeepRefresh(ctx context.Context, hash []byte, at, expires time.Time) (unused bool, err error)
	// InsertIssued stores what is there of a grant, a refresh and an opaque token, at once or
	// with the commit; a Conflict is its error or the runner's.
	InsertIssued(ctx context.Context, i Issued) error
	// EndGrant ends a grant and sets its status bit. It returns the grant; ended
	// tells whether this call did it. An unknown grant is NotFound.
	EndGrant(ctx context.Context, realm, id string, at time.Time, reason string) (g gatehouse.Grant, ended bool, err error)
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
	// Grant returns a grant. Nobody ends it before the transaction does.
	Grant(ctx context.Context, realm, id string) (gatehouse.Grant, error)
}

// Config is what a [Service] needs. Every field without a remark is required.
type Config struct {
	Run gatehouse.Runner[Tx]
	// Sign signs an access token with the realm's active key.
	Sign func(ctx context.Context, realm string, a *token.Access) (string, error)
	// SignID signs an ID token with a key of the realm for alg.
	SignID func(ctx context.Context, realm string, alg token.Algorithm, t *token.ID) (string, error)
	// Issuer gives the issuer identifier of a realm.
	Issuer func(realm string) string
	// NewStatus allocates a random status list index that lives until expires.
	NewStatus func(expires time.Time) (list, index int64)
	// SuccessorKey is a secret of 32 bytes or more from which each refresh token's
	// successor is derived. It must be the same on all nodes and stay the same
	// over restarts; when it changes, answers lost at that moment are not given
	// again.
	SuccessorKey []byte
	// Find reads an authorization code without using it: invented ones must not cost a write.
	Find func(ctx context.Context, kind once.Kind, key []byte) (once.Record, error)
	// Consent reads what a user lets a client have; nothing is gatehouse.NotFound.
	Consent func(ctx context.Context, realm, user, client string) (Consent, error)
	// Box seals what codes stand for.
	Box *seal.Box
	Now func() time.Time // nil is time.Now
}

// Service opens, renews and ends grants.
type Service struct {
	c       Config
	details rar.Reader
}

// New checks c and returns the service.
func New(c Config) (*Service, error) {
	if c.Run == nil || c.Sign == nil || c.SignID == nil || c.Issuer == nil || c.NewStatus == nil || c.Find == nil || c.Consent == nil || c.Box == nil {
		return nil, errors.New("grant: Run, Sign, SignID, Issuer, NewStatus, Find, Consent and Box are required")
	}
	if len(c.SuccessorKey) < 32 {
		return nil, errors.New("grant: SuccessorKey must have 32 bytes or more")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{c: c}, nil
}

// Tokens is what a grant gives (RFC 6749 §5.1).
type Tokens struct {
	AccessToken  gatehouse.Secret
	TokenType    string // "Bearer" or "DPoP"
	ExpiresIn    time.Duration
	RefreshToken gatehouse.Secret // "" for a client's own grant, which needs none (RFC 6749 §4.4.3)
	IDToken      gatehouse.Secret // of OpenID Connect; "" where that was not asked for
	Scopes       []string
	Details      gatehouse.Details
	GrantID      string
}

var (
	errInvalidGrant = gatehouse.E(gatehouse.Invalid, "invalid_grant", "The code or refresh token is not valid: it is unknown, another client's, expired, already used, or what it stands for has ended. Have the person sign in again.")
	// ErrInvalidScope refuses scopes (RFC 6749 §5.2).
	ErrInvalidScope = gatehouse.E(gatehouse.Invalid, "invalid_scope", "A requested scope is unknown, malformed or beyond what was granted.")
	// RFC 8707 §2.
	errInvalidTarget = gatehouse.E(gatehouse.Invalid, "invalid_target", "No token can be had here for the resource that was asked for. The realm's audiences list those that can.")
)

// End ends a grant: it, its status bit and the event are written in one
// transaction, and no checker accepts its tokens once End has returned. Ending
// a grant that has ended is no error; ended tells whether this call did it.
func (s *Service) End(ctx context.Context, realm, grantID, reason string) (ended bool, err error) {
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) (err error) {
		ended, err = end(ctx, tx, realm, grantID, s.c.Now(), audit.KindGrantEnd, reason)
		return err
	})
	return ended, err
}

// end ends a grant inside tx, and records it when it had not ended before.
func end(ctx context.Context, tx Tx, realm, id string, now time.Time, kind, reason string) (bool, error) {
	g, ended, err := tx.EndGrant(ctx, realm, id, now, reason)
	if err != nil || !ended {
		return false, err
	}
	return true, tx.AppendEvents(ctx, event(ctx, g, now, kind, reason, ""))
}

// event describes something that happened to g. Who did it is the principal of
// the context, or g's own subject (a refresh token names nobody else).
func event(ctx context.Context, g gatehouse.Grant, now time.Time, kind, reason, name string) gatehouse.Event {
	actor := gatehouse.Actor{Kind: g.SubjectKind(), ID: g.Subject, Name: name, Credential: g.ID}
	if p := gatehouse.PrincipalFrom(ctx); p.Authenticated() {
		actor = gatehouse.Actor{Kind: p.Kind, ID: p.ID, Name: p.Name, Credential: p.CredentialID, Scheme: p.Scheme}
	}
	return gatehouse.Event{
		Time: now, Realm: g.Realm, Kind: kind, Actor: actor,
		Target: gatehouse.Target{Type: "grant", ID: g.ID}, Outcome: gatehouse.OutcomeSuccess, Reason: reason,
		RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx),
		Detail: map[string]string{"subject": g.Subject, "client_id": g.ClientID},
	}
}
