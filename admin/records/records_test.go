package records_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestOwn: a person finds what he and others did to his account, and nothing of what others did elsewhere; a narrow key does not.
func TestOwn(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	bob, carl := h.Person(root, "main", "bob"), h.Person(root, "main", "carl")
	h.Want(200, root, "PATCH", "/realms/main/users/bob", map[string]any{"groups": []string{"g"}})
	h.Want(200, "bob:"+testadmin.Password, "PATCH", "/realms/main/users/me", map[string]any{"display_name": "Robert"})
	h.Want(200, "carl:"+testadmin.Password, "PATCH", "/realms/main/users/me", map[string]any{"display_name": "Carl"})
	if err := h.Sequencer.Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	who := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: bob, Name: "bob", Scheme: gatehouse.SchemeSession, Scopes: []string{gatehouse.ScopeAll}}
	var kinds []string
	for after := ""; ; {
		page, err := h.Admin.Records.Own(t.Context(), who, after, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Items {
			own := e.Actor.ID == bob
			if e.Target.ID == carl || !own && (e.Actor.Name != "" || e.Actor.ID != "" || e.Address != "" || e.RequestID != "") {
				t.Errorf("bob sees %+v", e)
			}
			kinds = append(kinds, e.Kind)
			if own {
				kinds[len(kinds)-1] += "!"
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if got := strings.Join(kinds, " "); got != "user.update! user.update user.create" {
		t.Errorf("bob's record: %s", got)
	}
	narrow := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: bob, Scheme: gatehouse.SchemeAPIKey, Scopes: []string{"documents:read"}}
	if page, err := h.Admin.Records.Own(t.Context(), narrow, "", 0); gatehouse.KindOf(err) != gatehouse.Denied {
		t.Errorf("a narrow key: %+v %v", page, err)
	}
}

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
