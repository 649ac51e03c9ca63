package server_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestPostedAnswerInTheBrowser: Chromium, without a script, posts the answer of a provider from another site, and is signed in
// where it began: our cookies come with the step after the post.
func TestPostedAnswerInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := demo(t)
	o := server.NewOrchard(t)
	here, err := url.Parse(d.Issuer)
	if there, err2 := url.Parse(o.URL); err != nil || err2 != nil || here.Hostname() == there.Hostname() {
		t.Fatalf("%s and %s are one site", d.Issuer, o.URL)
	}
	set, _ := json.Marshal(map[string]any{"settings": map[string]any{"providers": []any{map[string]any{"id": "apple", "preset": "apple", "issuer": o.URL, "client_id": "com.example.signin",
		"team_id": "TEAM123456", "key_id": "KEY1234567", "create_accounts": true, "allow_private_address": true}}}})
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", string(set)).want(t, "settings", 200)
	secret, _ := json.Marshal(map[string]string{"secret": o.Secret})
	call(t, "PUT", d.Issuer+"/admin/v1/realms/main/providers/apple/secret", "bearer", d.AdminToken, "body", string(secret)).want(t, "secret", 204)
	p := chromium.Open(t, testbrowser.View{NoScript: true})
	p.Go(d.Issuer + "/signin?return=%2Faccount")
	if status := p.Follow("with-apple"); status != 200 || !strings.HasPrefix(p.URL(), o.URL+"/auth/authorize?") {
		t.Fatalf("the way there: %d %s", status, p.URL())
	}
	if status := p.Follow("agree"); status != 200 || p.URL() != d.Issuer+"/account" {
		t.Fatalf("the way back: %d %s", status, p.URL())
	}
	if name := p.Text("name"); name != "Ada Lovelace" {
		t.Errorf("signed in as %q", name)
	}
	if said := p.Complaints(); len(said) != 0 {
		t.Errorf("the browser complains: %q", said)
	}
}
