package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testdpop"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/token"
)

// asksWho makes a program that asks who somebody is, confidential, with more members of its registration.
func asksWho(t *testing.T, d *server.Demo, members string) *program {
	t.Helper()
	return registers(t, d, `,"token_endpoint_auth_method":"client_secret_basic"`+members)
}

const everyScope = "openid profile email address phone offline_access documents:read"

// idClaims verifies an ID token as the program that it is for, by the published keys, and returns its algorithm and claims.
func (p *program) idClaims(text string) (token.Algorithm, map[string]any) {
	p.t.Helper()
	c, alg := openID(p.t, p.issuer, p.id, text)
	return alg, c
}

func openID(t *testing.T, issuer, client, text string) (map[string]any, token.Algorithm) {
	t.Helper()
	set, err := token.ParseJWKSet([]byte(call(t, "GET", issuer+"/.well-known/jwks.json").want(t, "keys", 200).body), token.ParseOptions{Algorithms: token.IDAlgorithms()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := token.OpenHint(text, issuer, client, set, time.Now)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return object(t, c.Raw), c.Algorithm
}

// TestOpenID: a program learns who signed in, by an ID token of the algorithm that it wants and by userinfo, as far as the person allowed
// it; neither is good for anything else.
func TestOpenID(t *testing.T) { onBoth(t, openIDFlow) }

func openIDFlow(t *testing.T, d *server.Demo) {
	bob := d.Users["bob"].ID
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main/users/"+bob, "bearer", d.AdminToken, "body",
		`{"display_name":"Bob Bun","email":"bob@example.org","attributes":{"given_name":"Bob","phone_number":"+4930123","phone_number_verified":true,"email_verified":true,"address":{"locality":"Berlin","x":1},"locale":7,"sub":"eve"}}`).want(t, "bob", 200)
	p := asksWho(t, d, `,"scope":"`+everyScope+`"`)
	v := signedIn(t, d)
	code := p.allows(v, d.Issuer, p.query("scope", everyScope, "nonce", "n-0S6_WzA2Mj"))
	first := p.redeems(d.Issuer, code).want(t, "tokens", 200)
	alg, id := p.idClaims(first.text("id_token"))
	if alg != token.RS256 || id["iss"] != d.Issuer || id["sub"] != bob || id["aud"] != p.id || id["nonce"] != "n-0S6_WzA2Mj" || id["acr"] != "aal1" || id["sid"] == nil || id["auth_time"] == nil || id["at_hash"] == nil || id["email"] != nil || id["grant_id"] != nil {
		t.Errorf("%s %v", alg, id)
	}
	about := func(access string) answer {
		return call(t, "GET", d.Issuer+"/userinfo", "bearer", access).want(t, "userinfo", 200)
	}
	who := about(first.text("access_token")).json
	address, _ := who["address"].(map[string]any)
	if who["sub"] != bob || who["name"] != "Bob Bun" || who["preferred_username"] != "bob" || who["given_name"] != "Bob" || who["email"] != "bob@example.org" || who["email_verified"] != false ||
		who["phone_number_verified"] != true || address["locality"] != "Berlin" || address["x"] != nil || who["locale"] != nil || who["updated_at"] == nil {
		t.Errorf("%v", who)
	}

	// A renewal tells the same of the same sign-in.
	second := p.renews(d.Issuer, first.text("refresh_token"), "scope", "documents:read").want(t, "renewed", 200)
	if _, again := p.idClaims(second.text("id_token")); again["sub"] != bob || again["auth_time"] != id["auth_time"] || again["nonce"] != nil || again["at_hash"] == id["at_hash"] {
		t.Errorf("%v", again)
	}
	call(t, "GET", d.Issuer+"/userinfo", "bearer", second.text("access_token")).want(t, "without openid", 403)

	// An ID token opens nothing, at no door.
	for _, text := range []string{first.text("id_token"), second.text("id_token")} {
		call(t, "GET", d.Issuer+"/userinfo", "bearer", text).want(t, "an ID token at userinfo", 401)
		call(t, "GET", d.Issuer+"/admin/v1/realms/main/users", "bearer", text).want(t, "at the API", 401)
		call(t, "GET", d.Gateway+"/documents/1", "bearer", text).want(t, "at the gateway", 401)
		if a := p.introspects(text); a.body != `{"active":false}` {
			t.Errorf("introspected: %s", a.body)
		}
	}
	userinfoDoors(t, d, first.text("access_token"))
	askedByName(t, d, v)
	otherAlgorithms(t, d, v)
	boundUserinfo(t, d, v)
}

func (p *program) introspects(text string) answer {
	p.t.Helper()
	return call(p.t, "POST", p.issuer+"/introspect", "Content-Type", "application/x-www-form-urlencoded", "basic", p.id+":"+p.secret, "body", url.Values{"token": {text}}.Encode())
}

// userinfoDoors: every way to bring a token, and every wrong one.
func userinfoDoors(t *testing.T, d *server.Demo, access string) {
	form := []string{"Content-Type", "application/x-www-form-urlencoded", "body", "access_token=" + access}
	call(t, "POST", d.Issuer+"/userinfo", "bearer", access).want(t, "POST, header", 200)
	call(t, "POST", d.Issuer+"/userinfo", form...).want(t, "POST, form", 200)
	call(t, "POST", d.Issuer+"/userinfo", append(form, "bearer", access)...).want(t, "two", 400)
	call(t, "GET", d.Issuer+"/userinfo?access_token="+access).want(t, "in the address", 400)
	call(t, "DELETE", d.Issuer+"/userinfo", "bearer", access).want(t, "DELETE", 405)
	if a := call(t, "GET", d.Issuer+"/userinfo").want(t, "nothing", 401); a.header.Get("WWW-Authenticate") != `Bearer realm="main"` {
		t.Error(a.header)
	}
	if a := call(t, "GET", d.Issuer+"/userinfo", "bearer", access+"x").want(t, "spoiled", 401); !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Error(a.header)
	}
	own, _ := login(t, d, "bob")
	if a := call(t, "GET", d.Issuer+"/userinfo", "bearer", own).want(t, "a person's own", 403); !strings.Contains(a.header.Get("WWW-Authenticate"), `error="insufficient_scope", scope="openid"`) {
		t.Error(a.header)
	}
	call(t, "GET", d.Issuer+"/userinfo", "bearer", d.Users["bob"].APIKey).want(t, "a key", 401)
}

