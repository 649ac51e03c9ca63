package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/tokens"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestCutoffWaitsForLogins: a cut-off that is set while somebody logs in or renews is of a
// later time than the tokens of it, which it therefore ends.
func TestCutoffWaitsForLogins(t *testing.T) {
	cfg := postgresConfig(t)
	db, raw := open(t, cfg), rawDB(t, cfg)
	do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRealm(ctx, exampleRealm()) })
	run := must(store.Run[tokens.Tx](db))(t)
	svc := tokens.New(tokens.Config{Run: run, Kernel: &kernel.Kernel{Realms: db, Now: time.Now, Decide: func(context.Context, *gatehouse.Principal, string, string, string, string) gatehouse.Decision {
		return gatehouse.Decision{Allowed: true}
	}}})
	cut := make(chan tokens.Revocation, 1)
	var issued time.Time
	do(t, db, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Realm(ctx, "main"); err != nil { // as every login and renewal begins
			return err
		}
		go func() {
			v, err := svc.Revoke(context.Background(), &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_1"}, "main",
				tokens.NewRevocation{Kind: "realm"})
			if err != nil {
				t.Error(err)
			}
			cut <- v
		}()
		testwait.Until(t, soon, "the cut-off waits, or is set", func() bool {
			var waiting bool
			err := raw.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND database=(SELECT oid FROM pg_database WHERE datname=current_database()) OR
				NOT granted AND locktype='transactionid')`).Scan(&waiting)
			return err == nil && waiting || len(cut) > 0
		})
		issued = time.Now()
		return nil
	})
	if v := <-cut; v.Before.Before(issued) {
		t.Errorf("set for what was issued until %v, while a login of %v was under way", v.Before, issued)
	}
}
