package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/store"
)

// kindClaim is a use of package once that takes nothing.
const kindClaim once.Kind = "claim"

func onceKey(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// TestOnce: what is put can be put no second time and taken once, until its end; kinds
// have nothing to do with one another; a key that has ended is kept until it is purged.
func TestOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		put := func(v once.Record) error {
			return db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.PutOnce(ctx, v) })
		}
		take := func(kind once.Kind, key string, now time.Time) (v once.Record, err error) {
			return v, db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				v, err = tx.TakeOnce(ctx, kind, onceKey(key), now)
				return err
			})
		}
		purged := func(before time.Time, want int64) {
			t.Helper()
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				n, err := tx.PurgeOnce(ctx, before, 100)
				same(t, n, want)
				return err
			})
		}
		ticket := once.Record{Kind: once.KindTicket, Key: onceKey("k"), Sealed: []byte{0, 255, 1}, ExpiresAt: moment(10)}
		claim := once.Record{Kind: kindClaim, Key: onceKey("k"), Sealed: []byte{}, ExpiresAt: moment(20)}
		other := once.Record{Kind: "other", Key: onceKey("k"), Sealed: []byte("v"), ExpiresAt: moment(20)}
		for _, v := range []once.Record{ticket, claim, other} {
			if err := put(v); err != nil {
				t.Fatal(err)
			}
			wantKind(t, put(v), gatehouse.Conflict)
			same(t, must(db.Once(t.Context(), v.Kind, v.Key))(t), v)
		}
		_, err := take(once.KindTicket, "k", moment(10)) // at its end
		wantKind(t, err, gatehouse.NotFound)
		same(t, must(take(once.KindTicket, "k", moment(10).Add(-time.Microsecond)))(t), ticket)
		_, err = take(once.KindTicket, "k", moment(0))
		wantKind(t, err, gatehouse.NotFound)
		_, err = db.Once(t.Context(), once.KindTicket, ticket.Key)
		wantKind(t, err, gatehouse.NotFound)
		same(t, must(db.Once(t.Context(), kindClaim, claim.Key))(t), claim) // another kind's

		// Taken, it can be put again; ended, it cannot until it is purged.
		if err := put(ticket); err != nil {
			t.Error(err)
		}
		purged(moment(10), 0)
		wantKind(t, put(ticket), gatehouse.Conflict)
		purged(moment(11), 1)
		if err := put(ticket); err != nil {
			t.Error(err)
		}

		// After a restore nothing can be taken, and what was claimed stays claimed.
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ForgetOnce(ctx) })
		for _, v := range []once.Record{ticket, other} {
			_, err := db.Once(t.Context(), v.Kind, v.Key)
			wantKind(t, err, gatehouse.NotFound)
		}
		wantKind(t, put(claim), gatehouse.Conflict)

		// A transaction that fails has put and taken nothing.
		boom := errors.New("boom")
		err = db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return errors.Join(tx.PutOnce(ctx, ticket), boom) })
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if err := put(ticket); err != nil {
			t.Error(err)
		}
		err = db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.TakeOnce(ctx, ticket.Kind, ticket.Key, moment(0))
			return errors.Join(err, boom)
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		same(t, must(take(once.KindTicket, "k", moment(0)))(t), ticket)
	})
}

// TestOnceRefuses: a key that could collide, or would stay for ever, is a bug of whoever
// puts it.
func TestOnceRefuses(t *testing.T) {
	db := open(t, sqliteConfig(t))
	for name, v := range map[string]once.Record{
		"no kind":     {Key: onceKey("k"), ExpiresAt: moment(1)},
		"no key":      {Kind: kindClaim, ExpiresAt: moment(1)},
		"a text":      {Kind: kindClaim, Key: []byte("k"), ExpiresAt: moment(1)},
		"without end": {Kind: kindClaim, Key: onceKey("k")},
	} {
		err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.PutOnce(ctx, v) })
		if gatehouse.KindOf(err) != gatehouse.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := db.Once(t.Context(), kindClaim, []byte("k"))
	wantKind(t, err, gatehouse.Internal)
}

// TestOnceBesideOlderNodes: while nodes of the version before use the same table, each
// finds the tickets of the other.
func TestOnceBesideOlderNodes(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db, raw := open(t, cfg), rawDB(t, cfg)
		theirs, ours := onceKey("theirs"), onceKey("ours")
		end := time.Now().Add(time.Hour)
		// What it runs, word for word.
		if _, err := raw.ExecContext(t.Context(), `INSERT INTO tickets (hash, sealed, expires_at) VALUES ($1,$2,$3) ON CONFLICT DO NOTHING`,
			theirs, []byte("s"), end.UnixMicro()); err != nil {
			t.Fatal(err)
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.PutOnce(ctx, once.Record{Kind: once.KindTicket, Key: ours, Sealed: []byte("s"), ExpiresAt: end}); err != nil {
				return err
			}
			_, err := tx.TakeOnce(ctx, once.KindTicket, theirs, time.Now())
			return err
		})
		var sealed []byte
		if err := raw.QueryRowContext(t.Context(), `DELETE FROM tickets WHERE hash=$1 RETURNING sealed`, ours).Scan(&sealed); err != nil || string(sealed) != "s" {
			t.Fatal(err)
		}
	})
}
