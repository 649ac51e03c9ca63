package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testdpop"
	"github.com/gatehouse-auth/gatehouse/server"
)

const (
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessType    = "urn:ietf:params:oauth:token-type:access_token"
	idType        = "urn:ietf:params:oauth:token-type:id_token"
)

// exchanges asks for another token for one, with further fields.
func (p *program) exchanges(token, kind string, fields ...string) answer {
	p.t.Helper()
	return p.asks(p.issuer, append([]string{"grant_type", exchangeGrant, "subject_token", token, "subject_token_type", kind}, fields...)...)
}

// TestTokenExchange: an API gets tokens for the person who called it, as far as its registration says, that open another one, say who acts,
// and end with what the person's program has.
func TestTokenExchange(t *testing.T) { onBoth(t, tokenExchange) }

func tokenExchange(t *testing.T, d *server.Demo) {
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}, enforce.Route{Pattern: "GET /write", Scopes: []string{"documents:write"}}); err != nil {
		t.Fatal(err)
	}
	const through = 404
	clients := d.Issuer + "/admin/v1/realms/main/clients"
	admin := func(method, path, body string, status int) answer {
		t.Helper()
		return call(t, method, path, "bearer", d.AdminToken, "body", body).want(t, method+" "+body, status)
	}
	app := asksWho(t, d, `,"scope":"openid documents:read documents:write"`)
	v := signedIn(t, d)
	tokens := func() answer {
		t.Helper()
		return app.redeems(d.Issuer, app.allows(v, d.Issuer, app.query("scope", "openid documents:read documents:write"))).want(t, "tokens", 200)
	}
	register := func(more string) *program {
		t.Helper()
		made := admin("POST", clients, `{"client_name":"API","token_endpoint_auth_method":"client_secret_basic","grant_types":["`+exchangeGrant+`","client_credentials"],"scope":"documents:read"`+more+`}`, 201)
		return &program{t: t, issuer: d.Issuer, id: made.text("client_id"), secret: made.text("client_secret")}
	}
	serves := `,"introspection_audiences":["` + d.Issuer + `"]`
	rule := `,"token_exchange":[{"from":["` + app.id + `"],"audiences":["` + d.Issuer + `"],"scope":"documents:read"}]`
	api := register(serves + rule)
	for _, body := range []string{`{"token_exchange":[{"from":["x"],"audiences":["https://none.example"]}]}`, `{"token_exchange":[{"from":[],"audiences":["` + d.Issuer + `"]}]}`,
		`{"token_exchange":[{"from":["x"],"audiences":["` + d.Issuer + `"],"scope":"documents:write"}]}`, `{"grant_types":["client_credentials"]}`, `{"token_endpoint_auth_method":"none"}`} {
		admin("PATCH", clients+"/"+api.id, body, 422)
	}
	for _, format := range []string{"signed", "opaque"} {
		admin("PATCH", d.Issuer+"/admin/v1/realms/main", `{"settings":{"token_format":"`+format+`"}}`, 200)
		first := tokens()
		text := first.text("access_token")
		got := api.exchanges(text, accessType, "resource", d.Issuer, "requested_token_type", accessType).want(t, format, 200)
		if got.text("issued_token_type") != accessType || got.text("token_type") != "Bearer" || got.text("scope") != "documents:read" || got.json["refresh_token"] != nil || got.json["id_token"] != nil {
			t.Errorf("%s", got.body)
		}
		other := got.text("access_token")
		call(t, "GET", d.Gateway+"/read", "bearer", other).want(t, "read", through)
		call(t, "GET", d.Gateway+"/write", "bearer", text).want(t, "write, by the program", through)
		call(t, "GET", d.Gateway+"/write", "bearer", other).want(t, "write, by the API", 403)
		said := api.introspects(other)
		act, _ := said.json["act"].(map[string]any)
		if said.json["active"] != true || said.json["sub"] != d.Users["bob"].ID || said.json["client_id"] != api.id || act["sub"] != api.id {
			t.Errorf("%s: %s", format, said.body)
		}

		// An API that got no token for itself, a client without a rule, and one of another's name get nothing.
		if a := register(rule).exchanges(text, accessType); a.status != 400 || a.text("error") != "invalid_request" || a.text("code") != "subject_token_invalid" {
			t.Errorf("somebody who found it: %d %s", a.status, a.body)
		}
		if a := register(serves).exchanges(text, accessType); a.text("error") != "invalid_request" || a.text("code") != "exchange_not_allowed" {
			t.Errorf("without a rule: %d %s", a.status, a.body)
		}
		if a := app.exchanges(text, accessType); a.text("error") != "unauthorized_client" {
			t.Errorf("not registered for it: %d %s", a.status, a.body)
		}
		if a := (&program{t: t, issuer: d.Issuer, id: api.id, secret: app.secret}).exchanges(text, accessType); a.status != 401 || a.text("error") != "invalid_client" {
			t.Errorf("by another's secret: %d %s", a.status, a.body)
		}

		// What is exchanged is not made more of by exchanging it.
		if a := api.exchanges(text, accessType, "scope", "documents:write"); a.text("error") != "invalid_scope" {
			t.Errorf("wider: %d %s", a.status, a.body)
		}
		if a := api.exchanges(text, accessType, "audience", "https://none.example"); a.text("error") != "invalid_target" {
			t.Errorf("for another: %d %s", a.status, a.body)
		}

		// It can be ended by itself, and ends with what it came from.
		again := api.exchanges(text, accessType).want(t, "again", 200).text("access_token")
		call(t, "POST", d.Issuer+"/revoke", "Content-Type", "application/x-www-form-urlencoded", "basic", api.id+":"+api.secret, "body", url.Values{"token": {again}}.Encode()).want(t, "revoke", 200)
		call(t, "GET", d.Gateway+"/read", "bearer", again).want(t, "revoked", 401)
		call(t, "GET", d.Gateway+"/read", "bearer", other).want(t, "the other one", through)
		call(t, "POST", d.Issuer+"/revoke", "Content-Type", "application/x-www-form-urlencoded", "basic", app.id+":"+app.secret, "body", url.Values{"token": {text}}.Encode()).want(t, "revoke", 200)
		call(t, "GET", d.Gateway+"/read", "bearer", other).want(t, "ended with the person's", 401)
		if a := api.exchanges(text, accessType); a.text("code") != "subject_token_invalid" {
			t.Errorf("of one that was ended: %d %s", a.status, a.body)
		}
	}
	admin("PATCH", d.Issuer+"/admin/v1/realms/main", `{"settings":{"token_format":"signed"}}`, 200)
	exchangeForms(t, d, api, tokens())
	exchangedID(t, d, app, api, tokens, admin)
}

