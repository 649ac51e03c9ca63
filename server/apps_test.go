package server_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestConnectedApps: a person sees what a program may do and takes it back, on the page and by the API: then its tokens open nothing, it
// renews nothing, a code of a moment ago is worth nothing, and the person is asked again.
func TestConnectedApps(t *testing.T) { onBoth(t, connectedApps) }

func connectedApps(t *testing.T, d *server.Demo) {
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}); err != nil {
		t.Fatal(err)
	}
	const through = 404
	p := registers(t, d, "")
	v := signedIn(t, d)
	takeBack := map[string]func(){
		"page": func() {
			status, page := v.get(d.Issuer + "/account/apps")
			page = strings.ReplaceAll(page, "<wbr>", "")
			form := regexp.MustCompile(`name="form" value="([^"]*)"`).FindStringSubmatch(page)
			if status != 200 || form == nil || !strings.Contains(page, "app.example") || !strings.Contains(page, "documents:read") || !strings.Contains(page, "It holds tokens now.") {
				t.Fatalf("%d %s", status, page)
			}
			status, page = v.send(d.Issuer+"/account/apps", url.Values{"form": {form[1]}, "client": {p.id}, "sure": {"yes"}})
			if status != 200 || !strings.Contains(page, `id="said"`) || !strings.Contains(page, `id="none"`) {
				t.Fatalf("%d %s", status, page)
			}
		},
		"API": func() {
			own, _ := login(t, d, "bob")
			a := call(t, "DELETE", d.Issuer+"/admin/v1/realms/main/users/me/apps/"+p.id, "bearer", own).want(t, "taken back", 200)
			if !strings.Contains(a.body, `"grants":1`) {
				t.Error(a.body)
			}
		},
		"administrator": func() {
			list := call(t, "GET", d.Issuer+"/admin/v1/realms/main/users/bob/apps", "bearer", d.AdminToken).want(t, "listed", 200)
			if !strings.Contains(list.body, p.id) {
				t.Error(list.body)
			}
			call(t, "DELETE", d.Issuer+"/admin/v1/realms/main/users/bob/apps/"+p.id, "bearer", d.AdminToken).want(t, "taken back", 200)
		},
	}
	for name, revoke := range takeBack {
		got := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query())).want(t, "tokens", 200)
		code := p.allows(v, d.Issuer, p.query())
		call(t, "GET", d.Gateway+"/read", "bearer", got.text("access_token")).want(t, "before", through)
		revoke()
		call(t, "GET", d.Gateway+"/read", "bearer", got.text("access_token")).want(t, name+": the access token", 401)
		if a := p.renews(d.Issuer, got.text("refresh_token")); a.text("error") != "invalid_grant" {
			t.Errorf("%s: the refresh token: %d %s", name, a.status, a.body)
		}
		if a := p.redeems(d.Issuer, code); a.text("error") != "invalid_grant" {
			t.Errorf("%s: the code: %d %s", name, a.status, a.body)
		}
		if status, to := v.get(d.Issuer + "/authorize?" + p.query() + "&prompt=none"); p.answers(status, to).Get("error") != "consent_required" {
			t.Errorf("%s: not asked again: %d %s", name, status, to)
		}
	}
}
