package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/testdpop"
	"github.com/gatehouse-auth/gatehouse/proof"
	"github.com/gatehouse-auth/gatehouse/server"
)

// prover is a client that has a key. It makes a proof for each request, and does as it is told when a nonce is demanded.
type prover struct {
	t     *testing.T
	key   *testdpop.Key
	nonce string
}

// send asks for a URL with a proof for it, and once more when a nonce is demanded. at is where it is sent, and opts are
// those of call.
func (p *prover) send(method, at, url, token string, opts ...string) answer {
	p.t.Helper()
	for again := true; ; again = false {
		more := map[string]any{}
		if p.nonce != "" {
			more["nonce"] = p.nonce
		}
		a := p.with(p.key.Proof(method, url, token, more), method, at, token, opts...)
		if n := a.header.Get("DPoP-Nonce"); n != "" {
			p.nonce = n
		}
		if a.code() != proof.ErrUseNonce.Code || !again {
			return a
		}
		if p.nonce == "" || a.status == 401 && !strings.Contains(a.header.Get("WWW-Authenticate"), `error="use_dpop_nonce"`) {
			p.t.Fatalf("a nonce is demanded, and none is given: %v", a.header)
		}
	}
}

// with sends one proof, whatever it is for.
func (p *prover) with(proof, method, at, token string, opts ...string) answer {
	p.t.Helper()
	if token != "" {
		opts = append(opts, "Authorization", "DPoP "+token)
	}
	return call(p.t, method, at, append(opts, "DPoP", proof)...)
}

func (p *prover) get(url, token string) answer { return p.send("GET", url, url, token) }

// TestDPoP: a client that proves to have a key gets tokens that are bound to it. They open an API with a proof for each
// request, and nothing otherwise, at the gateway, behind a proxy that asks, and at a guard.
func TestDPoP(t *testing.T) { onBoth(t, boundTokens) }

