package records_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

func TestAudit(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	id := h.Person(root, "main", "bob")
	if err := h.Sequencer.Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	events := h.Want(200, root, "GET", "/realms/main/audit/events?kind=user.create", nil)
	first := events.JSON["items"].([]any)[0].(map[string]any)
	if first["target"].(map[string]any)["id"] != id || first["actor"].(map[string]any)["name"] != "root" {
		t.Fatalf("who made bob: %s", events.Body)
	}
	note := h.Want(200, root, "GET", "/realms/main/audit/checkpoint", nil).Str("note")
	h.Want(200, root, "GET", "/realms/main/audit/proof?index=0", nil)
	if r := h.Want(200, root, "POST", "/realms/main/audit/verify", map[string]any{"checkpoints": []string{note}, "index": 0}); r.JSON["ok"] != true || r.JSON["inclusion"] == nil {
		t.Fatalf("%s", r.Body)
	}
	if r := h.Want(200, root, "POST", "/realms/main/audit/verify", map[string]any{"checkpoints": []string{strings.Replace(note, "main", "acme", 1)}}); r.JSON["ok"] != false {
		t.Fatalf("a checkpoint of another log: %s", r.Body)
	}
	req := first["request_id"].(string)
	if r := h.Want(200, root, "GET", "/realms/main/explain/"+req, nil); !strings.Contains(r.Body, "user.create") {
		t.Fatalf("%s", r.Body)
	}
}
