package nodes_test

import (
	"database/sql"
	"errors"
	"os"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestNodesOfOne: a process alone lists itself.
func TestNodesOfOne(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	items := h.Want(200, root, "GET", "/nodes", nil).JSON["items"].([]any)
	if len(items) != 1 {
		t.Fatalf("%v", items)
	}
	n := items[0].(map[string]any)
	if n["id"] != h.DB.NodeID() || n["state"] != "live" || n["answering"] != true || n["silent_ms"] != 0.0 || n["age_ms"] != 0.0 || n["position"] != nil {
		t.Errorf("%v", n)
	}
	h.Want(404, root, "DELETE", "/nodes/"+h.DB.NodeID(), nil)
}

// TestNodeIsRemoved: a node that says nothing can be taken from the list, which is
// recorded; one that works cannot.
func TestNodeIsRemoved(t *testing.T) {
	pg, err := testpg.Start()
	if errors.Is(err, testpg.ErrMissing) && os.Getenv("GATEHOUSE_TEST_STRICT") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pg.Stop)
	dsn := pg.DSN(t)
	h := testadmin.NewOn(t, store.Config{Driver: store.DriverPostgres, DSN: gatehouse.Secret(dsn), Shared: true})
	root := h.Bootstrap()
	raw := testadmin.Must(sql.Open("pgx", dsn))
	defer raw.Close()
	if _, err := raw.ExecContext(t.Context(), `INSERT INTO nodes SELECT 'node_x', host, version, addresses, started_at, max_staleness,
		seen_at-5000000, history, position, age FROM nodes`); err != nil {
		t.Fatal(err)
	}
	items := h.Want(200, root, "GET", "/nodes", nil).JSON["items"].([]any)
	if len(items) != 2 {
		t.Fatalf("%v", items)
	}
	for _, item := range items {
		n := item.(map[string]any)
		want := map[bool]string{true: "silent", false: "live"}[n["id"] == "node_x"]
		if n["state"] != want || n["answering"] != (n["id"] == h.DB.NodeID()) || n["silent_ms"].(float64) >= 5000 != (want == "silent") {
			t.Errorf("%v", n)
		}
	}
	if r := h.Want(409, root, "DELETE", "/nodes/"+h.DB.NodeID(), nil); r.Str("code") != "node_alive" {
		t.Errorf("%s", r.Body)
	}
	h.Want(204, root, "DELETE", "/nodes/node_x", nil)
	h.Want(404, root, "DELETE", "/nodes/node_x", nil)
	if got := h.Events(root, "node.remove"); len(got) != 1 || got[0] != "node_x" {
		t.Errorf("recorded: %v", got)
	}
}
