package clients_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// registration is that of a client, with changes.
func registration(change ...any) map[string]any {
	c := map[string]any{"client_name": "Nightly", "token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"client_credentials"}, "scope": "read write"}
	for i := 0; i+1 < len(change); i += 2 {
		c[change[i].(string)] = change[i+1]
	}
	return c
}

// TestClients: a client is registered with scopes that the realm has and its maker holds, changed by version, and removed; its
// secret is shown once, at its making and at each rotation.
func TestClients(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "shop", "settings": map[string]any{"scopes": map[string]string{"read": "R", "write": "W"}}})
	const all = "/realms/shop/clients"
	for what, bad := range map[string]map[string]any{
		"client_name":                registration("client_name", ""),
		"token_endpoint_auth_method": registration("token_endpoint_auth_method", "none"),
		"grant_types":                registration("grant_types", []string{"password"}),
		"scope":                      registration("scope", "read read"),
		"secret_expires_at":          registration("secret_expires_at", "2001-01-01T00:00:00Z"),
	} {
		if r := h.Call(root, "POST", all, bad); r.Status != 422 || !strings.Contains(r.Body, what) {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	for _, bad := range []map[string]any{registration("grant_types", []string{}), registration("grant_types", []string{"client_credentials", "client_credentials"}),
		registration("scope", "admin"), registration("scope", "*"), registration("secret_expires_at", "2999-01-01T00:00:00Z"), registration("redirect_uris", []string{"https://a.example"})} {
		if r := h.Call(root, "POST", all, bad); r.Status != 422 && r.Status != 400 {
			t.Errorf("%v: %d %s", bad, r.Status, r.Body)
		}
	}
	h.Want(404, root, "POST", "/realms/none/clients", registration("scope", ""))
	narrow, _ := h.Key(root, "main", "root", "admin:write")
	if r := h.Call(narrow, "POST", all, registration()); r.Status != 403 || r.Str("code") != "scope_not_held" {
		t.Errorf("a scope that its maker lacks: %d %s", r.Status, r.Body)
	}

	made := h.Want(201, root, "POST", all, registration())
	id, secret := made.Str("client_id"), made.Str("client_secret")
	if !strings.HasPrefix(id, "cli_") || !strings.HasPrefix(secret, "ghc_live_") || made.Str("scope") != "read write" || made.Str("client_name") != "Nightly" {
		t.Fatal(made.Body)
	}
	one := all + "/" + id
	for _, path := range []string{all, one} {
		if r := h.Want(200, root, "GET", path, nil); !strings.Contains(r.Body, id) || strings.Contains(r.Body, secret) || strings.Contains(r.Body, "client_secret\"") {
			t.Errorf("%s: %s", path, r.Body)
		}
	}
	h.Want(404, root, "GET", "/realms/main/clients/"+id, nil)
	h.Want(409, root, "PATCH", one, map[string]any{"client_name": "x", "version": 7})
	if r := h.Want(200, root, "PATCH", one, map[string]any{"client_name": "Daily", "scope": "read", "version": 1}); r.Str("client_name") != "Daily" || r.Str("scope") != "read" || r.JSON["version"] != 2.0 {
		t.Error(r.Body)
	}
	if r := h.Call(narrow, "PATCH", one, map[string]any{"scope": "read write"}); r.Status != 403 || r.Str("code") != "scope_not_held" {
		t.Errorf("wider than its maker: %d %s", r.Status, r.Body)
	}
	h.Want(422, root, "PATCH", one, map[string]any{"scope": "read none"})
	h.Want(422, root, "PATCH", one, map[string]any{"grant_types": []string{}})
	h.Want(422, root, "POST", one+"/rotate", map[string]any{"overlap": "2161h"})
	r := h.Want(201, root, "POST", one+"/rotate", nil)
	if r.Str("client_secret") == secret || r.Str("former_secret_until") == "" {
		t.Error(r.Body)
	}
	if r := h.Want(201, root, "POST", one+"/rotate", map[string]any{"overlap": "0"}); r.Str("former_secret_until") != "" {
		t.Error(r.Body)
	}
	h.Want(204, root, "DELETE", one, nil)
	for _, method := range []string{"GET", "DELETE", "PATCH"} {
		body := map[string]any{"client_name": "x"}
		if method != "PATCH" {
			body = nil
		}
		if r := h.Call(root, method, one, body); r.Status != 404 || r.Str("code") != "client_not_found" {
			t.Errorf("%s: %d %s", method, r.Status, r.Body)
		}
	}
}
