package server_test

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestBrowserPasskey: in Chromium somebody signs in by the password, adds a passkey, signs out, and signs in by it; without the
// person's PIN or finger it opens nothing. The browser has nothing against the pages.
func TestBrowserPasskey(t *testing.T) {
	t.Parallel()
	d, err := server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"),
		Listen: "localhost:0", Gateway: "127.0.0.1:0", Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.Cleanup(func() { d.Close(over) })
	u, err := url.Parse(d.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	base := "http://localhost:" + u.Port()
	p := chromium.Open(t, testbrowser.View{})
	key := p.Authenticator()
	p.Go(base + "/signin")
	p.Type("identifier", "bob")
	p.Follow("continue")
	p.Type("password", d.Users["bob"].Password)
	p.Follow("submit")
	p.Follow("passkeys")
	p.Type("name", "telephone")
	if status := p.Follow("add-passkey"); status != 200 || !p.Has("#said") || len(key.Credentials()) != 1 {
		t.Fatalf("%d at %s, %d passkeys", status, p.URL(), len(key.Credentials()))
	}
	p.Follow("signout")
	p.Follow("submit")
	key.Recognise(false)
	p.Go(base + "/signin")
	// The list of names is offered passkeys too, and this authenticator takes up any offer: only the button counts here.
	testbrowser.Eval[bool](p, `(PublicKeyCredential.isConditionalMediationAvailable = async () => { sessionStorage.offers = Number(sessionStorage.offers ?? 0) + 1; return false }) != null`)
	p.Press("use-passkey")
	p.Wait("passkey-failed")
	key.Recognise(true)
	if status := p.Follow("use-passkey"); status != 200 || p.Text("username") != "bob" || !strings.HasSuffix(p.URL(), "/account") {
		t.Fatalf("%d at %s", status, p.URL())
	}
	if offers := testbrowser.Eval[string](p, `sessionStorage.offers`); offers != "1" {
		t.Errorf("%s offers after the one that failed: another one may stop the answer that is on its way", offers)
	}
	// From the list of names, by itself.
	p.Follow("signout")
	p.Follow("submit")
	p.Go(base + "/signin")
	p.Wait("username")
	if p.Text("username") != "bob" {
		t.Errorf("at %s", p.URL())
	}
	// After a password, where a second factor is demanded.
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"mfa":"required"}}`).want(t, "mfa", 200)
	p.Follow("signout")
	p.Follow("submit")
	key.Recognise(false)
	p.Go(base + "/signin")
	p.Type("identifier", "bob")
	p.Follow("continue")
	p.Type("password", d.Users["bob"].Password)
	p.Follow("submit")
	if p.Has("#code") || !strings.HasSuffix(p.URL(), "/signin/factor") {
		t.Fatalf("after the password: %s", p.URL())
	}
	p.Press("use-passkey")
	p.Wait("passkey-failed")
	key.Recognise(true)
	if status := p.Follow("use-passkey"); status != 200 || p.Text("username") != "bob" {
		t.Fatalf("by password and passkey: %d at %s", status, p.URL())
	}
	if said := p.Complaints(); len(said) != 0 {
		t.Errorf("the browser complains: %q", said)
	}
}
