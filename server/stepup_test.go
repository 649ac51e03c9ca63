package server_test

import (
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
)

// stepsUp has a person, who is signed in by the password, open a page of the gateway that asks for two factors: he signs in
// again, adds an app because he has none, and comes back to the page. A script is told, and a page that asks for what there is not says so.
func (p *person) stepsUp(app, auth, password string) {
	t := p.t
	t.Helper()
	if at, status, page := p.goes("GET", app+"/high/data", nil, "Sec-Fetch-Mode", "cors"); status != 401 || at.Host != "app.example" || !strings.Contains(page, "insufficient_user_authentication") {
		t.Errorf("a script: %d at %s: %s", status, at, page)
	}
	if at, status, page := p.goes("GET", app+"/beyond/", nil); status != 403 || at.Path != "/handover" || !strings.Contains(page, "sign_in_not_enough") {
		t.Errorf("more than there is: %d at %s: %s", status, at, page)
	}
	const to = "/high/page?x=1"
	at, status, page := p.goes("GET", app+to, nil)
	if status != 200 || at.Host != "auth.example" || at.Path != "/signin" || at.Query().Get("again") != "1" {
		t.Fatalf("by the password alone: %d at %s", status, at)
	}
	back := at.Query().Get("return")
	at, status, page = p.signs(at, page, "bob", password)
	if status != 200 || at.Path != "/signin/factor" || !strings.Contains(page, `action="/signin/enrol"`) {
		t.Fatalf("after the password: %d at %s: %s", status, at, page)
	}
	enrol := func(fields url.Values) {
		t.Helper()
		m := formField.FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no form at %s: %s", at, page)
		}
		fields.Set("form", m[1])
		fields.Set("return", back)
		at, status, page = p.goes("POST", auth+"/signin/enrol", fields)
	}
	enrol(url.Values{"do": {"add"}})
	secret := regexp.MustCompile(`<code id="secret">([A-Z2-7 ]+)</code>`).FindStringSubmatch(page)
	id := regexp.MustCompile(`name="factor" value="(fac_[^"]+)"`).FindStringSubmatch(page)
	if status != 200 || secret == nil || id == nil {
		t.Fatalf("an app: %d %s", status, page)
	}
	enrol(url.Values{"do": {"confirm"}, "factor": {id[1]}, "code": {testtotp.Code(strings.ReplaceAll(secret[1], " ", ""), time.Now())}})
	if status != 200 || strings.Count(page, "<li><code>") != 10 {
		t.Fatalf("confirmed: %d %s", status, page)
	}
	if at, status, page = p.goes("GET", auth+back, nil); status != 200 || at.String() != app+to || page != "bob" {
		t.Fatalf("back: %d at %s: %s", status, at, page)
	}
}
