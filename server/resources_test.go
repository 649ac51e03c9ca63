package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestProtectedResource: a program that knows the address of an API and nothing else finds out who gives tokens for it, gets one, and is let
// in; a token for anybody else is none there, and one for it is none elsewhere (RFC 9728, RFC 8707).
func TestProtectedResource(t *testing.T) { onBoth(t, protectedResource) }

func protectedResource(t *testing.T, d *server.Demo) {
	api := d.Gateway + "/mcp"
	if err := d.AddRoutes(enforce.Route{Pattern: "/mcp", Audience: api, Scopes: []string{"documents:read"}}, enforce.Route{Pattern: "GET /plain", Scopes: []string{"documents:read"}}); err != nil {
		t.Fatal(err)
	}
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"audiences":{"`+api+`":{}}}}`).want(t, "audience", 200)
	const through = 404
	made := call(t, "POST", d.Issuer+"/admin/v1/realms/main/clients", "bearer", d.AdminToken, "body",
		`{"client_name":"Robot","token_endpoint_auth_method":"client_secret_basic","grant_types":["client_credentials"],"scope":"documents:read"}`).want(t, "client", 201)

	challenge := call(t, "POST", api).want(t, "nothing is shown", 401).header.Get("WWW-Authenticate")
	_, at, _ := strings.Cut(challenge, `resource_metadata="`)
	at, _, _ = strings.Cut(at, `"`)
	if at != d.Gateway+"/.well-known/oauth-protected-resource/mcp" || !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, `scope="documents:read"`) {
		t.Fatalf("%s", challenge)
	}
	m := call(t, "GET", at, "Origin", "https://anybody.example").want(t, at, 200)
	issuers, _ := m.json["authorization_servers"].([]any)
	if m.text("resource") != api || len(issuers) != 1 || m.header.Get("Access-Control-Allow-Origin") != "*" || m.header.Get("Content-Type") != "application/json" || m.header.Get("X-Request-Id") == "" {
		t.Fatalf("%v %s", m.header, m.body)
	}
	call(t, "GET", at, "If-None-Match", m.header.Get("ETag")).want(t, "known", 304)
	call(t, "OPTIONS", at, "Origin", "https://anybody.example", "Access-Control-Request-Method", "GET").want(t, "asked first", 204)
	call(t, "POST", at).want(t, "sent", 405)
	call(t, "GET", d.Gateway+"/.well-known/oauth-protected-resource").want(t, "of nothing", 404)
	server := call(t, "GET", issuers[0].(string)+"/.well-known/oauth-authorization-server").want(t, "the server", 200)
	token := func(more string) string {
		return call(t, "POST", server.text("token_endpoint"), "basic", made.text("client_id")+":"+made.text("client_secret"), "Content-Type", "application/x-www-form-urlencoded",
			"body", "grant_type=client_credentials"+more).want(t, more, 200).text("access_token")
	}
	mine, anyones := token("&resource="+url.QueryEscape(m.text("resource"))), token("")
	call(t, "GET", api, "bearer", mine).want(t, "its own", through)
	call(t, "GET", api, "bearer", anyones).want(t, "of nobody in particular", 401)
	call(t, "GET", d.Gateway+"/plain", "bearer", mine).want(t, "elsewhere", 401)
	call(t, "GET", d.Gateway+"/plain", "bearer", anyones).want(t, "where it is for", through)
}
