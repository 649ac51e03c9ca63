package adminhttp_test

import (
	"fmt"
	"sync"
	"testing"
)

// insider is an issuer whose keys may be fetched from a private address, which only
// the administrator of the installation allows.
func insider() map[string]any {
	return map[string]any{"trusted_issuers": []any{map[string]any{"issuer": "http://10.0.0.7", "audience": "api",
		"algorithms": []string{"ES256"}, "jwks_url": "http://10.0.0.7/keys", "allow_private_address": true}}}
}

// TestChangeIsJudgedByItsMembers: what a change does not name takes no right.
func TestChangeIsJudgedByItsMembers(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	h.want(201, root, "POST", "/realms", map[string]any{"name": "acme", "settings": insider()})
	id := h.person(root, "acme", "anna", "realm-admin")
	anna, _ := h.key(root, "acme", id, "*")
	r := h.want(200, anna, "PATCH", "/realms/acme", map[string]any{"settings": map[string]any{"access_token_ttl": "30m"}})
	if s := r.json["settings"].(map[string]any); s["access_token_ttl"] != "30m0s" || len(s["trusted_issuers"].([]any)) != 1 {
		t.Errorf("merged: %v", s)
	}
	h.want(403, anna, "PATCH", "/realms/acme", map[string]any{"settings": insider()})
	h.want(200, anna, "PATCH", "/realms/acme", map[string]any{"settings": map[string]any{"trusted_issuers": nil}})
}

// TestChangesAtOnce: changes of different members that name no version all last.
func TestChangesAtOnce(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	const n = 24
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if r := h.call(root, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"scopes": map[string]string{fmt.Sprintf("s%d", i): "S"}}}); r.status != 200 {
				t.Errorf("scope s%d: %d %s", i, r.status, r.body)
			}
		})
	}
	all.Wait()
	s := h.want(200, root, "GET", "/realms/main", nil).json["settings"].(map[string]any)["scopes"].(map[string]any)
	if len(s) != n {
		t.Errorf("%d of %d scopes are there", len(s), n)
	}
}

// TestNullOfAnEnd: null leaves a key that has no end without one, and takes none away.
func TestNullOfAnEnd(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	h.person(root, "main", "bob")
	_, id := h.key(root, "main", "bob")
	null := map[string]any{"expires_at": nil}
	h.want(200, root, "PATCH", "/realms/main/keys/"+id, null)
	h.want(200, root, "PATCH", "/realms/main/keys/"+id, map[string]any{"expires_at": "2099-01-01T00:00:00Z"})
	h.want(422, root, "PATCH", "/realms/main/keys/"+id, null)
}
