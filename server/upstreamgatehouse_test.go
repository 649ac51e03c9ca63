package server_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server"
)

// TestSignInByAnotherGatehouse: a realm signs people in by their accounts at another Gatehouse, each of which reads what the other says by its own rules:
// metadata, PKCE, iss, nonce, ID token, userinfo. The second time finds the account of the first.
func TestSignInByAnotherGatehouse(t *testing.T) {
	server.InOrder(t)
	there, here := demo(t), demo(t)
	made := call(t, "POST", there.Issuer+"/admin/v1/realms/main/clients", "bearer", there.AdminToken, "body",
		`{"client_name":"Here","token_endpoint_auth_method":"client_secret_basic","grant_types":["authorization_code"],"scope":"openid profile email","redirect_uris":["`+here.Issuer+`/signin/with/there/back"]}`).
		want(t, "client", 201)
	admin := here.Issuer + "/admin/v1/realms/main"
	call(t, "PATCH", admin, "bearer", here.AdminToken, "body", `{"settings":{"providers":[{"id":"there","issuer":"`+there.Issuer+`","client_id":"`+made.text("client_id")+
		`","create_accounts":true,"allow_private_address":true}]}}`).want(t, "provider", 200)
	call(t, "PUT", admin+"/providers/there/secret", "bearer", here.AdminToken, "body", `{"secret":"`+made.text("client_secret")+`"}`).want(t, "secret", 204)
	accounts := func() int {
		return len(call(t, "GET", admin+"/users", "bearer", here.AdminToken).want(t, "users", 200).json["items"].([]any))
	}
	before := accounts()
	elsewhere := signedIn(t, there) // with cookies of its own, as a browser has at two hosts
	for _, what := range []string{"the first time", "again"} {
		v := newVisitor(t)
		status, to := v.get(here.Issuer + "/signin/with/there?return=%2Faccount")
		if status != 303 || !strings.HasPrefix(to, there.Issuer+"/authorize?") {
			t.Fatalf("%s: %d %s", what, status, to)
		}
		status, back := elsewhere.get(to)
		if status == 200 {
			_, query, _ := strings.Cut(to, "?")
			status, back = elsewhere.send(there.Issuer+"/authorize/consent", ticks(query, back))
		}
		if status != 303 || !strings.HasPrefix(back, here.Issuer+"/signin/with/there/back?") {
			t.Fatalf("%s: %d %s", what, status, back)
		}
		if status, to = v.get(back); status != 303 || !strings.HasSuffix(to, "/account") {
			t.Fatalf("%s: %d %s", what, status, to)
		}
		if _, page := v.get(here.Issuer + "/account"); !strings.Contains(page, `<bdi id="username">`) {
			t.Errorf("%s: %s", what, page)
		}
		if status, _ := newVisitor(t).get(back); status == 303 {
			t.Errorf("%s: another browser comes back with it", what)
		}
	}
	if n := accounts(); n != before+1 {
		t.Errorf("%d accounts more", n-before)
	}
}
