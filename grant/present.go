package grant

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// Refreshable is what an unused refresh token stands for.
type Refreshable struct {
	Grant     gatehouse.Grant
	IssuedAt  time.Time
	ExpiresAt time.Time // of the token; the grant may end earlier, never later
}

// IsRefresh reports whether a text has the form of a refresh token.
func IsRefresh(text gatehouse.Secret) bool {
	_, err := parseRefresh(text)
	return err == nil
}

// Inspect returns what a refresh token of client stands for, when Renew would renew it now (RFC 7662 §2.2). One of
// another client, one that was used and one that is unknown are all the same error, code invalid_grant.
func (s *Service) Inspect(ctx context.Context, realm, client string, presented gatehouse.Secret) (out Refreshable, err error) {
	hash, err := parseRefresh(presented)
	if err != nil {
		return out, err
	}
	k := &renewal{s: s, hash: hash}
	i := issue{order: Order{Realm: realm, Client: client}, now: s.c.Now()}
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if err := s.parties(ctx, tx, &i, ""); err != nil {
			return err
		}
		if err := k.read(ctx, tx, &i); err != nil || i.refused {
			return err
		}
		why, err := s.mayNotGoOn(ctx, tx, &i) // and nothing ends of being looked at
		i.refused = i.refused || why != ""
		return err
	})
	switch {
	case err != nil:
		return out, err
	case i.refused, client == "", i.grant.ClientID != client, !k.old.UsedAt.IsZero():
		return out, errInvalidGrant
	}
	return Refreshable{Grant: i.grant, IssuedAt: k.old.IssuedAt, ExpiresAt: k.old.ExpiresAt}, nil
}

// Revoke ends the grant of a refresh token of client, one that was used as well (RFC 7009 §2.1). What is no refresh token,
// unknown, or another client's is left alone, and the caller is not told.
func (s *Service) Revoke(ctx context.Context, realm, client string, presented gatehouse.Secret) error {
	hash, err := parseRefresh(presented)
	if err != nil {
		return nil
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		f, err := tx.Family(ctx, hash)
		switch {
		case errors.Is(err, gatehouse.NotFound):
			return nil
		case err != nil:
			return err
		case client == "", f.Grant.ClientID != client, f.Grant.Realm != realm:
			return nil
		}
		_, err = end(ctx, tx, realm, f.Grant.ID, s.c.Now(), audit.KindGrantEnd, ReasonRevoked)
		return err
	})
}
