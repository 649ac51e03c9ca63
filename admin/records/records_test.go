package records_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

func TestAuditAndTokens(t *testing.T) {
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

	p := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: id, AuthTime: time.Now()}
	tokens, err := h.Grants.Open(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient}, p)
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]any{"token": tokens.AccessToken.Reveal()}
	if r := h.Want(200, root, "POST", "/realms/main/tokens/inspect", text); r.JSON["trusted"] != false || r.Str("claims", "sub") != id {
		t.Fatalf("%s", r.Body)
	}
	if r := h.Want(200, root, "POST", "/realms/main/tokens/verify", text); r.JSON["active"] != true || r.Str("grant_id") != tokens.GrantID {
		t.Fatalf("%s", r.Body)
	}
	h.Want(204, root, "POST", "/realms/main/tokens/revoke", text)
	if r := h.Want(200, root, "POST", "/realms/main/tokens/verify", text); r.JSON["active"] != false || r.Str("reason") == "" {
		t.Fatalf("%s", r.Body)
	}
	h.Want(204, root, "POST", "/realms/main/tokens/revoke", text) // nothing left to end
	h.Want(422, root, "POST", "/realms/main/tokens/inspect", map[string]any{"token": "hello"})

	kid := h.Want(201, root, "POST", "/realms/main/signing-keys/rotate", map[string]any{"now": true}).Str("kid")
	h.Want(204, root, "DELETE", "/realms/main/signing-keys/"+kid, nil)
	h.Want(404, root, "DELETE", "/realms/main/signing-keys/"+kid, nil)
	if r := h.Want(200, root, "POST", "/backup", nil); r.Str("name") == "" {
		t.Fatalf("%s", r.Body)
	}
}
