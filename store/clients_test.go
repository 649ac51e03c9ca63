package store_test

import (
	"context"
	"slices"
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

// TestClientOrigins: of which origins clients have pages follows each change of a client, and a disabled one has none.
func TestClientOrigins(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		c := exampleClient()
		c.Metadata.Origins = []string{"https://a.example", "https://b.example"}
		has := func(when string, want ...string) {
			t.Helper()
			for _, origin := range []string{"https://a.example", "https://b.example", "https://c.example", "https://d.example"} {
				if got := must(db.HasClientOrigin(ctx, "main", origin))(t); got != slices.Contains(want, origin) {
					t.Errorf("%s: %s %v", when, origin, got)
				}
				if must(db.HasClientOrigin(ctx, "other", origin))(t) {
					t.Errorf("%s: %s in another realm", when, origin)
				}
			}
		}
		change := func(fn func(context.Context, *store.Tx) error) { t.Helper(); do(t, db, fn) }
		has("nobody")
		change(func(ctx context.Context, tx *store.Tx) error { return tx.InsertClient(ctx, c) })
		has("two", "https://a.example", "https://b.example")
		c.Metadata.AuthMethod, c.Metadata.Origins, c.Metadata.RedirectURIs = client.AuthNone, []string{"https://b.example"}, []string{"https://c.example/back"}
		change(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateClient(ctx, c) })
		has("changed", "https://b.example", "https://c.example")
		second := exampleClient()
		second.ID, second.Metadata.Origins = "cli_2", []string{"https://b.example", "https://d.example"}
		change(func(ctx context.Context, tx *store.Tx) error { return tx.InsertClient(ctx, second) })
		change(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.DisableClient(ctx, "main", "cli_1", moment(4))
			return err
		})
		has("one is disabled", "https://b.example", "https://d.example")
		change(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteClient(ctx, "main", "cli_2") })
		has("the other is removed")
		c.Version = 3
		change(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateClient(ctx, c) })
		has("enabled", "https://b.example", "https://c.example")
	})
}

// TestUnusedClients: only clients that nobody looked at, were not changed for long and have no grant are found as unused; of the
// tokens by which they register, one use is taken at a time, and none that has ended or is another realm's.
func TestUnusedClients(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		registered := func(id string, change func(*client.Client)) {
			c := exampleClient()
			c.ID, c.Registration, c.UpdatedAt = id, []byte{1}, moment(2)
			change(&c)
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertClient(ctx, c) })
		}
		registered("cli_unused", func(*client.Client) {})
		registered("cli_admin", func(c *client.Client) { c.Registration = nil })
		registered("cli_young", func(c *client.Client) { c.UpdatedAt = moment(9) })
		registered("cli_used", func(*client.Client) {})
		registered("https://app.example/c", func(c *client.Client) { c.Registration = nil })
		registered("https://bad.example/c", func(c *client.Client) { c.Registration, c.Disabled = nil, true }) // without the row it would be back
		g := exampleGrant()
		g.ClientID = "cli_used"
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertGrant(ctx, g) })
		if list := must(db.UnusedClients(ctx, moment(5), 10))(t); len(list) != 2 || list[0].ID != "cli_unused" || len(list[0].Registration) != 1 || list[1].ID != "https://app.example/c" {
			t.Errorf("%v", list)
		}
		if n := must(db.UnverifiedClients(ctx, "main"))(t); n != 5 {
			t.Errorf("%d", n)
		}
		token := client.InitialToken{Realm: "main", ID: "crt_1", Note: "n", Hash: []byte{7}, Left: 2, CreatedAt: moment(1), ExpiresAt: moment(5)}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertInitialToken(ctx, token) })
		for _, use := range []struct {
			realm string
			hash  byte
			at    int
			left  int // -1: refused
		}{{"other", 7, 2, -1}, {"main", 8, 2, -1}, {"main", 7, 5, -1}, {"main", 7, 2, 1}, {"main", 7, 4, 0}, {"main", 7, 4, -1}} {
			err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
				got, err := tx.UseInitialToken(ctx, use.realm, []byte{use.hash}, moment(use.at))
				if err == nil && got.Left != use.left {
					t.Errorf("%+v: %+v", use, got)
				}
				return err
			})
			if (err != nil) != (use.left < 0) {
				t.Errorf("%+v: %v", use, err)
			}
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PurgeInitialTokens(ctx, moment(5)) })
		if list := must(db.InitialTokens(ctx, "main", "", 10))(t); len(list) != 1 {
			t.Errorf("%v", list)
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PurgeInitialTokens(ctx, moment(6)) })
		if list := must(db.InitialTokens(ctx, "main", "", 10))(t); len(list) != 0 {
			t.Errorf("%v", list)
		}
	})
}
