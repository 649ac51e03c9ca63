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
