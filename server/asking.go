package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

// asking verifies credentials by the database alone, for routes that say so while the view
// of this node is too old. Each question has an authenticator of its own, which remembers
// nothing.
type asking struct {
	db       *store.DB
	cfg      authn.Config
	password func(ctx context.Context, a authn.PasswordAttempt) (gatehouse.Subject, time.Time, error)
	foreign  *foreignKeys

	mu      sync.Mutex
	sources map[string]token.KeySource // of foreign issuers, by all that the realm says of them
}

// newAsking makes it of the configuration of the authenticator that answers from memory.
func (s *Server) newAsking(cfg authn.Config) *asking {
	a := &asking{db: s.db, cfg: cfg, password: cfg.Password, foreign: newForeignKeys(s.log, s.now), sources: map[string]token.KeySource{}}
	s.closers = append(s.closers, func(context.Context) { a.foreign.close() })
	a.cfg.Tickets, a.cfg.ForeignKeys, a.cfg.CacheSize = nil, a.source, 16
	return a
}

// Supports implements enforce.Authenticator.
func (a *asking) Supports(s gatehouse.Scheme) bool {
	k, known := authn.KindOf(s)
	return known && !k.StandIn
}

// Authenticate implements enforce.Authenticator.
func (a *asking) Authenticate(ctx context.Context, realm string, p authn.Presented, rule authn.Rule) (*gatehouse.Principal, error) {
	if err := a.db.Primary(ctx); err != nil {
		return nil, authn.ErrUnavailable.With(err)
	}
	q := &question{db: a.db}
	cfg := a.cfg
	cfg.Subject = q.subject
	cfg.Revocations = revocations(func(ref revocation.Ref) (bool, string) { return q.revoked(ctx, ref) })
	cfg.Password = func(ctx context.Context, at authn.PasswordAttempt) (gatehouse.Subject, time.Time, error) {
		return q.passwordOf(ctx, at, a.password)
	}
	once, err := authn.New(cfg)
	if err != nil {
		return nil, err
	}
	principal, err := once.Authenticate(ctx, realm, p, rule)
	if q.err != nil {
		return nil, authn.ErrUnavailable.With(q.err)
	}
	return principal, err
}

// source makes the key source of a foreign issuer once for each way in which a realm
// describes it: its keys are no matter of the view.
func (a *asking) source(realm string, issuer gatehouse.TrustedIssuer) (token.KeySource, error) {
	key := fmt.Sprintf("%q %#v", realm, issuer)
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.sources[key]; known != nil {
		return known, nil
	}
	made, err := a.foreign.source(realm, issuer)
	if err == nil {
		if len(a.sources) >= 4096 { // realms that change again and again
			clear(a.sources)
		}
		a.sources[key] = made
	}
	return made, err
}

// question is what one request asks the database.
type question struct {
	db  *store.DB
	err error // why an answer is none
}

// subject reads an account.
func (q *question) subject(ctx context.Context, realm, id string) (gatehouse.Subject, error) {
	u, err := q.db.User(ctx, realm, id)
	return u.Subject(), err
}

// passwordOf: that a password was right may be remembered, since it is bound to the time at
// which it was set; whether that is the password still, and the account usable, is asked.
func (q *question) passwordOf(ctx context.Context, at authn.PasswordAttempt,
	verify func(context.Context, authn.PasswordAttempt) (gatehouse.Subject, time.Time, error)) (s gatehouse.Subject, set time.Time, err error) {
	if s, set, err = verify(ctx, at); err != nil {
		return s, set, err
	}
	u, err := q.db.User(ctx, at.Realm, s.ID)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return gatehouse.Subject{}, set, credential.ErrInvalidCredentials
	case err != nil:
		q.err = err
		return gatehouse.Subject{}, set, err
	case !u.PasswordAt.Equal(set) || u.Subject().Disabled:
		return gatehouse.Subject{}, set, credential.ErrInvalidCredentials
	}
	return u.Subject(), set, nil
}

// revoked answers by the same rules as the view, of what the database has about one
// credential.
func (q *question) revoked(ctx context.Context, ref revocation.Ref) (bool, string) {
	view := revocation.NewView()
	if q.err = view.Load(ctx, endsOf{q.db, ref}); q.err != nil {
		return true, revocation.ReasonUnknown
	}
	return view.Revoked(ref)
}

// revocations are authn.Revocations.
type revocations func(ref revocation.Ref) (bool, string)

func (f revocations) Revoked(ref revocation.Ref) (bool, string) { return f(ref) }

// endsOf is the part of the database's revocations that concerns one credential.
type endsOf struct {
	db  *store.DB
	ref revocation.Ref
}

func (e endsOf) EachStatusBit(ctx context.Context, take func(revocation.StatusBit) error) error {
	if !e.ref.HasStatus {
		return nil
	}
	return e.db.StatusBitAt(ctx, e.ref, take)
}

func (e endsOf) EachCutoff(ctx context.Context, take func(revocation.Cutoff) error) error {
	return e.db.CutoffsOf(ctx, e.ref, take)
}
