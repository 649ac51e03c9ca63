package server_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/server"
)

// phone is how somebody looks at the pages who has no other screen, and lets no script run.
var phone = testbrowser.View{Width: 390, Height: 844, NoScript: true}

// names types a name and a password into the page to sign in, which is shown, and returns the status of what comes after.
func names(p *testbrowser.Page, name, password string) int {
	p.Type("identifier", name)
	p.Follow("continue")
	p.Type("password", password)
	return p.Follow("submit")
}

// shown is the path of the page that is shown.
func shown(t *testing.T, p *testbrowser.Page) string {
	t.Helper()
	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	return u.Path
}

// quiet fails when the browser had something against a page: a style or form that its policy stopped.
func quiet(t *testing.T, p *testbrowser.Page) {
	t.Helper()
	if said := p.Complaints(); len(said) != 0 {
		t.Errorf("the browser complains: %q", said)
	}
}

// appOf reads the key of an authenticator app off the page, and gives its codes.
func appOf(p *testbrowser.Page) func(time.Duration) string {
	secret := strings.ReplaceAll(p.Text("secret"), " ", "")
	return func(off time.Duration) string { return testtotp.Code(secret, time.Now().Add(off)) }
}

const recoveryCodes = `[...document.querySelectorAll("#recovery-codes code")].map(e => e.textContent)`

// TestOwnFactorsInTheBrowser: in Chromium on a phone, without a script, a person adds an authenticator app by the key that the page
// shows, and keeps the recovery codes. From then on the password alone changes nothing: the page asks for a fresh sign-in, which takes a
// code of the app. Without the app a recovery code does, once. The app is removed again, and whoever signed in elsewhere can be signed out.
//
// ASVS: 6.5.6, 7.4.3
func TestOwnFactorsInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := demo(t)
	bob := d.Users["bob"].Password
	p, elsewhere := chromium.Open(t, phone), chromium.Open(t, phone)
	for _, p := range []*testbrowser.Page{p, elsewhere} {
		p.Go(d.Issuer + "/account/factors")
		if status := names(p, "bob", bob); status != 200 || p.URL() != d.Issuer+"/account/factors" {
			t.Fatalf("the password: %d at %s", status, p.URL())
		}
	}
	p.Type("new-name", "telephone")
	if status := p.Follow("add-app"); status != 200 || !p.Has(".qr svg") {
		t.Fatalf("an app: %d at %s", status, p.URL())
	}
	code := appOf(p)
	p.Type("code", "000000")
	if status := p.Follow("submit"); status != 422 || p.Has("#secret") || !p.Has("#code[aria-invalid]") {
		t.Errorf("a wrong code: %d", status)
	}
	p.Type("code", code(0))
	if status := p.Follow("submit"); status != 200 {
		t.Fatalf("the right one: %d at %s", status, p.URL())
	}
	recovery := testbrowser.Eval[[]string](p, recoveryCodes)
	if len(recovery) != 10 {
		t.Fatalf("recovery codes: %q", recovery)
	}
	// What was opened by the password alone changes nothing any more.
	p.Follow("done")
	if p.Has("form") || !p.Has("#stale") {
		t.Fatal("the password alone still changes factors")
	}
	p.Follow("again")
	p.Type("password", bob)
	if p.Follow("submit"); shown(t, p) != "/signin/factor" {
		t.Fatalf("the password again leads to %s", p.URL())
	}
	p.Type("code", "000000")
	if status := p.Follow("submit"); status != 422 || p.Text("code-error") == "" {
		t.Errorf("a wrong code: %d at %s", status, p.URL())
	}
	p.Type("code", code(30*time.Second)) // the one of now was used
	if status := p.Follow("submit"); status != 200 || p.URL() != d.Issuer+"/account/factors" || !p.Has("#add") {
		t.Fatalf("a code of the app: %d at %s", status, p.URL())
	}
	if left := p.Text("left"); left != "Codes that are left: 10" {
		t.Errorf("%q", left)
	}
	// The app is not at hand.
	byRecovery := func(code string) (status int) {
		p.Go(d.Issuer + "/signout")
		p.Follow("submit")
		p.Go(d.Issuer + "/account/factors")
		names(p, "bob", bob)
		p.Follow("other")
		p.Type("code", code)
		return p.Follow("submit")
	}
	if status := byRecovery(recovery[3]); status != 200 || p.URL() != d.Issuer+"/account/factors" || p.Text("left") != "Codes that are left: 9" {
		t.Fatalf("a recovery code: %d at %s", status, p.URL())
	}
	if status := byRecovery(recovery[3]); status != 422 || shown(t, p) != "/signin/factor" {
		t.Errorf("the same once more: %d at %s", status, p.URL())
	}
	p.Type("code", recovery[4])
	p.Follow("submit")
	id := testbrowser.Eval[string](p, `document.querySelector("input[name=factor]").value`)
	testbrowser.Eval[bool](p, `[...document.querySelectorAll("details")].every(d => d.open = true)`)
	testbrowser.Eval[bool](p, `(document.querySelector("input[name=sure]").id = "sure") != ""`)
	p.Press("sure")
	if status := p.Follow("remove-" + id); status != 200 || !p.Has("#none") {
		t.Errorf("removed: %d at %s", status, p.URL())
	}
	if status := p.Follow("end-others"); status != 200 || p.Has("#end-others") {
		t.Errorf("ended elsewhere: %d at %s", status, p.URL())
	}
	if elsewhere.Go(d.Issuer + "/account"); shown(t, elsewhere) != "/signin" {
		t.Errorf("elsewhere still signed in: at %s", elsewhere.URL())
	}
	quiet(t, p)
	for _, kind := range []string{"factor.begin", "factor.add", "factor.remove"} {
		events := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind="+kind, "bearer", d.AdminToken).body
		if !strings.Contains(events, id) || !strings.Contains(events, fmt.Sprintf(`"id":%q`, d.Users["bob"].ID)) {
			t.Errorf("%s: %s", kind, events)
		}
	}
}

// TestFirstFactorInTheBrowser: who owes a second factor and has none adds an app on the way in, in Chromium on a phone, and only
// then gets to the page that was asked for; an operation of administration takes no less.
//
// ASVS: 6.3.3
func TestFirstFactorInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := demo(t)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"mfa":"required"}}`).want(t, "mfa", 200)
	p := chromium.Open(t, phone)
	p.Go(d.Issuer + "/account/activity")
	names(p, "carol", d.Users["carol"].Password)
	if shown(t, p) != "/signin/factor" || !p.Has("form#enrol") {
		t.Fatalf("after the password: at %s", p.URL())
	}
	if p.Go(d.Issuer + "/account/activity"); shown(t, p) != "/signin" {
		t.Errorf("the password alone opens %s", p.URL())
	}
	names(p, "carol", d.Users["carol"].Password)
	p.Follow("submit")
	code := appOf(p)
	p.Type("code", "000000")
	if status := p.Follow("submit"); status != 422 || p.Text("code-error") == "" {
		t.Errorf("a wrong code: %d at %s", status, p.URL())
	}
	p.Type("code", code(0))
	p.Follow("submit")
	if codes := testbrowser.Eval[[]string](p, recoveryCodes); len(codes) != 10 {
		t.Fatalf("recovery codes: %q at %s", codes, p.URL())
	}
	if status := p.Follow("done"); status != 200 || p.URL() != d.Issuer+"/account/activity" {
		t.Errorf("on the way to what was asked for: %d at %s", status, p.URL())
	}
	quiet(t, p)
}
