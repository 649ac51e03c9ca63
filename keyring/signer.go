package keyring

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/token"
)

// SignerOf returns a key of a realm that signs ID tokens by alg: the active one, where it does, else one that is kept for that. The first of
// an algorithm is made when somebody needs it, and is in the published key set, on all nodes, before it signs.
func (r *Ring) SignerOf(ctx context.Context, realm string, alg token.Algorithm) (*token.Key, error) {
	if k := r.snapshot(realm).signerOf(alg); k != nil {
		return k, nil
	}
	r.making.Lock() // one RSA key at a time is dear enough
	defer r.making.Unlock()
	if err := r.catchUp(ctx); err != nil {
		return nil, errNoKey.With(err)
	}
	if k := r.snapshot(realm).signerOf(alg); k != nil {
		return k, nil
	}
	if _, err := r.change(ctx, Command{Realm: realm}, func(c *changeset) error { return c.need(alg) }); err != nil {
		return nil, err
	}
	if k := r.snapshot(realm).signerOf(alg); k != nil {
		return k, nil
	}
	return nil, errNoKey
}

func (s *snapshot) signerOf(alg token.Algorithm) *token.Key {
	switch {
	case s == nil:
		return nil
	case s.active != nil && s.active.Algorithm == alg:
		return s.active
	}
	return s.forID[alg]
}

// need makes a key that signs ID tokens by alg, unless there is one.
func (c *changeset) need(alg token.Algorithm) error {
	there := c.find(func(k *token.StoredKey) bool {
		return k.State == token.KeyActive && k.Algorithm == string(alg)
	})
	if there != nil {
		return nil
	}
	_, err := c.generate(token.KeyActive, token.UseID, alg)
	return err
}
