package store_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/store"
)

func TestFactors(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		same(t, must(db.Factors(ctx, "main", "usr_1"))(t), []factor.Factor{})
		app := factor.Factor{Realm: "main", UserID: "usr_1", ID: "fac_1", Kind: factor.TOTP, Name: "telephone", Sealed: []byte{0, 255}, CreatedAt: moment(1), Version: 1}
		codes := factor.Factor{Realm: "main", UserID: "usr_1", ID: "fac_2", Kind: factor.Recovery, Sealed: []byte{}, Hashes: [][]byte{{1, 2}, {3}},
			CreatedAt: moment(2), ConfirmedAt: moment(3), Version: 1}
		insert := func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertFactor(ctx, app), tx.InsertFactor(ctx, codes))
		}
		if err := db.Update(ctx, insert); err == nil {
			t.Fatal("factors of nobody")
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertRealm(ctx, exampleRealm()), tx.InsertUser(ctx, exampleUser()), insert(ctx, tx))
		})
		same(t, must(db.Factors(ctx, "main", "usr_1"))(t), []factor.Factor{app, codes})
		wantKind(t, db.Update(ctx, insert), gatehouse.Conflict)

		app.Name, app.Step, app.ConfirmedAt, app.UsedAt = "other", 60_000_000, moment(4), moment(5)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateFactor(ctx, app) })
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateFactor(ctx, app) }), gatehouse.Conflict)
		app.Version = 2
		earlier := app
		earlier.Step-- // is never new again
		codes.Hashes = [][]byte{{3}}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.UpdateFactor(ctx, earlier), tx.UpdateFactor(ctx, codes))
		})
		app.Version, codes.Version = 3, 2
		same(t, must(db.Factors(ctx, "main", "usr_1"))(t), []factor.Factor{app, codes})
		u := exampleUser()
		u.SecondFactor = true
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateUser(ctx, u) })
		if !must(db.User(ctx, "main", "usr_1"))(t).SecondFactor {
			t.Error("not told by the user")
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteFactor(ctx, "main", "usr_1", "fac_2") })
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteFactor(ctx, "main", "usr_2", "fac_1") }), gatehouse.NotFound)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, "main", "usr_1") })
		same(t, must(db.Factors(ctx, "main", "usr_1"))(t), []factor.Factor{})
	})
}

// everybody lets every attempt through, so that nothing but the store decides who wins.
type everybody struct{}

func (everybody) AttemptCode(ctx context.Context, _, _ string, check func(context.Context) (bool, error)) (bool, error) {
	return check(ctx)
}

// TestOneWins: of all that use one code at once, on two nodes where there can be two, one is let in: a recovery code by a
// thousand, the code of an app by a hundred; and nobody afterwards.
//
// ASVS: 6.5.1
func TestOneWins(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		now := time.Unix(1_800_000_015, 0)
		box := must(seal.NewBox(seal.GenerateMasterKey(now)))(t)
		cfg.Shared = cfg.Driver == store.DriverPostgres
		db := open(t, cfg)
		nodes := []*factor.Service{prover(t, db, box, now)}
		bob := gatehouse.Subject{ID: "usr_1", Kind: gatehouse.KindUser, Name: "bob"}
		app, raw, err := factor.Vault{Box: box}.NewApp("main", bob.ID, "telephone", now)
		if err != nil {
			t.Fatal(err)
		}
		app.ConfirmedAt = now
		set, codes := factor.NewCodes("main", bob.ID, now)
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertRealm(ctx, exampleRealm()), tx.InsertUser(ctx, exampleUser()), tx.InsertFactor(ctx, app), tx.InsertFactor(ctx, set))
		})
		secret := credential.TOTPText(raw)
		if cfg.Driver == store.DriverPostgres {
			nodes = append(nodes, prover(t, open(t, cfg), box, now))
		}
		for name, c := range map[string]struct {
			code gatehouse.Secret
			n    int
		}{"recovery": {codes[3], 1000}, "app": {gatehouse.Secret(testtotp.Code(secret, now)), 100}} {
			var won, lost atomic.Int64
			var all sync.WaitGroup
			for i := range c.n {
				all.Go(func() {
					_, err := nodes[i%len(nodes)].Prove(t.Context(), "main", bob, c.code)
					switch {
					case err == nil:
						won.Add(1)
					case gatehouse.CodeOf(err) == "second_factor_invalid":
						lost.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			all.Wait()
			if won.Load() != 1 || lost.Load() != int64(c.n)-1 {
				t.Errorf("%s: %d won, %d lost", name, won.Load(), lost.Load())
			}
		}
		f, err := nodes[len(nodes)-1].Prove(t.Context(), "main", bob, codes[4])
		if err != nil || f.Kind != factor.Recovery || len(f.Hashes) != factor.Codes-2 {
			t.Errorf("%d codes are left, %v", len(f.Hashes), err)
		}
	})
}

// prover is a node that proves codes by a database.
func prover(t *testing.T, db *store.DB, box *seal.Box, now time.Time) *factor.Service {
	t.Helper()
	return must(factor.New(factor.Config{Run: must(store.Run[factor.Tx](db))(t), Vault: factor.Vault{Box: box}, Attempts: everybody{},
		Record: func(*gatehouse.Event) {}, Now: func() time.Time { return now }}))(t)
}
