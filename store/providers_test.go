package store_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/provider"
	"github.com/gatehouse-auth/gatehouse/store"
)

func exampleLink() provider.Link {
	return provider.Link{Realm: "main", Provider: "acme", Issuer: "https://acme.example", Subject: "Ü-1", UserID: "usr_1", CreatedAt: moment(1), Roles: []string{"ops"}}
}

// TestProviders: an account at a provider is linked with one here, by provider, issuer and subject; a link goes with its
// account, and a secret takes the place of the one before.
func TestProviders(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		l := exampleLink()
		insert := func(l provider.Link) change {
			return func(ctx context.Context, tx *store.Tx) error { return tx.InsertProviderLink(ctx, l) }
		}
		if err := db.Update(ctx, insert(l)); err == nil {
			t.Fatal("a link of nobody")
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertRealm(ctx, exampleRealm()), tx.InsertUser(ctx, exampleUser()), insert(l)(ctx, tx))
		})
		found := func(l provider.Link) (provider.Link, error) {
			return db.ProviderLink(ctx, l.Realm, l.Provider, l.Issuer, l.Subject)
		}
		same(t, must(found(l))(t), l)
		wantKind(t, db.Update(ctx, insert(l)), gatehouse.Conflict)
		for _, other := range []provider.Link{{Realm: "other", Provider: l.Provider, Issuer: l.Issuer, Subject: l.Subject}, {Realm: l.Realm, Provider: "evil", Issuer: l.Issuer, Subject: l.Subject},
			{Realm: l.Realm, Provider: l.Provider, Issuer: "https://evil.example", Subject: l.Subject}, {Realm: l.Realm, Provider: l.Provider, Issuer: l.Issuer, Subject: "ü-1"}} {
			_, err := found(other)
			wantKind(t, err, gatehouse.NotFound)
		}
		if list := must(db.ProviderLinks(ctx, l.Realm, l.UserID))(t); len(list) != 1 || !reflect.DeepEqual(list[0], l) || len(must(db.ProviderLinks(ctx, "other", l.UserID))(t))+len(must(db.ProviderLinks(ctx, l.Realm, "usr_2"))(t)) > 0 {
			t.Errorf("%v", list)
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteProviderLink(ctx, l) })
		_, err := found(l)
		wantKind(t, err, gatehouse.NotFound)
		do(t, db, insert(l))
		l.UsedAt = moment(2)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UseProviderLink(ctx, l) })
		same(t, must(found(l))(t), l)
		for i, want := range []int{0, 1, 0} { // another's, the one, which has ended then
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				if n, err := tx.EndProviderLinks(ctx, "main", []string{"usr_2", "usr_1", "usr_1"}[i], moment(3+i)); err != nil || n != want {
					t.Errorf("ended %d, want %d: %v", n, want, err)
				}
				return nil
			})
		}
		l.EndedAt = moment(4)
		same(t, must(found(l))(t), l)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, "main", "usr_1") })
		_, err = found(l)
		wantKind(t, err, gatehouse.NotFound)

		_, err = db.ProviderSecret(ctx, "main", "acme")
		wantKind(t, err, gatehouse.NotFound)
		for _, sealed := range []string{"one", "two"} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.PutProviderSecret(ctx, "main", "acme", []byte(sealed), moment(1))
			})
			same(t, must(db.ProviderSecret(ctx, "main", "acme"))(t), []byte(sealed))
		}
	})
}
