package server_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestDeviceInTheBrowser: Chromium comes by the link of a device, signs in, sees the code, forgets to compare, compares, and the device
// goes on; and by the bare address, where the code is typed. With scripts and without.
func TestDeviceInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	for name, view := range map[string]testbrowser.View{"scripts": {}, "none": {NoScript: true}} {
		t.Run(name, func(t *testing.T) {
			d := demo(t)
			set := registersSet(t, d, `,"token_endpoint_auth_method":"none"`)
			w := set.waits(d.Issuer).want(t, "waits", 200)
			p := chromium.Open(t, view)
			p.Go(w.text("verification_uri_complete"))
			if !strings.HasPrefix(p.URL(), d.Issuer+"/signin?return=") {
				t.Fatalf("at %s", p.URL())
			}
			p.Type("identifier", "bob")
			p.Follow("continue")
			p.Type("password", d.Users["bob"].Password)
			p.Follow("submit")
			p.Wait("user-code")
			p.Follow("submit")
			if got := p.Text("code"); got != w.text("user_code") || p.Text("client") != "Television" {
				t.Fatalf("%q of %q at %s", got, p.Text("client"), p.URL())
			}
			p.Follow("allow")
			p.Wait("same-error")
			p.Press("same")
			p.Follow("allow")
			p.Wait("said")
			set.polls(d.Issuer, w.text("device_code")).want(t, "allowed", 200)

			w = set.waits(d.Issuer).want(t, "waits", 200)
			p.Go(w.text("verification_uri"))
			p.Type("user-code", "bbbb bbbb")
			p.Follow("submit")
			p.Wait("user-code-error")
			p.Go(w.text("verification_uri"))
			p.Type("user-code", strings.ToLower(strings.ReplaceAll(w.text("user_code"), "-", " ")))
			p.Follow("submit")
			p.Follow("deny")
			p.Wait("said")
			if a := set.polls(d.Issuer, w.text("device_code")); a.text("error") != "access_denied" {
				t.Errorf("%d %s", a.status, a.body)
			}
			if said := p.Complaints(); len(said) != 0 {
				t.Errorf("the browser complains: %q", said)
			}
		})
	}
}
