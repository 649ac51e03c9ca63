package store_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
)

func exampleList(serial int64) revocation.SignedList {
	return revocation.SignedList{Realm: "main", List: 21000, Serial: serial, KeyID: "k1", SignedAt: moment(int(serial)), ExpiresAt: moment(100), Text: "a.b.c"}
}

// TestSignedLists: a copy of a status list takes the place of the one before it and of no other,
// everybody is told, and it goes when the list has ended.
func TestSignedLists(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		changes := changesOf(db)
		put := func(l revocation.SignedList) error {
			return db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.PutSignedList(ctx, l) })
		}
		_, err := db.SignedList(t.Context(), "main", 21000)
		wantKind(t, err, gatehouse.NotFound)
		for serial := range int64(3) {
			l := exampleList(serial + 1)
			if err := put(l); err != nil {
				t.Fatal(err)
			}
			same(t, changes(), one(gatehouse.TopicStatusList, "main", "21000", nil))
			same(t, must(db.SignedList(t.Context(), "main", 21000))(t), l)
		}
		for _, serial := range []int64{1, 3, 5} { // made before the newest one, together with it, and of one that is not there
			wantKind(t, put(exampleList(serial)), gatehouse.Conflict)
			same(t, changes(), nil)
		}
		same(t, must(db.SignedList(t.Context(), "main", 21000))(t), exampleList(3))
		other := exampleList(1)
		other.Realm = "other"
		if err := put(other); err != nil {
			t.Fatal(err)
		}
		changes()
		for _, c := range []struct{ at, want int }{{100, 0}, {101, 2}, {101, 0}} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				n, err := tx.PurgeRevocations(ctx, moment(c.at), 100)
				same(t, n, int64(c.want))
				return err
			})
		}
		_, err = db.SignedList(t.Context(), "main", 21000)
		wantKind(t, err, gatehouse.NotFound)
	})
}

// TestSignedListRace: of many who store a copy for the same serial, on two nodes, one wins.
func TestSignedListRace(t *testing.T) {
	race := func(t *testing.T, dbs ...*store.DB) {
		for serial := int64(1); serial <= 5; serial++ {
			var won atomic.Int64
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					l := exampleList(serial)
					l.Text = string(rune('a' + i))
					err := dbs[i%len(dbs)].Update(context.Background(), func(ctx context.Context, tx *store.Tx) error { return tx.PutSignedList(ctx, l) })
					switch {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, gatehouse.Conflict):
						t.Error(err)
					}
				})
			}
			all.Wait()
			same(t, won.Load(), int64(1))
			same(t, must(dbs[0].SignedList(t.Context(), "main", 21000))(t).Serial, serial)
		}
	}
	t.Run("sqlite", func(t *testing.T) { race(t, open(t, sqliteConfig(t))) })
	t.Run("postgres", func(t *testing.T) {
		_, dbs := nodes(t, 2)
		race(t, dbs...)
	})
}
