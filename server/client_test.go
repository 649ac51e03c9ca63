package server_test

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestClients: a registered client gets tokens for itself and calls an API by its scopes. What it has ends at once when it is
// disabled, removed, may less, is panicked, or gets another secret without an overlap.
func TestClients(t *testing.T) {
	for name, st := range map[string]func(t *testing.T) server.StoreConfig{"sqlite": func(*testing.T) server.StoreConfig { return server.StoreConfig{} }, "postgres": postgresStore} {
		t.Run(name, func(t *testing.T) { testClients(t, demoOn(t, st(t))) })
	}
}

func testClients(t *testing.T, d *server.Demo) {
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}, enforce.Route{Pattern: "GET /write", Scopes: []string{"documents:write"}}); err != nil {
		t.Fatal(err)
	}
	clients := d.Issuer + "/admin/v1/realms/main/clients"
	admin := func(method, path, body string, status int) answer {
		t.Helper()
		return call(t, method, path, "bearer", d.AdminToken, "body", body).want(t, method+" "+path, status)
	}
	made := admin("POST", clients, `{"client_name":"Robot","token_endpoint_auth_method":"client_secret_basic","grant_types":["client_credentials"],"scope":"documents:read documents:write"}`, 201)
	id, secret := made.text("client_id"), made.text("client_secret")
	one := clients + "/" + id
	ask := func(secret, form string) answer {
		t.Helper()
		basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + url.QueryEscape(secret)))
		return call(t, "POST", d.Issuer+"/token", "Authorization", "Basic "+basic, "Content-Type", "application/x-www-form-urlencoded", "body", form)
	}
	token := func(form string) string {
		t.Helper()
		return ask(secret, "grant_type=client_credentials"+form).want(t, "token", 200).text("access_token")
	}
	get := func(path, token string, status int) {
		t.Helper()
		call(t, "GET", d.Gateway+path, "bearer", token).want(t, path, status)
	}
	const through = 404 // the demo's API, which has nothing there, was reached
	all, narrow := token(""), token("&scope=documents:read")
	get("/read", all, through)
	get("/write", all, through)
	get("/read", narrow, through)
	get("/write", narrow, 403)
	if a := ask("ghc_live_x", "grant_type=client_credentials"); a.status != 401 || a.text("error") != "invalid_client" || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	get("/read", secret, 401) // it is no credential of an API
	// Another secret: the old one goes on, and so does what it was given.
	was := secret
	secret = admin("POST", one+"/rotate", `{}`, 201).text("client_secret")
	ask(was, "grant_type=client_credentials").want(t, "the old secret in its overlap", 200)
	get("/read", all, through)
	// Each of these ends what was issued, and what is asked for after it is judged anew.
	for _, c := range []struct{ what, method, path, body string }{
		{"less", "PATCH", one, `{"scope":"documents:read"}`},
		{"without an overlap", "POST", one + "/rotate", `{"overlap":"0"}`},
		{"leaked", "POST", d.Issuer + "/keys/leaked", `{"key":"SECRET"}`},
		{"disabled", "PATCH", one, `{"disabled":true}`},
		{"panic", "POST", one + "/panic", `{}`},
		{"removed", "DELETE", one, ``},
	} {
		// What ended everything covers the whole of its millisecond.
		began := time.Now().UnixMilli()
		testwait.Until(t, time.Second, "the next millisecond", func() bool { return time.Now().UnixMilli() > began })
		live := token("&scope=documents:read")
		get("/read", live, through)
		a := call(t, c.method, c.path, "bearer", d.AdminToken, "body", strings.Replace(c.body, "SECRET", secret, 1))
		if a.status > 299 {
			t.Fatalf("%s: %d %s", c.what, a.status, a.body)
		}
		get("/read", live, 401)
		switch c.what {
		case "less":
			if a := ask(secret, "grant_type=client_credentials&scope=documents:write"); a.text("error") != "invalid_scope" {
				t.Errorf("%d %s", a.status, a.body)
			}
		case "without an overlap":
			ask(secret, "grant_type=client_credentials").want(t, "the secret before", 401)
			secret = a.text("client_secret")
		case "leaked":
			ask(secret, "grant_type=client_credentials").want(t, "a secret that leaked", 401)
			secret = admin("POST", one+"/rotate", `{"overlap":"0"}`, 201).text("client_secret")
		case "disabled", "panic":
			ask(secret, "grant_type=client_credentials").want(t, c.what, 401)
			admin("PATCH", one, `{"disabled":false}`, 200)
		case "removed":
			ask(secret, "grant_type=client_credentials").want(t, c.what, 401)
		}
	}
	for kind, want := range map[string][]string{"client.failure": {"secret_malformed", "secret_wrong", "client_disabled", "client_unknown"}, "cutoff.set": {`"disabled":"true"`}} {
		log := ""
		testwait.Until(t, 10*time.Second, "the record of "+kind, func() bool { // refusals are written a moment later
			log = admin("GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind="+kind, "", 200).body
			return !slices.ContainsFunc(want, func(s string) bool { return !strings.Contains(log, s) })
		})
		if strings.Contains(log, secret) {
			t.Error(log)
		}
	}
	if log := admin("GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind=client.rotate", "", 200).body; !strings.Contains(log, id) || strings.Contains(log, secret) {
		t.Error(log)
	}
}
