package grant

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/revocation"
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
)

// Reader is what the service reads inside a transaction.
type Reader interface {
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
	User(ctx context.Context, realm, id string) (identity.User, error)
	Grant(ctx context.Context, realm, id string) (Grant, error)
	Refresh(ctx context.Context, hash []byte) (Refresh, error)
}

// Writer is what the service writes inside a transaction.
type Writer interface {
	InsertGrant(ctx context.Context, g Grant) error
	InsertRefresh(ctx context.Context, r Refresh) error
	// UseRefresh marks the token used. Of all callers exactly one wins.
	UseRefresh(ctx context.Context, hash []byte, at time.Time) (won bool, err error)
	EndGrant(ctx context.Context, realm, id string, at time.Time, reason string) (ended bool, err error)
	InsertStatusBit(ctx context.Context, b revocation.StatusBit) error
	InsertOpaqueToken(ctx context.Context, t credential.OpaqueToken) error
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// Tx is the service's view of a transaction.
type Tx interface {
	Reader
	Writer
}

// Config is what a [Service] needs. Every field without a remark is required.
type Config struct {
	Run gatehouse.Runner[Tx]
	// Sign signs an access token with the realm's active key.
	Sign func(ctx context.Context, realm string, a *token.Access) (string, error)
	// Issuer gives the issuer identifier of a realm.
	Issuer func(realm string) string
	// NewStatus allocates a random status list index that lives until expires.
	NewStatus func(expires time.Time) (list, index int64)
	// Revoked asks the local revocation view about a grant: a cut-off for its
	// subject, client, session or realm stops refresh tokens too.
	Revoked func(ref revocation.Ref) (revoked bool, reason string)
	// SuccessorKey is a secret of 32 bytes or more from which each refresh token's
	// successor is derived. It must be the same on all nodes and stay the same
	// over restarts; when it changes, answers lost at that moment are not given
	// again.
	SuccessorKey []byte
	Logger       *slog.Logger     // nil discards
	Now          func() time.Time // nil is time.Now
}

// Service issues, renews and ends grants.
type Service struct{ c Config }

// New checks c and returns the service.
func New(c Config) (*Service, error) {
	if c.Run == nil || c.Sign == nil || c.Issuer == nil || c.NewStatus == nil || c.Revoked == nil {
		return nil, errors.New("grant: Run, Sign, Issuer, NewStatus and Revoked are required")
	}
	if len(c.SuccessorKey) < 32 {
		return nil, errors.New("grant: SuccessorKey must have 32 bytes or more")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{c: c}, nil
}

// Tokens is the answer of the token endpoint (RFC 6749 §5.1).
type Tokens struct {
	AccessToken  gatehouse.Secret
	TokenType    string // "Bearer"
	ExpiresIn    time.Duration
	RefreshToken gatehouse.Secret
	Scopes       []string
	GrantID      string
}

var (
	errInvalidGrant = gatehouse.E(gatehouse.Invalid, "invalid_grant", "The refresh token is not valid: it is unknown, expired, already used, or its grant has ended. Log in again.")
	errInvalidScope = gatehouse.E(gatehouse.Invalid, "invalid_scope", "A requested scope is unknown, malformed or beyond what was granted.")
	errUserRefused  = gatehouse.E(gatehouse.Unauthenticated, "invalid_credentials", "The user name or the password is wrong.")
)

// errStatusTaken says that the transaction must run again with another status
// index: the random one is in use.
var errStatusTaken = errors.New("grant: status index taken")

// IssueForUser opens a grant for a user who has just proved who he is and
// returns its first tokens. p carries realm, subject, amr, acr and auth_time.
// Without scopes the tokens are the user's own ([gatehouse.ScopeAll]); asked
// scopes must be in the realm's catalogue (code invalid_scope).
func (s *Service) IssueForUser(ctx context.Context, realm string, p *gatehouse.Principal, scopes []string) (Tokens, error) {
	if !p.Authenticated() || p.Foreign || p.Realm != realm {
		return Tokens{}, errUserRefused
	}
	now := s.c.Now() // before the transaction: a later cut-off covers the token
	var out issue
	err := s.retryStatus(ctx, func(ctx context.Context, tx Tx) error {
		out = issue{now: now}
		rl, err := s.openRealm(ctx, tx, realm)
		if err != nil {
			return err
		}
		granted, err := chooseScopes(rl, []string{gatehouse.ScopeAll}, scopes)
		if err != nil {
			return err
		}
		u, err := tx.User(ctx, realm, p.ID)
		if errors.Is(err, gatehouse.NotFound) || err == nil && u.Disabled {
			return errUserRefused // gone between the check and this transaction
		}
		if err != nil {
			return err
		}
		out.realm, out.user = rl, u
		out.grant = s.newGrant(rl, p, granted, now)
		if err := tx.InsertGrant(ctx, out.grant); err != nil {
			if errors.Is(err, gatehouse.Conflict) {
				return errStatusTaken
			}
			return err
		}
		out.scopes = granted
		if err := s.insertRefresh(ctx, tx, &out, mint(credential.PrefixRefresh), 0); err != nil {
			return err
		}
		if err := s.storeOpaque(ctx, tx, &out); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, event(ctx, out.grant, now, audit.KindTokenIssue, gatehouse.OutcomeSuccess, "", u.Username))
	})
	if err != nil {
		return Tokens{}, err
	}
	return s.answer(ctx, &out)
}

// retryStatus runs fn again while the status index it drew is taken. Lists are
// sparse, so a few attempts are far more than enough.
func (s *Service) retryStatus(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error {
	var err error
	for range 5 {
		if err = s.c.Run(ctx, fn); !errors.Is(err, errStatusTaken) {
			return err
		}
	}
	return gatehouse.E(gatehouse.Unavailable, "temporarily_unavailable", "The server cannot do this at the moment.").With(err)
}

func (s *Service) newGrant(rl gatehouse.Realm, p *gatehouse.Principal, scopes []string, now time.Time) Grant {
	settings := rl.Settings.Defaults()
	g := Grant{
		ID:        gatehouse.NewID("grt", now),
		Realm:     rl.Name,
		Subject:   p.ID,
		ClientID:  FirstPartyClient,
		SessionID: p.SessionID,
		Scopes:    scopes,
		Audience:  []string{s.audience(rl)},
		AuthTime:  p.AuthTime,
		AMR:       p.AMR,
		ACR:       p.ACR,
		CreatedAt: now,
		ExpiresAt: now.Add(settings.GrantTTL),
	}
	if g.AuthTime.IsZero() {
		g.AuthTime = now
	}
	g.StatusList, g.StatusIdx = s.c.NewStatus(g.ExpiresAt)
	return g
}

func (s *Service) audience(rl gatehouse.Realm) string {
	if rl.Settings.Audience != "" {
		return rl.Settings.Audience
	}
	return s.c.Issuer(rl.Name)
}

// openRealm reads a realm that may issue tokens.
func (s *Service) openRealm(ctx context.Context, tx Tx, name string) (gatehouse.Realm, error) {
	rl, err := tx.Realm(ctx, name)
	if err != nil {
		return rl, err
	}
	if rl.Disabled {
		return rl, gatehouse.E(gatehouse.NotFound, "realm_not_found", "There is no such realm.")
	}
	return rl, nil
}

// End ends a grant: it, its status bit and the event are written in one
// transaction, and no checker accepts its tokens once End has returned. Ending
// a grant that has ended is no error; ended tells whether this call did it.
func (s *Service) End(ctx context.Context, realm, grantID, reason string) (ended bool, err error) {
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		g, err := tx.Grant(ctx, realm, grantID)
		if err != nil {
			return err
		}
		ended, err = end(ctx, tx, g, s.c.Now(), audit.KindGrantEnd, reason)
		return err
	})
	return ended, err
}