// exchangeForms: what is incomplete, of another kind, or no token of a person.
func exchangeForms(t *testing.T, d *server.Demo, api *program, first answer) {
	text := first.text("access_token")
	own := api.asks(d.Issuer, "grant_type", "client_credentials").want(t, "its own", 200).text("access_token")
	for _, c := range []struct {
		code, error string
		fields      []string
	}{
		{"subject_token_missing", "invalid_request", []string{"subject_token", ""}},
		{"subject_token_missing", "invalid_request", []string{"subject_token_type", ""}},
		{"subject_token_missing", "invalid_request", []string{"actor_token", own}},
		{"subject_token_missing", "invalid_request", []string{"actor_token_type", accessType}},
		{"token_type_unsupported", "invalid_request", []string{"subject_token_type", "urn:ietf:params:oauth:token-type:saml2"}},
		{"token_type_unsupported", "invalid_request", []string{"requested_token_type", idType}},
		{"token_type_unsupported", "invalid_request", []string{"actor_token", own, "actor_token_type", idType}},
		{"exchange_two_targets", "invalid_target", []string{"resource", d.Issuer, "audience", "https://none.example"}},
		{"subject_token_invalid", "invalid_request", []string{"subject_token", first.text("id_token")}},
		{"subject_token_invalid", "invalid_request", []string{"subject_token", first.text("refresh_token")}},
		{"subject_token_invalid", "invalid_request", []string{"subject_token", d.Users["bob"].APIKey}},
		{"subject_token_invalid", "invalid_request", []string{"subject_token", text[:len(text)-3]}},
		{"subject_token_invalid", "invalid_request", []string{"subject_token", own}},
		{"subject_token_invalid", "invalid_request", []string{"subject_token", first.text("id_token"), "subject_token_type", idType}},
		{"subject_token_invalid", "invalid_request", []string{"subject_token_type", idType}},
		{"actor_token_invalid", "invalid_request", []string{"actor_token", "x", "actor_token_type", accessType}},
		{"actor_token_not_own", "invalid_request", []string{"actor_token", text, "actor_token_type", accessType}},
		{"", "", []string{"actor_token", own, "actor_token_type", accessType}},
	} {
		fields := map[string]string{"subject_token": text, "subject_token_type": accessType}
		for i := 0; i < len(c.fields); i += 2 {
			fields[c.fields[i]] = c.fields[i+1]
		}
		list := []string{"grant_type", exchangeGrant}
		for name, value := range fields {
			list = append(list, name, value)
		}
		if a := api.asks(d.Issuer, list...); c.code == "" && a.status != 200 || c.code != "" && (a.status != 400 || a.text("code") != c.code || a.text("error") != c.error) {
			t.Errorf("%v: %d %s", c.fields, a.status, a.body)
		}
	}
	p := &prover{t: t, key: testdpop.New()}
	form := url.Values{"grant_type": {exchangeGrant}, "subject_token": {text}, "subject_token_type": {accessType}}.Encode()
	got := p.send("POST", d.Issuer+"/token", d.Issuer+"/token", "", "Content-Type", "application/x-www-form-urlencoded", "basic", api.id+":"+api.secret, "body", form).want(t, "bound", 200)
	if got.text("token_type") != "DPoP" {
		t.Error(got.body)
	}
	call(t, "GET", d.Gateway+"/read", "bearer", got.text("access_token")).want(t, "a bound one as a bearer's", 401)
	p.get(d.Gateway+"/read", got.text("access_token")).want(t, "with a proof", 404)
}

