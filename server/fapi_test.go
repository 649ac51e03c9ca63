package server_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testdpop"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestFAPI2: a client that is registered with the profile gets along by all that FAPI 2.0 asks of it, and by nothing less.
func TestFAPI2(t *testing.T) {
	d := demo(t)
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}); err != nil {
		t.Fatal(err)
	}
	key := newSigner(t, token.ES256)
	p := registers(t, d, `,"token_endpoint_auth_method":"private_key_jwt","profile":"fapi2","jwks":`+string(token.MarshalJWKSet([]*token.Key{key})))
	r := &robot{id: p.id, issuer: d.Issuer, key: key}
	k := &prover{t: t, key: testdpop.New()}
	proved := func(form url.Values) string { // form with an assertion
		t.Helper()
		proof, err := url.ParseQuery(r.asks(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"client_assertion_type", "client_assertion"} {
			form.Set(name, proof.Get(name))
		}
		return form.Encode()
	}
	push := func(query string) answer {
		t.Helper()
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		return call(t, "POST", d.Issuer+"/par", "Content-Type", "application/x-www-form-urlencoded", "body", proved(q))
	}
	v := signedIn(t, d)
	status, to := v.get(d.Issuer + "/authorize?" + p.query())
	if q := p.answers(status, to); q.Get("error") != "invalid_request" || !strings.Contains(q.Get("error_description"), "pushed") {
		t.Errorf("in the address: %v", q)
	}
	for name, query := range map[string]string{"no PKCE": p.query("code_challenge", "", "code_challenge_method", ""), "no address": p.query("redirect_uri", "")} {
		if a := push(query); a.status != 400 || a.text("error") != "invalid_request" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	a := push(p.query())
	a.want(t, "pushed", 201)
	_, to = v.get(d.Issuer + "/authorize?" + url.Values{"client_id": {p.id}, "request_uri": {a.text("request_uri")}}.Encode())
	code := p.allows(v, d.Issuer, strings.TrimPrefix(to, "/authorize?"))
	form := func() url.Values {
		return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back}, "code_verifier": {p.verifier}}
	}
	if a := send(t, d.Issuer, proved(form())); a.status != 400 || a.text("error") != "invalid_dpop_proof" {
		t.Errorf("a bearer token: %d %s", a.status, a.body)
	}
	ask := func(form url.Values) (a answer) { // an assertion counts once, also where a nonce is demanded
		for range 2 {
			more := map[string]any{}
			if k.nonce != "" {
				more["nonce"] = k.nonce
			}
			a = k.with(k.key.Proof("POST", d.Issuer+"/token", "", more), "POST", d.Issuer+"/token", "", "Content-Type", "application/x-www-form-urlencoded", "body", proved(form))
			if k.nonce = a.header.Get("DPoP-Nonce"); a.text("error") != "use_dpop_nonce" {
				break
			}
		}
		return a
	}
	got := ask(form()).want(t, "redeemed", 200)
	if got.text("token_type") != "DPoP" {
		t.Error(got.body)
	}
	call(t, "GET", d.Gateway+"/read", "bearer", got.text("access_token")).want(t, "as a bearer token", 401)

	// The refresh token stays what it is (FAPI 2.0 §5.3.2.1), and nobody else renews with it.
	renewal := func() url.Values {
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.text("refresh_token")}}
	}
	for range 2 {
		if next := ask(renewal()).want(t, "renewed", 200); next.text("refresh_token") != got.text("refresh_token") || next.text("access_token") == got.text("access_token") {
			t.Error(next.body)
		}
	}
	if a := send(t, d.Issuer, proved(renewal())); a.status != 400 || a.text("error") != "invalid_dpop_proof" {
		t.Errorf("renewed without a proof: %d %s", a.status, a.body)
	}

	// A request object without nbf.
	q, err := url.ParseQuery(p.query())
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"iss": p.id, "aud": d.Issuer, "exp": time.Now().Add(time.Minute).Unix()}
	for name := range q {
		claims[name] = q.Get(name)
	}
	for _, want := range []int{400, 201} {
		b, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		text, err := key.Sign(token.TypeRequest, b)
		if err != nil {
			t.Fatal(err)
		}
		push(url.Values{"client_id": {p.id}, "request": {text}}.Encode()).want(t, "a request object", want)
		claims["nbf"] = time.Now().Unix()
	}

	// A realm that signs by RS256 has no such client.
	clients := d.Issuer + "/admin/v1/realms/main/clients/" + p.id
	call(t, "PATCH", clients, "bearer", d.AdminToken, "body", `{"profile":""}`).want(t, "no profile", 200)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"signing_algorithm":"RS256"}}`).want(t, "RS256", 200)
	if a := call(t, "PATCH", clients, "bearer", d.AdminToken, "body", `{"profile":"fapi2"}`); a.status != 422 || !strings.Contains(a.body, "signing_algorithm") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := call(t, "PATCH", clients, "bearer", d.AdminToken, "body", `{"token_endpoint_auth_method":"client_secret_basic","profile":"fapi2"}`); a.status != 422 || !strings.Contains(a.body, client.AuthPrivateKey) {
		t.Errorf("%d %s", a.status, a.body)
	}
}
