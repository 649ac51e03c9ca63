package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestNodesAreListed: each process that shares the database is listed with what it tells of
// itself and with the leases that it holds, until it ends; a process alone lists itself.
func TestNodesAreListed(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		about := peers.About{Host: "h\x00", Version: "v1", StartedAt: moment(1), MaxStaleness: 5 * time.Second}
		cfg.About, cfg.LockWait = about, -1
		cfg.Shared = cfg.Driver == store.DriverPostgres
		a := open(t, cfg)
		about.Addresses = map[string]string{"auth": "http://127.0.0.1:8080"}
		if err := a.Describe(t.Context(), about); err != nil {
			t.Fatal(err)
		}
		must(a.AcquireLease(t.Context(), "w", a.NodeID(), time.Hour))(t)
		var n peers.Node
		testwait.Until(t, soon, "listed", func() bool {
			all := must(a.Nodes(t.Context()))(t)
			if len(all) != 1 {
				t.Fatalf("%+v", all)
			}
			n = all[0]
			return n.Age < soon // it has read something
		})
		if n.ID != a.NodeID() || !n.Self || !n.Alive || n.Version != "v1" || !n.StartedAt.Equal(moment(1)) || n.Addresses["auth"] != about.Addresses["auth"] ||
			n.MaxStaleness != about.MaxStaleness || n.Silent > soon || n.Age > soon || !slices.Equal(n.Leases, []string{"w"}) || a.LiveNodes() != 1 {
			t.Errorf("%+v, %d alive", n, a.LiveNodes())
		}
		if !cfg.Shared {
			return
		}
		cfg.About.Host = "other"
		b := must(store.Open(t.Context(), cfg))(t)
		var all []peers.Node
		testwait.Until(t, soon, "both listed", func() bool {
			all = must(a.Nodes(t.Context()))(t)
			return len(all) == 2 && all[1].Position != ""
		})
		if len(all) != 2 || all[0].ID == all[1].ID || all[1].ID != b.NodeID() || all[1].Host != "other" || all[1].Self || len(all[1].Leases) > 0 || all[1].Position == "" {
			t.Errorf("%+v", all)
		}
		testwait.Until(t, soon, "both count", func() bool { return a.LiveNodes() == 2 && b.LiveNodes() == 2 })
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if all = must(a.Nodes(t.Context()))(t); len(all) != 1 {
			t.Errorf("b has stopped, and is listed: %+v", all)
		}
		testwait.Until(t, soon, "one counts", func() bool { return a.LiveNodes() == 1 })
	})
}

// TestRemoveNode: only a node that says nothing is taken from the list.
func TestRemoveNode(t *testing.T) {
	cfg, dbs := nodes(t, 2)
	a, b := dbs[0], dbs[1]
	gone := func(id string) error {
		return a.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.RemoveNode(ctx, id) })
	}
	wantCode(t, gone("node_none"), "node_not_found")
	wantCode(t, gone(b.NodeID()), "node_alive")
	raw := rawDB(t, cfg)
	if _, err := raw.ExecContext(t.Context(), `INSERT INTO nodes SELECT 'node_x', host, version, addresses, started_at, max_staleness,
		seen_at-5000000, history, position, age FROM nodes LIMIT 1`); err != nil {
		t.Fatal(err)
	}
	if len(must(a.Nodes(t.Context()))(t)) != 3 || a.LiveNodes() > 2 {
		t.Error("a silent node is not listed, or counts as alive")
	}
	if err := gone("node_x"); err != nil {
		t.Fatal(err)
	}
	same(t, len(must(a.Nodes(t.Context()))(t)), 2)
}
