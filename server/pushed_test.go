package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testdpop"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/token"
)

// pushes sends a request of the program before there is a browser, and returns the query with which that comes.
func (p *program) pushes(node, query string) (string, answer) {
	p.t.Helper()
	opts := []string{"Content-Type", "application/x-www-form-urlencoded", "body", query}
	if p.secret != "" {
		opts = append(opts, "basic", p.id+":"+p.secret)
	}
	a := call(p.t, "POST", node+"/par", opts...)
	return url.Values{"client_id": {p.id}, "request_uri": {a.text("request_uri")}}.Encode(), a
}

// TestPushedRequests: a program pushes what it asks for, the browser brings a reference, which one answer uses up; the code is good for the
// key that the program proved to have and no other.
func TestPushedRequests(t *testing.T) { onBoth(t, pushedRequests) }

func pushedRequests(t *testing.T, d *server.Demo) {
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}); err != nil {
		t.Fatal(err)
	}
	p := registers(t, d, `,"token_endpoint_auth_method":"client_secret_basic","require_pushed_authorization_requests":true`)
	key, other := &prover{t: t, key: testdpop.New()}, &prover{t: t, key: testdpop.New()}
	basic := []string{"Content-Type", "application/x-www-form-urlencoded", "basic", p.id + ":" + p.secret}
	a := key.send("POST", d.Issuer+"/par", d.Issuer+"/par", "", append(basic, "body", p.query())...)
	query := url.Values{"client_id": {p.id}, "request_uri": {a.text("request_uri")}}.Encode()
	if a.want(t, "pushed", 201); a.json["expires_in"] != 90.0 {
		t.Error(a.body)
	}
	v := newVisitor(t)
	status, to := v.get(d.Issuer + "/authorize?" + query)
	at, err := url.Parse(to)
	if status != 303 || err != nil || at.Path != "/signin" {
		t.Fatalf("nobody is signed in: %d %s", status, to)
	}
	v.get(d.Issuer + to)
	if status, to = v.send(d.Issuer+"/signin", url.Values{"identifier": {"bob"}, "password": {d.Users["bob"].Password}, "step": {"password"}, "return": at.Query()["return"]}); status != 303 {
		t.Fatalf("%d %s", status, to)
	}
	status, page := v.get(d.Issuer + to)
	if status != 200 || !strings.Contains(page, "documents:read") || strings.Contains(page, "documents:write") {
		t.Fatalf("%d %s", status, page)
	}
	status, to = v.send(d.Issuer+"/authorize/consent", ticks(strings.TrimPrefix(to, "/authorize?"), page))
	q := p.answers(status, to)
	code := q.Get("code")
	if code == "" || q.Get("state") != "a b&c" {
		t.Fatalf("%v", q)
	}
	if status, page := v.get(d.Issuer + "/authorize?" + query); status != 400 || !strings.Contains(page, "request_over") {
		t.Errorf("answered, and asked again: %d %s", status, page)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back}, "code_verifier": {p.verifier}}.Encode()
	redeem := func(k *prover) answer {
		t.Helper()
		return k.send("POST", d.Issuer+"/token", d.Issuer+"/token", "", append(basic, "body", form)...)
	}
	if a := p.redeems(d.Issuer, code); a.status != 400 || a.text("error") != "invalid_grant" || a.code() != "code_key_mismatch" {
		t.Errorf("without a proof: %d %s", a.status, a.body)
	}
	if a := redeem(other); a.text("error") != "invalid_grant" {
		t.Errorf("with another key: %d %s", a.status, a.body)
	}
	got := redeem(key).want(t, "redeemed", 200)
	if got.text("token_type") != "DPoP" {
		t.Error(got.body)
	}
	key.get(d.Gateway+"/read", got.text("access_token")).want(t, "the API", 404)

	// What is not pushed is refused, and so is what another client pushed.
	status, to = v.get(d.Issuer + "/authorize?" + p.query())
	if q := p.answers(status, to); q.Get("error") != "invalid_request" || !strings.Contains(q.Get("error_description"), "pushed") {
		t.Errorf("in the address: %v", q)
	}
	query, _ = p.pushes(d.Issuer, p.query())
	thief := registers(t, d, "")
	if status, page := v.get(d.Issuer + "/authorize?" + strings.Replace(query, p.id, thief.id, 1)); status != 400 || !strings.Contains(page, "request_over") {
		t.Errorf("another client's: %d %s", status, page)
	}
	if _, a := thief.pushes(d.Issuer, thief.query("client_id", p.id)); a.status != 401 || a.text("error") != "invalid_client" {
		t.Errorf("in another one's name: %d %s", a.status, a.body)
	}
	if _, a := p.pushes(d.Issuer, p.query("redirect_uri", "https://evil.example")); a.status != 400 || a.text("error") != "invalid_request" {
		t.Errorf("%d %s", a.status, a.body)
	}
	m := call(t, "GET", d.Issuer+"/.well-known/oauth-authorization-server").want(t, "metadata", 200)
	if m.text("pushed_authorization_request_endpoint") != d.Issuer+"/par" || m.json["require_pushed_authorization_requests"] != false {
		t.Error(m.body)
	}
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"require_pushed_authorization_requests":true}}`).want(t, "the realm", 200)
	if m := call(t, "GET", d.Issuer+"/.well-known/oauth-authorization-server"); m.json["require_pushed_authorization_requests"] != true {
		t.Error(m.body)
	}
	// Two say yes at once.
	query, _ = p.pushes(d.Issuer, p.query("prompt", "consent"))
	status, to = v.get(d.Issuer + "/authorize?" + query)
	if status != 303 {
		t.Fatalf("%d %s", status, to)
	}
	v.get(d.Issuer + to)
	count := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			status, page := v.send(d.Issuer+"/authorize/consent", url.Values{"request": {strings.TrimPrefix(to, "/authorize?")}, "do": {"allow"}})
			mu.Lock()
			defer mu.Unlock()
			count[fmt.Sprint(status, " ", strings.Contains(page, "code=gha_"), strings.Contains(page, "request_over"))]++
		})
	}
	all.Wait()
	if count["303 true false"] != 1 || count["400 false true"] != 7 {
		t.Errorf("%v", count)
	}
}

// TestSignedRequests: a program signs what it asks for, in the address or pushed, by a key of its registration; that counts and nothing
// beside it.
func TestSignedRequests(t *testing.T) {
	d := demo(t)
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	p := registers(t, d, `,"token_endpoint_auth_method":"client_secret_basic","require_signed_request_object":true,"request_object_signing_alg":"ES256","jwks":`+string(token.MarshalJWKSet([]*token.Key{key})))
	sign := func(change ...any) string {
		t.Helper()
		q, err := url.ParseQuery(p.query("state", "signed"))
		if err != nil {
			t.Fatal(err)
		}
		claims := map[string]any{"iss": p.id, "aud": d.Issuer, "nbf": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
		for name := range q {
			claims[name] = q.Get(name)
		}
		for i := 0; i+1 < len(change); i += 2 {
			claims[change[i].(string)] = change[i+1]
		}
		b, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		text, err := key.Sign(token.TypeRequest, b)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	v := signedIn(t, d)
	query := url.Values{"client_id": {p.id}, "request": {sign()}, "scope": {"documents:write"}, "state": {"x"}}.Encode()
	p.redeems(d.Issuer, p.allows(v, d.Issuer, query)).want(t, "redeemed", 200)
	_, a := p.pushes(d.Issuer, url.Values{"request": {sign()}, "redirect_uri": {"https://evil.example"}}.Encode())
	a.want(t, "pushed", 201)
	if _, a := p.pushes(d.Issuer, url.Values{"request": {sign("aud", d.Issuer+"/par")}}.Encode()); a.status != 400 || a.text("error") != "invalid_request_object" || !strings.Contains(a.text("error_description"), "audience") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if status, page := v.get(d.Issuer + "/authorize?" + url.Values{"client_id": {p.id}, "request": {sign("aud", "https://other.example")}}.Encode()); status != 400 || !strings.Contains(page, "invalid_request_object") {
		t.Errorf("%d %s", status, page)
	}
	status, to := v.get(d.Issuer + "/authorize?" + p.query())
	if q := p.answers(status, to); q.Get("error") != "invalid_request" || !strings.Contains(q.Get("error_description"), "signed") {
		t.Errorf("unsigned: %v", q)
	}
	m := call(t, "GET", d.Issuer+"/.well-known/oauth-authorization-server").want(t, "metadata", 200)
	if m.json["request_parameter_supported"] != true || m.json["request_uri_parameter_supported"] != false || !strings.Contains(m.body, `"request_object_signing_alg_values_supported":["`) {
		t.Error(m.body)
	}
}

