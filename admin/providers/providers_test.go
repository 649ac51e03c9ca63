package providers_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestProviders: the settings of a realm are checked, and a secret is set for them as they are and shown to nobody.
func TestProviders(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "shop"})
	acme := func(change ...any) map[string]any {
		p := map[string]any{"id": "acme", "issuer": "https://acme.example", "client_id": "c"}
		for i := 0; i < len(change); i += 2 {
			p[change[i].(string)] = change[i+1]
		}
		return map[string]any{"settings": map[string]any{"providers": []any{p}}}
	}
	for what, bad := range map[string]map[string]any{
		"name": acme("id", "A/B"), "no name": acme("id", ""), "issuer": acme("issuer", "https://acme.example?x"), "plain": acme("issuer", "http://acme.example"),
		"client": acme("client_id", ""), "scope": acme("scopes", []string{"a b"}), "algorithm": acme("algorithms", []string{"HS256"}), "none": acme("algorithms", []string{"none"}), "ca": acme("ca", "x"),
		"twice": {"settings": map[string]any{"providers": []any{acme()["settings"].(map[string]any)["providers"].([]any)[0], acme()["settings"].(map[string]any)["providers"].([]any)[0]}}},
	} {
		if r := h.Call(root, "PATCH", "/realms/shop", bad); r.Status != 422 || r.Str("code") != "input_invalid" {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	const secret = "/realms/shop/providers/acme/secret"
	if r := h.Call(root, "PUT", secret, map[string]any{"secret": "s"}); r.Status != 404 || r.Str("code") != "provider_not_found" {
		t.Errorf("before there is one: %d %s", r.Status, r.Body)
	}
	h.Want(200, root, "PATCH", "/realms/shop", acme())
	for _, bad := range []string{"", strings.Repeat("s", 4097)} {
		if r := h.Call(root, "PUT", secret, map[string]any{"secret": bad}); r.Status != 422 {
			t.Errorf("a secret of %d: %d %s", len(bad), r.Status, r.Body)
		}
	}
	h.Want(204, root, "PUT", secret, map[string]any{"secret": "hush hush"})
	for _, path := range []string{"/realms/shop/providers", "/realms/shop", "/realms/shop/file"} {
		if r := h.Want(200, root, "GET", path, nil); !strings.Contains(r.Body, "https://acme.example") || strings.Contains(r.Body, "hush") {
			t.Errorf("%s: %s", path, r.Body)
		}
	}
	if r := h.Want(200, root, "GET", "/realms/shop/providers", nil); !strings.Contains(r.Body, `"has_secret":true`) || !strings.Contains(r.Body, `"redirect_uri":"https://id.example/shop/acme"`) {
		t.Error(r.Body)
	}
	h.Want(200, root, "PATCH", "/realms/shop", acme("client_id", "d"))
	if r := h.Want(200, root, "GET", "/realms/shop/providers", nil); !strings.Contains(r.Body, `"has_secret":false`) {
		t.Errorf("the secret for another client: %s", r.Body)
	}
}

// TestPresets: a preset fills in what is left out, demands what it cannot know, and is one that there is.
func TestPresets(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "shop"})
	set := func(members ...string) map[string]any {
		p := map[string]any{"id": "p", "client_id": "c"}
		for i := 0; i < len(members); i += 2 {
			p[members[i]] = members[i+1]
		}
		return map[string]any{"settings": map[string]any{"providers": []any{p}}}
	}
	tenant := "https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0"
	for name, c := range map[string]struct {
		members []string
		issuer  string
		title   string
	}{
		"google":    {nil, "https://accounts.google.com", "Google"},
		"microsoft": {[]string{"issuer", tenant}, tenant, "Microsoft"},
		"gitlab":    {nil, "https://gitlab.com", "GitLab"},
		"okta":      {[]string{"issuer", "https://acme.okta.com"}, "https://acme.okta.com", "Okta"},
		"github":    {nil, "https://github.com/login/oauth", "GitHub"},
		"apple":     {[]string{"team_id", "TEAM123456", "key_id", "KEY1234567"}, "https://appleid.apple.com", "Apple"},
	} {
		h.Want(200, root, "PATCH", "/realms/shop", set(append(c.members, "preset", name)...))
		if r := h.Want(200, root, "GET", "/realms/shop/providers", nil); !strings.Contains(r.Body, `"issuer":"`+c.issuer+`"`) || !strings.Contains(r.Body, `"title":"`+c.title+`"`) || !strings.Contains(r.Body, `"preset":"`+name+`"`) {
			t.Errorf("%s: %s", name, r.Body)
		}
		if r := h.Want(200, root, "GET", "/realms/shop", nil); len(c.members) == 0 && strings.Contains(r.Body, "issuer") {
			t.Errorf("%s: what the preset says is stored: %s", name, r.Body)
		}
		if c.members != nil {
			if r := h.Call(root, "PATCH", "/realms/shop", set("preset", name)); r.Status != 422 {
				t.Errorf("%s without %v: %d %s", name, c.members, r.Status, r.Body)
			}
		}
	}
	for what, bad := range map[string]map[string]any{"no such preset": set("preset", "Google"), "neither": set(), "a team for nothing": set("preset", "google", "team_id", "T"), "a key's name": set("preset", "apple", "team_id", "T", "key_id", "../x"),
		"no server of GitHub": set("preset", "github", "issuer", "https://ghe.example"), "Microsoft for everybody": set("preset", "microsoft", "issuer", "https://login.microsoftonline.com/common/v2.0")} {
		if r := h.Call(root, "PATCH", "/realms/shop", bad); r.Status != 422 || r.Str("code") != "input_invalid" {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
		}
	}
}

