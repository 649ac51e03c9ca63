package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestInitialPassword: a password that an administrator has made opens neither an API nor tokens nor a session, and says why; on the
// page to sign in it is exchanged for one that the person chooses, which is not the same, and is wrong from then on.
//
// ASVS: 6.4.1
func TestInitialPassword(t *testing.T) {
	server.InOrder(t)
	onBoth(t, func(t *testing.T, d *server.Demo) {
		users := d.Issuer + "/admin/v1/realms/main/users"
		const typed, fresh = "seven owls over a wet harbour", "nine herons by an empty mill"
		for i, body := range []string{`"generate_password":true`, `"password":"` + typed + `","password_initial":true`} {
			name := []string{"vera", "walt"}[i]
			made := call(t, "POST", users, "bearer", d.AdminToken, "body", `{"username":"`+name+`",`+body+`}`).want(t, "made", 201)
			given, _ := made.json["password"].(string)
			if i == 1 {
				given = typed
			}
			if user := made.json["user"].(map[string]any); len(given) < 20 || user["initial_password_until"] == nil {
				t.Fatalf("%s", made.body)
			}
			basic := []string{"basic", name + ":" + given}
			if got := call(t, "GET", d.Gateway+"/private", basic...); got.status != 401 || got.code() != "initial_password" {
				t.Errorf("at the gateway: %d %s", got.status, got.body)
			}
			if got := call(t, "POST", d.Issuer+"/tokens", basic...); got.status != 400 || got.code() != "initial_password" {
				t.Errorf("for a token: %d %s", got.status, got.body)
			}
			if got := call(t, "POST", d.Issuer+"/tokens", "basic", name+":"+given+"x"); got.status != 401 || got.code() != "invalid_credentials" {
				t.Errorf("a wrong one: %d %s", got.status, got.body)
			}

			v := newVisitor(t)
			status, to := v.password(d.Issuer, name, given)
			if status != 303 || to != "/recover/new?given=1" {
				t.Fatalf("the page: %d %s", status, to)
			}
			if status, to := v.get(d.Issuer + "/account"); status != 303 || !strings.HasPrefix(to, "/signin") {
				t.Errorf("signed in: %d %s", status, to)
			}
			if status, page := v.get(d.Issuer + to); status != 200 || !strings.Contains(page, `id="given"`) {
				t.Fatalf("the question: %d %s", status, page)
			}
			choose := func(password string) (int, string) {
				return v.send(d.Issuer+to, url.Values{"password": {password}})
			}
			if status, page := choose(given); status != 422 || !strings.Contains(page, "made for you") {
				t.Errorf("the same: %d %s", status, page)
			}
			if status, to := choose(fresh); status != 303 || to != "/recover/done" {
				t.Fatalf("another one: %d %s", status, to)
			}
			call(t, "POST", d.Issuer+"/tokens", "basic", name+":"+fresh).want(t, "the own one", 200)
			call(t, "POST", d.Issuer+"/tokens", basic...).want(t, "the one that was made", 401)
			if got := call(t, "GET", users+"/"+name, "bearer", d.AdminToken); strings.Contains(got.body, "initial_password_until") {
				t.Errorf("still: %s", got.body)
			}
			id, _ := made.json["user"].(map[string]any)["id"].(string)
			testwait.Until(t, soon, "the record", func() bool {
				got := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?target="+id, "bearer", d.AdminToken).body
				return strings.Contains(got, `"user.password"`) && strings.Contains(got, `"initial_password"`) && strings.Contains(got, `"password":"initial"`) &&
					!strings.Contains(got, given)
			})
		}
		call(t, "POST", users, "bearer", d.AdminToken, "body", `{"username":"xena","password_initial":true}`).want(t, "no password to be initial", 422)
	})
}
