package server_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
)

// TestOwnFactorsInTheBrowser: a person adds an authenticator app in the browser with the key that the page shows, is asked for a code from
// then on, and removes it again, on the server itself.
//
// ASVS: 6.5.6, 7.4.3
func TestOwnFactorsInTheBrowser(t *testing.T) {
	t.Parallel()
	d := demo(t)
	bob := d.Users["bob"].Password
	at := d.Issuer + "/account/factors"
	v := newVisitor(t)
	if status, to := v.password(d.Issuer, "bob", bob); status != 303 || to != "/account" {
		t.Fatalf("%d %s", status, to)
	}
	elsewhere := newVisitor(t)
	if status, to := elsewhere.password(d.Issuer, "bob", bob); status != 303 || to != "/account" {
		t.Fatalf("%d %s", status, to)
	}
	v.get(at)
	status, page := v.send(at, url.Values{"do": {"add"}, "name": {"telephone"}})
	key := regexp.MustCompile(`<code id="secret">([A-Z2-7 ]+)</code>`).FindStringSubmatch(page)
	id := regexp.MustCompile(`name="factor" value="(fac_[^"]+)"`).FindStringSubmatch(page)
	if status != 200 || key == nil || id == nil || !strings.Contains(page, "<svg xmlns=") {
		t.Fatalf("%d %s", status, page)
	}
	secret := strings.ReplaceAll(key[1], " ", "")
	code := func(off time.Duration) string { return testtotp.Code(secret, time.Now().Add(off)) }
	if status, page := v.send(at, url.Values{"do": {"confirm"}, "factor": {id[1]}, "code": {"000000"}}); status != 422 || strings.Contains(page, secret) {
		t.Errorf("a wrong code: %d %s", status, page)
	}
	status, page = v.send(at, url.Values{"do": {"confirm"}, "factor": {id[1]}, "code": {code(-30 * time.Second)}})
	recovery := regexp.MustCompile(`<li><code>([0-9a-z-]{29})</code></li>`).FindAllStringSubmatch(page, -1)
	if status != 200 || len(recovery) != 10 {
		t.Fatalf("%d %s", status, page)
	}
	// What was opened by the password alone changes nothing any more.
	if status, to := v.send(at, url.Values{"do": {"remove"}, "factor": {id[1]}, "sure": {"yes"}}); status != 303 || !strings.HasPrefix(to, "/signin?again=1") {
		t.Fatalf("removed by the password alone: %d %s", status, to)
	}
	v.get(d.Issuer + "/signin?again=1&return=/account/factors")
	if status, to := v.send(d.Issuer+"/signin", url.Values{"identifier": {"bob"}, "password": {bob}, "step": {"password"}, "return": {"/account/factors"}}); status != 303 || !strings.HasPrefix(to, "/signin/factor") {
		t.Fatalf("the password again: %d %s", status, to)
	}
	v.get(d.Issuer + "/signin/factor")
	if status, to := v.send(d.Issuer+"/signin/factor", url.Values{"code": {recovery[0][1]}, "with": {"recovery"}, "return": {"/account/factors"}}); status != 303 || to != "/account/factors" {
		t.Fatalf("a recovery code: %d %s", status, to)
	}
	if status, page := v.get(at); status != 200 || !strings.Contains(page, "<bdi>telephone</bdi>") || !strings.Contains(page, "Codes that are left: 9") {
		t.Errorf("%d %s", status, page)
	}
	status, page = v.send(at, url.Values{"do": {"remove"}, "factor": {id[1]}, "sure": {"yes"}})
	if status != 200 || !strings.Contains(page, `id="none"`) {
		t.Errorf("removed: %d %s", status, page)
	}
	// Whoever signed in elsewhere, with the factor that is gone or without it, can be signed out by the same page.
	offer := regexp.MustCompile(`id="elsewhere">\s*<input type="hidden" name="form" value="([^"]+)">`).FindStringSubmatch(page)
	if offer == nil {
		t.Fatalf("no offer to end the other session: %s", page)
	}
	v.form = offer[1]
	if status, page := v.send(d.Issuer+"/account", url.Values{"do": {"others"}}); status != 200 || strings.Contains(page, `id="end-others"`) {
		t.Errorf("ended elsewhere: %d %s", status, page)
	}
	if status, _ := elsewhere.get(d.Issuer + "/account"); status != 303 {
		t.Errorf("elsewhere still signed in: %d", status)
	}
	for _, kind := range []string{"factor.begin", "factor.add", "factor.remove"} {
		events := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind="+kind, "bearer", d.AdminToken).body
		if !strings.Contains(events, id[1]) || !strings.Contains(events, fmt.Sprintf(`"id":%q`, d.Users["bob"].ID)) || strings.Contains(events, secret) {
			t.Errorf("%s: %s", kind, events)
		}
	}
}
