package examples_test

import (
	"bufio"
	"context"
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
// alice sign in and allow it at a browser without scripts, and exits with an error when anything is not as the library or the program wants it.
var flows = map[string][]string{
	"openid-client": {"code", "ID token algorithms", "max_age, prompt and refusal", "form_post", "DPoP", "PAR", "JAR", "JARM", "FAPI 2.0", "private_key_jwt",
		"client_credentials", "device", "introspection", "logout", "registration", "token exchange"},
	"oauth4webapi": {"code", "DPoP", "client_credentials", "device", "signed introspection", "token exchange", "registration"},
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
	tools := "http://" + gateway + "/mcp"
	h := newHouse(t, newFacade(t), startTools(t, at+"mcp-server.js"), "", nil, func(cfg *server.Config) {
		cfg.Listen.Gateway.Address = gateway
		cfg.Routes = []enforce.Route{{ID: "tools", Realm: gatehouse.MainRealm, Pattern: "/mcp", Audience: tools, Scopes: []string{"documents:read"}},
			{ID: "tools that write", Realm: gatehouse.MainRealm, Pattern: "/mcp/write", Audience: tools, Scopes: []string{"documents:read", "documents:write"}}}
	})
	operator, err := client.New(h.server.AuthURL(), gatehouse.Secret(h.operator))
	if err == nil {
		err = operator.Do(t.Context(), "PATCH", "/realms/main", map[string]any{"settings": map[string]any{
			"audiences":           map[string]any{"https://api.example": map[string]any{}, tools: map[string]any{}},
			"scopes":              map[string]string{"documents:read": "Read documents", "documents:write": "Change documents"},
			"client_registration": "open", "client_registration_scopes": []string{"openid", "profile", "email", "documents:read", "offline_access"}}}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, library := range slices.Sorted(maps.Keys(flows)) {
		for _, flow := range flows[library] {
			t.Run(library+" "+flow, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, "node", at+library+".js", flow)
				cmd.Env = append(withoutProxies(), "ISSUER="+h.URL, "ADMIN="+h.operator, "USERNAME=alice", "PASSWORD="+h.password, "MCP="+tools)
				if said, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, said)
				}
			})
		}
	}
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