// end ends g inside tx. The status bit is written even when the grant had
// ended: it is idempotent, and a bit too many only denies.
func end(ctx context.Context, tx Tx, g Grant, now time.Time, kind, reason string) (bool, error) {
	ended, err := tx.EndGrant(ctx, g.Realm, g.ID, now, reason)
	if err != nil {
		return false, err
	}
	if err := tx.InsertStatusBit(ctx, revocation.NewStatusBit(g.Realm, g.StatusList, g.StatusIdx)); err != nil {
		return false, err
	}
	if !ended {
		return false, nil
	}
	return true, tx.AppendEvents(ctx, event(ctx, g, now, kind, gatehouse.OutcomeSuccess, reason, ""))
}

// event describes something that happened to g. Who did it is the principal of
// the context, or g's own subject (a refresh token names nobody else).
func event(ctx context.Context, g Grant, now time.Time, kind string, outcome gatehouse.Outcome, reason, name string) gatehouse.Event {
	actor := gatehouse.Actor{Kind: gatehouse.KindUser, ID: g.Subject, Name: name, Credential: g.ID}
	if p := gatehouse.PrincipalFrom(ctx); p.Authenticated() {
		actor = gatehouse.Actor{Kind: p.Kind, ID: p.ID, Name: p.Name, Credential: p.CredentialID, Scheme: p.Scheme}
	}
	return gatehouse.Event{
		Time: now, Realm: g.Realm, Kind: kind, Actor: actor,
		Target: gatehouse.Target{Type: "grant", ID: g.ID}, Outcome: outcome, Reason: reason,
		RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx),
		Detail: map[string]string{"subject": g.Subject, "client_id": g.ClientID},
	}
}
