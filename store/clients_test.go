package store_test

import (
	"context"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/store"
)

func exampleClient() client.Client {
	return client.Client{Realm: "main", ID: "cli_1", Secret: client.Secret{Hash: []byte{0, 255}, SetAt: moment(1)}, CreatedAt: moment(1), UpdatedAt: moment(2), Version: 1,
		Metadata: client.Metadata{Name: "Ü", AuthMethod: client.AuthBasic, GrantTypes: []string{client.GrantClientCredentials}, Scope: "a b"}}
}

// TestClients: a client is its realm's alone; of two changes of one version one is stored.
func TestClients(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		c := exampleClient()
		insert := func(ctx context.Context, tx *store.Tx) error { return tx.InsertClient(ctx, c) }
		do(t, db, insert)
		wantKind(t, db.Update(ctx, insert), gatehouse.Conflict)
		same(t, must(db.Client(ctx, "main", "cli_1"))(t), c)
		_, err := db.Client(ctx, "other", "cli_1")
		wantKind(t, err, gatehouse.NotFound)

		c.Former = client.Secret{Hash: []byte{1}, SetAt: moment(1), ExpiresAt: moment(5)}
		c.Secret, c.Metadata.Name, c.UpdatedAt = client.Secret{Hash: []byte{2}, SetAt: moment(3), ExpiresAt: moment(9)}, "b", moment(3)
		update := func(ctx context.Context, tx *store.Tx) error { return tx.UpdateClient(ctx, c) }
		do(t, db, update)
		wantKind(t, db.Update(ctx, update), gatehouse.Conflict)
		c.Version = 2
		same(t, must(db.Client(ctx, "main", "cli_1"))(t), c)

		second := exampleClient()
		second.ID = "cli_2"
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertClient(ctx, second) })
		if list := must(db.Clients(ctx, "main", "cli_1", 10))(t); len(list) != 1 || list[0].ID != "cli_2" || len(must(db.Clients(ctx, "main", "", 10))(t)) != 2 || len(must(db.Clients(ctx, "other", "", 10))(t)) != 0 {
			t.Errorf("%v", list)
		}
		for _, want := range []bool{true, false} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				if done, err := tx.DisableClient(ctx, "main", "cli_1", moment(4)); err != nil || done != want {
					t.Errorf("%v, want %v: %v", done, want, err)
				}
				return nil
			})
		}
		c.Disabled, c.UpdatedAt, c.Version = true, moment(4), 3
		same(t, must(db.Client(ctx, "main", "cli_1"))(t), c)
		if must(db.Client(ctx, "main", "cli_2"))(t).Disabled {
			t.Error("another one is disabled, too")
		}
		remove := func(ctx context.Context, tx *store.Tx) error { return tx.DeleteClient(ctx, "main", "cli_1") }
		do(t, db, remove)
		wantKind(t, db.Update(ctx, remove), gatehouse.NotFound)
	})
}
