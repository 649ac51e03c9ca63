package server_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/gatehouse-auth/gatehouse/enforce"
)

// TestSnippetRuns: what the API says of curl for a client gets a token that opens an API, with the secret of the environment.
func TestSnippetRuns(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not here")
	}
	d := demo(t)
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		made := call(t, "POST", d.Issuer+"/admin/v1/realms/main/clients", "bearer", d.AdminToken, "body",
			`{"client_name":"Nightly","template":"service","scope":"documents:read","token_endpoint_auth_method":"`+method+`"}`).want(t, "client", 201)
		snippet := call(t, "GET", d.Issuer+"/admin/v1/realms/main/clients/"+made.text("client_id")+"/snippets/curl", "bearer", d.AdminToken).want(t, "snippet", 200)
		run := exec.CommandContext(t.Context(), "sh", "-c", snippet.text("text"))
		run.Env = append(os.Environ(), "CLIENT_SECRET="+made.text("client_secret"))
		out, err := run.Output()
		var got struct {
			AccessToken string `json:"access_token"`
		}
		if err != nil || json.Unmarshal(out, &got) != nil {
			t.Fatalf("%s: %v %s\n%s", method, err, out, snippet.text("text"))
		}
		call(t, "GET", d.Gateway+"/read", "bearer", got.AccessToken).want(t, method, 404)
	}
}
