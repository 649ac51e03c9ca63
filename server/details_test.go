package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server"
)

// TestAuthorizationDetails: a client asks a person for more than scopes say, by a type of the realm; the person is shown it, each time, and the
// tokens hold it and nothing wider (RFC 9396).
func TestAuthorizationDetails(t *testing.T) { onBoth(t, authorizationDetails) }

func authorizationDetails(t *testing.T, d *server.Demo) {
	admin := func(method, path, body string, status int) answer {
		t.Helper()
		return call(t, method, d.Issuer+"/admin/v1/realms/main"+path, "bearer", d.AdminToken, "body", body).want(t, method+" "+path, status)
	}
	const schema = `{"type":"object","additionalProperties":false,"required":["amount"],"properties":{"amount":{"type":"string","pattern":"^[0-9]+$"},"to":{"type":"string"}}}`
	kind := func(name, more string) string {
		return `{"type":"` + name + `","description":"Make a ` + name + `","schema":` + schema + `,"compare":{"amount":"at_most"}` + more + `}`
	}
	admin("PATCH", "", `{"settings":{"authorization_details_types":[{"type":"payment","description":"x","schema":{"type":"object"}}]}}`, 422)
	admin("PATCH", "", `{"settings":{"authorization_details_types":[`+kind("payment", "")+`,`+kind("gift", `,"remember":true`)+`]}}`, 200)
	if named := call(t, "GET", d.Issuer+"/.well-known/oauth-authorization-server").json["authorization_details_types_supported"]; len(named.([]any)) != 2 {
		t.Errorf("%v", named)
	}
	call(t, "POST", d.Issuer+"/admin/v1/realms/main/clients", "bearer", d.AdminToken, "body", `{"client_name":"App","token_endpoint_auth_method":"client_secret_basic","grant_types":["client_credentials"],"authorization_details_types":["loan"]}`).want(t, "of no type", 422)
	p := registers(t, d, `,"token_endpoint_auth_method":"client_secret_basic","authorization_details_types":["payment","gift"],"introspection_audiences":["`+d.Issuer+`"]`)
	none := registers(t, d, "")
	v := signedIn(t, d)
	pay := func(kind, amount string) string {
		return `[{"type":"` + kind + `","amount":"` + amount + `","to":"Ann & Co"}]`
	}
	refused := func(what string, a answer) {
		t.Helper()
		if a.status != 400 || a.text("error") != "invalid_authorization_details" {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	for what, query := range map[string]string{"of a client that may not": none.query("authorization_details", pay("payment", "5")), "a member too many": p.query("authorization_details", `[{"type":"payment","amount":"5","x":1}]`)} {
		of := p
		if strings.Contains(what, "may not") {
			of = none
		}
		status, to := v.get(d.Issuer + "/authorize?" + query)
		if got := of.answers(status, to).Get("error"); got != "invalid_authorization_details" {
			t.Errorf("%s: %s", what, got)
		}
	}
	amount := func(a answer) string {
		list, _ := a.json["authorization_details"].([]any)
		if len(list) != 1 {
			return ""
		}
		return list[0].(map[string]any)["amount"].(string)
	}
	inspect := func(token string) answer {
		t.Helper()
		return call(t, "POST", d.Issuer+"/introspect", "basic", p.id+":"+p.secret, "Content-Type", "application/x-www-form-urlencoded", "body", url.Values{"token": {token}}.Encode()).want(t, "introspection", 200)
	}
	query := p.query("authorization_details", pay("payment", "100"), "scope", "documents:read offline_access")
	for _, format := range []string{"signed", "opaque"} {
		admin("PATCH", "", `{"settings":{"token_format":"`+format+`"}}`, 200)
		_, page := v.get(d.Issuer + "/authorize?" + query) // asked each time
		for _, part := range []string{`id="details"`, "Make a payment", "<code>amount</code>: <bdi>100</bdi>", "<bdi>Ann &amp; Co</bdi>"} {
			if !strings.Contains(page, part) {
				t.Fatalf("%s is not shown: %s", part, page)
			}
		}
		refused("wider than the code", p.redeems(d.Issuer, p.allows(v, d.Issuer, query), "authorization_details", pay("payment", "101")))
		refused("of another type", p.redeems(d.Issuer, p.allows(v, d.Issuer, query), "authorization_details", pay("gift", "1")))
		tokens := p.redeems(d.Issuer, p.allows(v, d.Issuer, query), "authorization_details", pay("payment", "60")).want(t, "less", 200)
		if amount(tokens) != "60" || amount(inspect(tokens.text("access_token"))) != "60" {
			t.Errorf("%s: %s, %s", format, tokens.body, inspect(tokens.text("access_token")).body)
		}
		if parts := strings.Split(tokens.text("access_token"), "."); format == "signed" {
			payload, err := base64.RawURLEncoding.DecodeString(parts[1])
			if err != nil || !strings.Contains(string(payload), `"authorization_details":[{"amount":"60"`) {
				t.Errorf("%s %v", payload, err)
			}
		}
		whole := p.renews(d.Issuer, tokens.text("refresh_token")).want(t, "all that was allowed", 200)
		if amount(whole) != "100" || amount(inspect(whole.text("access_token"))) != "100" {
			t.Errorf("%s: %s", format, whole.body)
		}
		refused("wider than the grant", p.renews(d.Issuer, whole.text("refresh_token"), "authorization_details", pay("payment", "1000")))
		if less := p.renews(d.Issuer, whole.text("refresh_token"), "authorization_details", pay("payment", "1")).want(t, "less", 200); amount(less) != "1" {
			t.Errorf("%s: %s", format, less.body)
		}
	}
	// A type that may be remembered is, and exactly.
	gift := func(amount string) string { return p.query("authorization_details", pay("gift", amount)) }
	p.allows(v, d.Issuer, gift("5"))
	if status, to := v.get(d.Issuer + "/authorize?" + gift("5")); status != 303 {
		t.Errorf("asked again: %d %.200s", status, to)
	}
	if status, _ := v.get(d.Issuer + "/authorize?" + gift("4")); status != 200 {
		t.Errorf("not asked for another: %d", status)
	}
	// Without scopes by name it gets none; pushed, it is judged there.
	alone := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query("authorization_details", pay("payment", "7"), "scope", ""))).want(t, "details alone", 200)
	if alone.text("scope") != "" || amount(alone) != "7" {
		t.Errorf("%s", alone.body)
	}
	push := func(details string) answer {
		q, err := url.ParseQuery(p.query("authorization_details", details))
		if err != nil {
			t.Fatal(err)
		}
		return call(t, "POST", d.Issuer+"/par", "basic", p.id+":"+p.secret, "Content-Type", "application/x-www-form-urlencoded", "body", q.Encode())
	}
	push(pay("payment", "7")).want(t, "pushed", 201)
	refused("pushed", push(`[{"type":"payment"}]`))
	// A client for itself, of the types of its registration.
	made := admin("POST", "/clients", `{"client_name":"Job","token_endpoint_auth_method":"client_secret_basic","grant_types":["client_credentials"],"scope":"documents:read","authorization_details_types":["payment"]}`, 201)
	job := &program{t: t, issuer: d.Issuer, id: made.text("client_id"), secret: made.text("client_secret")}
	if own := job.asks(d.Issuer, "grant_type", "client_credentials", "authorization_details", pay("payment", "9")).want(t, "for itself", 200); amount(own) != "9" || own.text("scope") != "" {
		t.Errorf("%s", own.body)
	}
	refused("for itself, of another type", job.asks(d.Issuer, "grant_type", "client_credentials", "authorization_details", pay("gift", "9")))
	// A device.
	set := registersSet(t, d, `,"token_endpoint_auth_method":"client_secret_basic","authorization_details_types":["payment"]`)
	refused("on a device", set.waits(d.Issuer, "authorization_details", pay("gift", "3")))
	waits := set.waits(d.Issuer, "authorization_details", pay("payment", "3")).want(t, "a device", 200)
	page := set.says(v, d.Issuer, waits.text("user_code"), "allow")
	if !strings.Contains(page, "Make a payment") || !strings.Contains(page, "<code>amount</code>: <bdi>3</bdi>") {
		t.Errorf("the page for the device does not show it: %s", page)
	}
	if got := set.polls(d.Issuer, waits.text("device_code")).want(t, "the device", 200); amount(got) != "3" || got.text("scope") != "" {
		t.Errorf("%s", got.body)
	}
	// What the client may no longer ends.
	admin("PATCH", "/clients/"+p.id, `{"authorization_details_types":["gift"]}`, 200)
	if a := inspect(alone.text("access_token")); a.json["active"] != false {
		t.Errorf("%s", a.body)
	}
	var settings struct {
		Settings struct {
			Types []struct {
				Schema json.RawMessage `json:"schema"`
			} `json:"authorization_details_types"`
		} `json:"settings"`
	}
	if err := json.Unmarshal([]byte(admin("GET", "", "", 200).body), &settings); err != nil || len(settings.Settings.Types) != 2 || !strings.Contains(string(settings.Settings.Types[0].Schema), `"additionalProperties"`) {
		t.Errorf("%+v %v", settings, err)
	}
}
