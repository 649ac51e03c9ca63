package server_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
)

// TestBrowserSignIn: somebody signs in and out in Chromium, at a desk with scripts and on a phone without. The browser has
// nothing against a page, and axe neither, in light and dark: a content policy that stopped our own styles would be seen here.
//
// ASVS: 3.4.3
func TestBrowserSignIn(t *testing.T) {
	t.Parallel()
	d := demo(t)
	for name, view := range map[string]testbrowser.View{"desk": {}, "phone, no script": {Width: 390, Height: 844, NoScript: true}} {
		t.Run(name, func(t *testing.T) {
			p := chromium.Open(t, view)
			judge := func(where string) {
				t.Helper()
				if !strings.HasPrefix(strings.TrimPrefix(p.URL(), d.Issuer), where) {
					t.Fatalf("at %s, want %s", p.URL(), where)
				}
				if view.NoScript {
					return // axe is one
				}
				for _, dark := range []bool{false, true} {
					p.See(testbrowser.View{Dark: dark})
					for _, found := range p.Axe() {
						t.Errorf("%s, dark %v: %s", where, dark, found)
					}
				}
			}
			enter := func(password string) int {
				p.Type("password", password)
				return p.Follow("submit")
			}
			p.Go(d.Issuer + "/")
			judge("/")
			if status := p.Go(d.Issuer + "/account"); status != 200 {
				t.Fatalf("%d", status)
			}
			judge("/signin?return=")
			p.Type("identifier", "bob")
			p.Follow("continue")
			judge("/signin")
			if status := enter("wrong"); status != 422 || p.Text("password-error") == "" {
				t.Errorf("a wrong password: %d", status)
			}
			judge("/signin")
			if status := enter(d.Users["bob"].Password); status != 200 || p.Text("username") != "bob" {
				t.Fatalf("the right one: %d at %s", status, p.URL())
			}
			judge("/account")
			if status := p.Follow("end-others"); status != 200 || p.Text("said") == "" {
				t.Errorf("other sessions: %d", status)
			}
			judge("/account")
			p.Follow("signout")
			judge("/signout")
			p.Follow("submit")
			judge("/signedout")
			p.Follow("again")
			judge("/signin")
			if status := p.Go(d.Issuer + "/realms/none/signin"); status != 404 {
				t.Errorf("no such realm: %d", status)
			}
			judge("/realms/none/signin")
			if said := p.Complaints(); len(said) != 0 {
				t.Errorf("the browser complains: %q", said)
			}
		})
	}
}
