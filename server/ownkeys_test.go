package server_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
)

// TestOwnKeysInTheBrowser: a person makes an API key in Chromium, which works at once and carries what was chosen, and revokes it;
// the key of somebody else is out of reach there also for an administrator, whose roles would allow it elsewhere.
func TestOwnKeysInTheBrowser(t *testing.T) {
	t.Parallel()
	d := demo(t)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"admin_mfa":"optional"}}`).want(t, "no second factor", 200)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main/users/alice", "bearer", d.AdminToken, "Content-Type", "application/merge-patch+json", "body", `{"roles":["gatehouse-admin"]}`).want(t, "alice administers", 200)
	p := chromium.Open(t, testbrowser.View{NoScript: true})
	p.Go(d.Issuer + "/account/keys")
	p.Type("identifier", "alice")
	p.Follow("continue")
	p.Type("password", d.Users["alice"].Password)
	if status := p.Follow("submit"); status != 200 || p.URL() != d.Issuer+"/account/keys" {
		t.Fatalf("%d at %s", status, p.URL())
	}
	p.Type("name", "backup of the night")
	if status := p.Follow("make-key"); status != 200 {
		t.Fatalf("%d at %s", status, p.URL())
	}
	text := p.Text("key")
	call(t, "GET", d.Gateway+"/private", "bearer", text).want(t, "the key", 200)
	call(t, "GET", d.Issuer+"/admin/v1/realms/main/users", "bearer", text).want(t, "administration with it", 403)
	if lines := p.Text("lines"); !strings.Contains(lines, "API_KEY='"+text+"'") {
		t.Errorf("lines to paste: %s", lines)
	}
	p.Follow("done")
	bob := call(t, "GET", d.Issuer+"/admin/v1/realms/main/keys?owner=bob", "bearer", d.AdminToken).json["items"].([]any)[0].(map[string]any)["id"].(string)
	// The button of the own key, which names another one now: what a script of somebody would send.
	testbrowser.Eval[bool](p, `(b => { b.dataset.own = b.value; b.value = "`+bob+`"; b.id = "revoke"; return true })([...document.querySelectorAll("#keys button")].find(b => b.getAttribute("aria-label").includes("backup of the night")))`)
	if status := p.Follow("revoke"); status != 422 || !strings.Contains(p.Text("problem"), "no such key") {
		t.Errorf("bob's key: %d", status)
	}
	call(t, "GET", d.Gateway+"/private", "bearer", d.Users["bob"].APIKey).want(t, "bob's key", 200)
	testbrowser.Eval[bool](p, `([...document.querySelectorAll("#keys button")].find(b => b.getAttribute("aria-label").includes("backup of the night")).id = "revoke") != ""`)
	if status := p.Follow("revoke"); status != 200 || !strings.HasPrefix(p.Text("said"), "The key was revoked.") {
		t.Errorf("%d %s", status, p.Text("said"))
	}
	call(t, "GET", d.Gateway+"/private", "bearer", text).want(t, "the key after that", 401)
	if said := p.Complaints(); len(said) != 0 {
		t.Errorf("the browser complains: %q", said)
	}
}
