package adminhttp_test

import "testing"

// TestDeniedNamesTheKey: the record of a refusal names the key that somebody reached for, not its owner.
func TestDeniedNamesTheKey(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	h.person(root, "main", "bob")
	id := h.want(201, root, "POST", "/realms/main/keys", map[string]any{"name": "k", "owner": "root", "scopes": []string{"*"}}).json["key"].(map[string]any)["id"]
	if r := h.call("bob:"+password, "GET", "/realms/main/keys/"+id.(string), nil); r.status < 400 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.recorded {
		if e.Kind == "admin.denied" && e.Actor.Name == "bob" {
			if e.Target.ID != id {
				t.Errorf("the record names %q, not the key %q", e.Target.ID, id)
			}
			return
		}
	}
	t.Error("nothing is recorded")
}
