package grant

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// Renew renews the tokens of a grant with its unused refresh token: the token is
// used up and its successor stored in one transaction, and of concurrent calls
// exactly one does it. The order may narrow the scopes of the new access token and
// choose among the grant's audiences; the grant keeps its own.
//
// A token that is nothing without a key stays what it is, and its time begins anew (FAPI 2.0 §5.3.2.1): an exchange
// would protect nobody, and lose the grant of a client that loses an answer.
//
// A token that was used before ends the whole family (RFC 9700 §4.14.2), except
// within the realm's RefreshGrace of its use and while its successor is unused:
// then the client has lost the answer, and gets the same successor again.
func (s *Service) Renew(ctx context.Context, o Order, presented gatehouse.Secret) (Tokens, error) {
	hash, err := parseRefresh(presented)
	if err != nil {
		return Tokens{}, err
	}
	return s.run(ctx, o, &renewal{s: s, presented: presented, hash: hash, next: s.successor(presented)})
}

// renewal is the kind of grant that a refresh token renews.
type renewal struct {
	s         *Service
	presented gatehouse.Secret
	hash      []byte
	next      minted
	old       Refresh
}

func (k *renewal) who() string  { return "" }
func (k *renewal) begins() bool { return false }

// origin reads the presented token and its grant, and refuses a token that is bound to what was not proven.
func (k *renewal) origin(ctx context.Context, tx Tx, i *issue) error {
	if err := k.read(ctx, tx, i); err != nil || i.refused {
		return err
	}
	// A stolen refresh token is nothing without the key. It is not used up, or whoever stole it could end the grant.
	if i.grant.Confirmation.Bound() && i.grant.Confirmation != i.order.Confirmation {
		i.refused = true
		return nil
	}
	if i.order.Public && !i.grant.Confirmation.Bound() && i.order.Confirmation.Bound() { // it would stay a bearer's (RFC 9449 §5)
		i.refused = true
	}
	return nil
}

// read reads the presented token and its grant. One that is gone, over or of
// another realm is refused.
func (k *renewal) read(ctx context.Context, tx Tx, i *issue) error {
	f, err := tx.Family(ctx, k.hash)
	if errors.Is(err, gatehouse.NotFound) {
		i.refused = true
		return nil
	}
	if err != nil {
		return err
	}
	r, g := f.Refresh, f.Grant
	if r.Realm != i.realm.Name || g.Realm != i.realm.Name || !g.EndedAt.IsZero() || !i.now.Before(g.ExpiresAt) || !i.now.Before(r.ExpiresAt) {
		i.refused = true
		return nil
	}
	k.old, i.grant, i.cutOff, i.kind = r, g, f.CutOff, audit.KindTokenRefresh
	i.available, i.audiences, i.sid, i.given = g.Scopes, g.Audience, g.SessionID, g.Details
	if i.order.By != nil { // never more than the client may have now
		i.available = both(g.Scopes, i.client.Metadata.ScopesOf(i.realm.Settings))
	}
	return nil
}

// issue uses up the old token and stores the next, or finds out that it was used
// already.
func (k *renewal) issue(ctx context.Context, tx Tx, i *issue) error {
	usedAt := k.old.UsedAt
	if usedAt.IsZero() {
		won, made, err := k.take(ctx, tx, i)
		if err != nil {
			return err
		}
		if won {
			return k.s.store(ctx, tx, i, made)
		}
		again, err := tx.Family(ctx, k.old.Hash) // somebody else won meanwhile
		if err != nil {
			return err
		}
		usedAt = again.Refresh.UsedAt
	}
	lost, err := k.lostAnswer(ctx, tx, i, usedAt)
	if err != nil {
		return err
	}
	if lost {
		i.refresh, i.reason = k.next.text, "repeated"
		return k.s.store(ctx, tx, i, Issued{})
	}
	i.refused = true
	_, err = end(ctx, tx, i.grant.Realm, i.grant.ID, i.now, audit.KindTokenReuse, ReasonReuse)
	return err
}

// take uses up the presented token for the next one, or has it stay; won is false where somebody else used it meanwhile.
func (k *renewal) take(ctx context.Context, tx Tx, i *issue) (won bool, made Issued, err error) {
	if i.constrained() {
		i.refresh = k.presented
		won, err = tx.KeepRefresh(ctx, k.old.Hash, i.now, i.refreshEnds())
		return won, made, err
	}
	if won, err = tx.UseRefresh(ctx, k.old.Hash, i.now); won {
		made.Refresh = k.s.newRefresh(i, k.next, k.old.Sequence+1)
	}
	return won, made, err
}

// constrained reports whether a refresh token of the grant is nothing to whoever does not have a key: that which it is bound to
// (RFC 9449 §5), or that by which a client of FAPI 2.0 signs who it is. One of a client with a secret is exchanged, whatever its
// access tokens are bound to: secrets are copied.
func (i *issue) constrained() bool {
	return i.grant.Confirmation.Bound() || i.client.Metadata.FAPI2() && (i.client.Metadata.HasKeys() || i.client.Metadata.ByTLS())
}

// lostAnswer reports whether a used token is shown again by a client that lost
// the answer: soon after its use, and while nobody has used the successor. A
// thief who is that quick shares the successor with the owner, and the second
// use of that one ends the family.
func (k *renewal) lostAnswer(ctx context.Context, tx Tx, i *issue, usedAt time.Time) (bool, error) {
	grace := i.realm.Settings.Defaults().RefreshGrace
	if grace <= 0 || usedAt.IsZero() || i.now.After(usedAt.Add(min(grace, maxGrace))) {
		return false, nil
	}
	child, err := tx.Family(ctx, k.next.hash)
	if errors.Is(err, gatehouse.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	next := child.Refresh
	return next.UsedAt.IsZero() && next.GrantID == i.grant.ID && i.now.Before(next.ExpiresAt), nil
}

// maxGrace bounds RefreshGrace whatever a realm says: a longer one would be a
// second lifetime for stolen tokens.
const maxGrace = 30 * time.Second
