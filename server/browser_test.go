package server_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
)

// TestBrowserSignIn: somebody signs in and out in Chromium, at a desk with scripts and on a phone without, and the browser has
// nothing against a page: a content policy that stopped our own styles would be seen here.
func TestBrowserSignIn(t *testing.T) {
	t.Parallel()
	d := demo(t)
	for name, view := range map[string]testbrowser.View{"desk": {}, "phone, no script": {Width: 390, Height: 844, NoScript: true}} {
		t.Run(name, func(t *testing.T) {
			p := chromium.Open(t, view)
			at := func(where string) {
				t.Helper()
				if !strings.HasPrefix(strings.TrimPrefix(p.URL(), d.Issuer), where) {
					t.Fatalf("at %s, want %s", p.URL(), where)
				}
			}
			enter := func(password string) int {
				p.Type("password", password)
				return p.Follow("submit")
			}
			if status := p.Go(d.Issuer + "/account"); status != 200 {
				t.Fatalf("%d", status)
			}
			at("/signin?return=")
			p.Type("identifier", "bob")
			p.Follow("continue")
			at("/signin")
			if status := enter("wrong"); status != 422 || p.Text("password-error") == "" {
				t.Errorf("a wrong password: %d", status)
			}
			at("/signin")
			if status := enter(d.Users["bob"].Password); status != 200 || p.Text("username") != "bob" {
				t.Fatalf("the right one: %d at %s", status, p.URL())
			}
			at("/account")
			p.Follow("signout")
			at("/signout")
			p.Follow("submit")
			at("/signedout")
			p.Follow("again")
			at("/signin")
			if status := p.Go(d.Issuer + "/realms/none/signin"); status != 404 {
				t.Errorf("no such realm: %d", status)
			}
			at("/realms/none/signin")
			if said := p.Complaints(); len(said) != 0 {
				t.Errorf("the browser complains: %q", said)
			}
		})
	}
}

// TestBrowserHello: what stands at the root of both listeners can be used by everybody, in light and dark.
func TestBrowserHello(t *testing.T) {
	t.Parallel()
	d := demo(t)
	p := chromium.Open(t, testbrowser.View{})
	for _, at := range []string{d.Issuer, d.Gateway} {
		p.Go(at + "/")
		for _, view := range []testbrowser.View{{}, {Width: 390, Height: 844, Dark: true}} {
			p.See(view)
			for _, found := range p.Axe() {
				t.Errorf("%s, %+v: %s", at, view, found)
			}
		}
	}
	if said := p.Complaints(); len(said) != 0 {
		t.Errorf("the browser complains: %q", said)
	}
}
