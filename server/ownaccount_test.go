package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestOwnSessionsInTheBrowser: a person sees in Chromium where the account is signed in, and ends one session, the others, and
// everything with the tokens of programs, whose end the record holds as the person's own deed. API keys stay.
//
// ASVS: 7.5.2
func TestOwnSessionsInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := demo(t)
	signIn := func() *testbrowser.Page {
		p := chromium.Open(t, testbrowser.View{NoScript: true})
		p.Go(d.Issuer + "/account")
		p.Type("identifier", "bob")
		p.Follow("continue")
		p.Type("password", d.Users["bob"].Password)
		if status := p.Follow("submit"); status != 200 || p.Text("username") != "bob" {
			t.Fatalf("signing in: %d at %s", status, p.URL())
		}
		return p
	}
	over := func(what string, p *testbrowser.Page) {
		t.Helper()
		p.Go(d.Issuer + "/account")
		if u, err := url.Parse(p.URL()); err != nil || u.Path != "/signin" {
			t.Errorf("%s is still signed in: at %s", what, p.URL())
		}
	}
	stranger := signIn()
	first, second, third := signIn(), signIn(), signIn()
	here := signIn()
	if got := testbrowser.Eval[int](here, `document.querySelectorAll("#sessions tbody tr").length`); got != 5 {
		t.Fatalf("%d sessions are shown", got)
	}
	if got := testbrowser.Eval[string](here, `document.querySelector("#sessions tbody tr").innerText`); !strings.Contains(got, "Chrome on Linux") || !strings.Contains(got, "127.0.0.1") || !strings.Contains(got, "This browser") {
		t.Errorf("the session that was used last: %q", got)
	}
	// Of the oldest one the person says that it was somebody else: the page of the notice, without a script.
	zeroth := testbrowser.Eval[string](here, `document.querySelector("#sessions tbody tr:last-child button").value`)
	here.Go(d.Issuer + "/account/notice?session=" + zeroth)
	if here.Text("device") != "Chrome on Linux" || here.Text("address") != "127.0.0.1" {
		t.Errorf("asked about %q at %q", here.Text("device"), here.Text("address"))
	}
	if status := here.Follow("no"); status != 200 || here.Text("said") == "" {
		t.Errorf("no: %d at %s", status, here.URL())
	}
	over("the browser of somebody else", stranger)
	if status := here.Follow("change-password"); status != 200 || here.URL() != d.Issuer+"/account/password" {
		t.Errorf("to another password: %d at %s", status, here.URL())
	}
	here.Go(d.Issuer + "/account")
	testbrowser.Eval[bool](here, `(document.querySelector("#sessions tbody tr:last-child button").id = "oldest") != ""`)
	if status := here.Follow("oldest"); status != 200 || here.Text("said") != "The session was ended." {
		t.Errorf("ending one: %d %s", status, here.Text("said"))
	}
	over("the oldest browser", first)
	if status := here.Follow("end-others"); status != 200 || here.Text("said") != "Other sessions that were ended: 2" {
		t.Errorf("ending the others: %d %s", status, here.Text("said"))
	}
	over("the second browser", second)
	over("the third browser", third)
	again := signIn()
	token, _ := call(t, "POST", d.Issuer+"/tokens", "basic", "bob:"+d.Users["bob"].Password).want(t, "a program logs in", 200).json["access_token"].(string)
	call(t, "GET", d.Gateway+"/private", "bearer", token).want(t, "its token", 200)
	if status := here.Follow("everywhere"); status != 200 || here.URL() != d.Issuer+"/signedout" {
		t.Errorf("everywhere: %d at %s", status, here.URL())
	}
	over("this browser", here)
	over("the other browser", again)
	call(t, "GET", d.Gateway+"/private", "bearer", token).want(t, "the token of the program", 401)
	call(t, "GET", d.Gateway+"/private", "bearer", d.Users["bob"].APIKey).want(t, "the API key", 200)
	events := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind=user.revoke", "bearer", d.AdminToken).body
	if strings.Count(events, `"user.revoke"`) != 1 || !strings.Contains(events, `"scheme":"session"`) {
		t.Errorf("recorded as %s", events)
	}
	if said := here.Complaints(); len(said) != 0 {
		t.Errorf("the browser complains: %q", said)
	}
}
