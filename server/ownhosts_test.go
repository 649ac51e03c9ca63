package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
)

// visitorAt is a visitor of a host of its own, which is the same machine.
func (h *house) visitorAt(base string, keys *testpasskey.Browser) *visitor {
	v := h.visitor(keys)
	v.base, v.keys.Origin = base, base
	v.client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(h.s.AuthURL(), "http://"))
	}}
	h.t.Cleanup(v.client.CloseIdleConnections)
	return v
}

// TestRealmAtItsOwnHost: a realm at a host of its own is there as main is on its host: pages, cookies, passkeys, tokens, keys and
// metadata; on the host of the others there is nothing of it but the management API, and on its host nothing of the others.
func TestRealmAtItsOwnHost(t *testing.T) {
	h := newHouse(t)
	h.cfg.Issuer, h.cfg.RealmIssuers = "http://localhost:0", map[string]string{"shop": "http://shop.localhost:0"}
	h.start()
	shop := h.s.realmIssuer("shop")
	if port := strings.TrimPrefix(h.s.Issuer(), "http://localhost"); shop != "http://shop.localhost"+port {
		t.Fatalf("the issuer is %s", shop)
	}
	key := h.bootstrap()
	h.want("realm", "POST", "/admin/v1/realms", key, `{"name":"shop","settings":{"accent":"#204060"}}`, 201)
	h.want("user", "POST", "/admin/v1/realms/shop/users", key, fmt.Sprintf(`{"username":"bob","password":%q}`, housePassword), 201)
	h.want("user of main", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"amy","password":%q}`, housePassword), 201)

	bob := h.visitorAt(shop, &testpasskey.Browser{})
	if status, to := bob.get("/"); status != 303 || to != "/account" {
		t.Errorf("the bare host: %d %s", status, to)
	}
	_, page := bob.get("/signin?return=/account/keys")
	if strings.Contains(page, "/realms/") {
		t.Errorf("the page to sign in names the path of the realm: %s", page)
	}
	files := regexp.MustCompile(`href="(/ui/[^"]+\.css)"`).FindAllStringSubmatch(page, -1)
	if len(files) != 2 {
		t.Errorf("%d style sheets, want ours and the colours of the realm", len(files))
	}
	for _, file := range files {
		if status, _ := bob.get(file[1]); status != 200 {
			t.Errorf("%s: %d", file[1], status)
		}
	}
	if status, to := bob.send("/signin?return=/account/keys", "/signin", url.Values{"identifier": {"bob"}, "password": {housePassword}, "step": {"password"}, "return": {"/account/keys"}}); status != 303 || to != "/account/keys" {
		t.Fatalf("sign-in: %d %s", status, to)
	}
	if status, page := bob.add("telephone"); status != 200 || !strings.Contains(page, `id="said"`) {
		t.Fatalf("a passkey: %d %s", status, page)
	}
	again := h.visitorAt(shop, bob.keys)
	if status, to := again.signIn(""); status != 303 || to != "/account" {
		t.Errorf("by the passkey: %d %s", status, to)
	}
	if status, _ := again.send("/signin?again=1", "/signin", url.Values{"identifier": {"amy"}, "password": {housePassword}, "step": {"password"}}); status != 422 {
		t.Errorf("somebody of main at the host of the shop: %d", status)
	}

	ask := func(method, base, path string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if method == "POST" {
			r.SetBasicAuth("bob", housePassword)
		}
		return bob.read(bob.client.Do(r))
	}
	if status, text := ask("GET", shop, "/.well-known/oauth-authorization-server"); status != 200 || !strings.Contains(text, `"issuer":"`+shop+`"`) || strings.Contains(text, "/realms/") {
		t.Errorf("metadata: %d %s", status, text)
	}
	if status, text := ask("GET", shop, "/.well-known/jwks.json"); status != 200 || !strings.Contains(text, `"kid"`) {
		t.Errorf("keys: %d %s", status, text)
	}
	status, text := ask("POST", shop, "/tokens")
	m := regexp.MustCompile(`"access_token":"[^".]+\.([^".]+)\.`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("tokens: %d %s", status, text)
	}
	if claims, err := base64.RawURLEncoding.DecodeString(m[1]); err != nil || !strings.Contains(string(claims), `"iss":"`+shop+`"`) {
		t.Errorf("the token says %s %v", claims, err)
	}
	for path, want := range map[string]int{"/admin/v1/realms/shop": 404, "/realms/main/signin": 404, "/realms/shop/signin": 404, "/setup": 404, "/errors/realm_elsewhere": 200} {
		if status, text := ask("GET", shop, path); status != want {
			t.Errorf("%s at the host of the shop: %d %s", path, status, text)
		}
	}
	for path, want := range map[string]string{"/realms/shop/signin?return=%2Faccount": "/signin?return=%2Faccount", "/realms/shop/.well-known/jwks.json": "/.well-known/jwks.json",
		"/.well-known/oauth-authorization-server/realms/shop": "/.well-known/oauth-authorization-server", "/realms/shop": "/"} {
		if status, to := ask("GET", h.s.Issuer(), path); status != 302 || to != shop+want {
			t.Errorf("%s at the host of main: %d %s", path, status, to)
		}
	}
	if status, text := ask("POST", h.s.Issuer(), "/realms/shop/tokens"); status != 404 || !strings.Contains(text, "realm_elsewhere") {
		t.Errorf("tokens of the shop at the host of main: %d %s", status, text)
	}
	if status, text := ask("GET", h.s.Issuer(), "/realms/other/signin"); status != 404 {
		t.Errorf("a realm that is not there: %d %s", status, text)
	}
}
