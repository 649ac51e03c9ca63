package server_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestIntrospectionFollows: what an API is told of a token, and whether it is told, follow what is ended and who is changed:
// at once where that was done, and on the other node as soon as it has heard of it.
func TestIntrospectionFollows(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		d := demoOn(t, server.StoreConfig{})
		testIntrospection(t, d, []string{d.Issuer})
	})
	t.Run("postgres", func(t *testing.T) {
		d, second, _ := twoNodes(t, func(*server.Config) {})
		testIntrospection(t, d, []string{d.Issuer, second.AuthURL()})
	})
}

func testIntrospection(t *testing.T, d *server.Demo, nodes []string) {
	clients := d.Issuer + "/admin/v1/realms/main/clients"
	admin := func(method, path, body string, status int) answer {
		t.Helper()
		return call(t, method, path, "bearer", d.AdminToken, "body", body).want(t, method+" "+path, status)
	}
	type registered struct{ id, secret string }
	register := func(more string) registered {
		c := admin("POST", clients, `{"client_name":"C","token_endpoint_auth_method":"client_secret_basic","grant_types":["client_credentials"],"scope":"documents:read"`+more+`}`, 201)
		return registered{c.text("client_id"), c.text("client_secret")}
	}
	post := func(node, path string, c registered, form string) answer {
		t.Helper()
		return call(t, "POST", node+path, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.id+":"+c.secret)),
			"Content-Type", "application/x-www-form-urlencoded", "body", form)
	}
	api, asker := register(`,"introspection_audiences":["`+d.Issuer+`"]`), register("")
	other := nodes[len(nodes)-1]
	token := func() string {
		t.Helper()
		return post(d.Issuer, "/token", asker, "grant_type=client_credentials").want(t, "token", 200).text("access_token")
	}
	for _, format := range []string{"signed", "opaque"} {
		admin("PATCH", d.Issuer+"/admin/v1/realms/main", `{"settings":{"token_format":"`+format+`"}}`, 200)
		testwait.Until(t, 10*time.Second, "tokens that are "+format, func() bool { return strings.Contains(token(), ".") == (format == "signed") })
		live := token()
		for _, node := range nodes {
			testwait.Until(t, 10*time.Second, "an active token", func() bool {
				a := post(node, "/introspect", api, "token="+live)
				return a.json["active"] == true && a.text("sub") == asker.id && a.text("scope") == "documents:read"
			})
		}
		call(t, "POST", other+"/revoke", "body", "").want(t, "nobody", 415)
		if a := post(other, "/revoke", asker, "token="+live).want(t, "revoke", 200); len(a.body) != 0 {
			t.Errorf("%s", a.body)
		}
		if a := post(other, "/introspect", api, "token="+live); strings.TrimSpace(a.body) != `{"active":false}` {
			t.Errorf("%s, where it was ended: %s", format, a.body)
		}
		for _, node := range nodes {
			testwait.Until(t, 10*time.Second, "an ended token", func() bool { return post(node, "/introspect", api, "token="+live).body == `{"active":false}` })
		}
		call(t, "GET", d.Gateway+"/private", "bearer", live).want(t, "the gateway, "+format, 401)
	}
	// Who asks is remembered, and known anew after each change.
	live := token()
	active := func(node string) bool {
		return post(node, "/introspect", api, "token="+live).json["active"] == true
	}
	for _, c := range []struct {
		what, method, path, body string
		refused                  bool
	}{
		{"another API", "PATCH", clients + "/" + api.id, `{"introspection_audiences":[]}`, false},
		{"the API again", "PATCH", clients + "/" + api.id, `{"introspection_audiences":["` + d.Issuer + `"]}`, false},
		{"disabled", "PATCH", clients + "/" + api.id, `{"disabled":true}`, true},
		{"enabled", "PATCH", clients + "/" + api.id, `{"disabled":false}`, false},
		{"another secret", "POST", clients + "/" + api.id + "/rotate", `{"overlap":"0"}`, true},
	} {
		made := call(t, c.method, c.path, "bearer", d.AdminToken, "body", c.body)
		if made.status > 299 {
			t.Fatalf("%s: %d %s", c.what, made.status, made.body)
		}
		right := func(node string) bool {
			a := post(node, "/introspect", api, "token="+live)
			if c.refused {
				return a.status == 401 && a.text("error") == "invalid_client"
			}
			return a.status == 200 && (a.json["active"] == true) == (c.what != "another API")
		}
		if !right(d.Issuer) {
			t.Errorf("%s: not at once", c.what)
		}
		for _, node := range nodes {
			testwait.Until(t, 10*time.Second, c.what, func() bool { return right(node) })
		}
		if secret := made.text("client_secret"); secret != "" {
			api.secret = secret
		}
	}
	if !active(d.Issuer) {
		t.Error("the other secret")
	}
	admin("DELETE", clients+"/"+api.id, "", 204)
	post(d.Issuer, "/introspect", api, "token="+live).want(t, "removed", 401)
}
