package client_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// TestTemplates: what each fills in can be registered, keeps PKCE, and is public exactly where nothing can be kept secret; what does not
// go with it is refused with what to mend.
func TestTemplates(t *testing.T) {
	redirect := map[string]string{"web": "https://app.example/back", "spa": "https://app.example/back", "native": "com.example.app:/back", "mcp": "http://127.0.0.1/back"}
	faults := func(tpl client.Template, m client.Metadata) (out []string) {
		fault := func(member, text string) { out = append(out, member+" "+text) }
		m = tpl.Fill(m)
		tpl.Check(m, fault)
		m.Check(fault)
		return out
	}
	for _, name := range client.TemplateNames() {
		tpl, ok := client.TemplateOf(name)
		if !ok || tpl.Name != name || tpl.For == "" {
			t.Fatalf("%s is not found", name)
		}
		m := client.Metadata{Name: "App"}
		if uri := redirect[tpl.Name]; uri != "" {
			m.RedirectURIs = []string{uri}
		}
		if wrong := faults(tpl, m); len(wrong) > 0 {
			t.Errorf("%s: %v", tpl.Name, wrong)
		}
		got := tpl.Fill(m)
		if got.May(client.GrantAuthorizationCode) && !got.NeedsPKCE() {
			t.Errorf("%s spares PKCE", tpl.Name)
		}
		if public := tpl.Name == "native" || tpl.Name == "cli" || tpl.Name == "mcp"; got.Public() != public {
			t.Errorf("%s: public: %v", tpl.Name, got.Public())
		}
		filled := m
		filled.AuthMethod, filled.GrantTypes, filled.Scope = "x", []string{"y"}, "z"
		if kept := tpl.Fill(filled); kept.AuthMethod != "x" || kept.GrantTypes[0] != "y" || kept.Scope != "z" {
			t.Errorf("%s changes what was said: %+v", tpl.Name, kept)
		}
	}
	if _, ok := client.TemplateOf("x"); ok || len(client.TemplateNames()) != 6 {
		t.Error(client.TemplateNames())
	}
	service, _ := client.TemplateOf("service")
	if m := service.Fill(client.Metadata{JWKSURI: "https://a.example"}); m.AuthMethod != client.AuthPrivateKey {
		t.Error(m.AuthMethod)
	}
	for _, c := range []struct {
		name string
		m    client.Metadata
		want string
	}{
		{"web", client.Metadata{}, "redirect_uris must name where"},
		{"web", client.Metadata{AuthMethod: client.AuthNone}, "token_endpoint_auth_method must be client_secret_basic or"},
		{"spa", client.Metadata{AuthMethod: client.AuthNone, Flow: client.Flow{RedirectURIs: []string{"https://a.example"}}}, "with the template spa"},
		{"web", client.Metadata{Flow: client.Flow{RedirectURIs: []string{"com.example.app:/back"}}}, "redirect_uris must be https"},
		{"cli", client.Metadata{Flow: client.Flow{RedirectURIs: []string{"https://a.example"}}}, "redirect_uris must be http on loopback"},
		{"service", client.Metadata{Flow: client.Flow{RedirectURIs: []string{"https://a.example"}}}, "no person is asked"},
		{"native", client.Metadata{AuthMethod: client.AuthBasic, Flow: client.Flow{RedirectURIs: []string{"http://127.0.0.1/"}}}, "must be none with"},
		{"native", client.Metadata{GrantTypes: []string{client.GrantClientCredentials}, Flow: client.Flow{RedirectURIs: []string{"http://127.0.0.1/"}}}, "grant_types must be of"},
	} {
		tpl, _ := client.TemplateOf(c.name)
		if got := strings.Join(faults(tpl, c.m), "\n"); !strings.Contains(got, c.want) {
			t.Errorf("%s %+v: %q", c.name, c.m, got)
		}
	}
}
