package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestOwnProfileInTheBrowser: a person changes the display name and the password in Chromium without a script: this browser stays
// signed in, another one does not, the old password is worth nothing, and the activity says what happened.
//
// ASVS: 6.2.2, 6.2.3
func TestOwnProfileInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := demo(t)
	signIn := func(password string) (*testbrowser.Page, int) {
		p := chromium.Open(t, testbrowser.View{NoScript: true})
		p.Go(d.Issuer + "/account")
		p.Type("identifier", "bob")
		p.Follow("continue")
		p.Type("password", password)
		return p, p.Follow("submit")
	}
	other, _ := signIn(d.Users["bob"].Password)
	p, status := signIn(d.Users["bob"].Password)
	if status != 200 {
		t.Fatalf("signing in: %d", status)
	}
	testbrowser.Eval[bool](p, `document.querySelector("details.edit").open = true`)
	testbrowser.Eval[string](p, `document.getElementById("new-name").value = ""`)
	p.Type("new-name", "Robert Owl")
	if status := p.Follow("rename"); status != 200 || p.Text("name") != "Robert Owl" {
		t.Errorf("the name: %d %s", status, p.Text("name"))
	}
	const next = "nine herons by a dry canal"
	p.Follow("change-password")
	p.Type("current", d.Users["bob"].Password)
	p.Type("password", "bob")
	if status := p.Follow("submit"); status != 422 {
		t.Errorf("a password that is too short: %d", status)
	}
	p.Type("current", d.Users["bob"].Password)
	p.Type("password", next)
	if status := p.Follow("submit"); status != 200 || p.Text("said") != "Your new password counts. You are signed in in this browser only." {
		t.Fatalf("the password: %d at %s", status, p.URL())
	}
	p.Go(d.Issuer + "/account")
	if p.URL() != d.Issuer+"/account" {
		t.Errorf("this browser is signed out: at %s", p.URL())
	}
	if other.Go(d.Issuer + "/account"); other.URL() == d.Issuer+"/account" {
		t.Error("the other browser is still signed in")
	}
	if _, status := signIn(d.Users["bob"].Password); status != 422 {
		t.Errorf("the old password: %d", status)
	}
	if _, status := signIn(next); status != 200 {
		t.Errorf("the new password: %d", status)
	}
	testwait.Until(t, 10*time.Second, "the record shows what bob did", func() bool { // it is written a moment later
		p.Go(d.Issuer + "/account/activity")
		shown := p.Text("list")
		return strings.Contains(shown, "The password was changed") && strings.Contains(shown, "A wrong password was entered") &&
			strings.Contains(shown, "Signed in\nChrome on Linux · 127.0.0.1 · 2")
	})
	if said := p.Complaints(); len(said) != 0 {
		t.Errorf("the browser complains: %q", said)
	}
}
