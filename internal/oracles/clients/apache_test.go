package clients

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testprocess"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestApache: Apache httpd with mod_auth_openidc stands in front of a page: a person is sent to sign in, and comes back to the page,
// which is told who it is. Who signs out at either is signed out at both.
func TestApache(t *testing.T) {
	if os.Getenv("GATEHOUSE_CLIENTS") == "" {
		t.Skip("needs mod_auth_openidc: make clients")
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s is %q, %q", r.URL.Path, r.Header.Get("X-User"), r.Header.Get("OIDC_CLAIM_sub"))
	}))
	t.Cleanup(page.Close)
	d := demo(t)
	for _, c := range []struct {
		name, conf string
		members    map[string]any
	}{
		{"as it comes", "", nil},
		{"form_post", "OIDCResponseMode form_post", nil},
		{"client_secret_post", "OIDCProviderTokenEndpointAuth client_secret_post", map[string]any{"token_endpoint_auth_method": "client_secret_post"}},
		{"ES256", "OIDCIDTokenSignedResponseAlg ES256\nOIDCUserInfoSignedResponseAlg ES256", map[string]any{"id_token_signed_response_alg": "ES256", "userinfo_signed_response_alg": "ES256"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := testprocess.FreeAddress(t)
			site := "http://" + address
			members := map[string]any{"client_name": "Site", "redirect_uris": []string{site + "/back"}, "post_logout_redirect_uris": []string{site + "/bye"},
				"token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"authorization_code", "refresh_token"}, "scope": "openid profile email",
				"backchannel_logout_uri": site + "/back?logout=backchannel", "allow_private_address": true}
			maps.Copy(members, c.members)
			made := register(t, d, members)
			startApache(t, address, `
OIDCProviderMetadataURL `+d.Issuer+`/.well-known/openid-configuration
OIDCClientID `+made.ID+`
OIDCClientSecret `+made.Secret+`
OIDCRedirectURI `+site+`/back
OIDCScope "openid profile email"
OIDCPKCEMethod S256
OIDCCryptoPassphrase `+rand.Text()+`
OIDCRemoteUserClaim preferred_username
OIDCAuthNHeader X-User
`+c.conf+`
ProxyPass / `+page.URL+`/
<Location />
  AuthType openid-connect
  Require valid-user
</Location>
<Location /bye>
  Require all granted
</Location>
`)
			comesAndGoes(t, d, site, c.name == "form_post")
		})
	}
}

// comesAndGoes: bob signs in and out at the site, and then there and out at Gatehouse.
func comesAndGoes(t *testing.T, d *server.Demo, site string, form bool) {
	bob := newPerson(t, "")
	known := func() bool {
		bob.open(site + "/page")
		return bob.text == fmt.Sprintf("/page is %q, %q", "bob", d.Users["bob"].ID)
	}
	posted := func() {
		if form { // no script runs here
			bob.press("continue", nil)
		}
	}
	bob.open(site + "/page")
	bob.signIn(d)
	bob.press("allow", nil)
	posted()
	if bob.at.String() != site+"/page" || !known() {
		t.Fatalf("%d at %s: %s", bob.status, bob.at, bob.text)
	}

	bob.open(site + "/back?logout=" + site + "/bye")
	if bob.at.Path != "/bye" || !strings.HasPrefix(bob.text, "/bye is") {
		t.Fatalf("%d at %s: %s", bob.status, bob.at, bob.text)
	}
	if known() || !strings.HasPrefix(bob.at.String(), d.Issuer+"/signin") {
		t.Fatalf("signed in still: %d at %s: %s", bob.status, bob.at, bob.text)
	}
	bob.signIn(d)
	posted()
	if !known() {
		t.Fatalf("%d at %s: %s", bob.status, bob.at, bob.text)
	}
	bob.open(d.Issuer + "/signout")
	bob.press("submit", nil)
	testwait.Until(t, 10*time.Second, "Apache is told", func() bool { return !known() })
}

// startApache starts Apache httpd on a configuration of its own, with the modules that the tests need.
func startApache(t *testing.T, address, conf string) {
	t.Helper()
	apache, err := exec.LookPath("apache2")
	if err != nil {
		apache = "/usr/sbin/apache2"
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "error.log")
	all := "ServerRoot " + dir + "\nServerName localhost\nListen " + address + "\nPidFile " + dir + "/pid\nErrorLog " + log + "\nDefaultRuntimeDir " + dir + "\n"
	for _, m := range []string{"mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "auth_openidc"} {
		all += "LoadModule " + m + "_module /usr/lib/apache2/modules/mod_" + m + ".so\n"
	}
	if os.Getuid() == 0 {
		all += "User nobody\nGroup nogroup\n"
	}
	file := filepath.Join(dir, "httpd.conf")
	if err := os.WriteFile(file, []byte(all+conf), 0o600); err != nil {
		t.Fatal(err)
	}
	testprocess.Start(t, exec.CommandContext(t.Context(), apache, "-DFOREGROUND", "-f", file), address)
	t.Cleanup(func() {
		if said, _ := os.ReadFile(log); t.Failed() {
			t.Logf("%s", said)
		}
	})
}
