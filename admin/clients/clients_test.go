package clients_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/admin/clients"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
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
		"token_endpoint_auth_method": registration("token_endpoint_auth_method", "client_secret_jwt"),
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
	for what, bad := range map[string]map[string]any{
		"not among the realm's": registration("introspection_audiences", []string{"https://api.example"}),
		"audience once":         registration("introspection_audiences", []string{"a", "a"}),
		"at most 20":            registration("introspection_audiences", strings.Split(strings.Repeat("a,", 20)+"a", ",")),
	} {
		if r := h.Call(root, "POST", all, bad); r.Status != 422 || !strings.Contains(r.Body, what) || !strings.Contains(r.Body, "introspection_audiences") {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
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
	h.Want(422, root, "PATCH", one, map[string]any{"introspection_audiences": []string{"https://api.example"}})
	h.Want(200, root, "PATCH", "/realms/shop", map[string]any{"settings": map[string]any{"audiences": map[string]any{"https://api.example": map[string]any{}}}})
	if r := h.Want(200, root, "PATCH", one, map[string]any{"introspection_audiences": []string{"https://api.example"}}); !strings.Contains(r.Body, `"introspection_audiences":["https://api.example"]`) {
		t.Error(r.Body)
	}
	h.Want(200, root, "PATCH", one, map[string]any{"introspection_audiences": []string{}})
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

// TestClientKeys: a client that proves itself by keys has no secret, and registers public keys alone or an address of them; what it
// had by a key that is taken away ends, and what it proved itself by before it had keys does not come back.
func TestClientKeys(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "shop", "settings": map[string]any{"scopes": map[string]string{"read": "R", "write": "W"}}})
	const all = "/realms/shop/clients"
	key := func(alg token.Algorithm) (public, private map[string]any) {
		k, err := token.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		text, err := k.MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal(k.PublicJWK(), &public) != nil || json.Unmarshal(text, &private) != nil {
			t.Fatal("no JSON")
		}
		return public, private
	}
	set := func(keys ...map[string]any) map[string]any { return map[string]any{"keys": keys} }
	one, secretOne := key(token.ES256)
	two, _ := key(token.ES256)
	eddsa, _ := key(token.EdDSA)
	weak := maps.Clone(one)
	weak["x"] = "AAAA"
	with := func(change ...any) map[string]any {
		return registration(append([]any{"token_endpoint_auth_method", "private_key_jwt"}, change...)...)
	}
	hmac := map[string]any{"kty": "oct", "alg": "HS256", "k": strings.Repeat("q", 43)}
	many := set()
	for range 11 {
		k := maps.Clone(one)
		delete(k, "kid")
		many["keys"] = append(many["keys"].([]map[string]any), k)
	}
	for what, bad := range map[string]map[string]any{
		"no keys":             with(),
		"both":                with("jwks", set(one), "jwks_uri", "https://client.example/keys"),
		"a private key":       with("jwks", set(secretOne)),
		"a private key first": with("jwks", set(one, secretOne)),
		"an HMAC key":         with("jwks", set(hmac)),
		"a point off curve":   with("jwks", set(weak)),
		"no set":              with("jwks", one),
		"none in it":          with("jwks", set()),
		"too many":            with("jwks", many),
		"HS256":               with("jwks", set(one), "token_endpoint_auth_signing_alg", "HS256"),
		"none":                with("jwks", set(one), "token_endpoint_auth_signing_alg", "none"),
		"another algorithm":   with("jwks", set(one), "token_endpoint_auth_signing_alg", "EdDSA"),
		"plain http":          with("jwks_uri", "http://client.example/keys"),
		"no URL":              with("jwks_uri", "keys"),
		"with a password":     with("jwks_uri", "https://a:b@client.example/keys"),
		"with a fragment":     with("jwks_uri", "https://client.example/keys#1"),
		"very long":           with("jwks_uri", "https://client.example/"+strings.Repeat("x", 500)),
		"nothing to fetch":    with("jwks", set(one), "allow_private_address", true),
		"an end of no secret": with("jwks", set(one), "secret_expires_at", "2090-01-01T00:00:00Z"),
		"keys for a secret":   registration("jwks", set(one)),
		"an address for one":  registration("jwks_uri", "https://client.example/keys"),
	} {
		if r := h.Call(root, "POST", all, bad); r.Status != 422 || strings.Contains(r.Body, fmt.Sprint(secretOne["d"])) {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	own, _ := h.Key(root, "shop", h.Person(root, "shop", "owner", "realm-admin"), "*")
	if r := h.Call(own, "POST", all, with("jwks_uri", "http://10.0.0.7/keys", "allow_private_address", true)); r.Status != 403 {
		t.Errorf("an administrator of one realm has the inside asked: %d %s", r.Status, r.Body)
	}
	inside := h.Want(201, root, "POST", all, with("jwks_uri", "http://10.0.0.7/keys", "allow_private_address", true))
	if r := h.Want(422, own, "PATCH", all+"/"+inside.Str("client_id"), map[string]any{"jwks_uri": "http://10.0.0.8/keys"}); !strings.Contains(r.Body, "jwks_uri") {
		t.Error(r.Body)
	}

	beside := maps.Clone(one)
	beside["x5c"], beside["note"] = []string{"MIIB"}, "mine"
	made := h.Want(201, root, "POST", all, with("jwks", set(beside), "token_endpoint_auth_signing_alg", "ES256"))
	if strings.Contains(made.Body, "client_secret") || strings.Contains(made.Body, "secret_set_at") || strings.Contains(made.Body, "x5c") || made.Str("keys_set_at") == "" ||
		made.Str("token_endpoint_auth_method") != "private_key_jwt" || !strings.Contains(made.Body, fmt.Sprint(one["x"])) {
		t.Fatal(made.Body)
	}
	at := all + "/" + made.Str("client_id")
	if r := h.Call(root, "POST", at+"/rotate", nil); r.Status != 409 || r.Str("code") != "client_has_keys" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	h.Want(422, root, "PATCH", at, map[string]any{"jwks": nil})
	r := h.Want(200, root, "PATCH", at, map[string]any{"jwks": set(two, eddsa)})
	if r.Str("keys_set_at") == made.Str("keys_set_at") {
		t.Error("other keys are as old as those before")
	}
	if r := h.Want(200, root, "PATCH", at, map[string]any{"jwks_uri": "https://client.example/keys"}); strings.Contains(r.Body, "\"jwks\"") {
		t.Error(r.Body)
	}
	// A secret that was there before the keys does not come back with its method.
	plain := h.Want(201, root, "POST", all, registration())
	at = all + "/" + plain.Str("client_id")
	h.Want(200, root, "PATCH", at, map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": set(one)})
	if r := h.Want(200, root, "PATCH", at, map[string]any{"token_endpoint_auth_method": "client_secret_basic"}); strings.Contains(r.Body, "jwks") || r.Str("secret_set_at") != "" {
		t.Errorf("a secret came back, or the keys stayed: %s", r.Body)
	}
	if r := h.Want(201, root, "POST", at+"/rotate", nil); !strings.HasPrefix(r.Str("client_secret"), "ghc_live_") || r.Str("former_secret_until") != "" {
		t.Error(r.Body)
	}
}

// TestLeakedSecret: whoever holds a secret ends it, with what was issued to its client, and no other; a second report changes nothing.
func TestLeakedSecret(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	const all = "/realms/main/clients"
	made := h.Want(201, root, "POST", all, registration("scope", ""))
	at, first := all+"/"+made.Str("client_id"), made.Str("client_secret")
	second := h.Want(201, root, "POST", at+"/rotate", nil).Str("client_secret")
	report := func(text string, status int) {
		t.Helper()
		h.Want(status, "", "POST", "/keys/leaked", map[string]any{"key": text})
	}
	other, _ := client.NewSecret(time.Now())
	report(other.Reveal(), 404)
	report(first+"x", 404)
	report(first, 204)
	one := h.Want(200, root, "GET", at, nil)
	if until, err := time.Parse(time.RFC3339, one.Str("former_secret_until")); err != nil || until.After(time.Now()) || one.Str("secret_expires_at") != "" {
		t.Errorf("the former one was reported: %s", one.Body)
	}
	report(second, 204)
	report(second, 204)
	if until, err := time.Parse(time.RFC3339, h.Want(200, root, "GET", at, nil).Str("secret_expires_at")); err != nil || until.After(time.Now()) {
		t.Error("the secret goes on")
	}
	if n := len(h.Events(root, "client.leaked")); n != 2 {
		t.Errorf("%d events", n)
	}
	if h.Want(201, root, "POST", at+"/rotate", nil).Str("former_secret_until") == "" {
		t.Error("no other secret")
	}
}

// TestTemplate: a registration by a template says what is left out by itself; the document knows every template.
func TestTemplate(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	const all = "/realms/main/clients"
	made := h.Want(201, root, "POST", all, map[string]any{"client_name": "Shop", "template": "web", "redirect_uris": []string{"https://shop.example/back"}})
	if made.Str("client_secret") == "" || made.Str("token_endpoint_auth_method") != "client_secret_basic" || made.Str("scope") != "openid profile email" || made.JSON["require_pkce"] != true {
		t.Error(made.Body)
	}
	for what, bad := range map[string]map[string]any{
		"redirect_uris":              {"client_name": "Shop", "template": "web"},
		"token_endpoint_auth_method": {"client_name": "Shop"},
		"template":                   {"client_name": "Shop", "template": "other"},
	} {
		if r := h.Call(root, "POST", all, bad); r.Status != 422 || !strings.Contains(r.Body, what) {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	field, _ := reflect.TypeFor[clients.NewClient]().FieldByName("Template")
	if got := field.Tag.Get("enum"); got != strings.Join(client.TemplateNames(), ",") {
		t.Errorf("the document has %q", got)
	}
}
