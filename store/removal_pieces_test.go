package store_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestRetentionInPieces: one transaction removes no more than some mebibytes, however
// many records it may, so that nobody who also writes waits long.
func TestRetentionInPieces(t *testing.T) {
	inOrder(t)
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		a := newAged(t, db)
		large := func() {
			t.Helper()
			for range 20 {
				do(t, db, func(ctx context.Context, tx *store.Tx) error {
					list := make([]gatehouse.Event, 800)
					for i := range list {
						list[i] = gatehouse.Event{Realm: "main", Kind: "k", Time: a.now, Path: noise()}
					}
					return tx.AppendEvents(ctx, list...)
				})
				if err := a.sequencer.Sequence(ctx, "main"); err != nil {
					t.Fatal(err)
				}
			}
			a.now = a.now.Add(24 * time.Hour)
		}
		large()
		large()
		a.now = a.now.Add(31 * 24 * time.Hour)
		run, biggest := a.retention.Run, int64(0)
		a.retention.Run = func(ctx context.Context, fn func(context.Context, audit.RetentionTx) error) error {
			return run(ctx, func(ctx context.Context, tx audit.RetentionTx) error { return fn(ctx, greedy{tx, db, &biggest}) })
		}
		a.remove(t)
		if biggest == 0 || biggest > 8 {
			t.Errorf("%d batches were removed by one transaction", biggest)
		}
		if r := a.verify(t); !r.OK() || r.Removed == nil || r.Removed.Events != 39*800 {
			t.Errorf("%+v", r)
		}
	})
}

// noise is text that cannot be made smaller.
func noise() string {
	var b strings.Builder
	for range 30 {
		b.WriteString(rand.Text())
	}
	return b.String()
}

// greedy asks for as many as it can and notes how many batches a transaction removed.
type greedy struct {
	audit.RetentionTx
	db      *store.DB
	biggest *int64
}

func (g greedy) RemoveAudit(ctx context.Context, realm string, _ int) (int64, bool, error) {
	n, more, err := g.RetentionTx.RemoveAudit(ctx, realm, 10_000)
	list, _ := g.db.Batches(ctx, realm, audit.BatchQuery{Limit: 1})
	if len(list) == 1 && list[0].FirstIndex >= 0 && list[0].FirstIndex < 39*800 { // batches are what it removes at present
		*g.biggest = max(*g.biggest, n)
	}
	return n, more, err
}
