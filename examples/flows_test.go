package examples_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/server"
)

// flows are the programs below clients/flows, one a library, and what each can be told to do. A flow registers its own clients, has
// bob sign in and allow it at a browser without scripts, and exits with an error when anything is not as the library or the program wants it.
var flows = map[string][]string{
	"openid-client": {"code", "ID token algorithms", "claims and acr_values", "max_age, prompt and refusal", "form_post", "DPoP", "PAR", "JAR", "JARM", "FAPI 2.0", "private_key_jwt",
		"client_credentials", "device", "CIBA", "authorization details", "introspection", "logout", "registration", "token exchange"},
	"oauth4webapi": {"code", "DPoP", "client_credentials", "device", "signed introspection", "token exchange", "registration", "protected resource"},
	"mcp":          {"a client that registers itself", "a client with a secret", "more scopes", "client_credentials"},
}

// TestFlows: libraries that others wrote go through every flow that they have in common with Gatehouse, and an MCP client finds its way to a server behind it.
func TestFlows(t *testing.T) {
	at := os.Getenv("GATEHOUSE_CLIENTS")
	if at == "" {
		t.Skip("needs the libraries of five languages: make clients")
	}
	at += "/flows/"
	gateway := unusedAddress(t)
	realms := []string{gatehouse.MainRealm, "shop"} // one at the root of its host, and one below a path
	tools := func(realm string) string { return "http://" + gateway + "/" + realm + "/mcp" }
	h := newHouse(t, newFacade(t), startTools(t, at+"mcp-server.js"), "", nil, func(cfg *server.Config) {
		cfg.Listen.Gateway.Address, cfg.Routes = gateway, nil
		for _, realm := range realms {
			cfg.Routes = append(cfg.Routes,
				enforce.Route{ID: realm, Realm: realm, Pattern: "/" + realm + "/mcp", Audience: tools(realm), Scopes: []string{"documents:read"}},
				enforce.Route{ID: realm + " write", Realm: realm, Pattern: "/" + realm + "/mcp/write", Audience: tools(realm), Scopes: []string{"documents:read", "documents:write"}})
		}
	})
	for _, realm := range realms {
		issuer, password := h.realmForFlows(t, realm, tools(realm))
		for _, library := range slices.Sorted(maps.Keys(flows)) {
			for _, flow := range flows[library] {
				t.Run(realm+" "+library+" "+flow, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
					defer cancel()
					cmd := exec.CommandContext(ctx, "node", at+library+".js", flow)
					cmd.Env = append(withoutProxies(), "ISSUER="+issuer, "ADMIN="+h.URL+"/admin/v1/realms/"+realm, "KEY="+h.operator,
						"USERNAME=bob", "PASSWORD="+password, "MCP="+tools(realm))
					if said, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("%v\n%s", err, said)
					}
				})
			}
		}
	}
}

// realmForFlows has a realm ready, makes it where there is none, and adds bob to it.
func (h *house) realmForFlows(t *testing.T, realm, tools string) (issuer, password string) {
	t.Helper()
	issuer, password = h.URL, rand.Text()
	operator, err := client.New(h.server.AuthURL(), gatehouse.Secret(h.operator))
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, path string, in any) {
		t.Helper()
		if err := operator.Do(t.Context(), method, path, in, nil); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	if realm != gatehouse.MainRealm {
		issuer += "/realms/" + realm
		do("POST", "/realms", map[string]any{"name": realm})
	}
	do("PATCH", "/realms/"+realm, map[string]any{"settings": map[string]any{
		"audiences":           map[string]any{"https://api.example": map[string]any{}, tools: map[string]any{}},
		"scopes":              map[string]string{"documents:read": "Read documents", "documents:write": "Change documents"},
		"client_registration": "open", "client_registration_scopes": []string{"openid", "profile", "email", "documents:read", "offline_access"},
		"authorization_details_types": []any{map[string]any{"type": "payment", "description": "Make a payment", "schema": map[string]any{
			"type": "object", "additionalProperties": false, "required": []string{"amount"}, "properties": map[string]any{"amount": map[string]string{"type": "integer"}}}}}}})
	do("PUT", "/realms/"+realm+"/roles/reader", map[string]any{"description": "Reads.", "parents": []string{}, "permissions": []string{}})
	do("POST", "/realms/"+realm+"/users", map[string]any{"username": "bob", "password": password, "roles": []string{"reader"}})
	return issuer, password
}

// TestFlowsPage: docs/clients.md has the flows of each library that are run, and the version that is installed for that.
func TestFlowsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	installed, err := os.ReadFile("clients/flows/package.json")
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ Dependencies map[string]string }
	if err := json.Unmarshal(installed, &p); err != nil {
		t.Fatal(err)
	}
	for library, names := range flows {
		if library == "mcp" {
			library = "@modelcontextprotocol/sdk"
		}
		if row := "| " + library + " " + p.Dependencies[library] + " | " + strings.Join(names, "; ") + " |"; !strings.Contains(string(page), row) {
			t.Errorf("docs/clients.md has not: %s", row)
		}
	}
}

// startTools starts the MCP server and returns its address.
func startTools(t *testing.T, program string) string {
	t.Helper()
	cmd := exec.Command("node", program)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// unusedAddress is one at which nobody listens: what is behind the gateway is named by it before it listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
