package rules_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

func TestRules(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(200, root, "PUT", "/realms/main/roles/viewer", map[string]any{"permissions": []map[string]any{{"actions": []string{"read"}, "resource_type": "Document"}}})
	h.Want(200, root, "PUT", "/realms/main/roles/editor", map[string]any{"parents": []string{"viewer"}})
	if r := h.Call(root, "PUT", "/realms/main/roles/viewer", map[string]any{"parents": []string{"editor"}}); r.Status != 422 || r.Str("code") != "policy_invalid" {
		t.Fatalf("a circle: %d %s", r.Status, r.Body)
	}
	h.Want(403, root, "PUT", "/realms/main/roles/gatehouse-admin", map[string]any{})
	h.Want(409, root, "DELETE", "/realms/main/roles/viewer", nil) // inherited
	h.Person(root, "main", "carol", "editor")
	h.Want(409, root, "DELETE", "/realms/main/roles/editor", nil) // held
	if r := h.Want(200, root, "POST", "/realms/main/decisions", map[string]any{"principal": "carol", "action": "read", "resource": map[string]any{"type": "Document", "id": "1"}}); r.JSON["allowed"] != true {
		t.Fatalf("inherited permission: %s", r.Body)
	}
	h.Want(422, root, "PUT", "/realms/main/policies/p", map[string]any{"text": "permit (principal"})
	h.Want(200, root, "PUT", "/realms/main/policies/p", map[string]any{"text": `forbid (principal, action, resource) when { resource has secret && resource.secret };`})
	if r := h.Want(200, root, "POST", "/realms/main/decisions", map[string]any{"principal": "carol", "action": "read", "resource": map[string]any{"type": "Document", "id": "1", "attributes": map[string]any{"secret": true}}}); r.JSON["allowed"] != false || !strings.Contains(r.Body, `"forbid"`) {
		t.Fatalf("forbid: %s", r.Body)
	}
	h.Want(204, root, "DELETE", "/realms/main/policies/p", nil)
	h.Want(404, root, "DELETE", "/realms/main/policies/p", nil)
	h.Want(200, root, "PUT", "/realms/main/entities/Team/blue", map[string]any{"attributes": map[string]any{"size": 3}})
	h.Want(422, root, "PUT", "/realms/main/entities/User/root", map[string]any{})
	if r := h.Want(200, root, "GET", "/realms/main/entities/Team", nil); !strings.Contains(r.Body, `"blue"`) {
		t.Fatalf("%s", r.Body)
	}
	h.Want(204, root, "DELETE", "/realms/main/entities/Team/blue", nil)
	h.Want(200, root, "PATCH", "/realms/main/users/carol", map[string]any{"roles": []string{}})
	h.Want(204, root, "DELETE", "/realms/main/roles/editor", nil)
	h.Want(422, root, "PATCH", "/realms/main/users/carol", map[string]any{"roles": []string{"editor"}}) // gone
}
