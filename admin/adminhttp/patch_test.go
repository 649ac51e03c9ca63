package adminhttp_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestMergePatch: a change of one setting leaves the others, null sets the default, and
// a version that is no longer the one of the thing refuses the change.
func TestMergePatch(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "acme", "settings": map[string]any{
		"signing_algorithm": "ES512", "audience": "api", "scopes": map[string]any{"a": "A", "b": "B"}, "grant_ttl": "48h",
		"trusted_issuers": []any{map[string]any{"issuer": "https://idp.example", "audience": "api", "algorithms": []string{"ES256"}, "jwks_url": "https://idp.example/keys"}}}})
	patch := func(path, body string) testadmin.Reply {
		r := httptest.NewRequest("PATCH", adminhttp.Prefix+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/merge-patch+json")
		r.Header.Set("Authorization", "Bearer "+root)
		return h.Send(r)
	}
	settings := func(body string) map[string]any {
		t.Helper()
		r := patch("/realms/acme", body)
		if r.Status != 200 {
			t.Fatalf("%s: %d %s", body, r.Status, r.Body)
		}
		return r.JSON["settings"].(map[string]any)
	}
	s := settings(`{"settings":{"access_token_ttl":"30m","scopes":{"c":"C","b":null}}}`)
	scopes := s["scopes"].(map[string]any)
	if s["signing_algorithm"] != "ES512" || s["audience"] != "api" || s["access_token_ttl"] != "30m0s" || len(s["trusted_issuers"].([]any)) != 1 ||
		len(scopes) != 2 || scopes["a"] != "A" || scopes["c"] != "C" {
		t.Fatalf("merged: %v", s)
	}
	s = settings(`{"settings":{"signing_algorithm":null,"scopes":null,"grant_ttl":null}}`)
	if s["signing_algorithm"] != nil || s["scopes"] != nil || s["grant_ttl"] != nil || s["audience"] != "api" {
		t.Fatalf("taken away: %v", s)
	}
	for _, bad := range []string{`{"settings":{"access_token_ttl":"0s"}}`, `{"settings":{"Audience":null}}`, `{"Settings":null}`, `{"settings":{"access_token_ttl":"-5m"}}`,
		`{"settings":[]}`, `{"settings":{"trusted_issuers":[null]}}`, `[]`} {
		if r := patch("/realms/acme", bad); r.Status != 422 && r.Status != 400 {
			t.Errorf("%s: %d %s", bad, r.Status, r.Body)
		}
	}
	if s = settings(`{"settings":null}`); len(s) != 0 {
		t.Fatalf("all taken away: %v", s)
	}

	bob := "/realms/main/users/bob"
	h.Person(root, "main", "bob")
	if r := patch(bob, `{"email":"b@example.com","attributes":{"team":"blue","at":{"x":1,"y":2}}}`); r.Status != 200 {
		t.Fatal(r.Body)
	}
	r := patch(bob, `{"email":null,"attributes":{"team":null,"at":{"x":3}}}`)
	if r.Status != 200 || r.JSON["email"] != nil || !strings.Contains(r.Body, `"attributes":{"at":{"x":3,"y":2}}`) {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	_, key := h.Key(root, "main", "bob")
	for _, path := range []string{"/realms/acme", bob, "/realms/main/keys/" + key} {
		now := h.Want(200, root, "GET", path, nil).JSON["version"].(float64)
		member := map[bool]string{true: "title", false: "display_name"}[path == "/realms/acme"]
		if strings.Contains(path, "/keys/") {
			member = "name"
		}
		body := map[string]any{member: "new", "version": now}
		h.Want(200, root, "PATCH", path, body)
		if r := h.Call(root, "PATCH", path, body); r.Status != 409 || r.Str("code") != "version_conflict" && !strings.Contains(r.Str("code"), "version") {
			t.Errorf("%s with an old version: %d %s", path, r.Status, r.Body)
		}
	}
	notes := func(body string) any {
		return patch("/realms/main/keys/"+key, body).JSON["metadata"]
	}
	if n := notes(`{"metadata":{"a":"1","b":"2"}}`); n == nil {
		t.Error("no notes")
	}
	if n, _ := notes(`{"metadata":{"a":null,"c":"3"}}`).(map[string]any); len(n) != 2 || n["b"] != "2" || n["c"] != "3" {
		t.Errorf("notes: %v", n)
	}
	if n := notes(`{"metadata":null}`); n != nil {
		t.Errorf("notes that were taken away: %v", n)
	}
	for _, bad := range []string{`{"name":null}`, `{"allowed_nets":null,"name":"n"}`} {
		want := map[bool]int{true: 422, false: 200}[strings.Contains(bad, `"name":null`)]
		if r := patch("/realms/main/keys/"+key, bad); r.Status != want {
			t.Errorf("%s: %d %s", bad, r.Status, r.Body)
		}
	}
}
