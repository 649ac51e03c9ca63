package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/token"
)

// robot is a program that proves itself by keys of its own.
type robot struct {
	id, issuer string
	key        *token.Key
	n          atomic.Int64
}

func newSigner(t *testing.T, alg token.Algorithm) *token.Key {
	t.Helper()
	k, err := token.GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// asks is the form of a request with a new assertion.
func (r *robot) asks(t *testing.T) string {
	t.Helper()
	text, err := r.key.Sign("", fmt.Appendf(nil, `{"iss":%q,"sub":%q,"aud":%q,"jti":"%d","exp":%d}`, r.id, r.id, r.issuer, r.n.Add(1), time.Now().Add(time.Minute).Unix()))
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {client.AssertionType}, "client_assertion": {text}}.Encode()
}

func send(t *testing.T, at, form string) answer {
	return call(t, "POST", at+"/token", "Content-Type", "application/x-www-form-urlencoded", "body", form)
}

// TestClientsWithKeys: a client signs in by keys that it registered, changes them, and what it had by one that is taken away ends.
func TestClientsWithKeys(t *testing.T) {
	d := demoOn(t, server.StoreConfig{})
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}); err != nil {
		t.Fatal(err)
	}
	old, next := newSigner(t, token.EdDSA), newSigner(t, token.ES384)
	set := func(keys ...*token.Key) string { return string(token.MarshalJWKSet(keys)) }
	admin := func(method, path, body string, status int) answer {
		t.Helper()
		return call(t, method, d.Issuer+"/admin/v1/realms/main/clients"+path, "bearer", d.AdminToken, "body", body).want(t, method+" "+path, status)
	}
	r := &robot{issuer: d.Issuer, key: old}
	r.id = admin("POST", "", `{"client_name":"Robot","token_endpoint_auth_method":"private_key_jwt","grant_types":["client_credentials"],"scope":"documents:read","jwks":`+set(old)+`}`, 201).text("client_id")
	get := func(token string, status int) {
		t.Helper()
		call(t, "GET", d.Gateway+"/read", "bearer", token).want(t, "an API", status)
	}
	const through = 404 // the demo's API, which has nothing there, was reached
	by := send(t, d.Issuer, r.asks(t)).want(t, "a token", 200).text("access_token")
	get(by, through)
	admin("PATCH", "/"+r.id, `{"jwks":`+set(old, next)+`}`, 200)
	get(by, through) // nothing was taken away
	r.key = next
	get(send(t, d.Issuer, r.asks(t)).want(t, "by the next key", 200).text("access_token"), through)
	admin("PATCH", "/"+r.id, `{"jwks":`+set(next)+`}`, 200)
	get(by, 401)
	by = send(t, d.Issuer, r.asks(t)).want(t, "by the next key alone", 200).text("access_token")
	gone := &robot{issuer: d.Issuer, key: old, id: r.id}
	send(t, d.Issuer, gone.asks(t)).want(t, "by the old key", 401)
	admin("POST", "/"+r.id+"/panic", `{}`, 200)
	get(by, 401)
	send(t, d.Issuer, r.asks(t)).want(t, "after a panic", 401)
	admin("PATCH", "/"+r.id, `{"disabled":false}`, 200)
	again := r.asks(t)
	send(t, d.Issuer, again).want(t, "enabled", 200)
	send(t, d.Issuer, again).want(t, "again", 401)
	r.issuer = d.Issuer + "/token"
	send(t, d.Issuer, r.asks(t)).want(t, "for the endpoint", 401)
	admin("PATCH", "/"+r.id, `{"legacy_assertion_aud":true}`, 200)
	send(t, d.Issuer, r.asks(t)).want(t, "for the endpoint, as it is registered", 200)
	for _, other := range []string{d.Issuer + "/par", d.Issuer + "/realms/acme/token", d.Gateway + "/token"} {
		r.issuer = other
		send(t, d.Issuer, r.asks(t)).want(t, "for "+other, 401)
	}
	r.issuer = d.Issuer
	send(t, d.Issuer, r.asks(t)).want(t, "for the issuer", 200)
	admin("PATCH", "/"+r.id, `{"profile":"fapi2"}`, 422)
	want := []string{"token_key_unknown", "client_disabled", "assertion_used", "token_wrong_audience"}
	testwait.Until(t, 10*time.Second, "the record", func() bool {
		log := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind=client.failure", "bearer", d.AdminToken).body
		return !slices.ContainsFunc(want, func(s string) bool { return !strings.Contains(log, s) })
	})
}

