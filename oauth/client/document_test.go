package client_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// TestDocumentHost: of the addresses that lead to one place, one is a client_id; and none that means something else in each network.
func TestDocumentHost(t *testing.T) {
	for id, want := range map[string]string{
		"https://app.example.com/": "app.example.com", "https://app.example.com/a/b.json?c=d": "app.example.com", "https://app.example.com:8443/c": "app.example.com:8443",
		"https://app.example.com": "", "http://app.example.com/": "", "HTTPS://app.example.com/": "", "https:app.example.com/": "", "https:///c": "", "https://App.example.com/": "",
		"https://app.example.com/#f": "", "https://app.example.com/#": "", "https://u@app.example.com/": "", "https://u:p@app.example.com/": "", "https://app.example.com/a/../b": "",
		"https://app.example.com/./b": "", "https://app.example.com/..": "", "https://app.example.com/%2e%2e/b": "", "https://app.example.com//b": "", "https://app.example.com/a;b": "",
		`https://app.example.com\@evil.example.org/`: "", "https://app.example.com/a b": "", "https://app.example.com/ä": "", "https://äpp.example.com/": "", "https://app.example.com:/c": "",
		"https://app.example.com./c": "", "https://app.example.com?c=/d": "", "https://" + strings.Repeat("a", 190) + ".com/": "", "https://[::1]/c": "", "cli_1": "", "": "",
		"https://127.0.0.1/c": "", "https://127.1/c": "", "https://2130706433/c": "", "https://0x7f.1/c": "", "https://localhost/c": "", "https://app.localhost/c": "", "https://app.internal/c": "",
		"https://app.local/c": "", "https://app.test/c": "", "https://intranet/c": "", "https://printer.home.arpa/c": "", "https://x.onion/c": "",
	} {
		if host, ok := client.DocumentHost(id, false); host != want || ok != (want != "") {
			t.Errorf("%s: %q %t, want %q", id, host, ok, want)
		}
	}
	for _, id := range []string{"https://localhost:1234/c", "https://127.0.0.1/c"} {
		if _, ok := client.DocumentHost(id, true); !ok {
			t.Errorf("%s is refused where it may be one", id)
		}
	}
	for id, name := range map[string]string{"https://app.example.com/c": "app.example.com/c", "cli_1": "cli_1"} {
		if client.NameInPath(id) != name || client.FromPath(name) != id {
			t.Errorf("%s: %s, %s", id, client.NameInPath(id), client.FromPath(name))
		}
	}
}

// TestDocument: what a document says is taken when it is about its own address and tells no secret.
func TestDocument(t *testing.T) {
	const id = "https://app.example.com/c"
	good := `{"client_id":"` + id + `","redirect_uris":["https://app.example.com/back"]`
	m, err := client.ParseDocument(id, []byte(good+`,"grant_types":["implicit","authorization_code","urn:x"],"response_types":["code","token"],"jwks":{"keys":[]},"first_party":true,"unknown":{"a":1}}`))
	if err != nil || m.AuthMethod != client.AuthNone || len(m.GrantTypes) != 1 || m.JWKS != nil || m.FirstParty || m.ResponseTypes != nil {
		t.Errorf("%+v %v", m, err)
	}
	if m, err := client.ParseDocument(id, []byte(good+`,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://app.example.com/keys"}`)); err != nil || m.JWKSURI == "" || !m.HasKeys() {
		t.Errorf("%+v %v", m, err)
	}
	for what, text := range map[string]string{
		"another's":       strings.Replace(good, id, id+"/", 1) + `}`,
		"nobody's":        `{"redirect_uris":["https://app.example.com/back"]}`,
		"twice":           good + `,"client_id":"` + id + `"}`,
		"a secret":        good + `,"client_secret":null}`,
		"an end of one":   good + `,"client_secret_expires_at":0}`,
		"a shared secret": good + `,"token_endpoint_auth_method":"client_secret_post"}`,
		"another method":  good + `,"token_endpoint_auth_method":"tls_client_auth"}`,
		"no address":      `{"client_id":"` + id + `"}`,
		"no code":         good + `,"grant_types":["client_credentials"]}`,
		"tokens alone":    good + `,"response_types":["token"]}`,
		"a list":          `[` + good + `}]`,
		"more behind it":  good + `}{}`,
		"null":            `null`,
		"nothing":         ``,
		"of another type": good + `,"client_name":1}`,
	} {
		if m, err := client.ParseDocument(id, []byte(text)); err == nil {
			t.Errorf("%s: %+v", what, m)
		}
	}
}