func boundTokens(t *testing.T, d *server.Demo) {
	app := &enforce.CORS{Origins: []string{"https://app.example"}, Headers: []string{"Authorization", "DPoP"}}
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}, CORS: app}, enforce.Route{Pattern: "GET /proven", Authenticated: true, Proof: "bound"},
		enforce.Route{Pattern: "GET /fresh", Authenticated: true, Proof: "nonce"}, enforce.Route{Pattern: "GET /live", Authenticated: true, Ticket: "ticket"}); err != nil {
		t.Fatal(err)
	}
	const through = 404 // the demo's API, which has nothing there, was reached
	made := call(t, "POST", d.Issuer+"/admin/v1/realms/main/clients", "bearer", d.AdminToken, "body",
		`{"client_name":"Robot","token_endpoint_auth_method":"client_secret_basic","grant_types":["client_credentials"],"scope":"documents:read","dpop_bound_access_tokens":true}`).want(t, "a client", 201)
	if made.json["dpop_bound_access_tokens"] != true {
		t.Error(made.body)
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded", "body", "grant_type=client_credentials", "basic", made.text("client_id") + ":" + made.text("client_secret")}
	p := &prover{t: t, key: testdpop.New()}
	ask := func(more ...string) answer {
		return p.send("POST", d.Issuer+"/token", d.Issuer+"/token", "", append(form, more...)...)
	}
	if a := call(t, "POST", d.Issuer+"/token", form...); a.status != 400 || a.text("error") != "invalid_dpop_proof" {
		t.Errorf("a client that must send proofs, without one: %d %s", a.status, a.body)
	}
	if a := p.with(p.key.Proof("POST", d.Issuer+"/tokens", "", nil), "POST", d.Issuer+"/token", "", form...); a.status != 400 || a.text("error") != "invalid_dpop_proof" {
		t.Errorf("a proof for another address: %d %s", a.status, a.body)
	}
	for _, format := range []string{"signed", "opaque"} {
		if format == "opaque" {
			call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"token_format":"opaque"}}`).want(t, "settings", 200)
		}
		got := ask().want(t, format, 200)
		access := got.text("access_token")
		if got.text("token_type") != "DPoP" {
			t.Errorf("%s: %s", format, got.body)
		}
		if format == "signed" {
			var claims struct {
				Confirmation map[string]string `json:"cnf"`
			}
			payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
			if json.Unmarshal(payload, &claims) != nil || len(claims.Confirmation) != 1 || claims.Confirmation["jkt"] != p.key.Thumbprint() {
				t.Errorf("%s", payload)
			}
		}
		url := d.Gateway + "/read"
		refused := func(what string, a answer, code, reason string) {
			t.Helper()
			line := a.header.Get("WWW-Authenticate")
			if a.want(t, format+", "+what, 401); a.code() != code || !strings.HasPrefix(line, "DPoP ") || !strings.Contains(line, `algs="ES256 `) || !strings.Contains(line, `error="`+reason+`"`) {
				t.Errorf("%s, %s: %s %s", format, what, a.body, line)
			}
		}
		good := p.get(url, access).want(t, format, through)
		if good.header.Get("DPoP-Nonce") != "" {
			t.Errorf("a nonce that nobody needs: %v", good.header)
		}
		refused("as bearer", call(t, "GET", url, "bearer", access), "invalid_token", "invalid_token")
		refused("as bearer with a proof", call(t, "GET", url, "bearer", access, "DPoP", p.key.Proof("GET", url, access, nil)), "invalid_token", "invalid_token")
		refused("without a proof", call(t, "GET", url, "Authorization", "DPoP "+access), "invalid_dpop_proof", "invalid_dpop_proof")
		once := p.key.Proof("GET", url, access, map[string]any{"nonce": p.nonce})
		if p.nonce == "" {
			once = p.key.Proof("GET", url, access, nil)
		}
		p.with(once, "GET", url, access).want(t, "a proof", through)
		refused("a proof twice", p.with(once, "GET", url, access), "invalid_dpop_proof", "invalid_dpop_proof")
		refused("for another URL", p.send("GET", url, d.Gateway+"/write", access), "invalid_dpop_proof", "invalid_dpop_proof")
		refused("by a thief", (&prover{t: t, key: testdpop.New(), nonce: p.nonce}).get(url, access), "invalid_dpop_proof", "invalid_dpop_proof")
		for what, a := range map[string]answer{"the management API": call(t, "GET", d.Issuer+"/admin/v1/realms/main/clients", "bearer", access),
			"the end": call(t, "DELETE", d.Issuer+"/tokens", "bearer", access)} {
			a.want(t, format+" as bearer at "+what, 401)
		}
		p.get(d.Gateway+"/proven", access).want(t, "a route that demands a proof", through)
		refused("a bearer token there", call(t, "GET", d.Gateway+"/proven", "bearer", d.Users["bob"].APIKey), "proof_required", "invalid_token")
		fresh := &prover{t: t, key: p.key}
		if a := fresh.with(fresh.key.Proof("GET", d.Gateway+"/fresh", access, nil), "GET", d.Gateway+"/fresh", access); a.code() != "use_dpop_nonce" {
			t.Errorf("%d %s", a.status, a.body)
		}
		fresh.get(d.Gateway+"/fresh", access).want(t, "with a nonce", through)
		url = d.Gateway + "/.gatehouse/ticket/live"
		if a := p.send("POST", url, url, access); a.status != 403 || a.code() != "ticket_refused" {
			t.Errorf("a ticket for a bound token: %d %s", a.status, a.body)
		}
		// Behind a proxy that asks, the URL is the one that the caller used there.
		lines := []string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/read?page=2", "X-Forwarded-Host", "api.example", "X-Forwarded-Proto", "https"}
		auth := d.Gateway + server.ForwardAuthPath + "/caddy"
		asked := func(url string) answer { return p.send("GET", auth, url, access, lines...) }
		asked("https://api.example/read").want(t, format+" by forward-auth", 200)
		refused("by forward-auth, for the question's own URL", asked(auth), "invalid_dpop_proof", "invalid_dpop_proof")
		refused("by forward-auth as bearer", call(t, "GET", auth, append(lines, "bearer", access)...), "invalid_token", "invalid_token")
		if a := call(t, "GET", d.Gateway+"/read", "Authorization", "DPoP "+access, "Origin", "https://app.example"); !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "DPoP-Nonce") {
			t.Errorf("a page cannot read what is demanded: %v", a.header)
		}
		if format == "signed" {
			guarded(t, d, p, access)
		}
		end := p.send("DELETE", d.Issuer+"/tokens", d.Issuer+"/tokens", access)
		end.want(t, format+": its end", 204)
		p.get(d.Gateway+"/read", access).want(t, "after its end", 401)
	}
	// A realm has an issuer of its own, and a proof names the address below that.
	call(t, "POST", d.Issuer+"/admin/v1/realms", "bearer", d.AdminToken, "body", `{"name":"shop"}`).want(t, "a realm", 201)
	call(t, "POST", d.Issuer+"/admin/v1/realms/shop/users", "bearer", d.AdminToken, "body", `{"username":"amy","password":"violet kettle 93 marsh"}`).want(t, "its user", 201)
	shop := d.Issuer + "/realms/shop/tokens"
	if a := p.send("POST", shop, d.Issuer+"/tokens", "", "basic", "amy:violet kettle 93 marsh"); a.code() != "invalid_dpop_proof" {
		t.Errorf("a proof for another realm: %d %s", a.status, a.body)
	}
	p.send("POST", shop, shop, "", "basic", "amy:violet kettle 93 marsh").want(t, "a proof for the realm", 200)
	bearer, _ := login(t, d, "bob")
	if a := p.get(d.Gateway+"/private", bearer); a.status != 401 || a.code() != "invalid_token" {
		t.Errorf("an unbound token as DPoP: %d %s", a.status, a.body)
	}
	if a := p.get(d.Gateway+"/private", d.Users["bob"].APIKey); a.status != 401 {
		t.Errorf("a key as DPoP: %d %s", a.status, a.body)
	}
	boundRefresh(t, d, p)
}

