package adminhttp_test

import (
	"errors"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
)

// ASVS: 6.3.2, 13.2.3
func TestBootstrapWorksOnce(t *testing.T) {
	h := newHouse(t)
	if r := h.call("", "POST", "/bootstrap", map[string]any{"secret": "guess", "username": "root", "password": password}); r.status != 401 || r.str("code") != "bootstrap_refused" {
		t.Fatalf("a guess: %d %s", r.status, r.body)
	}
	key := h.bootstrap()
	me := h.want(200, key, "GET", "/me", nil)
	if me.str("name") != "root" || !strings.Contains(me.body, "gatehouse-admin") {
		t.Fatalf("me: %s", me.body)
	}
	if r := h.call("", "POST", "/bootstrap", map[string]any{"secret": h.secret.Reveal(), "username": "second", "password": password}); r.status != 401 {
		t.Fatalf("the secret worked twice: %d %s", r.status, r.body)
	}
	if v, err := h.db.Setting(t.Context(), "bootstrap"); !errors.Is(err, gatehouse.NotFound) {
		t.Fatalf("the used secret is kept: %q %v", v, err)
	}
	if s, err := h.svc.NewBootstrapSecret(t.Context()); err != nil || s != "" {
		t.Fatalf("another secret although there is an administrator: %v", err)
	}
	if r := h.want(200, "root:"+password, "GET", "/me", nil); r.str("scheme") != "basic" {
		t.Fatalf("the password does not log in: %s", r.body)
	}
}

// ASVS: 6.2.2, 6.2.3
func TestUserLifecycle(t *testing.T) {
	h := newHouse(t)
	key := h.bootstrap()
	made := h.want(201, key, "POST", "/realms/main/users", map[string]any{"username": "Bob", "generate_password": true,
		"attributes": map[string]any{"level": 3, "tags": []string{"a"}}})
	first := made.str("password")
	if len(first) < 20 || strings.Contains(made.body, "argon2") {
		t.Fatalf("generated password: %s", made.body)
	}
	if r := h.call(key, "POST", "/realms/main/users", map[string]any{"username": "bob"}); r.status != 409 || r.str("code") != "username_taken" {
		t.Fatalf("same name in another case: %d %s", r.status, r.body)
	}
	h.want(200, "bob:"+first, "GET", "/realms/main/users/me", nil)

	t.Run("own password", func(t *testing.T) {
		if r := h.call("bob:"+first, "PUT", "/realms/main/users/me/password", map[string]any{"current": "wrong", "new": "granite.Lantern.weasel.42"}); r.status != 401 {
			t.Fatalf("wrong current password: %d %s", r.status, r.body)
		}
		h.want(200, "bob:"+first, "PUT", "/realms/main/users/me/password", map[string]any{"current": first, "new": "granite.Lantern.weasel.42"})
		h.want(401, "bob:"+first, "GET", "/me", nil)
		h.want(200, "bob:granite.Lantern.weasel.42", "GET", "/me", nil)
	})
	t.Run("administrators choose no passwords", func(t *testing.T) {
		if r := h.call(key, "PUT", "/realms/main/users/bob/password", map[string]any{"new": "chosen-by-somebody-else"}); r.status != 422 || r.str("code") != "password_not_chosen_here" {
			t.Fatalf("%d %s", r.status, r.body)
		}
		reset := h.want(200, key, "PUT", "/realms/main/users/bob/password", map[string]any{}).str("password")
		h.want(401, "bob:granite.Lantern.weasel.42", "GET", "/me", nil)
		h.want(200, "bob:"+reset, "GET", "/me", nil)
	})
	t.Run("import", func(t *testing.T) {
		hash := string(must(bcrypt.GenerateFromPassword([]byte("short"), 10)))
		h.want(422, key, "POST", "/realms/main/users", map[string]any{"username": "eve", "password_hash": "hunter2"})
		h.want(422, key, "POST", "/realms/main/users", map[string]any{"username": "eve", "password_hash": hash, "password": password})
		h.want(201, key, "POST", "/realms/main/users", map[string]any{"username": "eve", "password_hash": hash})
		h.want(200, "eve:short", "GET", "/me", nil)
		h.want(204, key, "DELETE", "/realms/main/users/eve", nil)
	})
	t.Run("version", func(t *testing.T) {
		u := h.want(200, key, "GET", "/realms/main/users/bob", nil)
		v := u.json["version"].(float64)
		h.want(200, key, "PATCH", "/realms/main/users/bob", map[string]any{"display_name": "Bob B.", "version": v})
		if r := h.call(key, "PATCH", "/realms/main/users/bob", map[string]any{"display_name": "Other", "version": v}); r.status != 409 || r.str("code") != "version_conflict" {
			t.Fatalf("%d %s", r.status, r.body)
		}
	})
	t.Run("paging", func(t *testing.T) {
		p := h.want(200, key, "GET", "/realms/main/users?limit=1", nil)
		if len(p.json["items"].([]any)) != 1 || p.str("next") == "" {
			t.Fatalf("first page: %s", p.body)
		}
		p = h.want(200, key, "GET", "/realms/main/users?limit=1&after="+p.str("next"), nil)
		if len(p.json["items"].([]any)) != 1 || p.str("next") != "" {
			t.Fatalf("last page: %s", p.body)
		}
	})
	t.Run("delete", func(t *testing.T) {
		text, id := h.key(key, "main", "bob", "*")
		h.want(200, text, "GET", "/me", nil)
		h.want(204, key, "DELETE", "/realms/main/users/bob", nil)
		h.want(401, text, "GET", "/me", nil)
		h.want(404, key, "GET", "/realms/main/users/bob", nil)
		if r := h.want(200, key, "GET", "/realms/main/keys/"+id, nil); r.str("status") != "revoked" {
			t.Fatalf("the key of a deleted user: %s", r.body)
		}
	})
}

