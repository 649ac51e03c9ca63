package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testoidc"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// oidcClient is how a provider of a test knows the realm main by a provider's name.
func (h *house) oidcClient(id string, more map[string]any) map[string]any {
	c := map[string]any{"client_id": id, "client_secret": "s:e+c r%t of " + id, "redirect_uris": []string{h.s.Issuer() + "/signin/with/" + id + "/back"}, "scope": "openid profile email groups"}
	for name, value := range more {
		c[name] = value
	}
	return c
}

// at has the realm main sign people in at p, by one client for each of these settings.
func (h *house) at(p *testoidc.Provider, key string, all ...map[string]any) {
	h.t.Helper()
	for _, s := range all {
		s["issuer"], s["client_id"], s["allow_private_address"] = p.Issuer, s["id"], true
	}
	set, err := json.Marshal(map[string]any{"settings": map[string]any{"providers": all}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.want("settings", "PATCH", "/admin/v1/realms/main", key, string(set), 200)
	for _, s := range all {
		h.want("secret", "PUT", fmt.Sprintf("/admin/v1/realms/main/providers/%s/secret", s["id"]), key, fmt.Sprintf(`{"secret":"s:e+c r%%t of %s"}`, s["id"]), 204)
	}
}

// TestProviderOfOthers: with an OpenID provider that others wrote, over sockets: metadata, PKCE, nonce, iss, its own pages; the claims
// that it tells by userinfo alone make the account, which the second sign-in finds; what is refused there is refused here.
func TestProviderOfOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("it installs and starts another program")
	}
	h := newHouse(t)
	h.cfg.Limits.Tokens, h.cfg.Limits.Admin = limit.Rate{Limit: 1e6, Window: time.Minute}, limit.Rate{Limit: 1e6, Window: time.Minute}
	h.cfg.Audit.Refusals = "each"
	h.start()
	key := h.bootstrap()
	p := testoidc.Start(t, h.oidcClient("acme", nil), h.oidcClient("signed", map[string]any{"userinfo_signed_response_alg": "RS256"}),
		h.oidcClient("ec", map[string]any{"id_token_signed_response_alg": "ES256", "token_endpoint_auth_method": "client_secret_post"}))
	h.want("role", "PUT", "/admin/v1/realms/main/roles/ops", key, `{}`, 200)
	h.at(p, key, map[string]any{"id": "acme", "create_accounts": true, "scopes": []string{"profile", "email", "groups"},
		"grants": []map[string]any{{"claim": "realm_access.roles", "value": "operators", "role": "ops"}}}, map[string]any{"id": "signed", "create_accounts": true}, map[string]any{"id": "ec"})
	p.Know(map[string]map[string]any{"ada": {"preferred_username": "ada", "realm_access": map[string]any{"roles": []string{"operators"}}, "name": "Ada Lovelace", "email": "ada@example.org", "email_verified": true}, "bob": {}})

	v, there := h.visitor(nil), p.Browser()
	back := there.Go(v.to("/signin/with/acme?return=%2Faccount%2Fkeys"), "ada")
	other := h.visitor(nil)
	other.to("/signin/with/acme")
	if status, page := other.back(strings.TrimPrefix(back, "http://")); status != 422 || !strings.Contains(h.why(key, "another browser"), "another browser") {
		t.Errorf("in another browser: %d %s", status, page)
	}
	if status, page := v.back(strings.TrimPrefix(back, "http://")); status != 303 || !strings.HasSuffix(page, "/account/keys") {
		t.Fatalf("%d %s %s", status, page, h.why(key, ""))
	}
	ada := h.named(key)["ada"]
	if ada == nil || fmt.Sprint(ada["roles"]) != "[ops]" || ada["display_name"] != "Ada Lovelace" || ada["email"] != "ada@example.org" {
		t.Fatalf("%v", h.named(key))
	}
	before := len(h.named(key))
	p.Know(map[string]map[string]any{"ada": {"preferred_username": "adele"}, "bob": {}})
	w := h.visitor(nil)
	if status, page := w.back(strings.TrimPrefix(there.Go(w.to("/signin/with/acme"), "ada"), "http://")); status != 303 {
		t.Errorf("again: %d %s %s", status, page, h.why(key, ""))
	}
	if ada := h.named(key)["ada"]; fmt.Sprint(ada["roles"]) != "[]" {
		t.Errorf("again, not among them any more: %v", ada)
	}
	if _, page := w.get("/account"); !strings.Contains(page, `<bdi id="username">ada</bdi>`) || len(h.named(key)) != before {
		t.Errorf("again, not ada: %s", page)
	}
	// What tells nothing but who it is gets a name of our making.
	if status, page := v.back(strings.TrimPrefix(p.Browser().Go(v.to("/signin/with/acme"), "bob"), "http://")); status != 303 || len(h.named(key)) != before+1 {
		t.Errorf("without claims: %d %s %s", status, page, h.why(key, ""))
	}
	if status, page := v.back(strings.TrimPrefix(p.Browser().Go(v.to("/signin/with/signed"), "ada"), "http://")); status != 422 || !strings.Contains(h.why(key, "userinfo_signed_response_alg"), "userinfo_signed_response_alg") {
		t.Errorf("signed userinfo: %d %s %s", status, page, h.why(key, ""))
	}
	// Another algorithm and another way to show the secret; nobody's account.
	if status, page := v.back(strings.TrimPrefix(p.Browser().Go(v.to("/signin/with/ec"), "ada"), "http://")); status != 422 || !strings.Contains(h.why(key, "account_unknown"), "provider_account_unknown") {
		t.Errorf("by ES256: %d %s %s", status, page, h.why(key, ""))
	}
}