// guarded presents a bound token to a program that has a guard.
func guarded(t *testing.T, d *server.Demo, p *prover, access string) {
	g, err := guard.NewRemote(guard.RemoteConfig{Issuer: d.Issuer, Audience: d.Issuer, AllowPrivateAddress: true, Logger: slog.New(slog.DiscardHandler),
		Routes: []enforce.Route{{Pattern: "/", Authenticated: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	api := httptest.NewServer(g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	t.Cleanup(api.Close)
	own := &prover{t: t, key: p.key} // its nonces are its own
	own.get(api.URL+"/x", access).want(t, "a guard", 200)
	call(t, "GET", api.URL+"/x", "bearer", access).want(t, "a guard, as bearer", 401)
	once := p.key.Proof("GET", api.URL+"/y", access, map[string]any{"nonce": own.nonce})
	own.with(once, "GET", api.URL+"/y", access).want(t, "a guard", 200)
	own.with(once, "GET", api.URL+"/y", access).want(t, "a guard, a second time", 401)
}

// boundRefresh: who logs in with a proof has a refresh token that is nothing without the key.
func boundRefresh(t *testing.T, d *server.Demo, p *prover) {
	tokens, renewal := d.Issuer+"/tokens", d.Issuer+"/tokens/refresh"
	a := p.send("POST", tokens, tokens, "", "basic", "bob:"+d.Users["bob"].Password).want(t, "a login", 200)
	refresh := a.text("refresh_token")
	body := func() []string { return []string{"body", fmt.Sprintf(`{"refresh_token":%q}`, refresh)} }
	thief := &prover{t: t, key: testdpop.New(), nonce: p.nonce}
	if b := thief.send("POST", renewal, renewal, "", body()...); a.text("token_type") != "DPoP" || b.code() != "invalid_grant" {
		t.Errorf("with another key: %d %s", b.status, b.body)
	}
	if b := call(t, "POST", renewal, body()...); b.code() != "invalid_grant" {
		t.Errorf("without one: %d %s", b.status, b.body)
	}
	next := p.send("POST", renewal, renewal, "", body()...).want(t, "with the key", 200)
	if next.text("token_type") != "DPoP" {
		t.Error(next.body)
	}
	p.get(d.Gateway+"/private", next.text("access_token")).want(t, "what it gave", 200)
	if again := p.send("POST", renewal, renewal, "", body()...).want(t, "once more", 200); again.text("refresh_token") != refresh {
		t.Error("it did not stay what it is")
	}
	_, refresh = login(t, d, "bob")
	if b := p.send("POST", renewal, renewal, "", body()...); b.code() != "invalid_grant" {
		t.Errorf("a bearer's with a proof: %d %s", b.status, b.body)
	}
}

// TestDPoPOnceOnTwoNodes: of all that send the same proof at once, to two nodes on one database, one is let in.
func TestDPoPOnceOnTwoNodes(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	p := &prover{t: t, key: testdpop.New()}
	access := p.send("POST", a.Issuer+"/tokens", a.Issuer+"/tokens", "", "basic", "bob:"+a.Users["bob"].Password).want(t, "a login", 200).text("access_token")
	host := strings.TrimPrefix(a.Gateway, "http://")
	for round := range 5 {
		once := p.key.Proof("GET", a.Gateway+"/private", access, nil)
		var in atomic.Int64
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), "GET", []string{a.Gateway, b.GatewayURL()}[i%2]+"/private", nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Host = host // one balancer stands before both
				r.Header.Set("Authorization", "DPoP "+access)
				r.Header.Set("DPoP", once)
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				switch {
				case resp.StatusCode == 200:
					in.Add(1)
				case resp.StatusCode != 401 || !strings.Contains(string(body), "invalid_dpop_proof"):
					t.Errorf("%d %s", resp.StatusCode, body)
				}
			})
		}
		all.Wait()
		if in.Load() != 1 {
			t.Errorf("round %d: %d were let in", round, in.Load())
		}
	}
}