// forged is a key with the id of text, another secret and a right checksum:
// what somebody can make who has only seen the id.
func forged(text string) string {
	body := []byte(text[:len(text)-6])
	for i := len(body) - 30; i < len(body); i++ {
		body[i] = 'x'
	}
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := crc32.ChecksumIEEE(body)
	var crc [6]byte
	for i := 5; i >= 0; i-- {
		crc[i] = digits[sum%62]
		sum /= 62
	}
	return string(body) + string(crc[:])
}

// TestEndsLogins: what must end an account's tokens ends them before the call
// returns.
func TestEndsLogins(t *testing.T) {
	for name, end := range map[string]func(h *house, key string){
		"disable": func(h *house, key string) {
			h.want(200, key, "PATCH", "/realms/main/users/bob", map[string]any{"disabled": true})
			// What ended stays ended when he is let in again.
			h.want(200, key, "PATCH", "/realms/main/users/bob", map[string]any{"disabled": false})
		},
		"delete": func(h *house, key string) { h.want(204, key, "DELETE", "/realms/main/users/bob", nil) },
		"reset": func(h *house, key string) {
			h.want(200, key, "PUT", "/realms/main/users/bob/password", map[string]any{})
		},
		"revoke": func(h *house, key string) { h.want(204, key, "POST", "/realms/main/users/bob/revoke", nil) },
		"cut-off": func(h *house, key string) {
			h.want(201, key, "POST", "/realms/main/revocations", map[string]any{"kind": "realm"})
		},
		"end grant": func(h *house, key string) {
			g := h.want(200, key, "GET", "/realms/main/users/bob/grants", nil).json["items"].([]any)[0].(map[string]any)
			h.want(204, key, "POST", "/realms/main/grants/"+g["id"].(string)+"/end", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			key := h.bootstrap()
			id := h.person(key, "main", "bob")
			p := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: id, AuthTime: time.Now()}
			tokens, err := h.grants.Open(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient}, p)
			if err != nil {
				t.Fatal(err)
			}
			h.want(200, tokens.AccessToken.Reveal(), "GET", "/me", nil)
			end(h, key)
			h.want(401, tokens.AccessToken.Reveal(), "GET", "/me", nil)
			if _, err := h.grants.Renew(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient}, tokens.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
				t.Fatalf("the refresh token lives on: %v", err)
			}
		})
	}
}

