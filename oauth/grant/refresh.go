package grant

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// verdict is what one transaction found out about a presented refresh token.
// Everything but rotated and repeated is answered with invalid_grant; the
// caller is not told which it was.
type verdict uint8

const (
	refused  verdict = iota // unknown, expired or of an ended grant
	rotated                 // this call won; its successor was stored
	repeated                // lost answer within the grace: the same successor again
	ended                   // reuse or a user who may no longer: the family ended
)

// Refresh renews the tokens of a grant with its unused refresh token: the token
// is used up and its successor stored in one transaction, and of concurrent
// calls exactly one does it. asked may narrow the scopes of the new access
// token; the grant keeps its own.
//
// A token that was used before ends the whole family (RFC 9700 §4.14.2), except
// within the realm's RefreshGrace of its use and while its successor is unused:
// then the client has lost the answer, and gets the same successor again.
func (s *Service) Refresh(ctx context.Context, realm string, presented gatehouse.Secret, asked []string) (Tokens, error) {
	hash, err := parseRefresh(presented)
	if err != nil {
		return Tokens{}, err
	}
	next := s.successor(presented)
	now := s.c.Now()
	var out issue
	var v verdict
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		out, v = issue{now: now}, refused
		rl, err := s.openRealm(ctx, tx, realm)
		if err != nil {
			return err
		}
		out.realm = rl
		old, err := s.family(ctx, tx, &out, realm, hash)
		if errors.Is(err, gatehouse.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if reason, err := s.userMayGoOn(ctx, tx, &out); err != nil {
			return err
		} else if reason != "" {
			v = ended
			return s.endFamily(ctx, tx, out.grant, now, audit.KindGrantEnd, reason)
		}
		if out.scopes, err = chooseScopes(rl, out.grant.Scopes, asked); err != nil {
			return err
		}
		v, err = s.rotate(ctx, tx, &out, old, next)
		return err
	})
	if err != nil {
		return Tokens{}, err
	}
	if v != rotated && v != repeated {
		return Tokens{}, errInvalidGrant
	}
	return s.answer(ctx, &out)
}

// family reads the presented token and its grant; NotFound when either is gone,
// over, or of another realm.
func (s *Service) family(ctx context.Context, tx Tx, out *issue, realm string, hash []byte) (Refresh, error) {
	r, err := tx.Refresh(ctx, hash)
	if err != nil {
		return r, err
	}
	if r.Realm != realm {
		return r, gatehouse.NotFound
	}
	g, err := tx.Grant(ctx, realm, r.GrantID)
	if err != nil {
		return r, err
	}
	if !g.EndedAt.IsZero() || !out.now.Before(g.ExpiresAt) || !out.now.Before(r.ExpiresAt) {
		return r, gatehouse.NotFound
	}
	out.grant = g
	return r, nil
}

// userMayGoOn looks at the user as he is now; a reason means that he may not.
func (s *Service) userMayGoOn(ctx context.Context, tx Tx, out *issue) (reason string, err error) {
	u, err := tx.User(ctx, out.grant.Realm, out.grant.Subject)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return ReasonUserDisabled, nil
	case err != nil:
		return "", err
	case u.Disabled:
		return ReasonUserDisabled, nil
	case u.PasswordAt.After(out.grant.CreatedAt):
		return ReasonPassword, nil
	}
	g := out.grant
	if cut, _ := s.c.Revoked(revocation.Ref{Realm: g.Realm, Subject: g.Subject, Client: g.ClientID, Session: g.SessionID,
		IssuedAt: g.CreatedAt, HasStatus: true, List: g.StatusList, Index: g.StatusIdx}); cut {
		return ReasonRevoked, nil
	}
	out.user = u
	return "", nil
}

// rotate uses up old and stores next, or finds out that old was used already.
func (s *Service) rotate(ctx context.Context, tx Tx, out *issue, old Refresh, next minted) (verdict, error) {
	g, now := out.grant, out.now
	usedAt := old.UsedAt
	if usedAt.IsZero() {
		won, err := tx.UseRefresh(ctx, old.Hash, now)
		if err != nil {
			return refused, err
		}
		if won {
			if err := s.insertRefresh(ctx, tx, out, next, old.Sequence+1); err != nil {
				return refused, err
			}
			if err := s.storeOpaque(ctx, tx, out); err != nil {
				return refused, err
			}
			return rotated, tx.AppendEvents(ctx, event(ctx, g, now, audit.KindTokenRefresh, gatehouse.OutcomeSuccess, "", out.user.Username))
		}
		again, err := tx.Refresh(ctx, old.Hash) // somebody else won meanwhile
		if err != nil {
			return refused, err
		}
		usedAt = again.UsedAt
	}
	ok, err := s.lostAnswer(ctx, tx, out, usedAt, next)
	if err != nil {
		return refused, err
	}
	if ok {
		out.refresh = next.text
		if err := s.storeOpaque(ctx, tx, out); err != nil {
			return refused, err
		}
		return repeated, tx.AppendEvents(ctx, event(ctx, g, now, audit.KindTokenRefresh, gatehouse.OutcomeSuccess, "repeated", out.user.Username))
	}
	return ended, s.endFamily(ctx, tx, g, now, audit.KindTokenReuse, ReasonReuse)
}

// lostAnswer reports whether a used token is shown again by a client that lost
// the answer: soon after its use, and while nobody has used the successor. A
// thief who is that quick shares the successor with the owner, and the second
// use of that one ends the family.
func (s *Service) lostAnswer(ctx context.Context, tx Tx, out *issue, usedAt time.Time, next minted) (bool, error) {
	grace := out.realm.Settings.Defaults().RefreshGrace
	if grace <= 0 || usedAt.IsZero() || out.now.After(usedAt.Add(min(grace, maxGrace))) {
		return false, nil
	}
	child, err := tx.Refresh(ctx, next.hash)
	if errors.Is(err, gatehouse.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return child.UsedAt.IsZero() && child.GrantID == out.grant.ID && out.now.Before(child.ExpiresAt), nil
}

// maxGrace bounds RefreshGrace whatever a realm says: a longer one would be a
// second lifetime for stolen tokens.
const maxGrace = 30 * time.Second

// endFamily ends g within a transaction that commits although the caller is
// refused: the refusal must not undo the end.
func (s *Service) endFamily(ctx context.Context, tx Tx, g Grant, now time.Time, kind, reason string) error {
	_, err := end(ctx, tx, g, now, kind, reason)
	return err
}

// chooseScopes returns what a token gets: have, or the asked part of it. Have
// [gatehouse.ScopeAll] covers the realm's catalogue and the administrative
// scopes, which still need the roles behind them.
func chooseScopes(rl gatehouse.Realm, have, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return have, nil
	}
	if len(asked) > 100 {
		return nil, errInvalidScope
	}
	out := make([]string, 0, len(asked))
	for _, a := range asked {
		_, known := rl.Settings.Scopes[a]
		known = known || rl.Name == gatehouse.MainRealm && (a == "admin:read" || a == "admin:write")
		all := slices.Contains(have, gatehouse.ScopeAll)
		if !(all && (known || a == gatehouse.ScopeAll) || slices.Contains(have, a)) {
			return nil, errInvalidScope
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return out, nil
}

// issue gathers what one transaction decided, for the answer after it.
type issue struct {
	now     time.Time
	realm   gatehouse.Realm
	user    identity.User
	grant   Grant
	scopes  []string // of the access token
	refresh gatehouse.Secret
	opaque  gatehouse.Secret // set when the realm's tokens are opaque
}