// TestSignedAnswers: a program that asks for it gets its answer signed by a key that the realm publishes (JARM).
func TestSignedAnswers(t *testing.T) {
	d := demo(t)
	v := signedIn(t, d)
	for _, alg := range []string{"RS256", "EdDSA"} {
		p := registers(t, d, `,"first_party":true,"token_endpoint_auth_method":"client_secret_basic","authorization_signed_response_alg":"`+alg+`"`)
		status, to := v.get(d.Issuer + "/authorize?" + p.query("response_mode", "jwt"))
		query, ok := strings.CutPrefix(to, p.redirect+"&response=")
		jws, err := url.QueryUnescape(query)
		if status != 303 || !ok || err != nil {
			t.Fatalf("%d %s", status, to)
		}
		line, err := json.Marshal(map[string]any{"jwks": json.RawMessage(call(t, "GET", d.Issuer+"/.well-known/jwks.json").body), "jws": jws})
		if err != nil {
			t.Fatal(err)
		}
		if valid, reason := token.VerifyVector(line); !valid {
			t.Errorf("%s: %s", alg, reason)
		}
		shown, err := token.Peek(jws)
		if err != nil {
			t.Fatal(err)
		}
		var says map[string]any
		if err := json.Unmarshal(shown.Claims, &says); err != nil || !strings.Contains(string(shown.Header), `"alg":"`+alg+`"`) || says["iss"] != d.Issuer || says["aud"] != p.id || says["state"] != "a b&c" {
			t.Fatalf("%s %s %v", shown.Header, shown.Claims, err)
		}
		p.redeems(d.Issuer, says["code"].(string)).want(t, alg, 200)
	}
	if m := call(t, "GET", d.Issuer+"/.well-known/oauth-authorization-server").body; !strings.Contains(m, `"form_post.jwt"`) || !strings.Contains(m, `"authorization_signing_alg_values_supported":["`) {
		t.Error(m)
	}
}
