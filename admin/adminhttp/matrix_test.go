package adminhttp_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// may says who may call an operation, apart from the public ones. Letters: a
// gatehouse-admin, o gatehouse-operator, u gatehouse-auditor, b gatehouse-backup, r
// realm-admin of the realm that is acted on, n an account of main without roles, x realm-admin
// of another realm, g gatehouse-guard of the realm that is acted on, h gatehouse-guard of main.
var may = map[string]string{
	"me": "aounbh", "get-me-of-realm": "aournbgh", "backup": "ab", "reload-config": "a",
	"list-nodes": "aou", "remove-node": "a", "list-mails": "aou", "get-mail": "aou", "test-mail": "a",
	"list-realms": "aou", "create-realm": "a", "get-realm": "aour", "update-realm": "ar",
	"export-realm": "aour", "plan-realm": "aour", "apply-realm": "ar",
	"list-users": "aour", "create-user": "aor", "get-user": "aour", "update-user": "aor", "delete-user": "aor",
	"set-password": "aor", "send-reset-link": "aor", "send-factors-link": "aor", "send-address-link": "aor", "list-invitations": "aour", "invite": "aor", "revoke-invitation": "aor", "list-user-grants": "aour", "get-own-data": "aourg", "list-sessions": "aour", "list-apps": "aour", "revoke-app": "aor", "end-session": "aor", "end-sessions": "aor", "revoke-user": "aor", "panic-user": "aor", "panic-key": "aor", "panic-client": "aor", "panic-realm": "a",
	"list-factors": "aour", "begin-totp": "", "confirm-totp": "", "rename-factor": "", "remove-factor": "aor", "new-recovery-codes": "", "list-passkeys": "aour", "remove-passkey": "aor", "list-provider-links": "aour", "remove-provider-link": "aor", "list-providers": "aour", "set-provider-secret": "ar",
	"list-keys": "aour", "create-key": "ar", "import-key": "ar", "get-key": "aour", "update-key": "ar", "rotate-key": "ar", "revoke-key": "aor", "key-usage": "aour",
	"list-clients": "aour", "create-client": "ar", "get-client": "aour", "get-client-snippet": "aour", "update-client": "ar", "rotate-client-secret": "ar", "delete-client": "ar", "list-registration-tokens": "aour", "create-registration-token": "ar", "delete-registration-token": "ar",
	"list-roles": "aour", "get-role": "aour", "put-role": "ar", "delete-role": "ar",
	"list-policies": "aour", "get-policy": "aour", "put-policy": "ar", "delete-policy": "ar", "get-schema": "aour", "put-schema": "ar",
	"list-entities": "aour", "get-entity": "aour", "put-entity": "aor", "delete-entity": "aor", "decide": "aour",
	"inspect-token": "aour", "verify-token": "aour", "revoke-token": "aor", "revoke": "aor", "list-grants": "aour", "follow-revocations": "aourg", "end-grant": "aor",
	"list-signing-keys": "aour", "rotate-signing-key": "ar", "retire-signing-key": "ar", "remove-signing-key": "a",
	"list-events": "aour", "get-checkpoint": "aour", "get-proof": "aour", "verify-log": "aour", "explain": "aour",
}

