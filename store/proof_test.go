package store_test

import (
	"context"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestProve: what one process has committed is proven to be known where no other can be, and
// when each other one has told its subscribers.
func TestProve(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		p := db.Prove(t.Context(), soon)
		if !p.Proven() || len(p.Nodes) != 1 || p.Nodes[0].ID != db.NodeID() || p.Nodes[0].State != peers.Confirmed || !p.Nodes[0].Self {
			t.Errorf("%+v", p)
		}
	})
	if (peers.Proof{}).Proven() || (peers.Proof{Nodes: []peers.Told{{}}}).Proven() {
		t.Error("nothing is known, and it is proven")
	}
	cfg, dbs := nodes(t, 3)
	told := make([]chan gatehouse.Change, len(dbs))
	for i, db := range dbs {
		told[i] = make(chan gatehouse.Change, 100)
		db.Subscribe(func(c gatehouse.Change) { told[i] <- c })
	}
	do(t, dbs[0], func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, exampleUser()) })
	p := dbs[0].Prove(t.Context(), soon)
	if !p.Proven() || len(p.Nodes) != 3 || p.Failed != "" {
		t.Fatalf("%+v", p)
	}
	for i := range dbs { // without waiting for anything
		select {
		case c := <-told[i]:
			if c.Topic != gatehouse.TopicUser {
				t.Errorf("node %d was told of %+v", i, c)
			}
		default:
			t.Errorf("node %d has confirmed, and was told nothing", i)
		}
		if len(told[i]) > 0 {
			t.Errorf("node %d was told more: %+v", i, <-told[i])
		}
	}
	// A subscriber that fails has applied nothing, so the node loads everything anew first.
	loaded := make(chan bool, 100)
	dbs[1].OnReload(func(context.Context) error { loaded <- true; return nil })
	dbs[1].Subscribe(func(c gatehouse.Change) {
		if c.Topic == gatehouse.TopicUser && c.ID != "" {
			panic("cannot")
		}
	})
	do(t, dbs[0], func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, "main", exampleUser().ID) })
	if p := dbs[0].Prove(t.Context(), soon); !p.Proven() || len(loaded) == 0 {
		t.Errorf("%+v, loaded %d times", p, len(loaded))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if p := dbs[0].Prove(gone, soon); p.Proven() || p.Failed == "" {
		t.Errorf("nobody waits: %+v", p)
	}
	raw := rawDB(t, cfg)
	if _, err := raw.ExecContext(t.Context(), `INSERT INTO nodes SELECT 'node_x', host, version, addresses, started_at, 0, seen_at, '', '', age FROM nodes LIMIT 1`); err != nil {
		t.Fatal(err)
	}
	done := make(chan peers.Proof)
	go func() { done <- dbs[0].Prove(t.Context(), soon) }()
	if _, err := raw.ExecContext(t.Context(), `DELETE FROM nodes WHERE id='node_x'`); err != nil {
		t.Fatal(err)
	}
	if p := <-done; !p.Proven() {
		t.Errorf("it has left: %+v", p)
	}
}
