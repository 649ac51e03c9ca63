package server_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestTermsInTheBrowser: whoever signs in is asked for the present version of the terms before anything else, once, and signed out by
// declining; programs are not asked.
func TestTermsInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := demo(t)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"terms_url":"https://example.com/terms","terms_version":"2026-11"}}`).want(t, "terms", 200)
	call(t, "GET", d.Issuer+"/admin/v1/me", "basic", "bob:"+d.Users["bob"].Password).want(t, "a program", 200)
	p := chromium.Open(t, testbrowser.View{NoScript: true})
	signIn := func() {
		t.Helper()
		p.Go(d.Issuer + "/account/keys")
		p.Type("identifier", "bob")
		p.Follow("continue")
		p.Type("password", d.Users["bob"].Password)
		p.Follow("submit")
	}
	signIn()
	if !p.Has("#decline") {
		t.Fatalf("not asked: at %s", p.URL())
	}
	if p.Follow("decline"); p.URL() != d.Issuer+"/signedout" {
		t.Errorf("declined: at %s", p.URL())
	}
	signIn()
	if status := p.Follow("submit"); status != 200 || p.URL() != d.Issuer+"/account/keys" {
		t.Errorf("accepted: %d at %s", status, p.URL())
	}
	p.Go(d.Issuer + "/signout")
	p.Follow("submit")
	if signIn(); p.URL() != d.Issuer+"/account/keys" {
		t.Errorf("asked again: at %s", p.URL())
	}
}
