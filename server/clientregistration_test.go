package server_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server"
)

// TestClientRegistration: clients register themselves where the realm lets them, get no more than it gives such clients, and change
// and remove themselves by a token that each change replaces (RFC 7591, RFC 7592). People are told that nobody looked at them.
func TestClientRegistration(t *testing.T) { onBoth(t, clientRegistration) }

func clientRegistration(t *testing.T, d *server.Demo) {
	at := d.Issuer + "/client-registration"
	admin := func(method, path, body string, status int) answer {
		t.Helper()
		return call(t, method, d.Issuer+"/admin/v1/realms/main"+path, "bearer", d.AdminToken, "body", body).want(t, method+" "+path, status)
	}
	setting := func(members string) { t.Helper(); admin("PATCH", "", `{"settings":{`+members+`}}`, 200) }
	named := func() bool {
		return call(t, "GET", d.Issuer+"/.well-known/oauth-authorization-server").text("registration_endpoint") == at
	}
	says := func(members string) string { return `{"redirect_uris":["` + back + `"]` + members + `}` }
	refused := func(what string, a answer, status int, code string) {
		t.Helper()
		if a.status != status || a.text("error") != code || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, want %d %s", what, a.status, a.body, status, code)
		}
	}
	// Nobody unless an administrator says so.
	refused("closed", call(t, "POST", at, "body", says("")), 403, "access_denied")
	if named() {
		t.Error("the metadata name an endpoint that refuses everybody")
	}
	token := admin("POST", "/client-registration-tokens", `{"uses":2,"note":"workshop"}`, 201)
	initial := token.text("token")
	refused("closed, with a token", call(t, "POST", at, "bearer", initial, "body", says("")), 403, "access_denied")

	// By a token that counts.
	setting(`"client_registration":"token","client_registration_scopes":["documents:read","offline_access"]`)
	if !named() {
		t.Error("the metadata do not name the endpoint")
	}
	refused("without a token", call(t, "POST", at, "body", says("")), 401, "invalid_token")
	refused("by something else", call(t, "POST", at, "bearer", d.AdminToken, "body", says("")), 401, "invalid_token")
	refused("by a token that is none", call(t, "POST", at, "bearer", initial[:len(initial)-1]+"0", "body", says("")), 401, "invalid_token")
	refused("a fault", call(t, "POST", at, "bearer", initial, "body", `{"redirect_uris":["http://app.example"]}`), 400, "invalid_redirect_uri")
	made := call(t, "POST", at, "bearer", initial, "body", says(`,"unknown_member":1`)).want(t, "by a token", 201)
	if made.text("client_secret") == "" || made.json["client_secret_expires_at"] != float64(0) || made.text("token_endpoint_auth_method") != "client_secret_basic" || made.text("client_name") != "app.example" ||
		made.text("registration_client_uri") != at+"/"+made.text("client_id") || made.text("scope") != "documents:read" {
		t.Errorf("%s", made.body)
	}
	call(t, "POST", at, "bearer", initial, "body", says("")).want(t, "the last time", 201)
	refused("once too often", call(t, "POST", at, "bearer", initial, "body", says("")), 401, "invalid_token")
	if list := admin("GET", "/client-registration-tokens", "", 200).body; !strings.Contains(list, `"uses_left":0`) || strings.Contains(list, initial) {
		t.Errorf("%s", list)
	}
	admin("DELETE", "/client-registration-tokens/"+token.text("id"), "", 204)
	admin("DELETE", "/client-registration-tokens/"+token.text("id"), "", 404)

	// Everybody, and nothing that only an administrator gives.
	setting(`"client_registration":"open"`)
	public := says(`,"client_name":"Evil","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"scope":"documents:read documents:write offline_access gatehouse:admin",
		"first_party":true,"require_pkce":false,"introspection_audiences":["` + d.Issuer + `"],"allow_private_address":true,"allowed_cors_origins":["https://evil.example"],"application_type":"native","legacy_assertion_aud":true,
		"client_uri":"https://app.example/?a=1&b=2","policy_uri":"https://app.example/privacy","tos_uri":"https://app.example/terms","contacts":["ops@app.example"]`)
	open := call(t, "POST", at, "body", public).want(t, "open", 201)
	if open.text("scope") != "documents:read offline_access" || open.text("client_secret") != "" {
		t.Errorf("%s", open.body)
	}
	for _, member := range []string{"first_party", "require_pkce", "introspection_audiences", "allow_private_address", "allowed_cors_origins", "legacy_assertion_aud"} {
		if v := open.json[member]; v != nil && v != (member == "require_pkce") {
			t.Errorf("%s is taken: %s", member, open.body)
		}
	}
	for members, code := range map[string]string{
		`,"grant_types":["client_credentials"]`: "invalid_client_metadata", `,"grant_types":["implicit"]`: "invalid_client_metadata", `,"response_types":["token"]`: "invalid_client_metadata",
		`,"software_statement":"e30.e30."`: "unapproved_software_statement", `,"token_endpoint_auth_method":"private_key_jwt"`: "invalid_client_metadata", `,"client_id":"mine"`: "invalid_request",
		`,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://127.0.0.1/keys"`: "invalid_client_metadata", `,"client_name":"a\nb"`: "invalid_client_metadata", `,"policy_uri":"javascript:alert(1)"`: "invalid_client_metadata", `,"contacts":[""]`: "invalid_client_metadata", `,"redirect_uris":[]`: "invalid_request",
	} {
		refused(members, call(t, "POST", at, "body", says(members)), 400, code)
	}
	refused("no address", call(t, "POST", at, "body", `{"client_name":"App"}`), 400, "invalid_redirect_uri")
	refused("an address in the query", call(t, "POST", at+"?x=1", "body", says("")), 400, "invalid_request")

	// People are told, and asked.
	p := &program{t: t, issuer: d.Issuer, id: open.text("client_id"), redirect: back, verifier: strings.Repeat("v", 43)}
	v := signedIn(t, d)
	_, page := v.get(d.Issuer + "/authorize?" + p.query())
	for _, part := range []string{`id="unverified"`, `href="https://app.example/?a=1&amp;b=2"`, `href="https://app.example/privacy"`, `href="https://app.example/terms"`, `rel="noopener noreferrer nofollow ugc"`} {
		if !strings.Contains(page, part) {
			t.Errorf("people are not shown %s: %s", part, page)
		}
	}
	if strings.Contains(page, "ops@app.example") {
		t.Error("people are shown its contacts")
	}
	tokens := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query())).want(t, "what a person allowed", 200)
	ours := registers(t, d, "")
	if _, page := v.get(d.Issuer + "/authorize?" + ours.query()); strings.Contains(page, `id="unverified"`) {
		t.Error("a client of an administrator is called unverified")
	}

	// Its own registration.
	own, manages := open.text("registration_client_uri"), open.text("registration_access_token")
	if a := call(t, "GET", own, "bearer", manages).want(t, "read", 200); a.text("client_name") != "Evil" || a.text("registration_access_token") != "" {
		t.Errorf("%s", a.body)
	}
	for what, bearer := range map[string]string{"another client's token": made.text("registration_access_token"), "an initial one": initial, "an administrator's": d.AdminToken} {
		refused(what, call(t, "GET", own, "bearer", bearer), 401, "invalid_token")
		refused(what, call(t, "DELETE", own, "bearer", bearer), 401, "invalid_token")
	}
	refused("an unknown client", call(t, "GET", at+"/cli_none", "bearer", manages), 401, "invalid_token")
	refused("one of an administrator", call(t, "GET", at+"/"+ours.id, "bearer", manages), 401, "invalid_token")
	change := strings.Replace(strings.Replace(public, "Evil", "Good", 1), `{`, `{"client_id":"`+p.id+`",`, 1)
	refused("another client's id", call(t, "PUT", own, "bearer", manages, "body", strings.Replace(change, p.id, ours.id, 1)), 400, "invalid_request")
	refused("no id", call(t, "PUT", own, "bearer", manages, "body", public), 400, "invalid_request")
	refused("a fault", call(t, "PUT", own, "bearer", manages, "body", `{"client_id":"`+p.id+`","redirect_uris":["https://a.example/#x"]}`), 400, "invalid_redirect_uri")
	changed := call(t, "PUT", own, "bearer", manages, "body", change).want(t, "changed", 200)
	refused("by the token before", call(t, "PUT", own, "bearer", manages, "body", change), 401, "invalid_token")
	if manages = changed.text("registration_access_token"); manages == "" || changed.text("client_name") != "Good" {
		t.Errorf("%s", changed.body)
	}
	next := p.renews(d.Issuer, tokens.text("refresh_token")).want(t, "what it had goes on", 200)
	less := call(t, "PUT", own, "bearer", manages, "body", `{"client_id":"`+p.id+`","token_endpoint_auth_method":"none","redirect_uris":["`+back+`"]}`).want(t, "less", 200)
	if a := p.renews(d.Issuer, next.text("refresh_token")); a.text("error") == "" {
		t.Errorf("it goes on with what it may no longer: %s", a.body)
	}
	setting(`"client_registration":"closed"`)
	refused("changed where it is closed", call(t, "PUT", own, "bearer", less.text("registration_access_token"), "body", change), 403, "access_denied")
	call(t, "DELETE", own, "bearer", less.text("registration_access_token")).want(t, "removed", 204)
	refused("gone", call(t, "GET", own, "bearer", less.text("registration_access_token")), 401, "invalid_token")
	refused("gone", p.asks(d.Issuer, "grant_type", "refresh_token", "refresh_token", "x"), 401, "invalid_client")
	log := admin("GET", "/audit/events?kind=client.register", "", 200).body
	if !strings.Contains(log, p.id) || !strings.Contains(log, token.text("id")) || strings.Contains(log, initial) || strings.Contains(log, manages) {
		t.Errorf("%s", log)
	}
}

// TestInitialTokenOnce: of all that register at once by a token for two, two do; and an address that registers again and again is stopped.
func TestInitialTokenOnce(t *testing.T) {
	d := demo(t)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"client_registration":"token"}}`).want(t, "token", 200)
	token := call(t, "POST", d.Issuer+"/admin/v1/realms/main/client-registration-tokens", "bearer", d.AdminToken, "body", `{"uses":2}`).want(t, "token", 201).text("token")
	statuses := make(chan int, 40)
	var all sync.WaitGroup
	for range cap(statuses) {
		all.Go(func() {
			statuses <- call(t, "POST", d.Issuer+"/client-registration", "bearer", token, "body", `{"redirect_uris":["https://app.example"]}`).status
		})
	}
	all.Wait()
	close(statuses)
	count := map[int]int{}
	for s := range statuses {
		count[s]++
	}
	if count[201] != 2 || count[401] != 28 || count[429] != 10 {
		t.Errorf("%v", count)
	}
}