// TestClientKeysFetched: the keys of a client are read where it has them, only where that may be, and again when it signs by one that
// is not known yet, but not as often as somebody invents one.
func TestClientKeysFetched(t *testing.T) {
	d := demoOn(t, server.StoreConfig{})
	key, next, evil := newSigner(t, token.ES256), newSigner(t, token.ES256), newSigner(t, token.ES256)
	var asked atomic.Int64
	var public atomic.Pointer[[]byte]
	publish := func(keys ...*token.Key) { text := token.MarshalJWKSet(keys); public.Store(&text) }
	publish(key)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write(*public.Load())
	}))
	t.Cleanup(site.Close)
	register := func(private bool) *robot {
		body, err := json.Marshal(map[string]any{"client_name": "Robot", "token_endpoint_auth_method": "private_key_jwt", "grant_types": []string{"client_credentials"}, "jwks_uri": strings.Replace(site.URL, "http:", map[bool]string{true: "http:", false: "https:"}[private], 1), "allow_private_address": private})
		if err != nil {
			t.Fatal(err)
		}
		return &robot{issuer: d.Issuer, key: key, id: call(t, "POST", d.Issuer+"/admin/v1/realms/main/clients", "bearer", d.AdminToken, "body", string(body)).want(t, "a client", 201).text("client_id")}
	}
	outside := register(false)
	if a := send(t, d.Issuer, outside.asks(t)); a.status != 503 || a.text("error") != "temporarily_unavailable" || asked.Load() != 0 {
		t.Errorf("an address of our own network: %d %s, asked %d times", a.status, a.body, asked.Load())
	}
	r := register(true)
	for range 3 {
		send(t, d.Issuer, r.asks(t)).want(t, "a token", 200)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	publish(key, next)
	r.key = next
	send(t, d.Issuer, r.asks(t)).want(t, "by a key that was not known", 200)
	r.key = evil
	for range 10 {
		send(t, d.Issuer, r.asks(t)).want(t, "by an invented key", 401)
	}
	if n := asked.Load(); n > 4 {
		t.Errorf("invented keys have the client's address asked %d times", n)
	}
}

// TestAssertionOnTwoNodes: of all that show one assertion, on two nodes, one gets tokens.
func TestAssertionOnTwoNodes(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	r := &robot{issuer: a.Issuer, key: newSigner(t, token.ES256)}
	r.id = call(t, "POST", a.Issuer+"/admin/v1/realms/main/clients", "bearer", a.AdminToken, "body", `{"client_name":"Robot","token_endpoint_auth_method":"private_key_jwt","grant_types":["client_credentials"],"jwks":`+
		string(token.MarshalJWKSet([]*token.Key{r.key}))+`}`).want(t, "a client", 201).text("client_id")
	nodes := []string{a.Issuer, b.AuthURL()}
	for _, at := range nodes {
		send(t, at, r.asks(t)).want(t, "a token", 200)
	}
	for range 5 {
		form := r.asks(t)
		var wins atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				if send(t, nodes[i%2], form).status == 200 {
					wins.Add(1)
				}
			})
		}
		if wg.Wait(); wins.Load() != 1 {
			t.Errorf("one assertion gave tokens %d times", wins.Load())
		}
	}
}

// TestClientChangesOnTwoNodes: what one node changes of a client that both remember, both know when that is proven.
func TestClientChangesOnTwoNodes(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	all := a.Issuer + "/admin/v1/realms/main/clients"
	change := func(method, path, body string) answer {
		t.Helper()
		return call(t, method, all+path+"?wait=nodes&wait_for=30s", "bearer", a.AdminToken, "body", body).want(t, method+path, 200)
	}
	made := call(t, "POST", all, "bearer", a.AdminToken, "body", `{"client_name":"R","token_endpoint_auth_method":"client_secret_post","grant_types":["client_credentials"]}`).want(t, "a client", 201)
	id := made.text("client_id")
	both := func(what, secret string, status int) {
		t.Helper()
		for _, at := range []string{a.Issuer, b.AuthURL()} {
			send(t, at, url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}.Encode()).want(t, what, status)
		}
	}
	change("PATCH", "/"+id, `{"client_name":"Robot"}`)
	first := made.text("client_secret")
	both("registered", first, 200)
	rotated, _ := change("POST", "/"+id+"/rotate", `{"overlap":"0"}`).json["answer"].(map[string]any)
	second, _ := rotated["client_secret"].(string)
	both("another secret", second, 200)
	both("the secret before", first, 401)
	change("PATCH", "/"+id, `{"disabled":true}`)
	both("disabled", second, 401)
	change("PATCH", "/"+id, `{"disabled":false}`)
	both("enabled", second, 200)
}
