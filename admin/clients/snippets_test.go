package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// shot is a client whose addresses hold what a shell, a program or a server would run if it were not quoted.
func shot(method string, grants ...string) client.Client {
	m := client.Metadata{Name: "App", AuthMethod: method, GrantTypes: grants, Scope: "openid documents:read"}
	if m.May(client.GrantAuthorizationCode) {
		m.RedirectURIs = []string{"https://app.example/back?a='$(touch${IFS}pwned)'&b=`id`;%22"}
	}
	return client.Client{Realm: "main", ID: "cli_1", Metadata: m}
}

// TestSnippets: every snippet of every client that has it is one in its language, has the values of the client, and no secret.
func TestSnippets(t *testing.T) {
	const issuer = "https://id.example"
	dir := t.TempDir()
	check := map[string][]string{"curl": {"bash", "-n"}, "node": {"node", "--check"}, "python": {"python3", "-m", "py_compile"}, "go": {"go", "vet"}}
	ending := map[string]string{"curl": ".sh", "node": ".mjs", "python": ".py", "go": ".go", "nginx": ".conf", "oauth2-proxy": ".cfg"}
	for _, method := range []string{client.AuthBasic, client.AuthPost, client.AuthNone} {
		for grant, fits := range map[string]string{client.GrantClientCredentials: "curl go node python", client.GrantAuthorizationCode: "curl go node python nginx oauth2-proxy", client.GrantDeviceCode: "curl"} {
			if method == client.AuthNone {
				fits = strings.TrimSuffix(fits, " nginx oauth2-proxy")
				if grant == client.GrantClientCredentials {
					continue
				}
			}
			for _, kind := range SnippetKinds() {
				text, err := snippet(shot(method, grant), kind, issuer)
				if want := strings.Contains(" "+fits+" ", " "+kind+" "); (err == nil) != want {
					t.Errorf("%s %s %s: %v", method, grant, kind, err)
					continue
				}
				if err != nil {
					if gatehouse.CodeOf(err) != "snippet_unfit" {
						t.Error(err)
					}
					continue
				}
				if strings.Contains(text, "@GO") || strings.Contains(text, "@CURL") || strings.Contains(text, "_AUTH@") || strings.Contains(text, "ID@") || kind != "nginx" && !strings.Contains(text, "cli_1") {
					t.Errorf("%s %s %s is not filled in:\n%s", method, grant, kind, text)
				}
				if public := method == client.AuthNone; kind != "nginx" && strings.Contains(text, "CLIENT_SECRET") == public {
					t.Errorf("%s %s %s: the secret:\n%s", method, grant, kind, text)
				}
				if (kind == "go" || kind == "nginx") && testing.Short() {
					continue
				}
				file := filepath.Join(dir, strings.ReplaceAll(method+"_"+filepath.Base(grant), ":", "_")+"_"+kind+ending[kind])
				if kind == "nginx" {
					text = "pid " + file + ".pid;\nerror_log " + file + ".log;\nevents {}\nhttp {\naccess_log off;\nclient_body_temp_path " + dir + "/b;\nproxy_temp_path " + dir + "/p;\nfastcgi_temp_path " + dir + "/f;\nuwsgi_temp_path " + dir + "/u;\nscgi_temp_path " + dir + "/s;\n" + text + "}\n"
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				command := append([]string{}, check[kind]...)
				if kind == "nginx" {
					command = []string{"nginx", "-t", "-e", file + ".log", "-c"}
				}
				if len(command) == 0 {
					continue
				}
				if _, err := exec.LookPath(command[0]); err != nil {
					t.Logf("%s is not here", command[0])
					continue
				}
				if out, err := exec.CommandContext(t.Context(), command[0], append(command[1:], file)...).CombinedOutput(); err != nil {
					t.Errorf("%s %s %s: %v\n%s\n%s", method, grant, kind, err, out, text)
				}
			}
		}
	}
	for name, change := range map[string]func(m *client.Metadata){"keys": func(m *client.Metadata) { m.AuthMethod = client.AuthPrivateKey }, "bound": func(m *client.Metadata) { m.DPoPBound = true }, "pushed": func(m *client.Metadata) { m.RequirePushed = true }, "signed": func(m *client.Metadata) { m.RequireSignedRequest = true }} {
		c := shot(client.AuthBasic, client.GrantClientCredentials)
		change(&c.Metadata)
		if text, err := snippet(c, "curl", issuer); gatehouse.CodeOf(err) != "snippet_unfit" {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	if _, err := snippet(shot(client.AuthBasic, client.GrantClientCredentials), "../clients", issuer); gatehouse.CodeOf(err) != "snippet_not_found" {
		t.Error(err)
	}
}

// TestSnippetQuotes: what somebody registered is text for a shell, and nothing that it runs.
func TestSnippetQuotes(t *testing.T) {
	for _, text := range []string{`https://a.example/'$(echo no)'`, "`id`", `a"b\`, "a\nb; id"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quotes("curl")(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("%q: %q %v", text, out, err)
		}
	}
}