// askedByName: claims one by one, where they are asked for, and none that the registration would not give.
func askedByName(t *testing.T, d *server.Demo, v *visitor) {
	p := asksWho(t, d, `,"scope":"openid email documents:read"`)
	query := p.query("scope", "openid", "claims", `{"id_token":{"email":{"essential":true},"name":null,"auth_time":null},"userinfo":{"email_verified":null,"phone_number":null}}`)
	if status, page := v.get(d.Issuer + "/authorize?" + query); status != 200 || !strings.Contains(page, "See your mail address") || strings.Contains(page, "<code>phone<") {
		t.Errorf("%d %s", status, page)
	}
	got := p.redeems(d.Issuer, p.allows(v, d.Issuer, query)).want(t, "tokens", 200)
	if _, id := p.idClaims(got.text("id_token")); id["email"] != "bob@example.org" || id["name"] != nil || id["email_verified"] != nil {
		t.Errorf("%v", id)
	}
	who := call(t, "GET", d.Issuer+"/userinfo", "bearer", got.text("access_token")).want(t, "userinfo", 200).json
	if who["email_verified"] != false || who["email"] != nil || who["phone_number"] != nil {
		t.Errorf("%v", who)
	}
	renewed := p.renews(d.Issuer, got.text("refresh_token")).want(t, "renewed", 200)
	if _, id := p.idClaims(renewed.text("id_token")); id["email"] != "bob@example.org" {
		t.Errorf("%v", id)
	}
	// The registration may say less by now.
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main/clients/"+p.id, "bearer", d.AdminToken, "body", `{"scope":"openid documents:read email profile"}`).want(t, "more", 200)
	if who := call(t, "GET", d.Issuer+"/userinfo", "bearer", renewed.text("access_token")).want(t, "userinfo", 200).json; who["name"] != nil {
		t.Errorf("%v", who)
	}
	if a := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query("scope", "documents:read", "nonce", "n"))).want(t, "no OpenID", 200); a.text("id_token") != "" {
		t.Error(a.text("id_token"))
	}
}

