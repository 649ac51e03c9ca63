package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
)

func exampleConsent() grant.Consent {
	return grant.Consent{ID: "con_1", Realm: "main", User: "usr_1", Client: "cli_1", Print: []byte{0, 255}, CreatedAt: moment(1)}
}

// TestStoredConsents: what a person lets a client have is theirs alone, is there once, and goes with either.
func TestStoredConsents(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertRealm(ctx, exampleRealm()), tx.InsertUser(ctx, exampleUser()), tx.InsertClient(ctx, exampleClient()))
		})
		c := exampleConsent()
		insert := func(ctx context.Context, tx *store.Tx) error { return tx.InsertConsent(ctx, c) }
		do(t, db, insert)
		wantKind(t, db.Update(ctx, insert), gatehouse.Conflict)
		same(t, must(db.Consent(ctx, "main", "usr_1", "cli_1"))(t), c)
		c.Print, c.Allowed = []byte{1}, []grant.Allowed{{Resource: "https://api.example", Scopes: []string{"a"}, At: moment(3)}}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateConsent(ctx, c) })
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutCutoff(ctx, revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSubject, ID: "usr_1", Before: moment(5), ExpiresAt: moment(9)})
		})
		insert = func(ctx context.Context, tx *store.Tx) error { return tx.InsertConsent(ctx, exampleConsent()) }
		c.CutOff = moment(5)
		same(t, must(db.Consent(ctx, "main", "usr_1", "cli_1"))(t), c)
		other := c
		other.ID = "con_2"
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateConsent(ctx, other) }), gatehouse.NotFound)
		for _, of := range [][3]string{{"main", "usr_1", "cli_2"}, {"main", "usr_2", "cli_1"}, {"acme", "usr_1", "cli_1"}} {
			_, err := db.Consent(ctx, of[0], of[1], of[2])
			wantKind(t, err, gatehouse.NotFound)
		}
		same(t, must(db.Consents(ctx, "main", "usr_1"))(t), []grant.Consent{c})
		same(t, must(db.Consents(ctx, "main", "usr_2"))(t), []grant.Consent{})
		for _, there := range []bool{true, false} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				got, err := tx.DeleteConsent(ctx, "main", "usr_1", "cli_1")
				if got != there {
					t.Errorf("removed: %v", got)
				}
				return err
			})
		}
		do(t, db, insert)
		gone := func() {
			t.Helper()
			_, err := db.Consent(ctx, "main", "usr_1", "cli_1")
			wantKind(t, err, gatehouse.NotFound)
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteClient(ctx, "main", "cli_1") })
		gone()
		do(t, db, insert)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, "main", "usr_1") })
		gone()
	})
}
