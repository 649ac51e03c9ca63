package store_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestCatchUp: a node that catches up has what another one has committed, one by one or
// too much to be told one by one; who has the database to himself is always up to date.
func TestCatchUp(t *testing.T) {
	_, dbs := nodes(t, 2)
	a, b := dbs[0], dbs[1]
	view := revocation.NewView()
	b.Subscribe(view.Apply)
	var fail atomic.Bool
	b.OnReload(func(ctx context.Context) error {
		if fail.Swap(false) {
			return errors.New("not this time")
		}
		return view.Load(ctx, b)
	})
	if err := view.Load(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	for i := range int64(50) {
		do(t, a, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertStatusBit(ctx, revocation.NewStatusBit("main", 21000, i))
		})
		at, err := b.CatchUp(t.Context())
		if err != nil || at.Before(before) || at.After(time.Now()) || view.Version("main", 21000) != uint64(i+1) {
			t.Fatalf("after %d: %d are known at %v: %v", i+1, view.Version("main", 21000), at, err)
		}
	}
	fail.Store(true) // the first attempt to load
	do(t, a, func(ctx context.Context, tx *store.Tx) error {
		for i := range int64(10_001) {
			if err := tx.InsertStatusBit(ctx, revocation.NewStatusBit("main", 21001, i)); err != nil {
				return err
			}
		}
		return nil
	})
	if _, err := b.CatchUp(t.Context()); err != nil || view.Version("main", 21001) != 10_001 {
		t.Errorf("of many at once, %d are known: %v", view.Version("main", 21001), err)
	}
	if err := postgres.Down(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CatchUp(t.Context()); !errors.Is(err, gatehouse.Unavailable) {
		t.Errorf("without the server: %v", err)
	}
	if err := postgres.Up(); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "back", func() bool { _, err := b.CatchUp(t.Context()); return err == nil })
}

// TestCatchUpAlone: where no other node can be, there is nothing to wait for.
func TestCatchUpAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		cfg.Now = func() time.Time { return moment(7) }
		if at, err := open(t, cfg).CatchUp(t.Context()); err != nil || !at.Equal(moment(7)) {
			t.Errorf("%v %v", at, err)
		}
	})
}
