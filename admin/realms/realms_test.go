package realms_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/store"
)

func TestRealmSettingsBounds(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "acme", "settings": map[string]any{"token_format": "opaque"}})
	h.Want(409, root, "POST", "/realms", map[string]any{"name": "acme"})
	h.Want(422, root, "POST", "/realms", map[string]any{"name": "No Good"})
	issuer := func(change map[string]any) map[string]any {
		i := map[string]any{"issuer": "https://idp.example", "audience": "api", "algorithms": []string{"ES256"}, "jwks_url": "https://idp.example/keys"}
		for k, v := range change {
			i[k] = v
		}
		return map[string]any{"trusted_issuers": []any{i}}
	}
	for name, settings := range map[string]map[string]any{
		"token of a day":      {"access_token_ttl": "24h"},
		"grace of a minute":   {"refresh_grace": "1m"},
		"short passwords":     {"password_min_length": 14},
		"HMAC":                {"signing_algorithm": "HS256"},
		"own admin scope":     {"scopes": map[string]string{"admin:write": "mine"}},
		"no audience":         issuer(map[string]any{"audience": ""}),
		"no algorithm":        issuer(map[string]any{"algorithms": []string{}}),
		"symmetric algorithm": issuer(map[string]any{"algorithms": []string{"HS256"}}),
		"http":                issuer(map[string]any{"jwks_url": "http://idp.example/keys"}),
		"two sources":         issuer(map[string]any{"jwks": `{"keys":[]}`}),
		"admin role":          issuer(map[string]any{"role_map": map[string]string{"boss": "gatehouse-admin"}}),
	} {
		if r := h.Call(root, "PATCH", "/realms/acme", map[string]any{"settings": settings}); r.Status != 422 {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	h.Want(200, root, "PATCH", "/realms/acme", map[string]any{"settings": issuer(nil)})
	if r := h.Call(root, "PATCH", "/realms/main", map[string]any{"disabled": true}); r.Status != 409 || r.Str("code") != "realm_main_needed" {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if r := h.Want(200, root, "GET", "/realms/acme/signing-keys", nil); len(r.JSON["items"].([]any)) == 0 {
		t.Fatal("a new realm has no signing key")
	}
}

// insider is an issuer whose keys may be fetched from a private address, which only
// the administrator of the installation allows.
func insider() map[string]any {
	return map[string]any{"trusted_issuers": []any{map[string]any{"issuer": "http://10.0.0.7", "audience": "api",
		"algorithms": []string{"ES256"}, "jwks_url": "http://10.0.0.7/keys", "allow_private_address": true}}}
}

// TestChangeIsJudgedByItsMembers: what a change does not name takes no right.
func TestChangeIsJudgedByItsMembers(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "acme", "settings": insider()})
	id := h.Person(root, "acme", "anna", "realm-admin")
	anna, _ := h.Key(root, "acme", id, "*")
	r := h.Want(200, anna, "PATCH", "/realms/acme", map[string]any{"settings": map[string]any{"access_token_ttl": "30m"}})
	if s := r.JSON["settings"].(map[string]any); s["access_token_ttl"] != "30m0s" || len(s["trusted_issuers"].([]any)) != 1 {
		t.Errorf("merged: %v", s)
	}
	h.Want(403, anna, "PATCH", "/realms/acme", map[string]any{"settings": insider()})
	provider := map[string]any{"id": "a", "issuer": "http://10.0.0.7", "client_id": "c", "allow_private_address": true}
	h.Want(403, anna, "PATCH", "/realms/acme", map[string]any{"settings": map[string]any{"providers": []any{provider}}})
	h.Want(200, anna, "PATCH", "/realms/acme", map[string]any{"settings": map[string]any{"trusted_issuers": nil}})
}

// TestChangesAtOnce: changes of different members that name no version all last.
func TestChangesAtOnce(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	const n = 24
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if r := h.Call(root, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"scopes": map[string]string{fmt.Sprintf("s%d", i): "S"}}}); r.Status != 200 {
				t.Errorf("scope s%d: %d %s", i, r.Status, r.Body)
			}
		})
	}
	all.Wait()
	s := h.Want(200, root, "GET", "/realms/main", nil).JSON["settings"].(map[string]any)["scopes"].(map[string]any)
	if len(s) != n {
		t.Errorf("%d of %d scopes are there", len(s), n)
	}
}

// TestShortPasswordsStay: a realm that allowed shorter passwords before 15 was the least
// goes on with them, can raise them, and cannot lower them.
func TestShortPasswordsStay(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "acme"})
	h.Want(422, root, "POST", "/realms", map[string]any{"name": "short", "settings": map[string]any{"password_min_length": 8}})
	r, err := h.DB.Realm(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	r.Settings.PasswordMinLength = 10 // as a version of before stored it
	if err := h.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.UpdateRealm(ctx, r) }); err != nil {
		t.Fatal(err)
	}
	set := func(status int, settings map[string]any) {
		t.Helper()
		h.Want(status, root, "PATCH", "/realms/acme", map[string]any{"settings": settings})
	}
	set(200, map[string]any{"access_token_ttl": "5m"})
	set(422, map[string]any{"password_min_length": 9})
	set(200, map[string]any{"password_min_length": 12})
	set(422, map[string]any{"password_min_length": 10})
	set(200, map[string]any{"password_min_length": 20})
	set(422, map[string]any{"password_min_length": 12})
	set(200, map[string]any{"password_min_length": 15})
}

// TestShortPasswordsBesideAFactor: passwords may have eight characters where everybody must have a second factor, and nowhere else: neither
// can the demand be taken back while they may, nor is a role enough.
//
// ASVS: 6.2.1
func TestShortPasswordsBesideAFactor(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "acme"})
	set := func(status int, settings map[string]any) {
		t.Helper()
		h.Want(status, root, "PATCH", "/realms/acme", map[string]any{"settings": settings})
	}
	set(422, map[string]any{"mfa": "sometimes"})
	set(422, map[string]any{"mfa_roles": []string{"editor"}, "password_min_length": 8})
	set(422, map[string]any{"mfa": "required", "password_min_length": 7})
	set(200, map[string]any{"mfa": "required", "password_min_length": 8})
	set(200, map[string]any{"password_min_length": 9})
	set(422, map[string]any{"mfa": "optional"})
	set(422, map[string]any{"mfa": nil})
	set(200, map[string]any{"mfa": "optional", "password_min_length": 15})
	set(422, map[string]any{"password_min_length": 9})
}
