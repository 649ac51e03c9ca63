package server_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
)

// TestSecondFactorDemanded: where the realm demands a second factor, whoever has none is let in nowhere by the password alone, is
// told what to do, and adds one in the middle of signing in; keys and tokens go on, and the last app stays.
//
// ASVS: 6.3.3
func TestSecondFactorDemanded(t *testing.T) {
	t.Parallel()
	d := demo(t)
	bob, me := d.Users["bob"].Password, d.Issuer+"/admin/v1/me"
	token, _ := call(t, "POST", d.Issuer+"/tokens", "basic", "bob:"+bob).want(t, "POST /tokens", 200).json["access_token"].(string)
	key, _ := call(t, "POST", d.Issuer+"/admin/v1/realms/main/keys", "basic", "bob:"+bob, "body", `{"name":"k","scopes":["*"]}`).want(t, "a key", 201).json["text"].(string)
	roles, _ := call(t, "GET", me, "bearer", token).want(t, "me", 200).json["roles"].([]any)
	set := func(settings string) {
		t.Helper()
		call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":`+settings+`}`).want(t, settings, 200)
	}
	refused := func(what string) {
		t.Helper()
		a := call(t, "GET", me, "basic", "bob:"+bob).want(t, what+": Basic", 401)
		if a.json["code"] != "second_factor_missing" || !strings.Contains(a.body, "/signin") {
			t.Errorf("%s: Basic: %s", what, a.body)
		}
		if a := call(t, "POST", d.Issuer+"/tokens", "basic", "bob:"+bob).want(t, what+": POST /tokens", 400); a.json["code"] != "second_factor_missing" {
			t.Errorf("%s: POST /tokens: %s", what, a.body)
		}
	}
	if len(roles) == 0 {
		t.Fatal("bob has no role")
	}
	set(`{"mfa_roles":["` + roles[0].(string) + `"]}`)
	refused("by role")
	set(`{"mfa_roles":["gatehouse-admin"]}`)
	call(t, "GET", me, "basic", "bob:"+bob).want(t, "who has another role", 200)
	set(`{"mfa":"required","password_min_length":8}`)
	refused("everybody")
	call(t, "GET", me, "bearer", token).want(t, "a token of before", 200)
	call(t, "GET", me, "bearer", key).want(t, "a key", 200)

	v := newVisitor(t)
	if status, to := v.password(d.Issuer, "bob", bob); status != 303 || to != "/signin/factor" {
		t.Fatalf("after the password: %d %s", status, to)
	}
	if status, page := v.get(d.Issuer + "/signin/factor"); status != 200 || !strings.Contains(page, `action="/signin/enrol"`) {
		t.Fatalf("%d %s", status, page)
	}
	if status, to := v.get(d.Issuer + "/account"); status != 303 {
		t.Errorf("the account before: %d %s", status, to)
	}
	v.get(d.Issuer + "/signin/factor")
	status, page := v.send(d.Issuer+"/signin/enrol", url.Values{"do": {"add"}})
	secret := regexp.MustCompile(`<code id="secret">([A-Z2-7 ]+)</code>`).FindStringSubmatch(page)
	id := regexp.MustCompile(`name="factor" value="(fac_[^"]+)"`).FindStringSubmatch(page)
	if status != 200 || secret == nil || id == nil {
		t.Fatalf("an app: %d %s", status, page)
	}
	app := strings.ReplaceAll(secret[1], " ", "")
	confirm := func(code string) (int, string) {
		return v.send(d.Issuer+"/signin/enrol", url.Values{"do": {"confirm"}, "factor": {id[1]}, "code": {code}})
	}
	if status, _ := confirm("000000"); status != 422 {
		t.Errorf("a wrong code: %d", status)
	}
	if status, page := confirm(testtotp.Code(app, time.Now().Add(-30*time.Second))); status != 200 || strings.Count(page, "<li><code>") != 10 {
		t.Fatalf("the right code: %d %s", status, page)
	}
	if status, page := v.get(d.Issuer + "/account/factors"); status != 200 || !strings.Contains(page, `id="remove-`+id[1]) {
		t.Fatalf("signed in, a moment ago and with both: %d %s", status, page)
	}
	if status, page := v.send(d.Issuer+"/account/factors", url.Values{"do": {"remove"}, "factor": {id[1]}, "sure": {"yes"}}); status != 422 || !strings.Contains(page, "Add another app") {
		t.Errorf("the last app: %d %s", status, page)
	}
	if a := call(t, "GET", me, "basic", "bob:"+bob).want(t, "Basic, with a factor", 401); a.json["code"] != "second_factor_required" {
		t.Error(a.body)
	}
	call(t, "POST", d.Issuer+"/tokens", "basic", "bob:"+bob, "Content-Type", "application/x-www-form-urlencoded", "body",
		url.Values{"otp": {testtotp.Code(app, time.Now().Add(30*time.Second))}}.Encode()).want(t, "with a code", 200)
	// Short passwords are allowed beside a second factor alone.
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"mfa":"optional"}}`).
		want(t, "optional, with short passwords", 422)
}