// bodies that pass validation, so that what refuses is the authorization.
func bodies(victim string) map[string]any {
	token := map[string]any{"token": "ghk_live_x"}
	return map[string]any{
		"create-realm": map[string]any{"name": "new-realm"}, "update-realm": map[string]any{"title": "T"}, "set-provider-secret": map[string]any{"secret": "s"},
		"plan-realm": map[string]any{"file": map[string]any{"title": "T"}}, "apply-realm": map[string]any{"file": map[string]any{"title": "T"}},
		"create-user": map[string]any{"username": "somebody"}, "update-user": map[string]any{"display_name": "V"}, "set-password": map[string]any{}, "begin-totp": map[string]any{}, "confirm-totp": map[string]any{"code": "123456"}, "rename-factor": map[string]any{"name": "n"}, "new-recovery-codes": map[string]any{}, "panic-user": map[string]any{}, "panic-key": map[string]any{}, "panic-client": map[string]any{}, "panic-realm": map[string]any{},
		"create-key": map[string]any{"name": "k", "owner": victim, "scopes": []string{"*"}}, "update-key": map[string]any{"name": "k"},
		"import-key":    map[string]any{"name": "k", "owner": victim, "scopes": []string{"*"}, "bits": 256, "sha256": "9b74c9897bac770ffc029102a200c5de7c2f5e1a1d1f9a3f8c1f4c9f3f2a9d11"},
		"create-client": map[string]any{"client_name": "c", "token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"client_credentials"}}, "update-client": map[string]any{"client_name": "d"}, "rotate-client-secret": map[string]any{}, "create-registration-token": map[string]any{},
		"put-role": map[string]any{}, "put-policy": map[string]any{"text": "permit (principal, action, resource);"}, "put-schema": map[string]any{"text": ""},
		"put-entity": map[string]any{}, "decide": map[string]any{"principal": victim, "action": "read", "resource": map[string]any{"type": "T", "id": "1"}},
		"invite":        map[string]any{"email": "new@example.com"},
		"test-mail":     map[string]any{"to": "ann@example.com"},
		"inspect-token": token, "verify-token": token, "revoke-token": token, "revoke": map[string]any{"kind": "client", "id": "some-client"},
	}
}

// TestAuthorizationMatrix calls every operation as every role, on things of the
// realm acme that are there, and compares with the table above. What the table
// does not list fails.
//
// ASVS: 8.2.1, 8.4.1
func TestAuthorizationMatrix(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "acme"})
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "other"})
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "doomed"}) // whose panic ends nobody's key
	who := map[byte]string{}
	for letter, p := range map[byte][3]string{'a': {"main", "ada", "gatehouse-admin"}, 'o': {"main", "otto", "gatehouse-operator"},
		'u': {"main", "uma", "gatehouse-auditor"}, 'b': {"main", "bea", "gatehouse-backup"}, 'n': {"main", "nora", ""}, 'r': {"acme", "rita", "realm-admin"}, 'x': {"other", "xena", "realm-admin"},
		'g': {"acme", "gus", "gatehouse-guard"}, 'h': {"main", "hal", "gatehouse-guard"}} {
		var roles []string
		if p[2] != "" {
			roles = []string{p[2]}
		}
		id := h.Person(root, p[0], p[1], roles...)
		who[letter], _ = h.Key(root, p[0], id, "*")
	}
	for path, ops := range openapi(t).Paths {
		for method, op := range ops {
			if slices.Contains(public, op.ID) {
				continue
			}
			allowed, listed := may[op.ID]
			if !listed {
				t.Errorf("%s is not in the table of who may", op.ID)
				continue
			}
			for letter, key := range who {
				victim, keyID, kid := victims(t, h, root)
				realm := "acme"
				if op.ID == "panic-realm" {
					realm = "doomed"
				}
				at := strings.NewReplacer("{realm}", realm, "{user}", victim, "{key}", keyID, "{role}", "reader", "{policy}", "doc",
					"{client}", "some-client", "{type}", "Team", "{id}", "blue", "{grant}", "grt_none", "{session}", "ses_none", "{kid}", kid, "{node}", "node_none", "{mail}", "mail_none", "{factor}", "fac_none", "{passkey}", "psk_none", "{provider}", "none", "{link}", "none", "{request}", "req_01m814rehzpn30eps80gwbc1mh").
					Replace(strings.TrimPrefix(path, "/admin/v1"))
				if op.ID == "get-proof" {
					at += "?index=0"
				}
				if op.ID == "follow-revocations" {
					at += "?wait=1"
				}
				r := h.Call(key, strings.ToUpper(method), at, bodies(victim)[op.ID])
				refused := r.Status == 401 || r.Status == 403
				if want := strings.IndexByte(allowed, letter) < 0; refused != want || r.Status >= 500 || r.Status == 405 || r.Status == 400 {
					t.Errorf("%s as %c: %d, refused should be %v: %s", op.ID, letter, r.Status, want, r.Body)
				}
			}
		}
	}
}

