package sessions

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/session"
)

var errSession = gatehouse.E(gatehouse.NotFound, "session_not_found", "This user has no such session.")

// Why a session is not open that nobody has ended.
const (
	reasonExpired = "expired"
	reasonIdle    = "idle"
	reasonCutOff  = "realm_cutoff"
)

// List lists the sessions of a user (id, username, "me"), those of the last day that are over among them.
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal, realm, user, after string, limit int) (kernel.Page[Session], error) {
	id := s.c.Users.Resolve(ctx, actor, realm, user)
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRead, policy.AdminGrants, realm, id, id); err != nil {
		return kernel.Page[Session]{}, err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err != nil {
		return kernel.Page[Session]{}, err
	}
	limit = kernel.Limit(limit)
	list, err := s.c.Sessions.Sessions(ctx, realm, id, after, limit+1)
	if err == nil && len(list) == 0 {
		_, err = s.c.Users.Find(ctx, realm, id)
	}
	if err != nil {
		return kernel.Page[Session]{}, err
	}
	now := s.k.Now()
	return kernel.Paged(list, limit, func(v gatehouse.Session) string { return v.ID }, func(v gatehouse.Session) Session {
		return s.view(v, rl, actor, now)
	}), nil
}

// view shows a session as those who check its cookie see it.
func (s *Service) view(v gatehouse.Session, rl gatehouse.Realm, actor *gatehouse.Principal, now time.Time) Session {
	settings := rl.Settings.Defaults()
	out := Session{ID: v.ID, Realm: v.Realm, UserID: v.UserID, CreatedAt: v.CreatedAt, AuthTime: v.AuthTime, AMR: kernel.Some(v.AMR), ACR: v.ACR,
		LastUsedAt: v.LastUsedAt, ExpiresAt: v.ExpiresAt, Address: v.Address, UserAgent: v.UserAgent, Bound: v.DeviceHash != nil,
		Current: actor.Realm == v.Realm && actor.SessionID == v.ID, EndedAt: v.EndedAt, EndReason: v.EndReason}
	if end := v.CreatedAt.Add(settings.SessionTTL); end.Before(v.ExpiresAt) {
		out.ExpiresAt = end
	}
	revoked, reason := s.c.Revoked(revocation.Ref{Realm: v.Realm, Subject: v.UserID, Session: v.ID, IssuedAt: v.CreatedAt})
	switch {
	case !v.EndedAt.IsZero():
	case rl.CutOff(v.CreatedAt):
		out.EndedAt, out.EndReason = rl.CutOffAt, reasonCutOff
	case revoked:
		out.EndReason = reason
	case !now.Before(out.ExpiresAt):
		out.EndedAt, out.EndReason = out.ExpiresAt, reasonExpired
	case now.Sub(v.LastUsedAt) >= settings.SessionIdle:
		out.EndedAt, out.EndReason = v.LastUsedAt.Add(settings.SessionIdle), reasonIdle
	default:
		out.Open = true
	}
	return out
}

// End ends one session of a user. Everybody may end his own. Errors: session_not_found.
func (s *Service) End(ctx context.Context, actor *gatehouse.Principal, realm, user, id string) error {
	owner, reason, err := s.mayEnd(ctx, actor, realm, user)
	if err != nil {
		return err
	}
	return kernel.OrMissing(s.c.Life.End(gatehouse.WithPrincipal(ctx, actor), realm, owner, id, reason), errSession)
}

// EndAll ends every session of a user but the one with the id except, which may be "".
// Everybody may end his own.
func (s *Service) EndAll(ctx context.Context, actor *gatehouse.Principal, realm, user, except string) (Ended, error) {
	owner, reason, err := s.mayEnd(ctx, actor, realm, user)
	if err != nil {
		return Ended{}, err
	}
	if _, err := s.c.Users.Find(ctx, realm, owner); err != nil {
		return Ended{}, err
	}
	n, err := s.c.Life.EndAll(gatehouse.WithPrincipal(ctx, actor), realm, owner, except, reason)
	return Ended{n}, err
}

// Disown takes the actor's word that somebody else opened a session of the own account: it ends, and all browsers and networks in
// which the account was used are unknown from then on. A session that is over or not there is no error.
func (s *Service) Disown(ctx context.Context, actor *gatehouse.Principal, id string) error {
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRevoke, policy.AdminGrants, actor.Realm, actor.ID, actor.ID); err != nil {
		return err
	}
	return s.c.Life.Disown(gatehouse.WithPrincipal(ctx, actor), actor.Realm, actor.ID, id)
}

// mayEnd authorizes the end of sessions, and says whose they are and for what reason they end.
func (s *Service) mayEnd(ctx context.Context, actor *gatehouse.Principal, realm, user string) (owner, reason string, err error) {
	owner = s.c.Users.Resolve(ctx, actor, realm, user)
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRevoke, policy.AdminGrants, realm, owner, owner); err != nil {
		return "", "", err
	}
	if kernel.IsSelf(actor, realm, owner) {
		return owner, session.ReasonOwner, nil
	}
	return owner, session.ReasonAdmin, nil
}