// TestGrants: what claims give is a role that exists, and one that administers only where that is said.
func TestGrants(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "shop"})
	set := func(grants ...map[string]any) map[string]any {
		return map[string]any{"settings": map[string]any{"providers": []any{map[string]any{"id": "acme", "issuer": "https://acme.example", "client_id": "c", "grants": grants}}}}
	}
	ops := map[string]any{"claim": "groups", "value": "operators", "role": "ops"}
	if r := h.Call(root, "PATCH", "/realms/shop", set(ops)); r.Status != 422 || !strings.Contains(r.Body, "providers[0].grants[0].role") || !strings.Contains(r.Body, "does not exist") {
		t.Errorf("no such role: %d %s", r.Status, r.Body)
	}
	h.Want(200, root, "PUT", "/realms/shop/roles/ops", map[string]any{})
	h.Want(200, root, "PATCH", "/realms/shop", set(ops, map[string]any{"claim": "a.b", "value": "v", "group": "g"}))
	for what, bad := range map[string]map[string]any{
		"nothing to give": {"claim": "groups", "value": "v"}, "no claim": {"value": "v", "role": "ops"}, "no value": {"claim": "c", "role": "ops"},
		"a long value":  {"claim": "c", "value": strings.Repeat("v", 300), "role": "ops"},
		"administrator": {"claim": "c", "value": "v", "role": "realm-admin"}, "not said for this": {"claim": "c", "value": "v", "role": "ops", "administrative": true},
		"administrator of another realm": {"claim": "c", "value": "v", "role": "gatehouse-admin", "administrative": true},
	} {
		if r := h.Call(root, "PATCH", "/realms/shop", set(bad)); r.Status != 422 || r.Str("code") != "input_invalid" {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	many := make([]map[string]any, 101)
	for i := range many {
		many[i] = ops
	}
	h.Want(422, root, "PATCH", "/realms/shop", set(many...))
	h.Want(200, root, "PATCH", "/realms/shop", set(map[string]any{"claim": "c", "value": "v", "role": "realm-admin", "administrative": true}))
	github := map[string]any{"settings": map[string]any{"providers": []any{map[string]any{"id": "g", "preset": "github", "client_id": "c", "grants": []any{ops}}}}}
	h.Want(422, root, "PATCH", "/realms/shop", github)
	// A role that was deleted since holds up no other change.
	h.Want(200, root, "PATCH", "/realms/shop", set(ops))
	h.Want(204, root, "DELETE", "/realms/shop/roles/ops", nil)
	h.Want(200, root, "PATCH", "/realms/shop", map[string]any{"settings": map[string]any{"mfa": "required"}})
	file := h.Want(200, root, "GET", "/realms/shop/file", nil).Body
	if !strings.Contains(file, `"operators"`) {
		t.Errorf("the file: %s", file)
	}
}