// otherAlgorithms: each that a client can register, the key of which is made when it is needed and published.
func otherAlgorithms(t *testing.T, d *server.Demo, v *visitor) {
	for _, alg := range token.IDAlgorithms() {
		p := asksWho(t, d, `,"scope":"openid email","id_token_signed_response_alg":"`+string(alg)+`","userinfo_signed_response_alg":"`+string(alg)+`"`)
		got := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query("scope", "openid email"))).want(t, "tokens", 200)
		if by, _ := p.idClaims(got.text("id_token")); by != alg {
			t.Errorf("signed by %s, not %s", by, alg)
		}
		a := call(t, "GET", d.Issuer+"/userinfo", "bearer", got.text("access_token")).want(t, "userinfo", 200)
		if a.header.Get("Content-Type") != "application/jwt" || strings.Count(a.body, ".") != 2 {
			t.Errorf("%v %s", a.header, a.body)
		}
		claims := segment(t, a.body, 1)
		if claims["iss"] != d.Issuer || claims["aud"] != p.id || claims["sub"] != d.Users["bob"].ID || claims["email"] != "bob@example.org" || segment(t, a.body, 0)["alg"] != string(alg) {
			t.Errorf("%v", claims)
		}
		if status, to := v.get(d.Issuer + "/authorize?" + p.query("scope", "openid", "id_token_hint", a.body)); p.answers(status, to).Get("error") != "invalid_request" {
			t.Errorf("an answer of userinfo is a hint: %d %s", status, to)
		}
	}
	keys := call(t, "GET", d.Issuer+"/admin/v1/realms/main/signing-keys", "bearer", d.AdminToken).want(t, "keys", 200)
	if n := strings.Count(keys.body, `"use":"id"`); n != len(token.IDAlgorithms())-1 {
		t.Errorf("%d keys for ID tokens beside the realm's own: %s", n, keys.body)
	}
}

// boundUserinfo: a token that is bound to a key needs its proof here, too.
func boundUserinfo(t *testing.T, d *server.Demo, v *visitor) {
	p := asksWho(t, d, `,"scope":"openid","dpop_bound_access_tokens":true`)
	key := &prover{t: t, key: testdpop.New()}
	code := p.allows(v, d.Issuer, p.query("scope", "openid"))
	got := key.send("POST", d.Issuer+"/token", d.Issuer+"/token", "", "Content-Type", "application/x-www-form-urlencoded", "basic", p.id+":"+p.secret, "body",
		url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.redirect}, "code_verifier": {p.verifier}}.Encode()).want(t, "tokens", 200)
	access := got.text("access_token")
	if a := call(t, "GET", d.Issuer+"/userinfo", "bearer", access).want(t, "as Bearer", 401); !strings.Contains(a.header.Get("WWW-Authenticate"), "DPoP ") {
		t.Error(a.header)
	}
	key.get(d.Issuer+"/userinfo", access).want(t, "with a proof", 200)
	(&prover{t: t, key: testdpop.New()}).get(d.Issuer+"/userinfo", access).want(t, "with another key's", 401)
}

// segment is a part of a signed token, unverified.
func segment(t *testing.T, compact string, n int) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	return object(t, raw)
}

func object(t *testing.T, raw []byte) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
