package server

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/keys"
	"github.com/gatehouse-auth/gatehouse/pages"
)

// ownKeys has the use cases of administration change the API keys of whoever is signed in at the pages: his own, whatever
// else his roles let him do.
type ownKeys struct{ of *keys.Service }

func (o ownKeys) List(ctx context.Context, who *gatehouse.Principal) ([]pages.Key, error) {
	var out []pages.Key
	for after := ""; ; {
		page, err := o.of.List(ctx, who, who.Realm, self, after, 0)
		if err != nil {
			return nil, err
		}
		for _, k := range page.Items {
			if k.Status == "active" {
				out = append(out, pages.Key{ID: k.ID, Name: k.Name, Scopes: k.Scopes, Used: k.LastUsedAt, Ends: k.ExpiresAt})
			}
		}
		if after = page.Next; after == "" {
			return out, nil
		}
	}
}

func (o ownKeys) Make(ctx context.Context, who *gatehouse.Principal, k pages.NewKey) (gatehouse.Secret, error) {
	made, err := o.of.Create(ctx, who, who.Realm, keys.NewKey{Name: k.Name, Owner: self, Scopes: k.Scopes, ExpiresAt: k.Ends})
	return made.Text, err
}

func (o ownKeys) Revoke(ctx context.Context, who *gatehouse.Principal, id string) error {
	k, err := o.of.Get(ctx, who, who.Realm, id)
	if gatehouse.KindOf(err) == gatehouse.Denied || err == nil && k.Owner != who.ID { // an administrator's session ends no key of somebody else's here
		return gatehouse.ErrNotFound
	}
	if err != nil {
		return err
	}
	_, err = o.of.Revoke(ctx, who, who.Realm, id)
	return err
}
