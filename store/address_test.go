package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestUserByAddress: whom an e-mail address belongs to is found in either spelling and any letter case, in its realm, and so is who
// has it as the name; of several the first one, and nobody by no address.
func TestUserByAddress(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		first, second, third := exampleUser(), exampleUser(), exampleUser()
		first.ID, first.Username, first.UsernameKey, first.Email = "usr_b", "one", "one", "Ann@bücher.example"
		second.ID, second.Username, second.UsernameKey, second.Email = "usr_a", "two@xn--bcher-kva.example", "two@xn--bcher-kva.example", ""
		third.ID, third.Username, third.UsernameKey, third.Email = "usr_c", "three", "three", "two@XN--bcher-kva.example"
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRealm(ctx, exampleRealm()) })
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertUser(ctx, first), tx.InsertUser(ctx, second), tx.InsertUser(ctx, third))
		})
		for _, c := range []struct{ realm, ascii, letters, key, want string }{
			{first.Realm, "ann@xn--bcher-kva.example", "ann@bücher.example", "nobody", "usr_b"},
			{first.Realm, "ann@xn--bcher-kva.example", "ann@bücher.example", "one", "usr_b"},
			{first.Realm, "two@xn--bcher-kva.example", "two@bücher.example", "nobody", "usr_c"},
			{first.Realm, "two@xn--bcher-kva.example", "two@bücher.example", "two@xn--bcher-kva.example", "usr_a"},
			{"other", "two@xn--bcher-kva.example", "two@bücher.example", "two@xn--bcher-kva.example", ""},
			{first.Realm, "", "", "", ""},
			{first.Realm, "nn@xn--bcher-kva.example", "%@bücher.example", "three@", ""},
		} {
			u, err := db.UserByAddress(ctx, c.realm, c.ascii, c.letters, c.key)
			if c.want == "" {
				wantKind(t, err, gatehouse.NotFound)
			} else if err != nil || u.ID != c.want {
				t.Errorf("%+v: %s %v", c, u.ID, err)
			}
		}
	})
}