// victims makes sure that acme has somebody, a key, and a signing key to act on.
func victims(t *testing.T, h *testadmin.House, root string) (user, key, kid string) {
	t.Helper()
	if r := h.Call(root, "GET", "/realms/acme/users/victim", nil); r.Status == 200 {
		if user = r.Str("id"); r.JSON["disabled"] == true { // by the panic of somebody before
			h.Want(200, root, "PATCH", "/realms/acme/users/victim", map[string]any{"disabled": false})
		}
	} else {
		user = h.Want(201, root, "POST", "/realms/acme/users", map[string]any{"username": "victim"}).Str("user", "id")
	}
	_, key = h.Key(root, "acme", user, "*")
	if r := h.Call(root, "GET", "/realms/acme/users/somebody", nil); r.Status == 200 {
		h.Want(204, root, "DELETE", "/realms/acme/users/somebody", nil)
	}
	items := h.Want(200, root, "GET", "/realms/acme/signing-keys", nil).JSON["items"].([]any)
	return user, key, items[len(items)-1].(map[string]any)["kid"].(string)
}

// TestScopesNarrowRoles: the role of an administrator is worth nothing through a
// credential without the scope.
func TestScopesNarrowRoles(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	read, _ := h.Key(root, "main", "root", "admin:read")
	none, _ := h.Key(root, "main", "root")
	h.Want(200, read, "GET", "/realms/main/users", nil)
	if r := h.Call(read, "POST", "/realms/main/users", map[string]any{"username": "eve"}); r.Status != 403 || r.Str("code") != "insufficient_scope" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	h.Want(403, none, "GET", "/realms/main/users", nil)
	h.Want(200, none, "GET", "/me", nil)
	limited := h.Want(201, root, "POST", "/realms/main/keys", map[string]any{"name": "k", "scopes": []string{"*"}, "role_limit": []string{}, "owner": "root"}).Str("text")
	h.Want(403, limited, "GET", "/realms/main/users", nil)
}

// TestNobodyRaisesHimself: the ways by which an operator might become an
// administrator.
//
// ASVS: 8.2.3, 16.3.3
func TestNobodyRaisesHimself(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Person(root, "main", "otto", "gatehouse-operator")
	h.Person(root, "main", "bob")
	otto := "otto:" + testadmin.Password
	for name, c := range map[string]struct {
		method, path string
		body         any
		code         string
	}{
		"role for himself":          {"PATCH", "/users/me", map[string]any{"roles": []string{"gatehouse-admin"}}, "admin_role_required"},
		"role for another":          {"PATCH", "/users/bob", map[string]any{"roles": []string{"gatehouse-admin"}}, "admin_grant_denied"},
		"new account with a role":   {"POST", "/users", map[string]any{"username": "eve", "roles": []string{"gatehouse-admin"}}, "admin_grant_denied"},
		"administrator's password":  {"POST", "/users/root/password/reset-link", map[string]any{}, "admin_role_required"},
		"disable the administrator": {"PATCH", "/users/root", map[string]any{"disabled": true}, "admin_role_required"},
		"delete the administrator":  {"DELETE", "/users/root", nil, "admin_role_required"},
		"administrator's key":       {"POST", "/keys", map[string]any{"name": "k", "owner": "root", "scopes": []string{"*"}}, ""},
		"own wider key":             {"POST", "/keys", map[string]any{"name": "k", "scopes": []string{"*"}, "role_limit": []string{"gatehouse-admin"}}, "key_role_unknown"},
		"a role":                    {"PUT", "/roles/mine", map[string]any{}, "admin_denied"},
	} {
		if r := h.Call(otto, c.method, "/realms/main"+c.path, c.body); r.Status != 403 && r.Status != 422 || c.code != "" && r.Str("code") != c.code {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	h.Want(200, otto, "PATCH", "/realms/main/users/bob", map[string]any{"display_name": "Bob"})
	for _, change := range []any{map[string]any{"roles": []string{}}, map[string]any{"disabled": true}} {
		if r := h.Call(root, "PATCH", "/realms/main/users/root", change); r.Status != 409 || r.Str("code") != "last_administrator" {
			t.Errorf("the last administrator left: %d %s", r.Status, r.Body)
		}
	}
	h.Want(409, root, "DELETE", "/realms/main/users/root", nil)

	denied := 0
	for _, e := range h.Recorded() {
		if e.Kind == "admin.denied" && e.Actor.Name == "otto" && e.Reason != "" && e.RequestID != "" {
			denied++
		}
	}
	if denied < 8 {
		t.Errorf("only %d refusals are recorded", denied)
	}
}