// ASVS: 14.2.6
func TestKeyLifecycle(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	h.want(200, root, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"scopes": map[string]string{"documents:read": "Read"}}})
	h.person(root, "main", "bob")
	bob := "bob:" + password

	t.Run("own", func(t *testing.T) {
		text, id := h.key(bob, "main", "me", "documents:read")
		h.want(200, text, "GET", "/me", nil)
		if r := h.want(200, bob, "GET", "/realms/main/keys?owner=me", nil); !strings.Contains(r.body, id) || strings.Contains(r.body, text) {
			t.Fatalf("own keys: %s", r.body)
		}
		h.want(403, bob, "GET", "/realms/main/keys", nil)
		// A key makes no keys: a leaked one would outlive its revocation.
		all, _ := h.key(bob, "main", "me", "*")
		if r := h.call(all, "POST", "/realms/main/keys", map[string]any{"name": "x", "scopes": []string{"documents:read"}}); r.status != 403 || r.str("code") != "login_required" {
			t.Fatalf("a key made a key: %d %s", r.status, r.body)
		}
		h.want(422, bob, "POST", "/realms/main/keys", map[string]any{"name": "x", "scopes": []string{"unknown"}})
		h.want(422, bob, "POST", "/realms/main/keys", map[string]any{"name": "x", "scopes": []string{}, "role_limit": []string{"gatehouse-admin"}})
		h.want(403, bob, "POST", "/realms/main/keys", map[string]any{"name": "x", "owner": "root", "scopes": []string{"*"}})
		h.want(200, bob, "POST", "/realms/main/keys/"+id+"/revoke", nil)
		h.want(401, text, "GET", "/me", nil)
	})
	t.Run("rotate", func(t *testing.T) {
		text, id := h.key(root, "main", "bob", "documents:read")
		r := h.want(201, root, "POST", "/realms/main/keys/"+id+"/rotate", map[string]any{"overlap": "1h"})
		h.want(200, text, "GET", "/me", nil)
		h.want(200, r.str("text"), "GET", "/me", nil)
		if r := h.call(root, "POST", "/realms/main/keys/"+id+"/rotate", nil); r.status != 409 || r.str("code") != "key_already_rotated" {
			t.Fatalf("%d %s", r.status, r.body)
		}
		next := h.want(201, root, "POST", "/realms/main/keys/"+r.str("key", "id")+"/rotate", map[string]any{"overlap": "0s"})
		h.want(401, r.str("text"), "GET", "/me", nil) // no overlap
		h.want(200, next.str("text"), "GET", "/me", nil)
		for _, overlap := range []string{"9000h", "-1h", "106751d", "5 minutes"} {
			h.want(422, root, "POST", "/realms/main/keys/"+next.str("key", "id")+"/rotate", map[string]any{"overlap": overlap})
		}
		text, id = h.key(root, "main", "bob", "documents:read")
		h.want(201, root, "POST", "/realms/main/keys/"+id+"/rotate", nil) // a day, as the command gives
		h.want(200, text, "GET", "/me", nil)
		if end := h.want(200, root, "GET", "/realms/main/keys/"+id, nil).str("expires_at"); !near(end, 24*time.Hour) {
			t.Fatalf("the old key ends %s", end)
		}
	})
	t.Run("names", func(t *testing.T) {
		h.key(root, "main", "bob", "documents:read")
		if r := h.want(200, root, "GET", "/realms/main/keys?owner=bob", nil); !strings.Contains(r.body, `"owner_name":"bob"`) {
			t.Fatal(r.body)
		}
		for _, path := range []string{"/realms/main/keys?owner=nobody", "/realms/main/users/nobody/grants"} {
			if r := h.call(root, "GET", path, nil); r.status != 404 || r.str("code") != "user_not_found" {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
		for end, status := range map[string]int{"2020-01-01T00:00:00Z": 422, "9999-01-01T00:00:00Z": 422, "2100-01-01T00:00:00Z": 201} {
			h.want(status, root, "POST", "/realms/main/keys", map[string]any{"name": "x", "owner": "bob", "scopes": []string{}, "expires_at": end})
		}
	})
	t.Run("narrow", func(t *testing.T) {
		_, id := h.key(root, "main", "bob", "documents:read")
		if r := h.call(root, "PATCH", "/realms/main/keys/"+id, map[string]any{"scopes": []string{"*"}}); r.status != 422 || r.str("code") != "key_cannot_widen" {
			t.Fatalf("%d %s", r.status, r.body)
		}
		h.want(200, root, "PATCH", "/realms/main/keys/"+id, map[string]any{"allowed_nets": []string{"192.0.2.0/24"}, "scopes": []string{}})
		h.want(422, root, "PATCH", "/realms/main/keys/"+id, map[string]any{"allowed_nets": []string{}})
		h.want(200, root, "PATCH", "/realms/main/keys/"+id, map[string]any{"allowed_nets": []string{"192.0.2.128/25"}})
		h.want(422, root, "PATCH", "/realms/main/keys/"+id, map[string]any{"allowed_nets": []string{"192.0.2.0/24"}})
	})
	t.Run("leaked", func(t *testing.T) {
		text, id := h.key(root, "main", "bob", "documents:read")
		h.want(404, "", "POST", "/keys/leaked", map[string]any{"key": text[:len(text)-1] + "!"})
		h.want(404, "", "POST", "/keys/leaked", map[string]any{"key": forged(text)})
		h.want(200, text, "GET", "/me", nil)
		h.want(204, "", "POST", "/keys/leaked", map[string]any{"key": text})
		h.want(401, text, "GET", "/me", nil)
		if r := h.want(200, root, "GET", "/realms/main/keys/"+id, nil); r.str("status") != "leaked" {
			t.Fatalf("%s", r.body)
		}
		h.want(204, "", "POST", "/keys/leaked", map[string]any{"key": text}) // reporting twice is no error
	})
	t.Run("scope not held", func(t *testing.T) {
		narrow, _ := h.key(root, "main", "root", "admin:read", "admin:write")
		if r := h.call(narrow, "POST", "/realms/main/keys", map[string]any{"name": "x", "owner": "bob", "scopes": []string{"documents:read"}}); r.status != 403 || r.str("code") != "scope_not_held" {
			t.Fatalf("%d %s", r.status, r.body)
		}
	})
}

// near tells whether a time of an answer is about so long from now.
func near(text string, from time.Duration) bool {
	at, err := time.Parse(time.RFC3339, text)
	return err == nil && (time.Until(at)-from).Abs() < time.Minute
}

func TestRules(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	h.want(200, root, "PUT", "/realms/main/roles/viewer", map[string]any{"permissions": []map[string]any{{"actions": []string{"read"}, "resource_type": "Document"}}})
	h.want(200, root, "PUT", "/realms/main/roles/editor", map[string]any{"parents": []string{"viewer"}})
	if r := h.call(root, "PUT", "/realms/main/roles/viewer", map[string]any{"parents": []string{"editor"}}); r.status != 422 || r.str("code") != "policy_invalid" {
		t.Fatalf("a circle: %d %s", r.status, r.body)
	}
	h.want(403, root, "PUT", "/realms/main/roles/gatehouse-admin", map[string]any{})
	h.want(409, root, "DELETE", "/realms/main/roles/viewer", nil) // inherited
	h.person(root, "main", "carol", "editor")
	h.want(409, root, "DELETE", "/realms/main/roles/editor", nil) // held
	if r := h.want(200, root, "POST", "/realms/main/decisions", map[string]any{"principal": "carol", "action": "read", "resource": map[string]any{"type": "Document", "id": "1"}}); r.json["allowed"] != true {
		t.Fatalf("inherited permission: %s", r.body)
	}
	h.want(422, root, "PUT", "/realms/main/policies/p", map[string]any{"text": "permit (principal"})
	h.want(200, root, "PUT", "/realms/main/policies/p", map[string]any{"text": `forbid (principal, action, resource) when { resource has secret && resource.secret };`})
	if r := h.want(200, root, "POST", "/realms/main/decisions", map[string]any{"principal": "carol", "action": "read", "resource": map[string]any{"type": "Document", "id": "1", "attributes": map[string]any{"secret": true}}}); r.json["allowed"] != false || !strings.Contains(r.body, `"forbid"`) {
		t.Fatalf("forbid: %s", r.body)
	}
	h.want(204, root, "DELETE", "/realms/main/policies/p", nil)
	h.want(404, root, "DELETE", "/realms/main/policies/p", nil)
	h.want(200, root, "PUT", "/realms/main/entities/Team/blue", map[string]any{"attributes": map[string]any{"size": 3}})
	h.want(422, root, "PUT", "/realms/main/entities/User/root", map[string]any{})
	if r := h.want(200, root, "GET", "/realms/main/entities/Team", nil); !strings.Contains(r.body, `"blue"`) {
		t.Fatalf("%s", r.body)
	}
	h.want(204, root, "DELETE", "/realms/main/entities/Team/blue", nil)
	h.want(200, root, "PATCH", "/realms/main/users/carol", map[string]any{"roles": []string{}})
	h.want(204, root, "DELETE", "/realms/main/roles/editor", nil)
	h.want(422, root, "PATCH", "/realms/main/users/carol", map[string]any{"roles": []string{"editor"}}) // gone
}

func TestRealmSettingsBounds(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	h.want(201, root, "POST", "/realms", map[string]any{"name": "acme", "settings": map[string]any{"token_format": "opaque"}})
	h.want(409, root, "POST", "/realms", map[string]any{"name": "acme"})
	h.want(422, root, "POST", "/realms", map[string]any{"name": "No Good"})
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
		"short passwords":     {"password_min_length": 4},
		"HMAC":                {"signing_algorithm": "HS256"},
		"own admin scope":     {"scopes": map[string]string{"admin:write": "mine"}},
		"no audience":         issuer(map[string]any{"audience": ""}),
		"no algorithm":        issuer(map[string]any{"algorithms": []string{}}),
		"symmetric algorithm": issuer(map[string]any{"algorithms": []string{"HS256"}}),
		"http":                issuer(map[string]any{"jwks_url": "http://idp.example/keys"}),
		"two sources":         issuer(map[string]any{"jwks": `{"keys":[]}`}),
		"admin role":          issuer(map[string]any{"role_map": map[string]string{"boss": "gatehouse-admin"}}),
	} {
		if r := h.call(root, "PATCH", "/realms/acme", map[string]any{"settings": settings}); r.status != 422 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	h.want(200, root, "PATCH", "/realms/acme", map[string]any{"settings": issuer(nil)})
	if r := h.call(root, "PATCH", "/realms/main", map[string]any{"disabled": true}); r.status != 409 || r.str("code") != "realm_main_needed" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := h.want(200, root, "GET", "/realms/acme/signing-keys", nil); len(r.json["items"].([]any)) == 0 {
		t.Fatal("a new realm has no signing key")
	}
}

func TestAuditAndTokens(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	id := h.person(root, "main", "bob")
	if err := h.sequencer.Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	events := h.want(200, root, "GET", "/realms/main/audit/events?kind=user.create", nil)
	first := events.json["items"].([]any)[0].(map[string]any)
	if first["target"].(map[string]any)["id"] != id || first["actor"].(map[string]any)["name"] != "root" {
		t.Fatalf("who made bob: %s", events.body)
	}
	note := h.want(200, root, "GET", "/realms/main/audit/checkpoint", nil).str("note")
	h.want(200, root, "GET", "/realms/main/audit/proof?index=0", nil)
	if r := h.want(200, root, "POST", "/realms/main/audit/verify", map[string]any{"checkpoints": []string{note}, "index": 0}); r.json["ok"] != true || r.json["inclusion"] == nil {
		t.Fatalf("%s", r.body)
	}
	if r := h.want(200, root, "POST", "/realms/main/audit/verify", map[string]any{"checkpoints": []string{strings.Replace(note, "main", "acme", 1)}}); r.json["ok"] != false {
		t.Fatalf("a checkpoint of another log: %s", r.body)
	}
	req := first["request_id"].(string)
	if r := h.want(200, root, "GET", "/realms/main/explain/"+req, nil); !strings.Contains(r.body, "user.create") {
		t.Fatalf("%s", r.body)
	}

	p := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: id, AuthTime: time.Now()}
	tokens, err := h.grants.Open(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient}, p)
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]any{"token": tokens.AccessToken.Reveal()}
	if r := h.want(200, root, "POST", "/realms/main/tokens/inspect", text); r.json["trusted"] != false || r.str("claims", "sub") != id {
		t.Fatalf("%s", r.body)
	}
	if r := h.want(200, root, "POST", "/realms/main/tokens/verify", text); r.json["active"] != true || r.str("grant_id") != tokens.GrantID {
		t.Fatalf("%s", r.body)
	}
	h.want(204, root, "POST", "/realms/main/tokens/revoke", text)
	if r := h.want(200, root, "POST", "/realms/main/tokens/verify", text); r.json["active"] != false || r.str("reason") == "" {
		t.Fatalf("%s", r.body)
	}
	h.want(204, root, "POST", "/realms/main/tokens/revoke", text) // nothing left to end
	h.want(422, root, "POST", "/realms/main/tokens/inspect", map[string]any{"token": "hello"})

	kid := h.want(201, root, "POST", "/realms/main/signing-keys/rotate", map[string]any{"now": true}).str("kid")
	h.want(204, root, "DELETE", "/realms/main/signing-keys/"+kid, nil)
	h.want(404, root, "DELETE", "/realms/main/signing-keys/"+kid, nil)
	if r := h.want(200, root, "POST", "/backup", nil); r.str("name") == "" {
		t.Fatalf("%s", r.body)
	}
}
