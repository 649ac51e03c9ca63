package server_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestMCPClientFindsItsWay: a client that nobody registered knows the address of an MCP server alone, and is let in by what a person allows: by the
// challenge, the metadata of the server and of the issuer, its own document, PKCE, resource and iss; what it lacks later on, it is told.
func TestMCPClientFindsItsWay(t *testing.T) {
	server.InOrder(t)
	d, who := demo(t), newDescriber(t)
	server.LetFetch(t, d.Server(), who.roots)
	mcp := d.Gateway + "/mcp"
	if err := d.AddRoutes(enforce.Route{Pattern: "/mcp", Audience: mcp, Scopes: []string{"documents:read"}},
		enforce.Route{Pattern: "POST /mcp/write", Audience: mcp, Scopes: []string{"documents:read", "documents:write"}}); err != nil {
		t.Fatal(err)
	}
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body",
		`{"settings":{"audiences":{"`+mcp+`":{}},"client_document_hosts":["*"],"client_registration_scopes":["documents:read","documents:write","offline_access"]}}`).want(t, "settings", 200)
	const through = 404 // the API behind it knows no such path

	of := func(challenge, name string) string {
		m := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(challenge)
		if m == nil {
			t.Fatalf("no %s: %s", name, challenge)
		}
		return m[1]
	}
	challenge := call(t, "POST", mcp, "body", "{}").want(t, "nothing is shown", 401).header.Get("WWW-Authenticate")
	about := call(t, "GET", of(challenge, "resource_metadata")).want(t, "about the server", 200)
	issuer := about.json["authorization_servers"].([]any)[0].(string)
	m := call(t, "GET", issuer+"/.well-known/oauth-authorization-server").want(t, "about the issuer", 200)
	if about.text("resource") != mcp || m.text("issuer") != issuer || m.json["client_id_metadata_document_supported"] != true || m.json["authorization_response_iss_parameter_supported"] != true ||
		!strings.Contains(m.body, `"code_challenge_methods_supported":["S256"]`) || strings.Contains(about.body, "offline_access") {
		t.Fatalf("%s %s", about.body, m.body)
	}
	p, v := documented(t, d, who.says("/editor", map[string]any{"redirect_uris": []string{"http://127.0.0.1/callback"}, "scope": nil})), signedIn(t, d)
	p.redirect = "http://127.0.0.1:40123/callback" // a port of its own
	token := func(scope string) string {
		return p.redeems(issuer, p.allows(v, issuer, p.query("scope", scope, "resource", mcp)), "resource", mcp).want(t, scope, 200).text("access_token")
	}
	reads := token(of(challenge, "scope"))
	call(t, "POST", mcp, "bearer", reads, "body", "{}").want(t, "what a person allowed", through)
	call(t, "POST", mcp+"?access_token="+url.QueryEscape(reads), "body", "{}").want(t, "in the query", 400)
	call(t, "GET", d.Gateway+"/private", "bearer", reads).want(t, "at another API", 401)
	challenge = call(t, "POST", mcp+"/write", "bearer", reads, "body", "{}").want(t, "less than that needs", 403).header.Get("WWW-Authenticate")
	if of(challenge, "error") != "insufficient_scope" || of(challenge, "scope") != "documents:read documents:write" || of(challenge, "resource_metadata") == "" {
		t.Errorf("%s", challenge)
	}
	if _, page := v.get(issuer + "/authorize?" + p.query("resource", mcp)); !strings.Contains(page, `id="unproved"`) || !strings.Contains(page, `id="described"`) {
		t.Errorf("people are not warned: %s", page)
	}
	call(t, "POST", mcp+"/write", "bearer", token(of(challenge, "scope")), "body", "{}").want(t, "more", through)
}
