package clients

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// EndLeaked ends the secret that text is, and what was issued to its client. Whoever holds it may: a secret scanner, or
// the thief. It reports whether there is such a client.
func (s *Service) EndLeaked(ctx context.Context, text gatehouse.Secret) (found bool, err error) {
	if p, err := credential.ParseKey(text.Reveal()); err != nil || p.Prefix != credential.PrefixClient {
		return false, nil
	}
	hash := credential.HashKey(text.Reveal())
	c, err := s.c.Clients.ClientBySecret(ctx, hash)
	if errors.Is(err, gatehouse.NotFound) {
		return false, nil
	}
	if err != nil || !c.Proves(hash, s.k.Now()) { // once is enough
		return true, err
	}
	_, err = s.change(ctx, nil, c.Realm, c.ID, nil, audit.KindClientLeaked, func(_ Tx, c *client.Client, now time.Time) (bool, error) {
		c.End(hash, now)
		return true, nil
	})
	if errors.Is(err, gatehouse.NotFound) {
		return false, nil // removed meanwhile
	}
	return true, err
}