// exchangedID: an ID token counts for the client that it was issued to, where a rule says so, as long as what the person allowed.
func exchangedID(t *testing.T, d *server.Demo, app, api *program, tokens func() answer, admin func(method, path, body string, status int) answer) {
	rule := func(idTokens string) {
		admin("PATCH", d.Issuer+"/admin/v1/realms/main/clients/"+app.id, `{"grant_types":["authorization_code","refresh_token","`+exchangeGrant+`"],"token_exchange":[{"from":["`+app.id+`"],"audiences":["`+d.Issuer+`"],"scope":"documents:read","id_tokens":`+idTokens+`}]}`, 200)
	}
	rule("true")
	first := tokens()
	id := first.text("id_token")
	got := app.exchanges(id, idType).want(t, "by an ID token", 200)
	if got.text("scope") != "documents:read" || !strings.Contains(app.introspects(got.text("access_token")).body, `"active":true`) {
		t.Error(got.body)
	}
	call(t, "GET", d.Gateway+"/read", "bearer", got.text("access_token")).want(t, "read", 404)
	if a := api.exchanges(id, idType); a.text("code") != "subject_token_invalid" {
		t.Errorf("another client's: %d %s", a.status, a.body)
	}
	call(t, "POST", d.Issuer+"/revoke", "Content-Type", "application/x-www-form-urlencoded", "basic", app.id+":"+app.secret, "body", url.Values{"token": {first.text("refresh_token")}}.Encode()).want(t, "revoke", 200)
	call(t, "GET", d.Gateway+"/read", "bearer", got.text("access_token")).want(t, "ended", 401)
	if a := app.exchanges(id, idType); a.text("code") != "subject_token_invalid" {
		t.Errorf("of a grant that has ended: %d %s", a.status, a.body)
	}
	rule("false")
	if a := app.exchanges(tokens().text("id_token"), idType); a.text("code") != "subject_token_invalid" {
		t.Errorf("where no rule says so: %d %s", a.status, a.body)
	}
}
